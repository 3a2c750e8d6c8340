"""How often each finding cries on nothing, and how often it sees what is there.

Each draw goes through the console's own analysis: rollup frames in, findings out. `noise` and
`power` are the tables of docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.alarms_data import (
    ASK,
    AT_ONCE,
    DEPLOYMENT,
    START,
    Rows,
    bins,
    drawn,
    feature_frame,
    outcomes,
    profile,
)
from console.analysis.against import Against, Side
from console.analysis.ask import Step
from console.analysis.cusum import cusum, standardised
from console.analysis.distances import DriftState
from console.analysis.drift import DriftFrames, DriftSnapshot, drift
from console.analysis.explain import ExplainFrames, ExplainSnapshot, explain
from console.analysis.explain_sums import SideFrames
from console.analysis.figures import figures
from console.analysis.findings import Finding
from console.analysis.onset import Onset, Point, onset_of
from console.analysis.performance_findings import judge
from console.analysis.sample_ratio import sample_ratio
from console.analysis.subgroups import SubgroupsSnapshot, subgroups
from console.analysis.traffic import traffic
from console.analysis.usual import UsualVolume

__all__ = ["DAYS", "FALSE_ALARMS", "SIZES", "noise", "power", "series_power"]

SIZES = (200, 1_000, 5_000)
REFERENCE = 5_000
FEATURE_REFERENCE = 20_000

FloatArray = NDArray[np.float64]
Trial = Callable[[np.random.Generator, int], bool]


def rate(trial: Trial, n: int, runs: int, seed: int = 0) -> float:
    """Share of seeded draws of size n in which the trial holds."""
    rng = np.random.default_rng((seed, n))
    return sum(trial(rng, n) for _ in range(runs)) / runs


# -- each finding, from one draw -----------------------------------------------------------------


def judged(now: Rows, reference: Rows) -> list[Finding]:
    """Findings on F1 against the reference."""
    (f,), (r,) = (figures(DEPLOYMENT, outcomes(rows, 0, 0)) for rows in (now, reference))
    return judge(DEPLOYMENT, "f1", [(f, r)])[0]


def sliced(rows: Rows) -> SubgroupsSnapshot:
    """Segment values, and the search through their crosses."""
    crosses = outcomes(rows, 4, 6)
    return subgroups(ASK, outcomes(rows, 1, 3), outcomes(rows, 0, 0), AT_ONCE, crosses=crosses)


def moved(rng: np.random.Generator, n: int, shift: float = 0.0) -> DriftSnapshot:
    """Drift of 16 features, the first number moved."""
    reference = feature_frame(rng, FEATURE_REFERENCE, reference=True)
    now = feature_frame(rng, n, shift=shift)
    return drift(ASK, DriftFrames(now, bins(), reference, profile(FEATURE_REFERENCE)))


def explained(now: Rows, before: Rows) -> ExplainSnapshot:
    """Why recall changed, over all segments and crosses."""
    sides = (SideFrames(outcomes(rows, 0, 6)) for rows in (now, before))
    ask = replace(ASK, against=Against(Side.BEFORE))
    return explain(ask, "recall", ExplainFrames(*sides))


def steady_traffic(rng: np.random.Generator, n: int) -> bool:
    """A split of 9 to 1 that stays, over 72 hours of n / 72 rows: whether a change is reported."""
    counts = rng.multinomial(n // 72, (0.9, 0.1), size=72)
    hours = [(START + timedelta(hours=i)).replace(tzinfo=None) for i in range(72)]
    frame = pl.DataFrame(
        [
            {
                "start": hour, "version": f"v{v + 1}", "n": int(m), "n_error": 0, "n_cost": 0,
                "cost_sum": 0.0,
            }
            for hour, row in zip(hours, counts, strict=True)
            for v, m in enumerate(row)
            if m
        ]
    )  # fmt: skip
    none = pl.DataFrame(schema={"version": pl.String, "bin": pl.Int64, "n": pl.Int64})
    seen = {"version": pl.String, "first_seen": pl.Datetime, "last_seen": pl.Datetime}
    found = traffic(
        replace(ASK, end=START + timedelta(hours=72), step=Step.HOUR),
        series=frame,
        whole=frame.head(2),
        latency=none,
        versions=pl.DataFrame(schema=seen),
        usual=UsualVolume({}, None),
    )
    return bool(found.changes)


def split_checked(rng: np.random.Generator, n: int, share: float = 0.5) -> bool:
    """Whether a split is called off its plan at one of 100 looks while n rows come."""
    ones = np.cumsum(rng.random(n) < share)
    looks = np.unique(np.linspace(20, n, 100).astype(int))
    plan = {"a": 0.5, "b": 0.5}
    return any(
        sample_ratio({"a": int(ones[m - 1]), "b": int(m - ones[m - 1])}, plan).mismatch
        for m in looks
    )


def found_onset(values: FloatArray) -> Onset:
    """The onset of a daily series of equal weights."""
    days = (START + timedelta(days=i) for i in range(len(values)))
    return onset_of([Point(day, float(v), 100.0) for day, v in zip(days, values, strict=True)])


def lasting(rng: np.random.Generator, n: int, together: float = 0.4) -> FloatArray:
    """Noise of standard deviation 1 whose neighbours are correlated."""
    e = rng.normal(size=n + 50)
    for i in range(1, n + 50):
        e[i] = together * e[i - 1] + e[i] * (1 - together**2) ** 0.5
    return e[50:]


def slow_alarm(values: FloatArray) -> bool:
    """CUSUM over the second half, by the first."""
    half = len(values) // 2
    return cusum(standardised(values, np.ones(len(values)), half).tolist()).at is not None


# -- on nothing ----------------------------------------------------------------------------------


def _on_slices(rng: np.random.Generator, n: int) -> tuple[bool, ...]:
    found = sliced(drawn(rng, n))
    single = [f for f in found.findings if "the worst of" not in f.text]
    return bool(single), any(w.parents for w in found.worst)


def _on_features(rng: np.random.Generator, n: int) -> tuple[bool, ...]:
    found = moved(rng, n)
    states = [r.state for r in found.rows]
    return any(s in _ABOVE for s in states), DriftState.DRIFTED in states, bool(found.findings)


@dataclass(frozen=True, slots=True)
class Nothing:
    """Findings that one draw without anything should not make; sizes: rows; runs: draws of each."""

    names: tuple[str, ...]
    draw: Callable[[np.random.Generator, int], tuple[bool, ...]]
    sizes: tuple[int, ...]
    runs: int

    def rates(self, n: int, runs: int) -> tuple[float, ...]:
        """Share of seeded draws of n rows in which each comes."""
        rng = np.random.default_rng((0, n))
        found = np.array([self.draw(rng, n) for _ in range(runs)])
        return tuple(float(share) for share in found.mean(axis=0))


FALSE_ALARMS = (
    Nothing(
        ("performance: worse than its reference",),
        lambda rng, n: (bool(judged(drawn(rng, n), drawn(rng, REFERENCE))),),
        SIZES,
        1_000,
    ),
    Nothing(
        (
            "subgroups: a segment value is worse (17 values)",
            "subgroups: a cross is the worst slice (109 slices)",
        ),
        _on_slices,
        SIZES,
        400,
    ),
    Nothing(
        (
            "drift: a feature is above noise (16 features)",
            "drift: a feature has drifted",
            "drift: a finding",
        ),
        _on_features,
        SIZES,
        300,
    ),
    Nothing(
        ("traffic: the split has changed (72 hours)",),
        lambda rng, n: (steady_traffic(rng, n),),
        (720, 7_200, 72_000),
        500,
    ),
    Nothing(
        ("versions: the split is not as planned (100 looks)",),
        lambda rng, n: (split_checked(rng, n),),
        SIZES,
        1_000,
    ),
    Nothing(
        ("explain: a slice stands out (109 slices)",),
        lambda rng, n: (bool(explained(drawn(rng, n), drawn(rng, n)).slices),),
        SIZES,
        400,
    ),
)

_SERIES: dict[str, Callable[[FloatArray], bool]] = {
    "onset: a change (daily steps)": lambda values: found_onset(values).changed,
    "CUSUM: a slow change (daily steps)": slow_alarm,
}
DAYS = (28, 60, 120)


def noise() -> list[tuple[str, ...]]:
    """Rows of the table of false alarms, in per cent."""
    rows = []
    for nothing in FALSE_ALARMS:
        found = [nothing.rates(n, nothing.runs) for n in nothing.sizes]
        for i, name in enumerate(nothing.names):
            shares = zip(nothing.sizes, found, strict=True)
            rows.append((name, *(f"{100 * one[i]:.1f} (n = {n:,})" for n, one in shares)))
    for name, alarm in _SERIES.items():
        for together, words in ((0.0, ""), (0.4, ", neighbours correlated .4")):
            found = []
            for days in DAYS:
                share = rate(lambda rng, n: alarm(lasting(rng, n, together)), days, 400)  # noqa: B023
                found.append(f"{100 * share:.1f} ({days} days)")
            rows.append((name + words, *found))
    return rows


# -- on something --------------------------------------------------------------------------------


def power() -> list[tuple[str, ...]]:
    """Rows of the table of what is found, in per cent."""
    rows = []
    for drop in (0.05, 0.1, 0.2):
        words = f"recall {100 * drop:.0f} points lower"

        def worse(rng: np.random.Generator, n: int, drop: float = drop) -> bool:
            return bool(judged(drawn(rng, n, recall=0.6 - drop), drawn(rng, REFERENCE)))

        rows.append((f"{words}: F1 worse than its reference", *_found(worse, 300)))
    for hit in (0.3, 0.0):
        words = f"a slice of 5 % has recall {hit:g} instead of 0.6"

        def named(rng: np.random.Generator, n: int, hit: float = hit) -> bool:
            found = sliced(drawn(rng, n, failing=(0, 0, hit)))
            return any({v for _, v in w.values} == {"v0"} and w.parents for w in found.worst)

        def told(rng: np.random.Generator, n: int, hit: float = hit) -> bool:
            found = explained(drawn(rng, n, failing=(0, 0, hit)), drawn(rng, n))
            return any(_names_slice(found))

        rows.append((f"{words}: named by the search", *_found(named, 100)))
        rows.append((f"{words}: named by explain", *_found(told, 100)))
    for shift in (0.1, 0.2, 0.5, 1.0):
        states = [_states(shift, n, 100) for n in SIZES]
        for words, wanted in (("above noise", _ABOVE), ("drifted", _ABOVE[:1])):
            shares = (sum(s in wanted for s in found) for found in states)
            name = f"a feature moved by {shift} sigma: {words}"
            rows.append((name, *(f"{share:.0f}" for share in shares)))
    for share in (0.52, 0.55):

        def off(rng: np.random.Generator, n: int, share: float = share) -> bool:
            return split_checked(rng, n, share)

        rows.append((f"split of {share} instead of 0.5: not as planned", *_found(off, 300)))
    return rows


def series_power() -> list[tuple[str, ...]]:
    """Rows of what onset and CUSUM find in daily series, in per cent."""
    rows = []
    for size in (1.0, 2.0, 3.0):
        found, placed, slow = [], [], []
        for days in DAYS:
            rng = np.random.default_rng((5, days))
            first = days // 2
            onsets = []
            alarms = 0
            for _ in range(200):
                values = rng.normal(size=days)
                onsets.append(found_onset(values + size * (np.arange(days) >= first)))
                ramp = np.clip(np.arange(days) - first, 0, None) / (days - first)
                alarms += slow_alarm(rng.normal(size=days) + size * ramp)
            seen = [o for o in onsets if o.lasting]
            at = START + timedelta(days=first)
            close = sum(abs((o.start or at) - at) <= timedelta(days=2) for o in seen)
            held = sum((o.earliest or at) <= at <= (o.latest or at) for o in seen)
            found.append(f"{100 * len(seen) / 200:.0f}")
            placed.append(
                f"{100 * close / max(len(seen), 1):.0f}, {100 * held / max(len(seen), 1):.0f}"
            )
            slow.append(f"{100 * alarms / 200:.0f}")
        rows.append((f"a step of {size:g} sigma half way: found", *found))
        rows.append(("... of these within 2 days, within the stated span", *placed))
        rows.append((f"a slow rise to {size:g} sigma: CUSUM", *slow))
    return rows


_ABOVE = (DriftState.DRIFTED, DriftState.SMALL)


def _states(shift: float, n: int, runs: int) -> list[DriftState]:
    rng = np.random.default_rng((2, n))
    return [
        next(r.state for r in moved(rng, n, shift).rows if r.feature == "x0") for _ in range(runs)
    ]


def _found(trial: Trial, runs: int) -> tuple[str, ...]:
    return tuple(f"{100 * rate(trial, n, runs, seed=1):.0f}" for n in SIZES)


def _names_slice(s: ExplainSnapshot) -> list[bool]:
    """Whether each slice that stands out is a = v0, b = v0, or one of the two."""
    return [set(found.values) <= {("a", "v0"), ("b", "v0")} for found in s.slices]
