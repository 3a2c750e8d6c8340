"""What every source that is asked must do, each against a real server.

A source takes part by an object in the shape of `Served` and a line in `SERVED`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pytest
from bucket_server import MISSING, ServedByBucket
from http_server import STYLES, ServedByHttp
from sqlite_file import ServedBySqlite
from synthetic import (
    NOW,
    Row,
    assert_adds_up,
    assert_same,
    count,
    labels,
    opened,
    predictions,
    quarantined,
    rollups,
    store_of,
    with_reference,
    write,
)

from collectors.contract import Deployment
from collectors.ingest import REFERENCE, Collected, Ingest
from collectors.sources.pulled import open_puller
from collectors.store.database import Database


class Served(Protocol):
    """A server with predictions and labels.

    secrets: must be seen nowhere. environment: variables that the sources want.
    """

    secrets: Sequence[str]
    environment: Mapping[str, str]

    def source(self, kind: str) -> dict[str, Any]:
        """The source of `predictions` or `labels` as a configuration says it."""

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        """The server gets more rows."""

    def stop(self) -> None:
        """It cannot be reached any more."""

    def start(self) -> None:
        """It can, with the rows that it had."""

    def close(self) -> None:
        """End it."""


def _postgresql() -> Served:
    from postgres_server import ServedByPostgres  # noqa: PLC0415 - only where it is installed

    return ServedByPostgres()


def _bucket() -> Served:
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    return ServedByBucket()


SERVED: dict[str, Callable[[], Served]] = {
    f"http-{style}": lambda style=style: ServedByHttp(style)  # type: ignore[misc]
    for style in STYLES
} | {"bucket": _bucket, "sqlite": ServedBySqlite, "postgresql": _postgresql}


QUICK = {"http-token", "http-since", "sqlite"}


@pytest.fixture(
    params=[n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SERVED]
)
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    made = SERVED[request.param]()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture
def contract(served: Served, tmp_path: Path) -> Deployment:
    columns = {
        "id": "id",
        "value": "label",
        "received": "received",
        "event": "event",
        "labeller": "by",
    }
    sources = {
        "predictions": served.source("predictions"),
        "labels": columns | {"source": served.source("labels")},
    }
    return with_reference(tmp_path, "binary", **sources)


PREDICTIONS = predictions(24, 1)
LABELS = labels(PREDICTIONS, 2)


def filled(served: Served) -> None:
    served.add("predictions", PREDICTIONS)
    served.add("labels", LABELS)


def loaded(ingest: Ingest) -> dict[str, Any]:
    """Everything that must not depend on how the rows came."""
    stored = store_of(ingest)
    stored.rebuild()
    assert_adds_up(stored)
    return {"rollups": rollups(stored), "rows": count(stored), "labels": count(stored, "labels")}


def assert_equal(ingest: Ingest, wanted: dict[str, Any]) -> None:
    found = loaded(ingest)
    assert_same(found.pop("rollups"), wanted["rollups"])
    assert found == {k: v for k, v in wanted.items() if k != "rollups"}


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, Any]:
    """What the same rows make of a store when they come from files."""
    folder = tmp_path / "files"
    write(PREDICTIONS, folder / "predictions" / "a", ".jsonl")
    write(LABELS, folder / "labels" / "a", ".jsonl")
    ingest = opened(with_reference(tmp_path, "binary"), folder)
    assert not ingest.collect().problems
    return loaded(ingest)


def new(collected: Collected) -> int:
    """Rows that came from the servers."""
    assert not collected.problems
    return sum(c.n_new for _, kind, c in collected.counts if kind != REFERENCE)


def test_all_pages_are_loaded_and_asking_again_brings_nothing_new(
    served: Served, contract: Deployment, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    filled(served)
    ingest = opened(contract, tmp_path)
    assert new(ingest.collect()) > 40
    assert_equal(ingest, wanted)
    assert new(ingest.collect()) == 0
    assert new(ingest.collect()) == 0
    assert_equal(ingest, wanted)
    assert quarantined(store_of(ingest)) == []


def test_what_has_come_since_is_loaded(
    served: Served, contract: Deployment, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    ingest = opened(contract, tmp_path)
    assert new(ingest.collect()) == 0
    rows = sorted(PREDICTIONS, key=lambda row: str(row["ts"]))  # logs grow in the order of time
    truths = sorted(LABELS, key=lambda row: str(row["received"]))
    for quarter in range(4):
        part = slice(quarter * 6, quarter * 6 + 6 if quarter < 3 else None)
        served.add("predictions", rows[part])
        served.add("labels", truths[part])
        assert new(ingest.collect()) >= 6
    assert_equal(ingest, wanted)


@pytest.mark.parametrize(
    "n_pages", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1, 3, 4, 5))]
)
def test_killed_between_any_two_pages(
    served: Served, contract: Deployment, tmp_path: Path, wanted: dict[str, Any], n_pages: int
) -> None:
    filled(served)
    database = Database(tmp_path / "store.duckdb")
    for _ in range(2):  # killed, started, killed again
        some_pages(opened(contract, tmp_path, database), n_pages, tmp_path)
    ingest = opened(contract, tmp_path, database)
    assert not ingest.collect().problems
    assert_equal(ingest, wanted)
    database.close()


def some_pages(ingest: Ingest, n: int, folder: Path) -> None:
    ingest.references(store_of(ingest))
    for job in ingest.jobs():
        place = folder / job.kind.name
        place.mkdir(exist_ok=True)
        with open_puller(job.source, folder) as puller:
            for page in islice(puller.pages(ingest.known(job), place, NOW), n):
                ingest.page(job, page)


def test_a_server_that_is_down_is_a_problem_until_it_is_back(
    served: Served, contract: Deployment, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    filled(served)
    ingest = opened(contract, tmp_path)
    served.stop()
    for _ in range(2):
        problems = ingest.collect().problems
        assert [p.kind for p in problems] == ["predictions", "labels"]
        assert all(p.message.count("\n") == 0 and len(p.message) < 400 for p in problems)
    assert count(store_of(ingest)) == 0
    served.start()
    assert new(ingest.collect()) > 40
    assert_equal(ingest, wanted)


def test_a_source_that_sends_everything_again_changes_nothing(
    served: Served, contract: Deployment, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    filled(served)
    ingest = opened(contract, tmp_path)
    ingest.collect()
    ingest.database.connection.execute("DELETE FROM source_offset")
    again = ingest.collect()
    assert new(again) == 0
    assert sum(c.n_duplicate for _, _, c in again.counts) >= len(PREDICTIONS)
    assert_equal(ingest, wanted)


def test_of_revised_labels_the_newest_counts(
    served: Served, contract: Deployment, tmp_path: Path
) -> None:
    filled(served)
    ingest = opened(contract, tmp_path)
    ingest.collect()
    revised = [
        {"id": row["id"], "label": 1, "received": f"2024-03-09T00:00:{i:02}+00:00"}
        | {"event": None, "by": "cat"}
        for i, row in enumerate(PREDICTIONS)
    ]
    served.add("labels", revised)
    assert new(ingest.collect()) == len(PREDICTIONS)
    stored = store_of(ingest)
    stored.rebuild()
    truth = stored.layout.table("rollup_binary")
    ((labelled, positive),) = stored.database.connection.execute(
        f"SELECT sum(n_labelled), sum(n_positive) FROM {truth}"
    ).fetchall()
    assert labelled == positive > 0


def test_secrets_are_shown_nowhere(
    served: Served,
    contract: Deployment,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    filled(served)
    path = tmp_path / "store.duckdb"
    database = Database(path)
    ingest = opened(contract, tmp_path, database)
    ingest.collect()
    served.stop()
    problems = ingest.collect().problems
    assert problems
    texts = [str(problems), repr(ingest.stored), contract.model_dump_json(), caplog.text]
    for job in ingest.jobs():
        with open_puller(job.source, tmp_path) as puller:
            texts += [repr(job), repr(puller), repr(vars(puller))]
    database.close()
    texts += [str(capfd.readouterr()), path.read_bytes().decode("latin-1")]
    for secret in served.secrets:
        assert not [text[:200] for text in texts if secret in text]
