"""One contract for every platform: the sample, transcoded with defects, gives the same figures."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from platforms.sample import CATEGORICAL, NUMERIC, Defects, Written, sample_rows
from platforms.transcoders import TRANSCODERS, databricks_tables, requests
from sklearn.metrics import roc_auc_score

from collectors.contract import Deployment, FileFormat
from collectors.formats import platforms
from collectors.formats.logs import form_of
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.sources.files import find_files
from collectors.store.database import Database

NOW = datetime(2013, 9, 1, tzinfo=UTC)
CLEAN = Defects(0, 0, 0, 0, 0, 0, 0, 0)
N = 600
NAMES = [f"{type(t).__name__}" for t in TRANSCODERS]


def deployment(written: Written, **more: Any) -> Deployment:
    features = {"numeric": list(NUMERIC), "categorical": list(CATEGORICAL)}
    return Deployment.model_validate(
        {
            "name": "m",
            "task": "binary",
            "threshold": 0.3,
            "features": features,
            "segments": ["origin"],
            **written.contract,
            **more,
        }
    )


def loaded(d: Deployment) -> Database:
    database = Database(None)
    collected = Ingest(database, [d], Path.cwd(), lambda: NOW).collect()
    assert not collected.problems, collected.problems
    return database


def confusion(database: Database) -> Counter[tuple[Any, ...]]:
    """(version, predicted, label) -> rows, from the raw rows of the store."""
    rows = database.connection.execute(
        'SELECT p.version, p.predicted, l.value FROM "deployment m".predictions AS p '
        'LEFT JOIN "deployment m".labels AS l ON l.id = p.id WHERE p.error IS NULL'
    ).fetchall()
    return Counter(rows)


def auc(database: Database) -> float:
    rows = database.connection.execute(
        'SELECT l.value, p.score FROM "deployment m".predictions AS p '
        'JOIN "deployment m".labels AS l ON l.id = p.id WHERE p.error IS NULL'
    ).fetchall()
    return float(roc_auc_score([a for a, _ in rows], [b for _, b in rows]))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The same rows as a plain table."""
    folder = tmp_path_factory.mktemp("table")
    rows = sample_rows(N)
    pl.DataFrame(
        [
            {
                "id": r.id,
                "timestamp": r.time.isoformat(),
                "version": r.version,
                "prediction": r.score,
            }
            | dict(r.features)
            for r in rows
        ]
    ).write_csv(folder / "p.csv")
    pl.DataFrame(
        [
            {"id": r.id, "label": r.label, "received": r.received.isoformat()}
            for r in rows
            if r.label is not None and r.received is not None
        ]
    ).write_csv(folder / "l.csv")
    labels = {"source": str(folder / "l.csv"), "value": "label", "received": "received"}
    table = {"predictions": str(folder / "p.csv"), "labels": labels, "version": "version"}
    return loaded(deployment(Written({**table, "score": "prediction"})))


def matches(
    database: Database, written: Written, original: Database, labelled: bool = True
) -> None:
    """Every count and figure is what the transcoder promised and the original has."""
    found = confusion(database)
    if labelled:
        assert found == confusion(original)
        assert auc(database) == pytest.approx(auc(original), abs=1e-12)
    one = database.connection.execute
    schema = '"deployment m"'
    errors = one(f"SELECT count(*) FROM {schema}.predictions WHERE error IS NOT NULL").fetchall()
    assert errors[0][0] == written.n_errors
    halves = dict(one(f"SELECT part, count(*) FROM {schema}.halves GROUP BY 1").fetchall())
    assert halves.get("request", 0) == written.n_requests
    assert halves.get("response", 0) == written.n_responses
    waiting = one(f"SELECT count(*) FROM {schema}.waiting_labels").fetchall()[0][0]
    assert waiting == written.n_waiting_labels
    quarantined = dict(one("SELECT reason, count(*) FROM quarantine GROUP BY 1").fetchall())
    assert quarantined == {k: v for k, v in written.quarantined.items() if v}
    counts = one(
        "SELECT sum(n_read), sum(n_new), sum(n_duplicate), sum(n_waiting), sum(n_quarantined) "
        "FROM batches WHERE kind = 'predictions'"
    ).fetchall()[0]
    assert counts[2] == written.n_duplicate
    assert counts[0] == sum(counts[1:])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_counts_and_figures_are_those_of_the_table(
    name: str, batch: int, tmp_path: Path, original: Database
) -> None:
    coder = TRANSCODERS[NAMES.index(name)]
    written = coder.write(sample_rows(N), tmp_path, Defects(), files=1, batch=batch)
    with loaded(named(written, name)) as database:
        # a batch whose labels did not all come has none in SageMaker's ground truth
        whole = name != "SageMaker" or batch == 1
        matches(database, written, original, labelled=whole)


def named(written: Written, name: str) -> Deployment:
    """SageMaker's CSV has no names: features are by place."""
    if name != "SageMaker":
        return deployment(written)
    places = [f"input.{i}" for i in range(len(NUMERIC) + len(CATEGORICAL))]
    features = {"numeric": places[: len(NUMERIC)], "categorical": places[len(NUMERIC) :]}
    return deployment(written, features=features, segments=[f"input.{len(NUMERIC)}"])


@pytest.mark.parametrize("name", NAMES)
def test_files_their_order_and_blocks_change_nothing(
    name: str, tmp_path: Path, original: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    coder = TRANSCODERS[NAMES.index(name)]
    defects = Defects(conflicts=0)
    written = coder.write(sample_rows(N), tmp_path, defects, files=4, batch=1)
    monkeypatch.setattr(platforms.stage_records, "__kwdefaults__", {"block": 20_000, "rows": 37})
    path = written.contract["predictions"]
    folder = Path(path["path"] if isinstance(path, dict) else path)
    files = list(find_files([str(folder)], Path.cwd()))
    random.Random(3).shuffle(files)
    packed = files[0].with_suffix(files[0].suffix + ".gz")
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    files[0].unlink()
    paths = [str(packed), *(str(p) for p in files[1:])]
    source = {**path, "path": paths} if isinstance(path, dict) else {"path": paths}
    d = named(Written({**written.contract, "predictions": source}), name)
    with Database(None) as database:
        ingest = Ingest(database, [d], Path.cwd(), lambda: NOW)
        ingest.collect()
        before = database.connection.execute("SELECT sum(n_read) FROM batches").fetchall()
        ingest.collect()
        assert database.connection.execute("SELECT sum(n_read) FROM batches").fetchall() == before
        matches(database, written, original)


@pytest.mark.parametrize("name", ["KServe", "Seldon", "AzureML"])
def test_halves_may_come_days_apart_and_file_by_file(
    name: str, tmp_path: Path, original: Database
) -> None:
    coder = TRANSCODERS[NAMES.index(name)]
    written = coder.write(sample_rows(N), tmp_path, Defects(conflicts=0), files=6, batch=3)
    files = list(find_files([written.contract["predictions"]], Path.cwd()))
    random.Random(5).shuffle(files)
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    source = {**written.contract, "predictions": str(arrived)}
    with Database(None) as database:
        ingest = Ingest(database, [named(Written(source), name)], Path.cwd(), lambda: NOW)
        for i, path in enumerate(files):
            target = arrived / path.relative_to(tmp_path / "log").parent / f"{i}.jsonl"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            assert not ingest.collect().problems
        matches(database, written, original)


@pytest.mark.parametrize("name", NAMES)
def test_a_platform_is_told_by_its_content(name: str, tmp_path: Path) -> None:
    coder = TRANSCODERS[NAMES.index(name)]
    written = coder.write(sample_rows(50), tmp_path, CLEAN, files=2, batch=1)
    path = written.contract["predictions"]
    folder = path["path"] if isinstance(path, dict) else path
    with Database(None) as database:
        found = {form_of(database.connection, p).platform for p in find_files([folder], tmp_path)}
    expected = {coder.format, None} if coder.format is FileFormat.BENTOML else {coder.format}
    assert found == expected  # BentoML's data look like any table's


def test_a_table_is_no_platform(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "type": "x", "data": [1], "request_id": "2"}\n')
    (tmp_path / "a.csv").write_text("id,type,request,response\n1,2,3,4\n")
    with Database(None) as database:
        for name in ("a.jsonl", "a.csv"):
            assert form_of(database.connection, tmp_path / name).platform is None


def test_inference_tables_may_be_parquet_or_csv(tmp_path: Path, original: Database) -> None:
    rows = sample_rows(N)
    asked = requests(rows, 3)
    for folder in databricks_tables(rows, tmp_path):
        written = TRANSCODERS[NAMES.index("Databricks")].sources(asked, tmp_path, CLEAN)  # type: ignore[union-attr]
        contract = {
            **written,
            "predictions": str(folder),
            "score": "prediction",
            "version": "version",
            "latency_ms": "latency_ms",
        }
        with loaded(deployment(Written(contract))) as database:
            assert confusion(database) == confusion(original)


def test_what_waits_is_told(tmp_path: Path) -> None:
    coder = TRANSCODERS[NAMES.index("KServe")]
    written = coder.write(sample_rows(40), tmp_path, Defects(), files=1, batch=2)
    with loaded(deployment(written)) as database:
        reader = InProcessReader(database)
        found = {r["part"]: r["n"] for r in reader.query("halves", "m").to_dicts()}
        assert found == {"request": written.n_requests, "response": written.n_responses}
        reader.close()


@pytest.mark.parametrize(("traffic", "version", "n"), [("served", "a", 20), ("shadow", "b", 10)])
def test_answers_that_were_not_served_are_apart(
    traffic: str, version: str, n: int, tmp_path: Path
) -> None:
    lines = [
        {
            "headers": {
                "Ce-Type": f"io.seldon.serving.inference.{kind}",
                "Ce-Requestid": f"r{i}",
                "Ce-Modelid": model,
                "Ce-Endpoint": endpoint,
                "Ce-Time": f"2013-06-01T00:{i:02}:00Z",
            },
            "body": body,
        }
        for i in range(20)
        for endpoint, model in (("default", "a"), ("shadow", "b"))
        if endpoint == "default" or i % 2
        for kind, body in (
            ("request", {"instances": [{"temp": i}]}),
            ("response", {"predictions": [i / 20]}),
        )
    ]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    contract = {"predictions": str(tmp_path), "score": "prediction", "version": "version"}
    with loaded(deployment(Written(contract), traffic=traffic)) as database:
        assert confusion(database).total() == n
        assert {key[0] for key in confusion(database)} == {version}
        reasons = database.connection.execute(
            "SELECT reason, count(*) FROM quarantine GROUP BY 1"
        ).fetchall()
        assert reasons == [("other traffic than asked for", 60 - 2 * n)]
