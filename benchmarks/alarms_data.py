"""Rollup frames of a made-up deployment, in the shape of the store's queries, for `alarms`.

Three segments of 5, 8 and 4 values, a binary model whose recall and false-positive rate are
known, and 16 features.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.maturity import Maturity

__all__ = [
    "ASK",
    "AT_ONCE",
    "DEPLOYMENT",
    "NUMERIC",
    "START",
    "Rows",
    "bins",
    "drawn",
    "feature_frame",
    "outcomes",
    "profile",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NUMERIC, CATEGORICAL = 13, 3
CATEGORIES = 6
SIZES = (5, 8, 4)
_SCORE_BINS = 20
_PAIRS = ((0, 1), (0, 2), (1, 2))

DEPLOYMENT = Deployment.model_validate(
    {
        "name": "d",
        "task": "binary",
        "score": "p",
        "predictions": {"path": "p"},
        "segments": ["a", "b", "c"],
        "features": {
            "categorical": [f"k{i}" for i in range(CATEGORICAL)],
            "numeric": [f"x{i}" for i in range(NUMERIC)],
        },
    }
)
START = datetime(2024, 1, 1, tzinfo=UTC)
ASK = Ask(DEPLOYMENT, START, START + timedelta(days=14), START + timedelta(days=15), Step.DAY)
AT_ONCE = Maturity(1.0, (60.0,), (1.0,), 10_000)
"""Every label comes within a minute."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One row per prediction, all (rows,): segment values, the label, the answer, the score bin."""

    values: tuple[IntArray, ...]
    positive: BoolArray
    said: BoolArray
    score: IntArray


def drawn(
    rng: np.random.Generator,
    n: int,
    *,
    recall: float = 0.6,
    fpr: float = 0.1,
    base: float = 0.3,
    failing: tuple[int, int, float] | None = None,
) -> Rows:
    """Rows of a model that is as good everywhere, but for the failing slice.

    failing: (value of a, value of b, its recall); a's values are equally frequent, b's first holds
    a quarter of the rows, so that a = 0, b = 0 is a slice of 5 %.
    """
    weights = [np.full(5, 0.2), np.array([0.25, *[0.75 / 7] * 7]), np.full(4, 0.25)]
    values = tuple(rng.choice(len(w), n, p=w).astype(np.int64) for w in weights)
    hit = np.full(n, recall)
    if failing is not None:
        hit[(values[0] == failing[0]) & (values[1] == failing[1])] = failing[2]
    positive = rng.random(n) < base
    said = rng.random(n) < np.where(positive, hit, fpr)
    half = _SCORE_BINS // 2
    return Rows(values, positive, said, rng.integers(0, half, n) + half * said)


def outcomes(rows: Rows, first: int, last: int, *, reference: bool = False) -> pl.DataFrame:
    """The `binary` query over segments first..last (0: all rows, 4 to 6: crosses), step all."""
    frames = []
    for number in range(first, last + 1):
        one, two = _columns(number)
        nothing = np.zeros(len(rows.positive), np.int64)
        v1 = rows.values[one] if one is not None else nothing
        v2 = rows.values[two] if two is not None else nothing
        code = ((v1 * 10 + v2) * _SCORE_BINS + rows.score) * 2 + rows.said
        n = np.bincount(code)
        hits = np.bincount(code, rows.positive, len(n))
        held = np.flatnonzero(n)
        score = (held // 2 % _SCORE_BINS + 0.5) / _SCORE_BINS
        group = held // (2 * _SCORE_BINS)
        m, k = n[held], hits[held]
        frame = pl.DataFrame(
            {
                "segment": np.full(len(held), number),
                "value": [f"v{v}" if one is not None else "" for v in (group // 10).tolist()],
                "value2": [f"v{v}" if two is not None else "" for v in (group % 10).tolist()],
                "bin": held // 2 % _SCORE_BINS,
                "predicted": held % 2,
                "n": m,
                "n_labelled": m,
                "n_positive": k.astype(np.int64),
                "score_sum": m * score,
                "labelled_score_sum": m * score,
                "labelled_score_sq": m * score**2,
                "positive_score_sum": k * score,
                "log_loss_sum": -(k * np.log(score) + (m - k) * np.log1p(-score)),
            }
        )
        frames.append(frame)
    begin = [] if reference else [pl.lit(START.replace(tzinfo=None)).alias("start")]
    nothing_logged = [pl.lit(0).alias(f"fallback_{c}") for c in ("tp", "fp", "fn", "tn")]
    found = pl.concat(frames)
    version = pl.lit("v1").alias("version")
    return found.select(*begin, version, pl.all(), *nothing_logged)


def _columns(number: int) -> tuple[int | None, int | None]:
    if number == 0:
        return None, None
    return (number - 1, None) if number <= len(SIZES) else _PAIRS[number - 1 - len(SIZES)]


# -- features ------------------------------------------------------------------------------------

_FEATURE_COLUMNS = ("feature", "bin", "n", "value_sum", "value_sq", "value_min", "value_max")
_EDGES = np.linspace(-3.0, 3.0, 41)


@cache
def bins() -> pl.DataFrame:
    """The `bins` query: 42 bins of a standard normal value, and the categories."""
    uppers = [*_EDGES.tolist(), np.inf]
    rows: list[tuple[int, int, float | None, str | None]] = [
        (f, b, upper, None) for f in range(CATEGORICAL, CATEGORICAL + NUMERIC)
        for b, upper in enumerate(uppers)
    ]  # fmt: skip
    rows += [(f, b, None, f"c{b}") for f in range(CATEGORICAL) for b in range(CATEGORIES)]
    return pl.DataFrame(
        rows,
        schema={"feature": pl.Int16, "bin": pl.Int16, "upper": pl.Float64, "category": pl.String},
        orient="row",
    )


@cache
def profile(n: int) -> pl.DataFrame:
    """The `reference_profile` query of n rows."""
    deciles = np.quantile(np.random.default_rng(0).normal(size=100_000), np.arange(1, 10) / 10)
    return pl.DataFrame(
        [
            {
                "version": "v1", "feature": f, "n": n, "lowest": -4.5, "highest": 4.5,
                "mean": 0.0, "sigma": 1.0, "deciles": deciles.tolist(),
            }
            for f in range(CATEGORICAL, CATEGORICAL + NUMERIC)
        ],
        schema_overrides={"feature": pl.Int16},
    )  # fmt: skip


def feature_frame(
    rng: np.random.Generator, n: int, *, shift: float = 0.0, reference: bool = False
) -> pl.DataFrame:
    """The `features` query of n rows, or of the reference; the first number is moved by `shift`."""
    columns: dict[str, list[FloatArray]] = {name: [] for name in _FEATURE_COLUMNS}
    for f in range(CATEGORICAL + NUMERIC):
        if f < CATEGORICAL:
            counts = rng.multinomial(n, np.array([30, 25, 20, 15, 8, 2]) / 100)
            facts = (0.0, 0.0, np.nan, np.nan)
        else:
            x = rng.normal(size=n) + (shift if f == CATEGORICAL else 0.0)
            counts = np.bincount(np.searchsorted(_EDGES, x), minlength=len(_EDGES) + 1)
            facts = (float(x.sum()), float((x * x).sum()), float(x.min()), float(x.max()))
        held = np.flatnonzero(counts)
        share = counts[held] / n
        same = np.ones(len(held))
        made = (f * same, held, counts[held], facts[0] * share, facts[1] * share)
        ends = (facts[2] * same, facts[3] * same)
        for name, values in zip(_FEATURE_COLUMNS, (*made, *ends), strict=True):
            columns[name].append(values)
    found = pl.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
    found = found.with_columns(
        pl.col("feature", "bin").cast(pl.Int16),
        pl.col("n").cast(pl.Int64),
        pl.col("value_min", "value_max").fill_nan(None),
    )
    version = pl.lit("v1").alias("version")
    if reference:
        return found.select(version, "feature", "bin", "n")
    return found.select(pl.lit(START.replace(tzinfo=None)).alias("start"), version, pl.all())
