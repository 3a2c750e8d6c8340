"""Labels that are late, that come for some rows only, and that have stopped coming."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.data import DataFrames, DataSnapshot, data
from console.analysis.drift import DriftSnapshot
from console.analysis.estimate import Estimate, State
from console.analysis.figures import Figures, Group
from console.analysis.findings import Severity
from console.analysis.maturity import NOTHING_KNOWN, Maturity, completeness, mark, maturity
from console.analysis.usual import UsualVolume, usual_volume

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HISTORY = 56 * DAY
DEPLOYMENT = Deployment.model_validate(
    {
        "name": "d", "task": "binary", "score": "p", "predictions": {"path": "p"},
        "labels": {"source": {"path": "l"}},
    }
)  # fmt: skip

Delay = Callable[[float], float | None]
"""Days from a prediction at day t to its label; None where none comes."""


class World:
    """A service with `per_day` predictions a day from START on, seen at `as_of`."""

    def __init__(self, delay: Delay, per_day: int, days: int) -> None:
        self.made = [(i + 0.5) / per_day for i in range(per_day * days)]
        self.delays = [delay(t) for t in self.made]
        self.as_of = START + days * DAY

    def volume(self, start: datetime, end: datetime) -> pl.DataFrame:
        found = [START + t * DAY for t in self.made if start <= START + t * DAY < end]
        frame = pl.DataFrame({"start": [self.floor(m) for m in found]}, schema=_STARTS)
        return frame.group_by("start").agg(n=pl.len().cast(pl.Int64)).with_columns(n_error=0)

    def delay(self, start: datetime, end: datetime) -> pl.DataFrame:
        rows = []
        for t, d in zip(self.made, self.delays, strict=True):
            moment = START + t * DAY
            if d is not None and start <= moment < end and moment + d * DAY <= self.as_of:
                rows.append((self.floor(moment), math.floor(8 * math.log1p(86400 * d))))
        frame = pl.DataFrame(rows, schema={**_STARTS, "bin": pl.Int64}, orient="row")
        return frame.group_by("start", "bin").agg(n=pl.len().cast(pl.Int64))

    def known(self, window: timedelta) -> Maturity:
        start = self.as_of - window
        span = (start - HISTORY, self.as_of)
        return maturity(self.volume(*span), self.delay(*span), start, self.as_of)

    def data(self, window: timedelta) -> DataSnapshot:
        """What the data pane says of the last days, day by day."""
        start = self.as_of - window
        ask = Ask(DEPLOYMENT, start, self.as_of, self.as_of, Step.DAY)
        nothing = pl.DataFrame()
        extent = {"last_ts": self.as_of.replace(tzinfo=None), "last_received": None, "n_unbuilt": 0}
        frames = DataFrames(
            extent=pl.DataFrame([extent]),
            sources=pl.DataFrame(schema={"n_batches": pl.Int64}),
            quarantine=nothing,
            records=pl.DataFrame(schema={"at_time": pl.Datetime}),
            schema_changes=nothing,
            waiting=nothing,
            volume=self.volume(start, self.as_of),
            delay=self.delay(start, self.as_of),
            metrics=nothing,
            usual=usual_volume(pl.DataFrame(schema={**_STARTS, "n": pl.Int64})),
            labels=self.known(window),
        )
        return data(ask, frames, DriftSnapshot(ask, (), (), (), has_reference=False))

    def figures(self, start: datetime, end: datetime) -> Figures:
        """Rows of a span with their labels, and one figure that is settled by itself."""
        n = int(self.volume(start, end)["n"].sum())
        labelled = int(self.delay(start, end)["n"].sum())
        return Figures(
            Group(start, "v", 0, "", ""), n, labelled, {"f1": Estimate(0.5, 0.4, 0.6, labelled)}
        )

    def state(self, start: datetime, end: datetime) -> State:
        (found,) = mark([(self.figures(start, end), start, end)], self.known(7 * DAY), self.as_of)
        return found.metrics["f1"].state

    @staticmethod
    def floor(moment: datetime) -> datetime:
        return moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)


_STARTS = {"start": pl.Datetime("us")}


def uniform(most: float, seed: int = 1) -> Delay:
    random = np.random.default_rng(seed)
    return lambda t: float(random.uniform(0, most))


def sampled(share: float, until: float = math.inf, seed: int = 1) -> Delay:
    """Labels within a day for a random share of the rows, and none from a day on."""
    random = np.random.default_rng(seed)
    return lambda t: float(random.uniform(0, 1)) if random.random() < share and t < until else None


def texts(snapshot: DataSnapshot) -> list[str]:
    return [f.text for f in snapshot.findings if "label" in f.text]


def test_labels_of_thirty_days_are_due_not_lost() -> None:
    world = World(uniform(30), 100, 120)
    known = world.known(7 * DAY)
    assert known.usual == pytest.approx(1.0, abs=0.02)
    assert known.arrived(timedelta(days=15)) == pytest.approx(0.5, abs=0.1)
    week, old = world.as_of - 7 * DAY, world.as_of - 40 * DAY
    assert known.arrived_of(week, world.as_of, world.as_of) < 0.25
    assert world.state(week, world.as_of) is State.PROVISIONAL
    assert world.state(old, old + 7 * DAY) is State.OK
    assert texts(world.data(7 * DAY)) == []


def test_days_of_which_half_the_labels_are_due_are_no_finding() -> None:
    """Of labels that take up to four days, days of that age are not yet to be judged."""
    assert [texts(World(uniform(4, s), 200, 75).data(7 * DAY)) for s in range(5)] == [[]] * 5


@pytest.mark.parametrize("per_day", [20, 100])
def test_a_dead_label_feed_is_found(per_day: int) -> None:
    world = World(sampled(1.0, until=113), per_day, 120)
    snapshot = world.data(7 * DAY)
    (found,) = [f for f in snapshot.findings if "did not come" in f.text]
    assert found.severity is Severity.BAD
    assert ": 0%" in found.text
    assert "usually 100%" in found.text
    what = "predictions" if per_day < 50 else r"day(s)"
    assert what in found.text
    # and figures of these days are not excused as provisional: nothing more is due
    assert world.state(world.as_of - 7 * DAY, world.as_of - 2 * DAY) is State.OK


@pytest.mark.parametrize("per_day", [30, 100])
def test_sampled_labelling_that_dies_is_found(per_day: int) -> None:
    world = World(sampled(0.08, until=112), per_day, 120)
    assert world.known(7 * DAY).usual == pytest.approx(0.08, abs=0.02)
    (found,) = texts(world.data(7 * DAY))
    assert "did not come: 0%" in found


def test_sampled_labelling_that_lives_is_no_finding() -> None:
    cried = sum(bool(texts(World(sampled(0.08, seed=s), 100, 75).data(7 * DAY))) for s in range(20))
    assert cried <= 2


def test_an_outage_within_the_window_does_not_become_the_usual() -> None:
    """Half of a month without labels, after a month that had them."""
    world = World(sampled(0.9, until=75), 100, 90)
    assert world.known(30 * DAY).usual == pytest.approx(0.9, abs=0.03)
    (found,) = texts(world.data(30 * DAY))
    days = int(found.partition("labels of ")[2].split()[0])
    assert 13 <= days <= 15


def test_one_lost_day_is_counted_as_one() -> None:
    def delay(t: float) -> float | None:
        return None if 116 <= t < 117 else 0.2

    (found,) = texts(World(delay, 100, 120).data(7 * DAY))
    assert found.startswith("labels of 1 day(s) did not come: 0% on 26 Apr 00:00")


def test_without_any_label_nothing_is_usual() -> None:
    world = World(lambda _: None, 100, 30)
    known = world.known(7 * DAY)
    assert (known.usual, known.n, known.quantile(0.5)) == (None, 0, None)
    assert world.state(world.as_of - 7 * DAY, world.as_of) is State.OK
    assert texts(world.data(7 * DAY)) == ["no labels have come yet"]


def test_few_rows_before_the_window_give_way_to_all_that_are_old_enough() -> None:
    world = World(sampled(0.5), 40, 10)
    known = world.known(9 * DAY)
    # the day before the window and seven of its own; the last two are too young
    assert known.usual == pytest.approx(0.5, abs=0.1)
    assert known.usual is not None
    assert known.n == round(known.usual * 8 * 40)


def test_quantiles_are_upper_ends_of_their_bins() -> None:
    world = World(uniform(10, seed=3), 200, 60)
    known = world.known(7 * DAY)
    for q, exact in ((0.1, 1.0), (0.5, 5.0), (0.9, 9.0)):
        shown = known.quantile(q)
        assert shown is not None
        assert 0.95 * exact <= shown / 86400 <= exact * math.exp(1 / 8) * 1.05
    assert list(known.ends) == sorted(known.ends)
    assert list(known.shares) == sorted(known.shares)
    assert known.shares[-1] == 1.0
    assert known.arrived(timedelta(0)) == 0.0
    assert known.arrived(timedelta(days=100)) == 1.0


def _marked(n: int, n_labelled: int, usual: float | None, ends: Sequence[float]) -> State:
    shares = tuple((i + 1) / len(ends) for i in range(len(ends)))
    figure = Figures(
        Group(START, "v", 0, "", ""), n, n_labelled, {"f1": Estimate(0.5, 0.4, 0.6, n_labelled)}
    )
    known = Maturity(usual, tuple(ends), shares, 1000)
    (found,) = mark([(figure, START, START + DAY)], known, START + 2 * DAY)
    return found.metrics["f1"].state


@pytest.mark.parametrize(
    ("n_labelled", "usual", "delays", "state"),
    [
        (10, 0.9, [10 * 86400.0], State.PROVISIONAL),  # all are due
        (10, 0.9, [3600.0], State.OK),  # nothing more is due: it is lost, not late
        (82, 0.9, [10 * 86400.0], State.OK),  # 0.9 of the usual 90 are there
        (80, 0.9, [10 * 86400.0], State.PROVISIONAL),
        (0, None, [10 * 86400.0], State.OK),  # not known what is usual
    ],
)
def test_provisional_needs_labels_that_lack_and_are_due(
    n_labelled: int, usual: float | None, delays: list[float], state: State
) -> None:
    assert _marked(100, n_labelled, usual, delays) is state


def test_what_has_no_value_is_not_marked() -> None:
    figure = Figures(
        Group(START, "v", 0, "", ""), 100, 0, {"f1": Estimate(None, None, None, 0, State.NO_LABELS)}
    )
    known = Maturity(0.9, (10 * 86400.0,), (1.0,), 1000)
    (found,) = mark([(figure, START, START + DAY)], known, START + DAY)
    assert found.metrics["f1"].state is State.NO_LABELS


def test_a_day_is_judged_by_the_hours_in_which_its_rows_were_made() -> None:
    """Nothing comes by night: at noon, rows of the last hours wait, and no others are old."""
    known = Maturity(0.9, (4 * 3600.0,), (1.0,), 1000)
    noon = START + DAY / 2
    hours = {START + timedelta(hours=h): 10 for h in range(6, 12)}
    busy = replace(known, made=UsualVolume(hours, START), since=START)
    assert known.arrived_of(START, START + DAY, noon) == pytest.approx(8 / 12, abs=0.05)
    assert busy.arrived_of(START, START + DAY, noon) == pytest.approx(2 / 6)
    # before what is known by hour, or without a row, the even spread is all there is
    early = START - 2 * DAY
    assert busy.arrived_of(early, START, noon) == known.arrived_of(early, START, noon)
    empty = START + timedelta(hours=1)
    assert busy.arrived_of(START, empty, noon) == known.arrived_of(START, empty, noon) == 1.0


@pytest.mark.parametrize(
    ("n", "labelled", "arrived", "final"),
    [
        (100, 90, 1.0, True),
        (100, 40, 0.4, False),
        (100, 40, 1.0, True),  # nothing more is due: what has not come is lost
        (100, 85, 0.5, True),  # came early
        (100, 40, None, None),
        (0, 0, 1.0, True),
    ],
)
def test_completeness_says_what_has_come_and_what_is_due(
    n: int, labelled: int, arrived: float | None, final: bool | None
) -> None:
    known = Maturity(0.9, (60.0,), (1.0,), 1000)
    found = completeness(known, n, labelled, arrived)
    assert found.final is final
    assert found.coverage == (labelled / n if n else None)
    assert found.expected == (None if arrived is None else pytest.approx(0.9 * arrived))
    assert completeness(NOTHING_KNOWN, n, labelled, arrived).final is None
