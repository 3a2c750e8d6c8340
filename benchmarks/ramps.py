"""Staged rollouts: how often a version that is no worse is rolled back, and when a worse one is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from console.control.plane import ArmCount
from console.control.ramp_checks import Sight, check_all
from console.control.ramp_state import RampState, Served
from console.control.settings import Control
from console.control.split import Split
from console.control.verify import Measured
from console.gates import Verdict

__all__ = ["Table", "false_rollbacks", "until_found"]

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
Ints = NDArray[np.int64]
Earlier = tuple[Served, ...]

STEPS = (1, 5, 25, 50, 100)
RUNS = 1_000
LENGTH = 30_000
LOOKS = np.unique(np.geomspace(20, LENGTH, 60).astype(np.int64))

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_CONTROL = Control.model_validate({
    "plane": {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"},
    "arms": {"v1": "v1", "v2": "v2"},
    "stable": "v1",
})  # fmt: skip


def _state(step: int, earlier: Earlier = ()) -> RampState:
    share = STEPS[step]
    return RampState(
        id="r",
        deployment="d",
        arm="v2",
        steps=tuple(Fraction(s) for s in STEPS),
        pause=timedelta(0),
        least=0,
        by="",
        reason="",
        started=_BEGIN,
        step=step,
        at=_BEGIN,
        split=Split.of({"v1": 100 - share, "v2": share}),
        earlier=earlier,
        clean=_BEGIN,
        asked=_BEGIN,
        since=_BEGIN,
    )


def _failed(step: int, n: tuple[int, int], errors: tuple[int, int], earlier: Earlier = ()) -> str:
    """The check that rolls back at these counts of (v1, v2); "" for none."""
    rows = tuple(
        ArmCount("r", arm, k, bad) for arm, k, bad in zip(("v1", "v2"), n, errors, strict=True)
    )
    sight = Sight(_BEGIN, None, measured=Measured(_BEGIN, _BEGIN, rows))
    found = check_all(_state(step, earlier), _CONTROL, sight)
    return next((c.name for c in found if c.verdict is Verdict.FAIL), "")


def _counts(rng: np.random.Generator, share: float, rates: tuple[float, float]) -> list[Ints]:
    """At each look: requests to v2, failed ones of v1 and of v2."""
    mine = rng.random(LENGTH) < share
    bad = rng.random(LENGTH) < np.where(mine, rates[1], rates[0])
    return [np.cumsum(of)[LOOKS - 1] for of in (mine, bad & ~mine, bad & mine)]


def _first(
    rng: np.random.Generator, step: int, rates: tuple[float, float], earlier: Earlier = ()
) -> tuple[str, int, int, Earlier]:
    """What rolls a step back first: its name, all requests, those of v2; ("", 0, 0) for nothing.

    And what v1 was asked until its end, if nothing does. earlier: until its beginning.
    """
    before = earlier[0] if earlier else Served("v1", 0, 0)
    n = mine = bad = 0
    for n, mine, bad, bad_mine in zip(LOOKS, *_counts(rng, STEPS[step] / 100, rates), strict=True):
        counts = (int(n - mine), int(mine)), (int(bad), int(bad_mine))
        name = _failed(step, *counts, earlier)
        if name:
            return name, int(n), int(mine), earlier
    after = Served("v1", before.n + int(n - mine), (before.errors or 0) + int(bad))
    return "", 0, 0, (after,)


def _ramp(rng: np.random.Generator, rate: float, last: float) -> set[str]:
    """What rolls a whole ramp back, both versions alike; each step is looked at to its end.

    last: how high the rate is at the last step.
    """
    found, earlier = set(), Earlier()
    for step in range(len(STEPS)):
        of = last if step == len(STEPS) - 1 else rate
        name, *_, earlier = _first(rng, step, (of, of), earlier)
        found.add(name)
    return found - {""}


def false_rollbacks() -> Table:
    """Per cent of whole ramps that are rolled back by counted errors or by the split."""
    rows = []
    for rate, last in ((0.001, 0.001), (0.01, 0.01), (0.1, 0.1), (0.01, 0.015)):
        rng = np.random.default_rng(int(rate * 1000))
        found = [_ramp(rng, rate, last) for _ in range(RUNS)]
        any_ = sum(bool(f) for f in found)
        named = (sum(name in f for f in found) for name in ("errors", "split"))
        said = f"{rate:g}" if rate == last else f"{rate:g}, then {last:g}"
        rows.append((said, *(f"{100 * k / RUNS:.1f}" for k in (*named, any_))))
    return ("errors of both", "by errors", "by the split", "either"), rows


def until_found() -> Table:
    """Requests of the new version until more errors are sure: median and 90 % of runs."""
    rows = []
    for rates in ((0.01, 0.05), (0.01, 0.1), (0.01, 0.5), (0.01, 0.02)):
        for step, share in enumerate(STEPS):
            rng = np.random.default_rng((step, int(rates[1] * 1000)))
            known = (_known(rng, rates[0]),) if share == 100 else ()
            found = [_first(rng, step, rates, known) for _ in range(RUNS // 5)]
            mine = [f[2] for f in found if f[0] == "errors"]
            missed = len(found) - len(mine)
            far = [*mine, *[10**9] * missed]
            middle, most = (_requests(float(np.quantile(far, q))) for q in (0.5, 0.9))
            row = (f"{rates[1]:g} against {rates[0]:g}", f"{share}%", middle, most)
            rows.append((*row, f"{100 * len(mine) / len(found):.0f}"))
    return ("errors", "share", "half of runs", "90 % of runs", "found within 30,000 %"), rows


def _known(rng: np.random.Generator, rate: float) -> Served:
    """Of v1 from the four steps before."""
    return Served("v1", 3 * LENGTH, int(rng.binomial(3 * LENGTH, rate)))


def _requests(n: float) -> str:
    return f"{n:,.0f}" if n < 1e8 else "-"
