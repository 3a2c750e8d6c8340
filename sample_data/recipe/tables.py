"""The shipped tables: which columns, which types, which file each row goes to.

A sample is a mapping from file name (relative to sample_data/) to frame, plus
the facts of models.json and the models themselves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recipe import export, fallback, features, flights, models, source

MODELS = "models.json"
SERVING = "serving"
THINNED_REFERENCES = ("v2",)  # whole, its 105,475 rows would pass the limit of 8 MB

PREDICTION_COLUMNS = (
    "request_id", "timestamp", "version", *features.FEATURES,
    "late_score", "late_predicted", "delay_predicted", "fallback_score", "fallback_delay",
)  # fmt: skip
LABEL_COLUMNS = ("request_id", "received_at", "late", "delay_minutes")
REFERENCE_COLUMNS = (
    "request_id", "timestamp", "version", *features.FEATURES,
    "late_score", "late_predicted", "delay_predicted", "fallback_score",
    "late", "delay_minutes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything that is shipped, in memory."""

    frames: dict[str, pl.DataFrame]  # file name -> rows
    facts: dict[str, Any]  # models.json
    served: dict[str, str]  # file name below serving/ -> text


def build(sdist: Path) -> Sample:
    """Run the whole recipe on a source distribution (about half a minute on two cores)."""
    raw, weather = source.read(sdist)
    asked = features.with_features(flights.requests(raw), weather)
    rates = fallback.train(asked)
    asked = fallback.add(asked, rates)
    trained = [models.train(recipe, asked) for recipe in models.RECIPES]
    traffic = flights.shipped(asked)
    frames = _monthly("predictions", _scored(traffic, trained), "timestamp")
    frames |= _monthly("labels", _labels(traffic), "received_at")
    for model in trained:
        frames[f"reference/{model.recipe.version}.parquet"] = _reference(model)
    return Sample(frames, _facts(trained, rates), export.documents(trained, rates))


def write(sample: Sample, out: Path) -> None:
    """Write every file of the sample below `out`."""
    for name, frame in sample.frames.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(target, compression="zstd", compression_level=19)
    (out / MODELS).write_text(json.dumps(sample.facts, indent=2) + "\n", encoding="utf-8")
    (out / SERVING).mkdir(exist_ok=True)
    for name, text in sample.served.items():
        (out / SERVING / name).write_text(text, encoding="utf-8")


def load(folder: Path) -> Sample:
    """Read back what `write` wrote."""
    files = sorted(folder.glob("*/*.parquet"))
    frames = {path.relative_to(folder).as_posix(): pl.read_parquet(path) for path in files}
    served = {path.name: path.read_text("utf-8") for path in (folder / SERVING).glob("*.json")}
    return Sample(frames, json.loads((folder / MODELS).read_text(encoding="utf-8")), served)


def _scored(traffic: pl.DataFrame, trained: list[models.Trained]) -> pl.DataFrame:
    """Each request scored by the version it was routed to."""
    parts = [models.score(model, traffic.filter(version=model.recipe.version)) for model in trained]
    return pl.concat(parts).select(PREDICTION_COLUMNS).sort("timestamp", "request_id")


def _labels(traffic: pl.DataFrame) -> pl.DataFrame:
    known = traffic.filter(pl.col("late").is_not_null())
    return known.select(LABEL_COLUMNS).sort("received_at", "request_id")


def _reference(model: models.Trained) -> pl.DataFrame:
    """Return a version's training rows with their out-of-fold scores."""
    name = model.recipe.version
    rows = model.rows.filter("kept") if name in THINNED_REFERENCES else model.rows
    return rows.with_columns(pl.lit(name).alias("version")).select(REFERENCE_COLUMNS)


def _monthly(folder: str, rows: pl.DataFrame, clock: str) -> dict[str, pl.DataFrame]:
    """Cut sorted rows by the UTC month of `clock`."""
    month = pl.col(clock).dt.strftime("%Y-%m")
    names = rows.select(month.unique(maintain_order=True)).to_series().to_list()
    return {f"{folder}/{name}.parquet": rows.filter(month == name) for name in names}


def _facts(trained: list[models.Trained], rates: fallback.Fallback) -> dict[str, Any]:
    facts: dict[str, Any] = {
        model.recipe.version: {
            "trained_from": model.recipe.first.isoformat(),
            "trained_to": model.recipe.last.isoformat(),
            "training_rows": model.rows.height,
            "late_threshold": model.threshold,
            "out_of_fold_auc": model.auc,
        }
        for model in trained
    }
    return facts | {"fallback": {"late_threshold": rates.threshold}}
