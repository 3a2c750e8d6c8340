"""The recorder's loop: sources that fail, a clock that goes back, a disk that is full."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import count, deployment, opened, predictions, store_of, write

from collectors.errors import SourceError
from collectors.ingest import Collected, Ingest
from collectors.live import pulling
from collectors.live.clock import SteadyClock
from collectors.live.pulling import rest_after
from collectors.live.recorder import Recorder, RecorderState, StoreLostError
from collectors.sources.pulled import Page
from collectors.store.database import Database


class Server:
    """A source in this process: pages of numbered rows, and what goes wrong with it."""

    def __init__(self) -> None:
        self.rows = [str(i) for i in range(30)]
        self.fails: SourceError | None = None
        self.asked = 0
        self.begun: list[str] = []
        self.files: dict[str, tuple[str, bytes]] = {}
        """Files of their own instead of pages: mark and content by name."""

    def __call__(self, *_: object) -> Server:
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        pass

    def pages(self, known: Mapping[str, str], folder: Path, _now: datetime) -> Iterator[Page]:
        self.asked += 1
        for file, (mark, content) in self.files.items():
            if known.get(file) != mark:
                path = folder / "object.parquet"
                path.write_bytes(content)
                yield Page(file, path, mark, alone=True)
        if self.files:
            return
        name = "http://127.0.0.1:1/rows"
        at = int(known.get(name) or 0)
        self.begun.append(known.get(name, ""))
        while at < len(self.rows):
            if self.fails is not None:
                raise self.fails
            path = folder / "page.jsonl"
            rows = predictions(len(self.rows), 1)[at : at + 10]
            write(rows, folder / "page", ".jsonl")
            at += len(rows)
            yield Page(name, path, str(at))
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr("collectors.ingest.open_puller", found)
    monkeypatch.setattr("collectors.live.pulling.open_puller", found)
    monkeypatch.setattr(pulling, "_FIRST_REST_S", 0.01)
    return found


def pulled(base: Path, database: Database | None = None) -> Ingest:
    contract = deployment(
        predictions={"url": "http://127.0.0.1:1/rows", "every": "1s"}, labels=None
    )
    return opened(contract, base, database)


def until(recorder: Recorder, done: Callable[[Collected], bool]) -> None:
    """Run a recorder until a pass fulfils a condition."""
    stop = threading.Event()
    waited = threading.Timer(30, stop.set)
    waited.start()
    seen: list[bool] = []

    def report(collected: Collected) -> None:
        if done(collected):
            seen.append(True)
            stop.set()

    recorder._report = report
    try:
        recorder.run(stop)
    finally:
        waited.cancel()
    assert seen, "it did not come to that in time"


def states(ingest: Ingest) -> list[tuple[Any, ...]]:
    return ingest.database.connection.execute(
        "SELECT n_failures, problem, failing_since IS NOT NULL, last_ok IS NOT NULL "
        "FROM source_state WHERE kind = 'predictions'"
    ).fetchall()


def recorder_of(ingest: Ingest, **more: Any) -> Recorder:
    return Recorder(ingest, RecorderState(), interval=0.01, report=lambda _: None, **more)


def test_pages_of_a_server_are_loaded_and_its_cursor_with_them(
    tmp_path: Path, server: Server
) -> None:
    ingest = pulled(tmp_path)
    until(recorder_of(ingest), lambda _: count(store_of(ingest)) == 30)
    assert states(ingest) == [(0, "", False, True)] or not states(ingest)
    server.rows += [str(i) for i in range(30, 45)]
    until(recorder_of(ingest), lambda _: count(store_of(ingest)) == 45)
    assert server.begun[-1] in ("30", "45")  # it went on from where the store was
    batches = ingest.database.connection.execute("SELECT sum(n_duplicate) FROM batches").fetchall()
    assert batches == [(0,)]


def test_a_source_that_is_down_is_told_and_comes_back(tmp_path: Path, server: Server) -> None:
    ingest = pulled(tmp_path)
    server.fails = SourceError("http://127.0.0.1:1/rows refused")
    recorder = recorder_of(ingest)
    until(recorder, lambda _: bool(states(ingest)) and states(ingest)[0][0] >= 3)
    assert states(ingest)[0][1:] == ("http://127.0.0.1:1/rows refused", True, False)
    server.fails = None
    until(recorder, lambda _: states(ingest) == [(0, "", False, True)])
    assert count(store_of(ingest)) == 30


def test_a_problem_of_the_source_is_one_of_the_recorder(tmp_path: Path, server: Server) -> None:
    ingest = pulled(tmp_path)
    server.fails = SourceError("it is down")
    recorder = recorder_of(ingest)
    before = recorder.state.generation
    until(recorder, lambda c: bool(c.problems))
    assert recorder.state.problems == ("demo predictions: it is down",)
    assert recorder.state.generation > before


def test_once_asks_a_server_once(tmp_path: Path, server: Server) -> None:
    ingest = pulled(tmp_path)
    assert not ingest.collect().problems
    assert count(store_of(ingest)) == 30
    assert server.asked == 1
    server.fails = SourceError("it is down")
    server.rows.append("31")
    assert [p.message for p in ingest.collect().problems] == ["it is down"]
    assert states(ingest)[0][0] == 1


@given(st.integers(1, 60), st.one_of(st.none(), st.floats(0, 1e9)), st.floats(0, 1))
def test_rests_grow_and_keep_to_what_was_asked(
    failures: int, asked: float | None, chance: float
) -> None:
    rest = rest_after(failures, asked, chance)
    assert 0.5 <= rest <= max(300.0, min(asked or 0.0, 86400.0))
    assert asked is None or rest >= min(asked, 86400.0)
    assert rest_after(failures + 1, asked, chance) >= rest


def test_a_clock_that_is_set_back_stands_still() -> None:
    host = [datetime(2024, 3, 1, 12, tzinfo=UTC)]
    clock = SteadyClock(lambda: host[0])
    assert clock() == host[0]
    host[0] -= timedelta(hours=1)
    assert clock() == datetime(2024, 3, 1, 12, tzinfo=UTC)
    assert clock.behind == timedelta(hours=1)
    host[0] += timedelta(hours=2)
    assert clock() == host[0]
    assert not clock.behind


def test_rows_are_taken_while_the_clock_is_behind_and_it_is_said(tmp_path: Path) -> None:
    rows = predictions(20, 1)
    newest = max(datetime.fromisoformat(r["ts"]) for r in rows)
    host = [newest + timedelta(minutes=1)]
    clock = SteadyClock(lambda: host[0])
    contract = deployment(labels=None)
    ingest = Ingest(Database(None), [contract], tmp_path, clock)
    host[0] -= timedelta(hours=40)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    recorder = recorder_of(ingest)
    recorder.one_pass()
    assert count(store_of(ingest)) == 20
    assert any("clock went back by 144000 s" in p for p in recorder.state.problems)


def test_a_full_disk_stops_loading_before_it_is_full(tmp_path: Path) -> None:
    write(predictions(20, 1), tmp_path / "predictions" / "a", ".jsonl")
    with Database(tmp_path / "store.duckdb") as database:
        ingest = opened(deployment(labels=None), tmp_path, database)
        recorder = recorder_of(ingest, least_free=10**18)
        recorder.one_pass()
        assert count(store_of(ingest)) == 0
        assert "MB free" in recorder.state.problems[0]
        assert recorder.state.alive(5)
        recorder = recorder_of(ingest, least_free=1)
        recorder.one_pass()
        assert count(store_of(ingest)) == 20
        assert recorder.state.problems == ()


def test_a_store_that_fails_is_lost_and_not_the_source(tmp_path: Path) -> None:
    write(predictions(20, 1), tmp_path / "predictions" / "a", ".jsonl")
    database = Database(tmp_path / "store.duckdb")
    ingest = opened(deployment(labels=None), tmp_path, database)
    recorder = recorder_of(ingest)
    database.close()
    with pytest.raises(StoreLostError, match="opened again"):
        recorder.one_pass()
    with Database(tmp_path / "store.duckdb") as again:
        ingest = opened(deployment(labels=None), tmp_path, again)
        recorder_of(ingest).one_pass()
        assert count(store_of(ingest)) == 20


def test_a_file_that_grows_while_it_is_read_leaves_time_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(predictions(20, 1), tmp_path / "predictions" / "a", ".jsonl")
    more = write(predictions(20, 2), tmp_path / "other" / "b", ".jsonl").read_bytes()
    ingest = opened(deployment(labels=None), tmp_path)
    real = store_of(ingest).loader.predictions

    def grows(*args: Any) -> Any:
        with path.open("ab") as file:
            file.write(more)
        return real(*args)

    monkeypatch.setattr(store_of(ingest).loader, "predictions", grows)
    collected = ingest.collect(whole=False)
    assert sum(c.n_read for _, kind, c in collected.counts if kind == "predictions") == 20


def test_a_file_that_cannot_be_loaded_holds_up_no_other_and_is_told(
    tmp_path: Path, server: Server
) -> None:
    rows = predictions(20, 1)
    good = write(rows[:10], tmp_path / "made" / "a", ".parquet").read_bytes()
    mended = write(rows[10:], tmp_path / "made" / "b", ".parquet").read_bytes()
    server.files = {"a": ("1", b"PAR1 no Parquet PAR1"), "b": ("1", good)}
    ingest = pulled(tmp_path)
    recorder = recorder_of(ingest)
    until(recorder, lambda _: bool(states(ingest)) and states(ingest)[0][0] >= 2)
    assert count(store_of(ingest)) == 10
    assert "1 of its files cannot be loaded" in states(ingest)[0][1]
    server.files["a"] = ("2", mended)
    until(recorder, lambda _: states(ingest) == [(0, "", False, True)])
    assert count(store_of(ingest)) == 20
    server.files["a"] = ("3", b"PAR1 no Parquet PAR1")
    assert len(ingest.collect().problems) == 1  # asked once, as for cron


def test_a_source_that_is_configured_no_more_is_forgotten(tmp_path: Path, server: Server) -> None:
    server.fails = SourceError("it is down")
    with Database(tmp_path / "store.duckdb") as database:
        ingest = pulled(tmp_path, database)
        ingest.collect()
        assert states(ingest)[0][1] == "it is down"
        contract = deployment(predictions={"path": "predictions"}, labels=None)
        assert states(opened(contract, tmp_path, database)) == []


def test_a_pass_ends_after_a_batch_when_it_is_told_to(tmp_path: Path) -> None:
    for number in range(4):
        write(predictions(10, number), tmp_path / "predictions" / f"{number}", ".jsonl")
    ingest = opened(deployment(labels=None), tmp_path)
    ingest.stopped = lambda: True
    ingest.collect()
    assert count(store_of(ingest)) == 10
    ingest.stopped = lambda: False
    ingest.collect()
    assert count(store_of(ingest)) == 40
