"""The figures that fallback rules are about: from the logs and from what the plane counts.

A figure counts only with an interval: "surely broken" is all of it beyond the limit. Errors are
known twice, by the plane and by the logs; the fresher one that can be judged is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collectors.errors import CollectorError
from collectors.store.typed import CLOCK_TOLERANCE
from console.analysis.ask import Ask, Step, naive, utc
from console.analysis.estimate import Estimate, IntervalKind, State, missing
from console.analysis.sequences import rate_sequence
from console.control.plane import Counts
from console.control.rules import Look, RuleVerdict
from console.control.settings import FallbackRule
from console.control.verify import Measured, between
from console.errors import ConsoleError
from console.gate import Gate
from console.gates import Verdict, verdict_on
from console.snapshots import Taker
from console.views.words import interval, number

__all__ = ["Asks", "Grounds", "look_at", "measured_over"]

Asks = Callable[[timedelta], tuple[Taker, Ask]]
"""A window of this length that ends now, watched, with who takes it. May raise CollectorError."""

_DATA_AGE = "data_age"
_OF_TRAFFIC = frozenset({"error_rate", "latency_p50", "latency_p95", "latency_p99"})
_ESTIMATED = "estimated:"
_FRESH = timedelta(seconds=30)
"""Counts of the plane that are older are not of now."""

_GRAIN = timedelta(minutes=5)
"""Of the rollups of volume and latency."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What figures are taken from. arm, version: in service. counts: of the plane, oldest first.

    asks: None where the store cannot be asked.
    """

    arm: str
    version: str
    asks: Asks | None
    counts: Sequence[Counts]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    """A figure, where it is from, and how old its newest part is. exact: it needs no interval."""

    estimate: Estimate
    source: str
    old: timedelta = timedelta(0)
    exact: bool = False


def look_at(rules: Iterable[FallbackRule], grounds: Grounds) -> tuple[Look, ...]:
    """Every rule at this moment. What cannot be known is unknown, and says why; raises nothing."""
    return tuple(_look(rule, grounds) for rule in rules)


def _look(rule: FallbackRule, grounds: Grounds) -> Look:
    problem = ""
    looks: list[Look] = []
    try:
        for known in _known(rule, grounds):
            look = _judged(rule, known, grounds.arm)
            if look.verdict is not RuleVerdict.UNKNOWN:
                return look
            looks.append(look)
    except (CollectorError, ConsoleError) as error:
        problem = f"{rule.figure} cannot be asked: {error}"
    for look in looks:
        if look.estimate.value is not None:
            return look
    why = problem or (looks[-1].why if looks else f"{rule.figure} of {grounds.arm} is not known")
    return Look(rule, RuleVerdict.UNKNOWN, missing(State.CANNOT_TELL), why)


def _judged(rule: FallbackRule, known: _Known, arm: str) -> Look:
    e = known.estimate
    of = f"{rule.figure} of {arm} ({known.source})"
    if rule.figure == _DATA_AGE:
        of = known.source
    if e.value is None:
        text = f"{of} is not known: {e.state.value.replace('_', ' ')}"
        return Look(rule, RuleVerdict.UNKNOWN, e, text)
    said = f"{of} is {number(e.value)}{f' [{interval(e)}]' if interval(e) else ''}"
    if known.exact:
        said = f"{of} is {e.value:,.0f} s"
    if not known.exact and (e.low is None or e.high is None):
        text = f"{said}, without an interval: it cannot be told how sure that is"
        return Look(rule, RuleVerdict.UNKNOWN, e, text)
    side, limit = ("above", rule.above) if rule.above is not None else ("below", rule.below)
    gate = Gate(figure=rule.figure, at_most=rule.above, at_least=rule.below)
    verdict, why = verdict_on(gate, e)
    if verdict is Verdict.FAIL:
        return Look(rule, RuleVerdict.BROKEN, e, f"{said}: surely {side} {limit:g}")
    if verdict is Verdict.PASS:
        return Look(rule, RuleVerdict.KEPT, e, f"{said}: surely not {side} {limit:g}")
    return Look(rule, RuleVerdict.UNKNOWN, e, f"{said}: {why}")


def _known(rule: FallbackRule, grounds: Grounds) -> Iterator[_Known]:
    """Where a figure is known from, the freshest first. Raises CollectorError, ConsoleError."""
    if rule.figure == _DATA_AGE:
        yield from _data_age(rule, grounds)
    elif rule.figure in _OF_TRAFFIC:
        counted = _counted(rule, grounds) if rule.figure == "error_rate" else None
        if counted is not None:
            yield counted  # its newest request is of seconds ago, a logged one seldom is
        yield from _of_traffic(rule, grounds)
    else:
        yield from _of_performance(rule, grounds)


def _data_age(rule: FallbackRule, grounds: Grounds) -> Iterator[_Known]:
    if grounds.asks is None:
        return
    newest, ask = _newest(rule, grounds.asks)
    if newest is None:
        return
    seconds = max((ask.as_of - newest).total_seconds(), 0.0)
    yield _Known(Estimate(seconds, seconds, seconds, 1), "the newest prediction's age", exact=True)


def _newest(rule: FallbackRule, asks: Asks) -> tuple[datetime | None, Ask]:
    taker, ask = asks(rule.window)
    # what a producer with a fast clock wrote is there too
    frame = taker.fixed(ask, "extent", end=naive(ask.as_of + 2 * CLOCK_TOLERANCE))
    found = frame["last_ts"].to_list()
    return (utc(found[0]) if found and found[0] is not None else None), ask


def _counted(rule: FallbackRule, grounds: Grounds) -> _Known | None:
    measured = measured_over(grounds.counts, grounds.now, rule.window)
    if measured is None:
        return None
    n, errors = measured.of(grounds.arm), measured.errors(grounds.arm)
    if errors is None or not n:
        return None
    errors = min(errors, n)
    low, high = rate_sequence(errors, n)
    share = errors / n
    e = Estimate(
        share, min(low, share), max(high, share), n, interval=IntervalKind.PEEK_SAFE
    )  # fmt: skip
    return _Known(e, f"{n:,} requests the proxy counted", grounds.now - measured.end)


def measured_over(
    counts: Sequence[Counts], now: datetime, length: timedelta
) -> Measured | None:  # fmt: skip
    """What the plane served in a time up to now; None where its newest counts are not of now."""
    within = [c for c in counts if now - length <= c.at <= now]
    if len(within) < 2 or now - within[-1].at > _FRESH:
        return None
    return between(within[0], within[-1])


def _of_traffic(rule: FallbackRule, grounds: Grounds) -> Iterator[_Known]:
    if grounds.asks is None:
        return
    newest, _ = _newest(rule, grounds.asks)
    taker, ask = grounds.asks(rule.window)
    if newest is None or ask.as_of - newest > rule.window:
        return  # nothing of this window
    # five-minute buckets, where a window of whole hours would hold what was long before
    begin = min(ask.end, ask.as_of) - rule.window
    begin -= (begin - datetime.min.replace(tzinfo=begin.tzinfo)) % _GRAIN
    of = replace(ask, start=begin, step=Step.ALL, version=None, segment=None)
    for row in taker.traffic(of).whole:
        if row.version == grounds.version and rule.figure in row.metrics:
            e = row.metrics[rule.figure]
            yield _Known(e, f"{e.n:,} predictions in the logs", ask.as_of - newest)


def _of_performance(rule: FallbackRule, grounds: Grounds) -> Iterator[_Known]:
    """By labels where they have come; else what the scores promise."""
    if grounds.asks is None:
        return
    name = rule.figure.removeprefix(_ESTIMATED)
    taker, ask = grounds.asks(rule.window)
    found = taker.performance(replace(ask, version=grounds.version, segment=None))
    for f in found.whole:
        if f.group.version != grounds.version:
            continue
        if name not in f.metrics:
            listed = ", ".join(f.metrics)
            raise ConsoleError(f"there is no figure {name!r}; there is {listed}")
        if not rule.figure.startswith(_ESTIMATED):
            e = f.metrics[name]
            yield _Known(e, f"{e.n:,} labelled predictions")
        promised = found.estimated.get(f.group)
        if promised is None:
            continue
        if promised.reason:
            yield _Known(missing(State.CANNOT_TELL), f"estimated: {promised.reason}")
        elif name in promised.metrics:
            e = promised.metrics[name]
            yield _Known(e, f"estimated from scores, {e.n:,} predictions")
