"""Latency of many steps at once, and what is surely beyond a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.estimate import State
from console.analysis.system_limits import judged
from console.analysis.system_log import (
    judging_step,
    latency_beyond,
    latency_quantiles,
    log_steps,
    surely_more,
)
from console.analysis.system_rows import Breach, Origin, Standing, SystemFrames, SystemRow
from console.analysis.system_rows import SystemStep as Whole
from console.analysis.traffic import histogram_quantiles

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAIVE = START.replace(tzinfo=None)


def ask(hours: int, step: Step = Step.HOUR, **more: object) -> Ask:
    d = Deployment.model_validate(
        {"name": "d", "task": "binary", "score": "p", "predictions": "p", "error": "e", **more}
    )
    end = START + hours * HOUR
    return Ask(d, START, end, end, step)


def volume(errors: Sequence[tuple[int, int]], version: str = "v") -> pl.DataFrame:
    """An hour for each (requests, failed)."""
    return pl.DataFrame(
        {
            "start": [NAIVE + i * HOUR for i in range(len(errors))],
            "version": [version] * len(errors),
            "n": [n for n, _ in errors],
            "n_error": [k for _, k in errors],
            "n_cost": [0] * len(errors),
            "cost_sum": [0.0] * len(errors),
        }
    )


BINS = pl.DataFrame(
    schema={"start": pl.Datetime("us"), "version": pl.String, "bin": pl.Int16, "n": pl.Int64}
)


def standing(asked: Ask, errors: Sequence[tuple[int, int]]) -> SystemRow:
    """The error rate of these hours, judged."""
    frame = volume(errors)
    seen = (START - HOUR, asked.end)
    n, k = sum(n for n, _ in errors), sum(k for _, k in errors)
    whole = log_steps(replace(asked, step=Step.ALL), _one(n, k), BINS, seen)["v"][0]
    row = SystemRow(
        "error_rate", "v", Origin.LOG, Whole(None, n, {"value": whole.metrics["error_rate"]}),
        (), None, None, None, Standing.NO_LIMIT,
    )  # fmt: skip
    empty = pl.DataFrame()
    frames = SystemFrames(frame, BINS, empty, empty, frame, BINS, seen=seen)
    return judged(asked, [row], frames)[0]


def _one(n: int, k: int) -> pl.DataFrame:
    return volume([(n, k)])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["a", "b"]), st.integers(-56, 120),
            st.integers(0, 500),
        ),
        min_size=1,
        max_size=60,
    )
)  # fmt: skip
def test_quantiles_of_all_steps_are_those_of_each(cells: list[tuple[int, str, int, int]]) -> None:
    frame = pl.DataFrame(
        {
            "start": [NAIVE + i * HOUR for i, *_ in cells],
            "version": [v for _, v, *_ in cells],
            "bin": [b for _, _, b, _ in cells],
            "n": [n for *_, n in cells],
        },
        schema=dict(BINS.schema),
    )
    frame = frame.group_by("start", "version", "bin").agg(pl.col("n").sum())
    found = latency_quantiles(frame)
    for (start, version), part in frame.partition_by("start", "version", as_dict=True).items():
        single = {f"{k}_ms": e for k, e in histogram_quantiles(part).items()}
        together = found.get((start, version), {})  # type: ignore[call-overload]
        assert set(together) == set(single)
        for name, e in single.items():
            mine = together[name]
            assert (mine.n, mine.state) == (e.n, e.state)
            for one, other in zip(astuple(mine)[:3], astuple(e)[:3], strict=True):
                assert one == pytest.approx(other, rel=1e-9)


@given(st.integers(1, 3000), st.floats(0.0001, 0.9), st.integers(1, 500), st.data())
def test_what_is_sure_is_sure_by_the_exact_test_too(
    n: int, share: float, looks: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, n))
    if surely_more(k, n, share, looks):
        assert stats.binom.sf(k - 1, n, share) <= 0.025 / looks * (1 + 1e-9)
        assert surely_more(min(k + 1, n), n, share, looks)


def test_the_ends_of_what_a_limit_may_be() -> None:
    assert surely_more(1, 10**6, 0.0, 100)  # no failure is allowed
    assert not surely_more(10, 10, 1.0, 1)
    assert not surely_more(0, 0, 0.1, 1)
    assert not surely_more(1, 3, 0.01, 168)
    assert surely_more(40, 100, 0.01, 168)


def test_few_false_alarms_at_the_limit_itself() -> None:
    rng = np.random.default_rng(1)
    asked = ask(72, limits={"error_rate": 0.02})
    found = [
        standing(asked, [(60, int(k)) for k in rng.binomial(60, 0.02, 72)]).breach
        for _ in range(200)
    ]
    assert sum(b is not None for b in found) <= 200 * 0.05


def test_a_burst_of_errors_has_its_beginning_and_its_end() -> None:
    hours = [(200, 1)] * 30 + [(200, 12), (200, 60), (200, 9)] + [(200, 0)] * 39
    row = standing(ask(72, limits={"error_rate": 0.02}), hours)
    assert row.standing is Standing.WAS_BROKEN
    assert row.breach == Breach(
        START + 30 * HOUR, START + 33 * HOUR, START + 30 * HOUR, 1, 3, 0.3, 3 * 3600.0,
        START + 72 * HOUR,
    )  # fmt: skip


def test_a_burst_is_found_whatever_step_is_shown() -> None:
    hours = [(200, 1)] * 30 + [(200, 60)] + [(200, 0)] * 41
    for step in (Step.DAY, Step.ALL):
        breach = standing(ask(72, step, limits={"error_rate": 0.02}), hours).breach
        assert breach is not None
        assert breach.since == START + 30 * HOUR
    assert judging_step(ask(24 * 9)) is Step.HOUR  # never coarser than what is shown
    assert judging_step(ask(24 * 9, Step.WEEK)) is Step.DAY
    assert judging_step(ask(24 * 300, Step.MONTH)) is Step.WEEK


def test_few_requests_are_unsure_and_many_hours_of_them_are_not() -> None:
    asked = ask(72, limits={"error_rate": 0.02})
    row = standing(asked, [(3, 0)] * 71 + [(3, 1)])
    assert (row.standing, row.breach) == (Standing.UNSURE, None)
    row = standing(asked, [(3, i % 4 == 0) for i in range(72)])
    assert row.standing is Standing.BROKEN
    assert row.breach is not None
    assert row.breach.worst == pytest.approx(18 / 216)
    assert row.breach.since == START


def test_a_missing_hour_is_no_hour_without_requests() -> None:
    frame = volume([(100, 0)] * 6).filter(pl.col("start") != NAIVE + 3 * HOUR)
    steps = log_steps(ask(6), frame, BINS, (START - HOUR, START + 6 * HOUR))["v"]
    assert [s.start for s in steps] == [START + i * HOUR for i in (0, 1, 2, 4, 5)]
    assert all(s.metrics["requests_per_second"].value == 100 / 3600 for s in steps)
    assert all(s.complete for s in steps)


def test_a_log_that_names_no_errors_has_no_error_rate() -> None:
    asked = ask(3, error="")
    steps = log_steps(asked, volume([(10, 0)] * 3), BINS, None)["v"]
    assert set(steps[0].metrics) == {"requests_per_second"}
    steps = log_steps(ask(3), volume([(10, 0)] * 3), BINS, None)["v"]
    assert steps[0].metrics["error_rate"].value == 0
    assert steps[0].metrics["error_rate"].state is State.TOO_FEW


def test_hours_at_the_ends_of_a_log_are_not_whole() -> None:
    seen = (START + HOUR, START + 3 * HOUR + timedelta(minutes=30))
    steps = log_steps(ask(4), volume([(5, 0)] * 4), BINS, seen)["v"]
    assert [s.complete for s in steps] == [False, False, True, False]


@given(st.floats(1e-3, 1e6), st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=50))
def test_rows_beyond_a_latency_are_never_too_many(limit: float, values: list[float]) -> None:
    bins = np.floor(8 * np.log(np.array(values))).astype(int)
    frame = pl.DataFrame(
        {"start": [NAIVE] * len(values), "version": ["v"] * len(values), "bin": bins,
         "n": [1] * len(values)}
    )  # fmt: skip
    above, below, n = latency_beyond(frame, limit, several=False)[NAIVE, "v"]
    slack = 1 + 1e-9
    assert above <= sum(v * slack >= limit for v in values)
    assert below <= sum(v <= limit * slack for v in values)
    assert n == len(values)
