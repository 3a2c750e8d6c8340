"""A small hand-made configuration with everything that is awkward, and its logs.

Names from strangers: markup, escape codes, C1 controls, formulas, commas, line ends, right-to-left
overrides. Values: null, NaN, infinity. Times: naive, in a zone, over the night its clock changed.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

ZONE = ZoneInfo("Europe/Zurich")
FIRST = datetime(2024, 3, 30, 20, tzinfo=UTC)
LAST_KNOWN = FIRST + timedelta(hours=30)
ROWS = 240

VERSIONS = ("v1", "[bold]v2[/bold]", "\x1b[31mred\x1b[0m", "=1+1", "ünï 漢字")
UNLABELLED = "=1+1"
CATEGORIES = (
    "plain", "[red]x[/]", "\x1b]0;title\x07", "=cmd()", "a,b", "line\nend", "\x9b31mc1",
    "\u202eover", None,
)  # fmt: skip
CLASSES = ("cat", "dög", "[b]=x")

CONFIG = """
[console]
clock = "latest"

[store]
path = "store.duckdb"

[[deployment]]
name = "binary"
task = "binary"
predictions = { path = "binary.parquet" }
version = "version"
score = "score"
threshold = 0.5
latency_ms = "latency"
cost = "cost"
error = "error"
timezone = "Europe/Zurich"
champion = "v1"
segments = [
    { name = "[bold]kind", column = "kind" },
    { name = "band", column = "num", edges = [0.0] },
]
features = { numeric = ["num", "never"], categorical = ["kind"] }
labels = { source = { path = "binary_labels.parquet" }, received = "received" }
fallback = { prediction = "simple", name = "=the [b]simple[/b] one" }
reference = [{ path = "reference.parquet" }]

[[deployment]]
name = "multi"
task = "multiclass"
predictions = { path = "multi.parquet" }
version = "version"
prediction = "said"
class_scores = { cat = "p0", "dög" = "p1", "[b]=x" = "p2" }
segments = ["kind"]
features = { categorical = ["kind"] }
labels = { source = { path = "multi_labels.parquet" }, received = "received" }
fallback = { prediction = "simple" }
reference = [{ path = "multi_reference.parquet" }]

[[deployment]]
name = "number"
task = "regression"
predictions = { path = "number.parquet" }
version = "version"
prediction = "said"
segments = ["kind"]
features = { numeric = ["num"] }
labels = { source = { path = "number_labels.parquet" }, received = "received" }

[[deployment]]
name = "bare"
task = "binary"
predictions = { path = "bare.parquet" }
prediction = "said"

[[deployment]]
name = "scoreless"
task = "binary"
predictions = { path = "bare.parquet" }
prediction = "said"
labels = { source = { path = "bare_labels.parquet" } , received = "received" }
"""


def at(i: int) -> datetime:
    """When row i was predicted: every seven minutes, over the night of the change to summer."""
    return FIRST + timedelta(minutes=7 * i)


def local(moment: datetime) -> datetime:
    """The zone's own clock, without its zone: as such logs are written."""
    return moment.astimezone(ZONE).replace(tzinfo=None)


def version_of(i: int) -> str:
    return VERSIONS[i % len(VERSIONS)]


def score_of(i: int) -> float:
    return (i * 37 % 101) / 101


def truth_of(i: int) -> int:
    return int((i * 53 % 97) / 97 < 0.2 + 0.6 * score_of(i))


def is_error(i: int) -> bool:
    return i % 40 == 39


def number_of(i: int) -> float | None:
    special = {3: None, 5: math.nan, 7: math.inf, 11: -math.inf, 13: 1e308}
    return special.get(i % 60, math.sin(i) * (1 + i / 100))


def binary_rows() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"r{i}" for i in range(ROWS)],
            "timestamp": [local(at(i)) for i in range(ROWS)],
            "version": [version_of(i) for i in range(ROWS)],
            "score": [None if is_error(i) else score_of(i) for i in range(ROWS)],
            "latency": [5.0 + i % 50 for i in range(ROWS)],
            "cost": [0.001] * ROWS,
            "error": ["=timeout()" if is_error(i) else None for i in range(ROWS)],
            "num": [number_of(i) for i in range(ROWS)],
            "never": [None] * ROWS,
            "kind": [CATEGORIES[i % len(CATEGORIES)] for i in range(ROWS)],
            "simple": [i % 2 for i in range(ROWS)],
        },
        schema_overrides={"num": pl.Float64, "never": pl.Float64, "kind": pl.String},
    )


def labelled(i: int) -> bool:
    """Neither failed rows nor one version's, and nothing of the last hours."""
    return not is_error(i) and version_of(i) != UNLABELLED and i < ROWS - 30


def binary_labels() -> pl.DataFrame:
    known = [i for i in range(ROWS) if labelled(i)]
    return pl.DataFrame(
        {
            "id": [f"r{i}" for i in known] + ["r0", "orphan", "r1"],
            "label": [str(truth_of(i)) for i in known] + [str(1 - truth_of(0)), "1", "perhaps"],
            "received": [local(at(i) + timedelta(hours=2)) for i in known]
            + [local(at(0) + timedelta(hours=5)), local(at(3)), local(at(4))],
        }
    )


def reference_rows() -> pl.DataFrame:
    n = 300
    return pl.DataFrame(
        {
            "score": [score_of(i) for i in range(n)],
            "num": [math.sin(i) if i % 50 else None for i in range(n)],
            "never": [float(i) for i in range(n)],
            "kind": ["plain" if i % 3 else "[red]x[/]" for i in range(n)],
            "simple": [i % 2 for i in range(n)],
            "label": [truth_of(i) for i in range(n)],
        }
    )


def probabilities(i: int) -> tuple[float, float, float]:
    a, b, c = 1 + i % 7, 1 + i % 5, 1 + i % 3
    total = a + b + c
    return a / total, b / total, c / total


def said_class(i: int) -> str:
    p = probabilities(i)
    return CLASSES[p.index(max(p))]


def true_class(i: int) -> str:
    if i % 50 == 49:
        return "zebra"
    return said_class(i) if i % 4 else CLASSES[i // 4 % 2]  # the third is never missed


def multi_rows(n: int = 200) -> pl.DataFrame:
    p = [probabilities(i) for i in range(n)]
    return pl.DataFrame(
        {
            "id": [f"m{i}" for i in range(n)],
            "timestamp": [at(i) for i in range(n)],
            "version": ["a" if i % 3 else "b" for i in range(n)],
            "said": [said_class(i) for i in range(n)],
            "p0": [x[0] for x in p],
            "p1": [x[1] for x in p],
            "p2": [x[2] for x in p],
            "kind": [("x", "[y]", None)[i % 3] for i in range(n)],
            "simple": [CLASSES[0]] * n,
        }
    )


def multi_labels(n: int = 200) -> pl.DataFrame:
    known = [i for i in range(n) if i % 10]
    return pl.DataFrame(
        {
            "id": [f"m{i}" for i in known],
            "label": [true_class(i) for i in known],
            "received": [at(i) + timedelta(hours=1) for i in known],
        }
    )


def number_said(i: int) -> float:
    return 10 * math.cos(i / 9)


def number_truth(i: int) -> float:
    return 0.0 if i % 17 == 0 else 10 * math.cos(i / 9) + (i % 5 - 2)


def number_rows(n: int = 150) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"n{i}" for i in range(n)],
            "timestamp": [at(i) for i in range(n)],
            "version": ["1" if i % 2 else "2" for i in range(n)],
            "said": [number_said(i) for i in range(n)],
            "num": [number_of(i) for i in range(n)],
            "kind": ["k"] * n,
        }
    )


def number_labels(n: int = 150) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"n{i}" for i in range(n)],
            "label": [number_truth(i) for i in range(n)],
            "received": [at(i) + timedelta(hours=1) for i in range(n)],
        }
    )


def bare_rows(n: int = 120) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"b{i}" for i in range(n)],
            "timestamp": [at(i) for i in range(n)],
            "said": [i % 2 for i in range(n)],
        }
    )


def bare_labels() -> pl.DataFrame:
    """One class only: nothing was ever positive."""
    known = range(60)
    return pl.DataFrame(
        {
            "id": [f"b{i}" for i in known],
            "label": [0 for _ in known],
            "received": [at(i) + timedelta(hours=1) for i in known],
        }
    )


def write(folder: Path) -> Path:
    """Write the configuration and every log; the configuration's path."""
    for name, frame in (
        ("binary", binary_rows()),
        ("binary_labels", binary_labels()),
        ("reference", reference_rows()),
        ("multi", multi_rows()),
        ("multi_labels", multi_labels()),
        ("multi_reference", multi_rows(90).join(multi_labels(90), on="id").drop("received")),
        ("number", number_rows()),
        ("number_labels", number_labels()),
        ("bare", bare_rows()),
        ("bare_labels", bare_labels()),
    ):
        frame.write_parquet(folder / f"{name}.parquet")
    path = folder / "modelwatch.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path
