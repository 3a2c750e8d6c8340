"""Measured proof: does the plane really serve the split it was told? Pure.

Counts before and after are subtracted replica by replica; a restart in between begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from console.analysis.sample_ratio import log_bayes_factor
from console.control.plane import ArmCount, Counts
from console.control.split import Split, percent_text

__all__ = ["SURE", "Measured", "Proof", "Verification", "between", "needed", "verify"]

SURE = 0.01
"""The chance that is left of calling a split proven that is still the old one."""

_LEAST_SHARE = 0.01
"""What an arm may have had of which nobody knows what it had."""

_MISMATCH = 20.0
"""As on the Versions pane: evidence against the split that a right one reaches in 5 % at most."""


class Proof(StrEnum):
    """What was measured."""

    PROVEN = "proven"
    NOT_YET = "not yet"
    """Too few requests to tell."""
    CONTRADICTED = "contradicted"
    UNMEASURED = "unmeasured"
    """Nobody counts requests here, or not since long enough."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests between two readings. rows: by replica and arm. restarted: replicas whose counters
    began anew in between, of which only what came since is counted. missing: that gave no counts.
    """

    start: datetime
    end: datetime
    rows: tuple[ArmCount, ...]
    restarted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """All requests."""
        return sum(row.n for row in self.rows)

    def of(self, arm: str) -> int:
        """An arm's requests on all replicas."""
        return sum(row.n for row in self.rows if row.arm == arm)

    def errors(self, arm: str) -> int | None:
        """An arm's failed requests; None where they are not counted."""
        counted = [row.n_error for row in self.rows if row.arm == arm]
        if not counted or any(n is None for n in counted):
            return None
        return sum(n for n in counted if n is not None)

    def share(self, arm: str) -> float | None:
        """An arm's share of the requests, 0 to 1; None without any."""
        return self.of(arm) / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Verification:
    """n: requests that were looked at; needed: how many it takes to tell."""

    proof: Proof
    n: int
    needed: int
    text: str
    measured: Measured | None = None


def between(first: Counts, last: Counts) -> Measured:
    """What was served between two readings of the counters."""
    before = {(row.replica, row.arm): row for row in first.rows}
    rows, restarted = [], dict[str, None]()
    for row in last.rows:
        old = before.get((row.replica, row.arm))
        if old is None or old.epoch != row.epoch or row.n < old.n:
            if old is not None:
                restarted[row.replica] = None
                rows.append(row)
            elif any(replica == row.replica for replica, _ in before):
                rows.append(row)  # an arm that was never asked for has no counter yet
            continue
        errors = None
        if row.n_error is not None and old.n_error is not None:
            errors = max(row.n_error - old.n_error, 0)
        rows.append(ArmCount(row.replica, row.arm, row.n - old.n, errors, row.epoch))
    missing = dict.fromkeys((*first.missing, *last.missing))
    return Measured(first.at, last.at, tuple(rows), tuple(restarted), tuple(missing))


def needed(before: Split | None, after: Split, sure: float = SURE) -> int:
    """Requests after which the new split can be told from the old one.

    An arm that had none must be seen: 0 of n at share p has a chance of (1 - p)^n. Else the
    likelihood of the new split, which grows by its divergence from the old one with each request
    (Wald's sequential test). 459 for 1 % that is gone: 99 % of such requests would show it. Where
    the old one is not known, or is the new one, an arm that is to have nothing is looked for as if
    it had 1 %.
    """
    if before is None or before.same_shares(after):
        smallest = min((after.share(arm) for arm in after.taking), default=1.0)
        if len(after.taking) < len(after.arms):
            smallest = min(smallest, _LEAST_SHARE)
        return _hits(1 - smallest if smallest < 1 else 0.5, sure)
    most = 1
    divergence = 0.0
    for arm in dict.fromkeys((*before.arms, *after.arms)):
        old, new = before.share(arm), after.share(arm)
        if new > 0 and old > 0:
            divergence += new * math.log(new / old)
        elif new > 0:
            most = max(most, _hits(1 - new, sure))
        elif old > 0:
            most = max(most, _hits(1 - old, sure))
    if all(before.share(arm) > 0 for arm in after.taking) and divergence > 0:
        most = max(most, math.ceil(-math.log(sure) / divergence))
    return most


def _hits(none: float, sure: float) -> int:
    """How many requests until missing an arm each time is as unlikely as allowed."""
    return math.ceil(math.log(sure) / math.log(none)) if 0 < none < 1 else 1


def verify(
    before: Split | None, after: Split, measured: Measured, sure: float = SURE
) -> Verification:
    """Whether the measured requests prove the new split, contradict it, or are too few.

    sure: the chance that may be left of calling the old split proven. Whoever counts anew when it
    is contradicted gives less each time, else one of many tries would prove anything.
    """
    n, want = measured.n, needed(before, after, sure)
    counts = {arm: measured.of(arm) for arm in after.arms}
    stray = {arm: k for arm, k in counts.items() if k and not after.weight(arm)}
    seen = ", ".join(f"{arm} {_share(k, n)}" for arm, k in counts.items())
    if stray:
        arm, k = next(iter(stray.items()))
        text = f"{arm} still got {k:,} of {n:,} requests, though its weight is 0"
        return Verification(Proof.CONTRADICTED, n, want, text, measured)
    if measured.missing:
        text = f"{len(measured.missing)} replicas gave no counts ({measured.missing[0]})"
        return Verification(Proof.UNMEASURED, n, want, text, measured)
    other = _otherwise(after, measured)
    if other:
        return Verification(Proof.CONTRADICTED, n, want, other, measured)
    if n < want:
        text = f"{n:,} requests since, {want:,} are needed to tell"
        return Verification(Proof.NOT_YET, n, want, text, measured)
    if not _likelier(before, after, counts, sure):
        text = f"{n:,} requests went {seen}: the old split is not excluded yet"
        return Verification(Proof.NOT_YET, n, want, text, measured)
    return Verification(Proof.PROVEN, n, want, f"{n:,} requests went {seen}", measured)


def _otherwise(after: Split, measured: Measured) -> str:
    """That requests surely went otherwise; "" for nothing. All together, and on each replica:

    one that serves the first arm only and one that serves the second look right together.
    """
    taking = after.taking
    shares = tuple(after.share(arm) for arm in taking)
    replicas = tuple(dict.fromkeys(row.replica for row in measured.rows))
    for one in ("", *replicas) if len(replicas) > 1 else ("",):
        counts = tuple(
            sum(r.n for r in measured.rows if r.arm == arm and one in ("", r.replica))
            for arm in taking
        )
        n = sum(counts)
        level = _MISMATCH * (len(replicas) if one else 1)
        if n and len(taking) > 1 and log_bayes_factor(counts, shares) > math.log(level):
            seen = ", ".join(f"{a} {_share(k, n)}" for a, k in zip(taking, counts, strict=True))
            where = f" on {one}" if one else ""
            return f"{n:,} requests{where} went {seen}, which is surely not {after}"
    return ""


def _likelier(
    before: Split | None, after: Split, counts: Mapping[str, int], sure: float
) -> bool:  # fmt: skip
    """Whether the new split is so much likelier than the old one, a hundred times as a rule."""
    if before is None or before.same_shares(after):
        return True
    total = 0.0
    for arm, k in counts.items():
        if not k:
            continue
        if not before.share(arm):
            return True  # the old split could not have done that
        total += k * math.log(after.share(arm) / before.share(arm))
    return total >= -math.log(sure)


def _share(k: int, n: int) -> str:
    return percent_text(k / n) if n else "0%"
