"""Aliases of MLflow's registry become change events, once each, with a time that can be right.

MLflow itself is too heavy for a test; what stands in for it keeps state, answers over HTTP and
writes what MLflow's protocol (model_registry.proto) writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_api import Reply, api
from hypothesis import given
from hypothesis import strategies as st
from synthetic import Logs

from collectors.errors import SourceError
from collectors.source_settings import MlflowSource
from collectors.sources import mlflow
from collectors.sources.mlflow import open_source

NOW = datetime(2024, 3, 1, 10, tzinfo=UTC)


class Registry:
    """Registered models with their aliases, and when each was last updated."""

    def __init__(self, *models: str) -> None:
        self.models: dict[str, dict[str, Any]] = {name: {} for name in models}
        self.updated = dict.fromkeys(models, NOW - timedelta(days=1))
        self.asked: list[str] = []
        self.headers: Mapping[str, str] = {}
        self.down = False

    def point(self, model: str, alias: str, version: str | None, at: datetime | None) -> None:
        if version is None:
            del self.models[model][alias]
        else:
            self.models[model][alias] = version
        if at is not None:
            self.updated[model] = at

    def __call__(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        self.headers = headers
        if self.down:
            return 502, b"Bad Gateway"
        if not path.endswith("/api/2.0/mlflow/registered-models/get"):
            return 404, b"<!doctype html>"
        name = asked["name"]
        self.asked.append(name)
        if name not in self.models:
            message = f"Registered Model with name={name} not found"
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}
        updated = round(self.updated[name].timestamp() * 1000)
        latest = {"name": name, "version": "9", "current_stage": "None", "status": "READY"}
        model: dict[str, Any] = {
            "name": name,
            "creation_timestamp": updated - 1000,
            "last_updated_timestamp": updated,
            "latest_versions": [latest],
        }
        if self.models[name]:  # a list without entries is left out
            aliases = self.models[name].items()
            model["aliases"] = [{"alias": a, "version": v} for a, v in aliases]
        return 200, {"registered_model": model}


class Console(Logs):
    def __init__(self, base: Path, url: str, *models: str, **more: Any) -> None:
        base.mkdir(exist_ok=True)
        super().__init__(base, events=[{"mlflow": url, "models": models or ("fraud",), **more}])
        self.now = NOW
        self.ingest.clock = lambda: self.now

    def events(self) -> list[tuple[datetime, str, str, str]]:
        sql = "SELECT ts, kind, subject, detail FROM change_events ORDER BY ALL"
        return self.ingest.database.connection.execute(sql).fetchall()


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def naive(minutes: float) -> datetime:
    return at(minutes).replace(tzinfo=None)


def test_a_moved_alias_is_one_event(tmp_path: Path) -> None:
    registry = Registry("fraud")
    registry.point("fraud", "champion", "3", None)
    with api(registry) as url:
        logs = Console(tmp_path, url)
        assert logs.collect() == []
        assert logs.events() == []  # what is there at the first look has not changed
        logs.now = at(10)
        registry.point("fraud", "champion", "4", at(7))
        assert logs.collect() == []
        logs.now = at(11)
        assert logs.collect() == []
        assert logs.events() == [(naive(7), "alias", "fraud@champion", "3 -> 4")]


def test_aliases_come_and_go_and_come_back(tmp_path: Path) -> None:
    registry = Registry("fraud", "churn")
    with api(registry) as url:
        logs = Console(tmp_path, url, "fraud", "churn")
        assert logs.collect() == []
        moves = [
            ("fraud", "a", "1"),
            ("churn", "b", "2"),
            ("fraud", "a", None),
            ("fraud", "a", "1"),
        ]
        for i, (model, alias, version) in enumerate(moves, 1):
            logs.now = at(i)
            registry.point(model, alias, version, at(i))
            assert logs.collect() == []
        assert [event[2:] for event in logs.events()] == [
            ("fraud@a", "(none) -> 1"),
            ("churn@b", "(none) -> 2"),
            ("fraud@a", "1 -> (none)"),
            ("fraud@a", "(none) -> 1"),
        ]


@pytest.mark.parametrize("updated", [None, -60, 90, 10**6])
def test_a_change_is_never_dated_before_the_last_look_or_later_than_now(
    updated: float | None, tmp_path: Path
) -> None:
    registry = Registry("fraud")
    with api(registry) as url:
        logs = Console(tmp_path, url)
        logs.now = at(0)
        registry.updated["fraud"] = at(-30)
        assert logs.collect() == []
        logs.now = at(60)
        registry.point("fraud", "champion", "4", None if updated is None else at(updated))
        assert logs.collect() == []
        assert logs.events() == [(naive(60), "alias", "fraud@champion", "(none) -> 4")]


def test_an_update_of_something_else_moves_no_later_change(tmp_path: Path) -> None:
    registry = Registry("fraud")
    with api(registry) as url:
        logs = Console(tmp_path, url)
        assert logs.collect() == []
        registry.updated["fraud"] = at(5)  # a new version, say
        logs.now = at(10)
        assert logs.collect() == []
        registry.point("fraud", "champion", "4", None)  # a server that notes no time of it
        logs.now = at(20)
        assert logs.collect() == []
        assert [event[0] for event in logs.events()] == [naive(20)]


def test_a_model_that_is_not_there_is_named_and_the_others_come(tmp_path: Path) -> None:
    registry = Registry("fraud")
    with api(registry) as url:
        logs = Console(tmp_path, url, "gone", "fraud")
        (problem,) = logs.collect()
        assert problem == f"{url} knows no registered model gone; check `models`"
        registry.point("fraud", "champion", "4", at(1))
        logs.now = at(1)
        assert len(logs.collect()) == 1
        assert len(logs.events()) == 1


def test_a_change_while_the_server_was_down_comes_when_it_is_back(tmp_path: Path) -> None:
    registry = Registry("fraud")
    with api(registry) as url:
        logs = Console(tmp_path, url)
        assert logs.collect() == []
        registry.down = True
        logs.now = at(10)
        (problem,) = logs.collect()
        assert "answered 502" in problem
        registry.down = False
        registry.point("fraud", "champion", "4", at(5))
        logs.now = at(60)
        assert logs.collect() == []
        assert logs.events() == [(naive(5), "alias", "fraud@champion", "(none) -> 4")]


def test_killed_between_any_two_pages_each_event_is_there_once(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    for killed_after in (1, 2):
        registry = Registry(*names)
        with api(registry) as url:
            logs = Console(tmp_path / str(killed_after), url, *names)
            assert logs.collect() == []
            for name in names:
                registry.point(name, "champion", "4", at(5))
            logs.now = at(10)
            (job,) = (j for j in logs.ingest.jobs() if j.is_pulled)
            source = job.source
            assert isinstance(source, MlflowSource)
            with open_source(source, tmp_path) as puller:
                pages = puller.pages(logs.ingest.known(job), tmp_path, logs.now)
                for _ in range(killed_after):
                    logs.ingest.page(job, next(pages))
            logs.now = at(11)
            assert logs.collect() == []
            expected = [(naive(5), "alias", f"{n}@champion", "(none) -> 4") for n in names]
            assert logs.events() == expected


def test_a_registry_that_lost_its_cursor_makes_no_events_up(tmp_path: Path) -> None:
    registry = Registry("fraud")
    registry.point("fraud", "champion", "3", None)
    with api(registry) as url:
        logs = Console(tmp_path, url)
        assert logs.collect() == []
        logs.ingest.database.connection.execute("DELETE FROM source_offset")
        logs.now = at(5)
        assert logs.collect() == []
        assert logs.events() == []


def test_hostile_names_are_data(tmp_path: Path) -> None:
    hostile = "\x1b[31m'; DROP TABLE change_events; --\u202e[bold]"
    registry = Registry(hostile)
    with api(registry) as url:
        logs = Console(tmp_path, url, hostile)
        assert logs.collect() == []
        registry.point(hostile, hostile, hostile, at(1))
        registry.point(hostile, "x" * 10_000, "\ud800", at(1))
        logs.now = at(2)
        assert logs.collect() == []
        events = logs.events()
    assert [detail for *_, detail in events] == [f"(none) -> {hostile}", "(none) -> ?"]
    assert max(len(subject) for _, _, subject, _ in events) <= 500


BODIES: list[Any] = [
    b"",
    b"<html>",
    b"[" * 100_000,
    [],
    {},
    {"registered_model": 3},
    {"registered_model": {"aliases": {}}},
    {"registered_model": {"aliases": [{"alias": str(i)} for i in range(2000)]}},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
def test_whatever_is_no_answer_is_a_sentence(body: Any, tmp_path: Path) -> None:
    with api(lambda path, asked, headers: (200, body)) as url:
        source = MlflowSource(mlflow=url, models=("fraud",))
        with open_source(source, tmp_path) as puller, pytest.raises(SourceError):
            list(puller.pages({}, tmp_path, NOW))


@pytest.mark.parametrize("cursor", ["", "{", "[]", "3", '{"fraud": 3}', '{"fraud": {}}'])
def test_a_cursor_that_is_none_is_a_first_look(cursor: str, tmp_path: Path) -> None:
    registry = Registry("fraud")
    registry.point("fraud", "champion", "3", None)
    with api(registry) as url:
        source = MlflowSource(mlflow=url, models=("fraud",))
        with open_source(source, tmp_path) as puller:
            (page,) = puller.pages({source.shown: cursor}, tmp_path, NOW)
        assert page.path.read_bytes() == b""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(st.lists(JSON | st.fixed_dictionaries({"alias": JSON, "version": JSON}), max_size=5), JSON)
def test_any_aliases_are_taken_or_left(aliases: list[Any], updated: Any) -> None:
    body = {"registered_model": {"aliases": aliases, "last_updated_timestamp": updated}}
    model = mlflow._model_of(body)
    assert model is not None
    assert mlflow._read(mlflow._written({"m": model})) == {"m": model}


def test_secrets_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_LOGIN", "Basic czNjcmV0OnMzY3JldA==")

    def answer(path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        assert headers["authorization"] == "Basic czNjcmV0OnMzY3JldA=="
        return 403, {"error_code": "PERMISSION_DENIED", "message": str(dict(headers))}

    with api(answer) as url:
        logs = Console(tmp_path, url, headers={"Authorization": "MLFLOW_LOGIN"})
        (problem,) = logs.collect()
    assert "answered 403" in problem
    assert "czNj" not in problem
