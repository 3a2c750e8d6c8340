"""The reader answers as of any moment what plain SQL over the raw tables says was known then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from synthetic import (
    START,
    deployment,
    labels,
    opened,
    predictions,
    store_of,
    with_reference,
    write,
)

from collectors.errors import StoreError
from collectors.ingest import Ingest
from collectors.reader import QUERIES, InProcessReader
from collectors.store.database import Database

BEGIN = START.replace(tzinfo=None)
FAR = BEGIN + timedelta(days=9)


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def ingest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ingest:
    base, task = tmp_path_factory.mktemp("asof"), request.param
    rows = predictions(300, 3, task)
    truths = labels(rows, 4, task)
    write(rows[:200], base / "predictions" / "a", ".parquet")
    write(truths[:200], base / "labels" / "a", ".jsonl")
    ingest = opened(with_reference(base, task), base)
    ingest.collect()
    write(rows[200:], base / "predictions" / "b", ".parquet")
    write(truths[200:], base / "labels" / "b", ".jsonl")
    ingest.collect()
    return ingest


@pytest.fixture
def reader(ingest: Ingest) -> Iterator[InProcessReader]:
    reader = InProcessReader(ingest.database)
    yield reader
    reader.close()


def moments(n: int, seed: int) -> list[datetime]:
    """Moments of any minute and second, before, within and after the data."""
    random_ = random.Random(seed)
    return [BEGIN + timedelta(seconds=random_.randrange(-3600, 8 * 86_400)) for _ in range(n)]


def known(ingest: Ingest, as_of: datetime) -> pl.DataFrame:
    """Predictions made before a moment, with the label that was the latest then: plain SQL."""
    stored = store_of(ingest)
    sql = (
        f"SELECT p.*, (SELECT l.value FROM {stored.layout.table('labels')} AS l "
        "WHERE l.id = p.id AND l.received <= $as_of ORDER BY l.received DESC, "
        "l.event DESC NULLS LAST, l.value DESC LIMIT 1) AS label "
        f"FROM {stored.layout.table('predictions')} AS p WHERE p.ts < $as_of"
    )
    return pl.DataFrame(ingest.database.connection.sql(sql, params={"as_of": as_of}))


def total(frame: pl.DataFrame, *columns: str) -> tuple[float, ...]:
    return tuple(frame[c].sum() for c in columns)


def test_outcomes_as_of_equal_plain_sql(ingest: Ingest, reader: InProcessReader) -> None:
    task = store_of(ingest).layout.task.value
    for as_of in moments(12, 1):
        raw = known(ingest, as_of).filter(pl.col("error").is_null())
        found = reader.query(
            task, "demo", start=BEGIN, end=FAR, as_of=as_of, step="all", first=0, last=0
        )
        labelled = raw.filter(pl.col("label").is_not_null())
        assert found["n"].sum() == len(raw), as_of
        if task == "binary":
            assert found["n_labelled"].sum() == len(labelled)
            predicted = found.filter(pl.col("predicted") == 1)
            true = labelled.filter(pl.col("predicted") == 1)
            assert predicted["n_positive"].sum() == true["label"].sum()
            assert predicted["n_labelled"].sum() == len(true)
        elif task == "multiclass":
            cells = found.filter(pl.col("actual").is_not_null())
            wanted = labelled.group_by("predicted", "label").len()
            assert dict(
                cells.group_by("predicted", "actual")
                .agg(pl.col("n").sum())
                .rows_by_key(["predicted", "actual"], unique=True)
            ) == dict(wanted.rows_by_key(["predicted", "label"], unique=True))
        else:
            errors = labelled["predicted"] - labelled["label"]
            assert found["n_labelled"].sum() == len(labelled)
            assert total(found, "e_sum", "e_sq") == pytest.approx(
                (errors.sum(), errors.pow(2).sum()), rel=1e-9, abs=1e-9
            )


def test_segments_as_of_equal_plain_sql(ingest: Ingest, reader: InProcessReader) -> None:
    task = store_of(ingest).layout.task.value
    for as_of in moments(4, 2):
        raw = known(ingest, as_of).filter(pl.col("error").is_null())
        found = reader.query(
            task, "demo", start=BEGIN, end=FAR, as_of=as_of, step="all", first=1, last=1
        )
        wanted = raw.group_by(pl.col("s0").fill_null("(missing)")).len()
        counted = found.group_by("value").agg(pl.col("n").sum())
        assert sorted(counted.rows()) == sorted(wanted.rows())


def test_volume_and_features_as_of_equal_plain_sql(ingest: Ingest, reader: InProcessReader) -> None:
    random_ = random.Random(5)
    for as_of in moments(8, 3) + [BEGIN + timedelta(hours=h, minutes=30) for h in (1, 2, 3)]:
        # a window that begins within an hour: volume is kept by 5 minutes
        start = BEGIN + timedelta(minutes=5 * random_.randrange(100))
        raw = known(ingest, as_of)
        window = {"start": start, "end": FAR, "as_of": as_of}
        volume = reader.query("volume", "demo", **window, step="all")
        inside = raw.filter(pl.col("ts") >= start)
        failed = inside.filter(pl.col("error").is_not_null())
        assert total(volume, "n", "n_error") == (len(inside), len(failed))
        begin = as_of.replace(minute=as_of.minute // 10 * 5, second=0)
        volume = reader.query("volume", "demo", start=begin, end=FAR, as_of=as_of, step="all")
        assert volume["n"].sum() == raw.filter(pl.col("ts") >= begin).height
        latency = reader.query("latency", "demo", **window)
        assert latency["n"].sum() == len(inside)
        features = reader.query(
            "features", "demo", start=BEGIN, end=FAR, as_of=as_of, step="all", first=0, last=0
        )
        fine = raw.filter(pl.col("error").is_null())
        assert features["n"].sum() == len(fine)
        missing = features.filter(pl.col("bin") == -1)
        assert missing["n"].sum() == fine["f0"].null_count()
        assert features["value_sum"].sum() == pytest.approx(fine["f0"].sum(), abs=1e-9)


def test_label_delay_as_of_counts_labels_known_then(
    ingest: Ingest, reader: InProcessReader
) -> None:
    for as_of in moments(4, 4):
        found = reader.query("delay", "demo", start=BEGIN, end=FAR, as_of=as_of, step="all")
        raw = known(ingest, as_of).filter(pl.col("error").is_null())
        assert found["n"].sum() == len(raw) - raw["label"].null_count()


def test_errors_as_of_equal_plain_sql(ingest: Ingest, reader: InProcessReader) -> None:
    if store_of(ingest).layout.task.value != "regression":
        pytest.skip("only regression has errors in numbers")
    for as_of in [*moments(6, 7), FAR]:
        raw = known(ingest, as_of).filter(pl.col("error").is_null() & pl.col("label").is_not_null())
        e = raw["predicted"] - raw["label"]
        bins = pl.select(
            pl.when(e < 0).then(-1).otherwise(1) * (1 + (8 * (1 + e.abs()).log()).floor())
        )
        found = reader.query("errors", "demo", start=BEGIN, end=FAR, as_of=as_of)
        counted = found.group_by("bin").agg(pl.col("n").sum())
        wanted = bins.to_series().cast(pl.Int64).value_counts()
        assert sorted(counted.rows()) == sorted(wanted.rows())


def test_what_a_deployment_does_not_have_is_empty_as_of_too(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    rows = predictions(50, 2, "multiclass", hours=2)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    window = {"start": BEGIN, "end": FAR, "as_of": BEGIN + timedelta(hours=1), "step": "all"}
    classes_only = opened(deployment("multiclass", class_scores={}), tmp_path)
    classes_only.collect()
    reader = InProcessReader(classes_only.database)
    assert reader.query("class_score", "demo", **window).is_empty()
    main = reader.query("multiclass", "demo", **window, first=0, last=0)
    assert main["n"].sum() == known(classes_only, window["as_of"])["error"].is_null().sum()

    folder = tmp_path / "failed"
    failed = [row | {"error": "timeout", "predicted": None} for row in rows]
    write(failed, folder / "predictions" / "a", ".jsonl")
    all_failed = opened(deployment("multiclass", features={}, labels=None), folder)
    all_failed.collect()
    reader = InProcessReader(all_failed.database)
    assert reader.query("bins", "demo").is_empty()
    assert reader.query("features", "demo", **window, first=-2, last=9).is_empty()
    volume = reader.query("volume", "demo", **window)
    assert volume["n_error"].sum() == len(known(all_failed, window["as_of"])) > 0


def test_the_state_of_the_data_follows_as_of(tmp_path: Path) -> None:
    hours = [BEGIN + timedelta(days=1, hours=h) for h in range(3)]
    now = hours[0]
    (tmp_path / "labels").mkdir()
    (tmp_path / "predictions").mkdir()
    contract = deployment(features={"numeric": ["x"]})
    ingest = Ingest(Database(None), [contract], tmp_path, lambda: now)
    reader = InProcessReader(ingest.database)
    for i, now in enumerate(hours):
        rows = predictions(10, i, hours=1)
        bad = rows[0] | {"id": f"bad{i}", "ts": "yesterday"}
        write([*rows, bad | {f"new{i}": 1}], tmp_path / "predictions" / f"{i}", ".jsonl")
        said = {"id": f"nobody{i}", "label": 1, "received": now.isoformat() + "Z"}
        write([said], tmp_path / "labels" / f"{i}", ".jsonl")
        assert not ingest.collect().problems
    for i, as_of in enumerate(hours):
        before = as_of - timedelta(seconds=1)
        for moment, n in ((as_of, i + 1), (before, i)):
            given = {"as_of": moment}
            assert reader.query("sources", "demo", **given)["n_batches"].sum() == 2 * n
            assert reader.query("quarantine", "demo", **given)["n"].sum() == n
            assert (
                reader.query("quarantine_records", "demo", most=9, longest=99, **given).height == n
            )
            new = reader.query("schema_changes", "demo", **given).filter(pl.col("change") == "new")
            assert [c for c in new["column_name"] if c.startswith("new")] == [
                f"new{k}" for k in range(n)
            ]
            assert reader.query("waiting_labels", "demo", **given).row(0)[0] == n
    everything = reader.query("quarantine", "demo")
    assert everything.select("n", "n_recent").rows() == [(3, 3)]
    assert reader.query("quarantine", "demo", as_of=None, start=None).equals(everything)
    for start, as_of, counts in (
        (hours[0], None, (3, 2)),
        (hours[0], hours[1], (2, 1)),
        (hours[2], hours[2], (3, 0)),
    ):
        found = reader.query("quarantine", "demo", start=start, as_of=as_of)
        assert found.select("n", "n_recent").rows() == [counts]
    for name in ("sources", "schema_changes", "waiting_labels"):
        assert reader.query(name, "demo", as_of=None).equals(reader.query(name, "demo"))
        with pytest.raises(TypeError, match="takes no start"):
            reader.query(name, "demo", start=BEGIN)


def test_extent_and_versions_know_nothing_of_later(ingest: Ingest, reader: InProcessReader) -> None:
    labels_ = f"SELECT max(received) FROM {store_of(ingest).layout.table('labels')}"
    for as_of in [*moments(8, 6), BEGIN, FAR]:
        raw = known(ingest, as_of)
        extent = reader.query("extent", "demo", end=as_of).row(0, named=True)
        assert extent["n"] == len(raw)
        assert extent["last_ts"] == raw["ts"].max()
        if len(raw):
            received = ingest.database.connection.execute(
                f"{labels_} WHERE received <= ?", [as_of]
            ).fetchall()
            assert extent["last_received"] == received[0][0]
        versions = reader.query("versions", "demo", end=as_of)
        wanted = raw.group_by("version").len().sort("version")
        assert versions.select("version", "n").rows() == wanted.rows()


def test_as_of_follows_what_was_loaded_meanwhile(tmp_path: Path) -> None:
    rows = sorted(predictions(40, 8, hours=1), key=lambda r: r["ts"])
    write(rows[::2], tmp_path / "predictions" / "a", ".csv")
    (tmp_path / "labels").mkdir()
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    reader = InProcessReader(ingest.database)
    as_of = BEGIN + timedelta(minutes=37)
    window = {"start": BEGIN, "end": FAR, "as_of": as_of, "step": "all"}
    for _ in range(2):
        assert reader.query("volume", "demo", **window)["n"].sum() == len(known(ingest, as_of))
        write(rows[1::2], tmp_path / "predictions" / "b", ".csv")
        ingest.collect()


def test_every_query_runs_on_an_empty_store(tmp_path: Path) -> None:
    for task in ("binary", "multiclass", "regression"):
        ingest = opened(with_reference(tmp_path, task), tmp_path / "none")
        reader = InProcessReader(ingest.database)
        for name, spec in QUERIES.items():
            tables = set(store_of(ingest).rollups.outcome_tables) | {
                f"rollup_{t}" for t in ("feature", "volume", "latency")
            }
            if not set(spec.rollups) <= tables or name.startswith("reference_"):
                continue
            if name == "agreement_numbers" and task == "multiclass":
                continue
            values = {"start": BEGIN, "end": FAR, "as_of": BEGIN, "step": "hour"}
            values |= {"first": 0, "last": 9, "most": 5, "longest": 9}
            values |= {"compared": 9, "listed": 9, "voices": 9, "sealed": BEGIN, "labels": True}
            values |= {"limits": "[]", "seconds": 60}
            values |= {"kind": "wrong", "subject": -1, "segments": "", "id": "x", "ts": BEGIN}
            given = {k: v for k, v in values.items() if k in spec.params}
            assert reader.query(name, "demo", **given).height <= 1, name
        main = f"reference_{task}"
        assert reader.query(main, "demo", first=0, last=9).is_empty()
        assert reader.query("reference_features", "demo").is_empty()
        assert reader.query("reference_profile", "demo").is_empty()


def test_wrong_questions_are_refused_with_a_sentence(reader: InProcessReader) -> None:
    with pytest.raises(KeyError):
        reader.query("nonsense")
    with pytest.raises(TypeError, match="takes no colour"):
        reader.query("volume", "demo", colour="red")
    with pytest.raises(StoreError, match="no deployment other"):
        reader.query("volume", "other", start=BEGIN, end=FAR, step="all")


def test_a_picture_of_many_past_moments_reads_each_of_them(
    ingest: Ingest, reader: InProcessReader
) -> None:
    picture = reader.at_once()
    task = store_of(ingest).layout.task.value
    asked = [BEGIN + timedelta(hours=1 + i) for i in range(40)]
    for _ in range(2):  # the second time the first ones have been forgotten
        for as_of in asked:
            found = picture.query(
                task, "demo", start=BEGIN, end=FAR, as_of=as_of, step="all", first=0, last=0
            )
            assert total(found, "n") == (
                known(ingest, as_of).filter(pl.col("error").is_null()).height,
            )
