"""The search finds what was planted, names the parent where that explains it, and is quiet."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from collectors.contract import Deployment
from console.analysis.intervals import newcombe
from console.analysis.worst_slice import WorstSlice, worst_slices

Numbers = NDArray[np.int64]
KEYS = ["version", "segment", "value", "value2"]


def deployment(task: str = "binary", segments: int = 3) -> Deployment:
    columns = {"score": "s"} if task == "binary" else {"prediction": "p"}
    return Deployment.model_validate(
        {
            "name": "d", "task": task, "predictions": {"path": "p"}, **columns,
            "segments": [f"s{i}" for i in range(segments)],
        }
    )  # fmt: skip


def search(d: Deployment, groups: list[Numbers], sums: pl.DataFrame) -> tuple[WorstSlice, ...]:
    """Rows with a value of each segment, added up as the store does."""
    text = [pl.Series(f"g{i}", g).cast(pl.String) for i, g in enumerate(groups)]
    rows = sums.with_columns(*text, pl.lit("v").alias("version"))
    keep = [c for c in ("predicted", "actual") if c in sums.columns]

    def added(segment: int, value: pl.Expr, value2: pl.Expr) -> pl.DataFrame:
        keyed = rows.with_columns(
            pl.lit(segment).alias("segment"), value.alias("value"), value2.alias("value2")
        )
        drop = [f"g{i}" for i in range(len(groups))]
        return keyed.drop(drop).group_by(*KEYS, *keep).sum()

    none = pl.lit("")
    n = len(groups)
    singles = [added(i + 1, pl.col(f"g{i}"), none) for i in range(n)]
    crosses = [
        added(n + 1 + k, pl.col(f"g{i}"), pl.col(f"g{j}"))
        for k, (i, j) in enumerate(d.segment_crosses)
    ]
    return worst_slices(d, added(0, none, none), pl.concat(singles), pl.concat(crosses))


def binary(y: NDArray[np.bool_], said: NDArray[np.bool_]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "predicted": said.astype(int), "n": 1, "n_labelled": 1, "n_positive": y.astype(int),
        }
    )  # fmt: skip


def planted(
    seed: int, n: int, recall: dict[tuple[int | None, int | None], float], base: float = 0.7
) -> tuple[WorstSlice, ...]:
    """Three segments of 6 values; recall of the rows of a value, or of a cross, is another one."""
    random = np.random.default_rng(seed)
    groups = [random.integers(0, 6, n) for _ in range(3)]
    y = random.random(n) < 0.3
    hit = np.full(n, base)
    for (a, b), r in recall.items():
        there = np.ones(n, bool)
        if a is not None:
            there &= groups[0] == a
        if b is not None:
            there &= groups[1] == b
        hit[there] = r
    said = np.where(y, random.random(n) < hit, random.random(n) < 0.1)
    return search(deployment(), groups, binary(y, said))


def test_a_planted_cross_is_found_with_its_parents() -> None:
    (worst,) = planted(1, 20_000, {(2, 4): 0.1})
    assert worst.values == (("s0", "2"), ("s1", "4"))
    assert [p[:2] for p in worst.parents] == [("s0", "2"), ("s1", "4")]
    assert worst.looked == 3 * 6 + 3 * 36
    assert worst.gap.high is not None
    assert worst.gap.high < 0


def test_a_planted_value_is_named_and_none_of_its_crosses() -> None:
    for seed in range(5):
        (worst,) = planted(seed, 20_000, {(2, None): 0.3})
        assert worst.values == (("s0", "2"),)


def test_two_bad_values_are_not_taken_for_a_bad_cross() -> None:
    # where both meet it is worst, as two effects that add up make it
    odds = 0.7 / 0.3
    twice = odds * 0.25 * 0.25
    effects = {(1, None): 0.368, (None, 3): 0.368, (1, 3): twice / (1 + twice)}
    for seed in range(5):
        (worst,) = planted(seed, 30_000, effects)
        assert len(worst.values) == 1


def test_a_cross_that_is_worse_than_its_parent_by_chance_is_not_named() -> None:
    # 6 crosses hold the bad value; the worst of them looks worse than the value itself
    named = 0
    for seed in range(40):
        for recall in ({(2, None): 0.45}, {(2, None): 0.5, (None, 1): 0.5}):
            named += any(len(w.values) == 2 for w in planted(seed, 4000, recall))
    assert named <= 4  # of 80


def test_pure_noise_is_quiet() -> None:
    cries = sum(bool(planted(seed, 4000, {})) for seed in range(60))
    assert cries <= 3  # at most 5 %


def test_the_gap_is_newcombes_widened_for_the_search() -> None:
    random = np.random.default_rng(4)
    n = 3000
    groups = [random.integers(0, 3, n)]
    y = random.random(n) < 0.4
    said = np.where(y, random.random(n) < np.where(groups[0] == 1, 0.2, 0.8), False)
    (worst,) = search_singles(deployment(segments=1), groups, binary(y, said))
    there = groups[0] == 1
    k, m = (said & y & there).sum(), ((said | y) & there).sum()
    total_k, total_m = (said & y).sum(), (said | y).sum()
    level = 1 - 0.05 / 3
    low, high = newcombe(k, m, total_k - k, total_m - m, level)
    outside, whole = 1 - m / total_m, total_k / total_m
    shares = (whole + outside * low, whole + outside * high)
    ends = [2 * s / (1 + s) - 2 * whole / (1 + whole) for s in shares]
    assert worst.gap.low == pytest.approx(ends[0], abs=1e-9)
    assert worst.gap.high == pytest.approx(ends[1], abs=1e-9)
    assert worst.looked == 3


def search_singles(
    d: Deployment, groups: list[Numbers], sums: pl.DataFrame
) -> tuple[WorstSlice, ...]:
    keyed = sums.with_columns(
        pl.lit("v").alias("version"), pl.lit("").alias("value2"), pl.lit(1).alias("segment"),
        pl.Series("value", groups[0]).cast(pl.String),
    )  # fmt: skip
    whole = keyed.with_columns(pl.lit(0).alias("segment"), pl.lit("").alias("value"))
    parts = [f.group_by(*KEYS, "predicted").sum() for f in (whole, keyed)]
    return worst_slices(d, parts[0], parts[1], parts[1].clear())


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_other_tasks_are_searched_too(task: str) -> None:
    random = np.random.default_rng(5)
    n = 20_000
    groups = [random.integers(0, 6, n) for _ in range(3)]
    there = (groups[0] == 2) & (groups[2] == 5)
    if task == "regression":
        error = random.normal(0, np.where(there, 4.0, 1.0))
        sums = pl.DataFrame({"n": 1, "n_labelled": 1, "e_abs": np.abs(error), "e_sq": error**2})
    else:
        right = random.random(n) < np.where(there, 0.3, 0.8)
        sums = pl.DataFrame({"predicted": "a", "actual": np.where(right, "a", "b"), "n": 1})
    (worst,) = search(deployment(task), groups, sums)
    assert worst.values == (("s0", "2"), ("s2", "5"))
    assert worst.metric == {"regression": "mae", "multiclass": "accuracy"}[task]


@pytest.mark.parametrize("kind", ["one row", "no yes", "all right", "one value", "huge"])
def test_odd_data_is_no_slice_and_no_warning(kind: str) -> None:
    n = 1 if kind == "one row" else 500
    random = np.random.default_rng(6)
    groups = [random.integers(0, 1 if kind == "one value" else 4, n) for _ in range(3)]
    if kind == "huge":
        error = np.where(random.random(n) < 0.5, 1e308, np.inf)
        sums = pl.DataFrame({"n": 1, "n_labelled": 1, "e_abs": error, "e_sq": error})
        assert search(deployment("regression"), groups, sums) == ()
        return
    y = random.random(n) < 0.4
    said = y if kind == "all right" else np.zeros(n, bool)
    assert search(deployment(), groups, binary(y, said)) == ()


def test_ten_thousand_crosses_are_searched_at_once() -> None:
    random = np.random.default_rng(7)
    n = 200_000
    groups = [random.integers(0, 12, n) for _ in range(13)]  # 78 crosses of 144
    y = random.random(n) < 0.3
    bad = (groups[3] == 5) & (groups[9] == 7)
    said = np.where(y, random.random(n) < np.where(bad, 0.05, 0.7), random.random(n) < 0.1)
    (worst,) = search(deployment(segments=13), groups, binary(y, said))
    assert worst.values == (("s3", "5"), ("s9", "7"))
    assert worst.looked > 10_000
