"""A split that is steady is not reported as changed, one that changed is; latency needs rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.estimate import State
from console.analysis.traffic import TrafficSnapshot, histogram_quantiles, one_sided, traffic
from console.analysis.usual import UsualVolume, usual_volume

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STEPS = 72
DEPLOYMENT = Deployment.model_validate(
    {"name": "d", "task": "binary", "score": "p", "predictions": {"path": "p"}}
)
NOTHING_USUAL = UsualVolume({}, None)
BINS = pl.DataFrame(schema={"version": pl.String, "bin": pl.Int64, "n": pl.Int64})
VERSIONS = {"version": pl.String, "first_seen": pl.Datetime, "last_seen": pl.Datetime}


def rows(counts: Sequence[tuple[datetime, str, int]], n_error: int = 0) -> pl.DataFrame:
    """A volume rollup; what did not come has no row."""
    return pl.DataFrame(
        [
            {
                "start": start.replace(tzinfo=None), "version": version, "n": n,
                "n_error": n_error, "n_cost": 0, "cost_sum": 0.0,
            }
            for start, version, n in counts
            if n
        ]
    )  # fmt: skip


def snapshot(
    counts: Sequence[tuple[datetime, str, int]],
    usual: UsualVolume = NOTHING_USUAL,
    version: str | None = None,
    n_error: int = 0,
) -> TrafficSnapshot:
    end = START + STEPS * HOUR
    ask = Ask(DEPLOYMENT, START, end, end, Step.HOUR, version)
    totals: dict[str, int] = {}
    for _, of, n in counts:
        totals[of] = totals.get(of, 0) + n
    return traffic(
        ask,
        series=rows(counts),
        whole=rows([(START, of, n) for of, n in totals.items()], n_error),
        latency=BINS,
        versions=pl.DataFrame(schema=VERSIONS),
        usual=usual,
    )


def split(shares: Sequence[float], seed: int, n: int = 100) -> list[tuple[datetime, str, int]]:
    """Requests of each hour, drawn to v2 with the hour's share, else to v1."""
    random = np.random.default_rng(seed)
    out = []
    for i, share in enumerate(shares):
        k = int(random.binomial(n, share))
        out += [(START + i * HOUR, "v1", n - k), (START + i * HOUR, "v2", k)]
    return out


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_steady_split_is_not_reported(share: float) -> None:
    seeds = 60
    cried = sum(bool(snapshot(split([share] * STEPS, s)).changes) for s in range(seeds))
    assert cried <= 0.1 * seeds


def test_a_real_step_is_found_at_its_hour() -> None:
    for seed in range(20):
        found = snapshot(split([0.5] * 40 + [0.9] * (STEPS - 40), seed)).changes
        (change,) = [c for c in found if c.version == "v2" and c.at == START + 40 * HOUR]
        assert change.before == pytest.approx(0.5, abs=0.06), seed
        assert change.after == pytest.approx(0.9, abs=0.12), seed
        # and by chance there is hardly another one
        assert len(found) <= 4, seed


def test_a_small_step_is_found_once_there_are_enough_rows() -> None:
    shares = [0.1] * 40 + [0.2] * (STEPS - 40)
    found = [bool(snapshot(split(shares, s, n=1000)).changes) for s in range(20)]
    assert all(found)


def test_a_version_that_is_gone_has_a_share_of_nothing() -> None:
    shares = [0.5] * 40 + [0.0] * (STEPS - 40)
    (change,) = [c for c in snapshot(split(shares, 1)).changes if c.version == "v2"]
    assert (change.at, change.after) == (START + 40 * HOUR, 0.0)


def test_a_share_is_one_of_all_versions_when_one_is_asked_for() -> None:
    counts = split([0.3] * STEPS, 7)
    every, one = snapshot(counts), snapshot(counts, version="v2")
    assert one.whole == tuple(r for r in every.whole if r.version == "v2")
    assert one.series == tuple(r for r in every.series if r.version == "v2")
    share = one.whole[0].metrics["share"].value
    assert share == pytest.approx(0.3, abs=0.03)
    assert one.findings == every.findings


@pytest.mark.parametrize(
    ("was", "now", "cried"), [(200, 99, True), (200, 101, False), (99, 0, False), (99, 20, False)]
)
def test_half_of_a_week_before_is_worth_a_word(was: int, now: int, cried: bool) -> None:
    hours = {"start": [START.replace(tzinfo=None) - timedelta(days=7)], "n": [was]}
    usual = usual_volume(pl.DataFrame(hours))
    found = snapshot([(START, "v1", now)] if now else [(START, "v1", 1)], usual).findings
    assert [f.text for f in found if "a week before" in f.text] == (
        [f"{now:,} predictions, {was:,} in the same hours a week before"] if cried else []
    )


def test_failed_requests_are_found_when_surely_above_one_per_cent() -> None:
    for n_error, cried in ((30, True), (12, False)):
        found = snapshot([(START, "v1", 1000)], n_error=n_error).findings
        assert [f.text for f in found] == (["v1: 3.0% of requests failed"] if cried else [])


# -- latency -------------------------------------------------------------------------------------


def states(n: int) -> dict[str, State]:
    found = histogram_quantiles(pl.DataFrame({"bin": [30], "n": [n]}))
    assert all(e.value is not None and e.n == n for e in found.values())
    return {name.removeprefix("latency_"): e.state for name, e in found.items()}


def test_latency_of_one_request_is_too_few() -> None:
    assert set(states(1).values()) == {State.TOO_FEW}


def test_a_quantile_needs_five_requests_beyond_it() -> None:
    few, ok = State.TOO_FEW, State.OK
    assert states(9) == {"p50": few, "p95": few, "p99": few}
    assert states(10) == {"p50": ok, "p95": few, "p99": few}
    assert states(101) == {"p50": ok, "p95": ok, "p99": few}
    assert states(501) == {"p50": ok, "p95": ok, "p99": ok}


def test_latency_without_rows_has_no_quantiles() -> None:
    assert histogram_quantiles(pl.DataFrame({"bin": [3], "n": [0]})) == {}


def test_the_interval_of_a_latency_holds_the_true_quantile() -> None:
    """Free of any distribution, to the width of a bin (13 %)."""
    random = np.random.default_rng(11)
    truth = {"latency_p50": 20.0, "latency_p95": 20 * np.exp(1.6449)}
    held = dict.fromkeys(truth, 0)
    runs = 200
    for _ in range(runs):
        ms = 20 * np.exp(random.standard_normal(400))
        numbers, counts = np.unique(np.floor(8 * np.log(ms)), return_counts=True)
        frame = pl.DataFrame({"bin": numbers.astype(int), "n": counts})
        for name, e in histogram_quantiles(frame).items():
            if name in truth and e.low is not None and e.high is not None:
                held[name] += e.low * np.exp(-1 / 8) <= truth[name] <= e.high * np.exp(1 / 8)
    assert min(held.values()) >= 0.95 * runs


@pytest.mark.parametrize(
    ("k", "n", "hits", "pooled"), [(5, 10, 20, 200), (0, 10, 150, 200), (3, 3, 1, 50), (0, 1, 0, 1)]
)
def test_the_chance_of_a_step_is_fishers(k: int, n: int, hits: int, pooled: int) -> None:
    table = [[k, n - k], [hits, pooled - hits]]
    side = "greater" if k * pooled >= hits * n else "less"
    assert one_sided(k, n, hits, pooled) == pytest.approx(stats.fisher_exact(table, side).pvalue)


def test_a_steady_split_of_few_rows_an_hour_is_not_reported() -> None:
    """9 of 10 to one version, 10 rows an hour: the interval alone cries in 14 of 100 windows."""
    rng = np.random.default_rng(13)
    cries = 0
    for _ in range(60):
        counts = rng.multinomial(10, (0.9, 0.1), size=STEPS)
        found = snapshot(
            [
                (START + i * HOUR, f"v{v + 1}", int(n))
                for i, row in enumerate(counts)
                for v, n in enumerate(row)
            ]
        )
        cries += bool(found.changes)
    assert cries <= 4
