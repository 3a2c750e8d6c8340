"""The owner of a store answers over its socket: the same frames, one moment, nobody in the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from synthetic import NOW, deployment, labels, opened, predictions, store_of, write

from collectors.errors import StoreBusyError, StoreError, StoreGoneError
from collectors.ingest import Ingest
from collectors.live.client import SocketReader, connected, yielded
from collectors.live.server import StoreServer
from collectors.live.wire import PROTOCOL, receive, send, socket_of
from collectors.reader import QUERIES, InProcessReader, Param
from collectors.store.database import Database
from collectors.store.info import store_info
from collectors.store.moments import naive_utc

START, END = naive_utc(NOW - timedelta(days=10)), naive_utc(NOW)
STATE = {"generation": 7, "problems": ["a source\x1b[2J failed"]}


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    rows = predictions(300, 1)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    write(labels(rows, 2), tmp_path / "labels" / "a", ".jsonl")
    with Database(tmp_path / "store.duckdb") as database:
        ingest = opened(deployment(), tmp_path, database)
        ingest.collect()
        yield ingest


@pytest.fixture
def server(ingest: Ingest) -> Iterator[StoreServer]:
    with closing(StoreServer(ingest.database, lambda: STATE)) as server:
        yield server


@pytest.fixture
def reader(server: StoreServer, tmp_path: Path) -> Iterator[SocketReader]:
    found = connected(tmp_path / "store.duckdb")
    assert found is not None
    with closing(found):
        yield found


def params(name: str) -> dict[str, Param]:
    given: dict[str, Param] = {
        "start": START,
        "end": END,
        "as_of": END,
        "step": "day",
        "first": 0,
        "last": 0,
        "kind": "all",
        "subject": -1,
        "segments": "",
        "most": 10,
        "longest": 100,
        "id": "r1-0",
        "ts": START,
    }
    wanted = {*QUERIES[name].params} - {"deployment"}
    return {key: value for key, value in given.items() if key in wanted}


def asked(name: str) -> bool:
    """Whether a query can be asked of a binary deployment with no more than `params` knows."""
    return set(QUERIES[name].params) - {"deployment"} <= set(params(name))


@pytest.mark.parametrize(
    "name", [n for n in QUERIES if asked(n) and "multiclass" not in n and "regression" not in n]
)
def test_every_query_gives_the_same_as_in_process(
    reader: SocketReader, ingest: Ingest, name: str
) -> None:
    if name in ("class_score", "errors", "reference_class_score"):
        pytest.skip("of another task")
    with closing(InProcessReader(ingest.database)) as own:
        wanted = own.query(name, "demo", **params(name))
    assert_frame_equal(reader.query(name, "demo", **params(name)), wanted)


def test_a_picture_is_of_one_moment_while_rows_come(
    reader: SocketReader, ingest: Ingest, tmp_path: Path
) -> None:
    picture = reader.at_once()
    before = picture.query("extent", "demo", end=END)["n"].sum()
    write(predictions(50, 9), tmp_path / "predictions" / "b", ".jsonl")
    assert ingest.collect().n_new == 50
    assert picture.query("extent", "demo", end=END)["n"].sum() == before
    reader.rest()
    assert picture.query("extent", "demo", end=END)["n"].sum() == before + 50  # a new moment
    assert reader.at_once().query("extent", "demo", end=END)["n"].sum() == before + 50


def test_many_look_at_once_while_rows_come(
    server: StoreServer, ingest: Ingest, tmp_path: Path
) -> None:
    stop, failed, looks = threading.Event(), [], [0] * 6

    def look(number: int) -> None:
        found = connected(tmp_path / "store.duckdb")
        assert found is not None
        try:
            last = 0
            while not stop.is_set() or not looks[number]:
                picture = found.at_once()
                n = picture.query("extent", "demo", end=END)["n"].sum()
                volume = picture.query(
                    "volume", "demo", start=START, end=END, as_of=END, step="all"
                )["n"].sum()
                if n < last or abs(n - volume) > 0:
                    failed.append((last, n, volume))
                last = n
                looks[number] += 1
        except Exception as error:
            failed.append(error)
        finally:
            found.close()

    threads = [threading.Thread(target=look, args=(i,)) for i in range(len(looks))]
    for thread in threads:
        thread.start()
    for number in range(8):
        write(predictions(40, 50 + number), tmp_path / "predictions" / f"n{number}", ".jsonl")
        assert ingest.collect().n_new == 40
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert server.n_clients <= len(looks)


def test_a_query_is_interrupted_and_the_next_one_is_answered(
    server: StoreServer, reader: SocketReader
) -> None:
    with pytest.raises(StoreError, match="no deployment"):
        reader.query("extent", "no such", end=END)
    reader.interrupt()  # nothing runs: nothing happens
    assert reader.query("deployments").height == 1
    assert reader.state() == STATE


def test_what_cannot_be_asked_is_a_sentence(reader: SocketReader) -> None:
    with pytest.raises(StoreError, match="no such query"):
        reader.query("no such query")
    with pytest.raises(StoreError, match="takes no bad"):
        reader.query("deployments", bad=1)
    with pytest.raises(StoreError, match="query extent failed"):
        reader.query("extent", "demo", end="'; DROP TABLE deployments; --")
    assert reader.query("deployments").height == 1


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!I", 2**31),
        struct.pack("!I", 5) + b"[1,2]",
        struct.pack("!I", 30) + b'{"do":"query","body":99999999}',
        struct.pack("!I", 4) + b"nope",
        bytes(range(256)) * 16,
    ],
)
def test_whoever_sends_nonsense_harms_nobody(
    server: StoreServer, reader: SocketReader, bytes_: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(server.path))
        stranger.sendall(bytes_)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(10)
        with suppress(ConnectionResetError):
            while stranger.recv(4096):
                pass
    assert reader.query("deployments").height == 1


def test_only_the_owner_may_connect_unless_the_mode_says_more(
    ingest: Ingest, tmp_path: Path
) -> None:
    with closing(StoreServer(ingest.database, dict)) as server:
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert not socket_of(tmp_path / "store.duckdb").exists()
    with closing(StoreServer(ingest.database, dict, mode=0o660)) as server:
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o660


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be somebody else")
def test_somebody_else_is_refused_by_the_file_alone(
    server: StoreServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp()
    for folder in (tmp_path, base, base.parent):
        folder.chmod(0o755)
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect(sys.argv[1])\n"
        "except PermissionError: sys.exit(7)"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code, str(server.path)], check=False)
    assert ended.returncode == 7


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    rows = predictions(5, 1)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    with Database(deep / "store.duckdb") as database:
        opened(deployment(labels=None), tmp_path, database).collect()
        with closing(StoreServer(database, dict)):
            found = connected(deep / "store.duckdb")
            assert found is not None
            with closing(found):
                assert found.query("deployments").height == 1


def test_another_release_is_told_so(server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.live.client.PROTOCOL", PROTOCOL + " one more")
    with pytest.raises(StoreError, match="another release"):
        SocketReader(server.path)


def test_without_an_owner_there_is_no_reader(tmp_path: Path) -> None:
    assert connected(tmp_path / "store.duckdb") is None
    with socket.socket(socket.AF_UNIX) as left:  # as a killed owner leaves it
        left.bind(str(socket_of(tmp_path / "store.duckdb")))
    assert connected(tmp_path / "store.duckdb") is None


def test_an_owner_that_is_gone_is_told_from_a_failed_query(
    server: StoreServer, reader: SocketReader
) -> None:
    server.close()
    with pytest.raises(StoreGoneError, match="has ended"):
        reader.query("deployments")


def test_a_console_makes_room_for_a_recorder_and_a_recorder_does_not(
    ingest: Ingest, tmp_path: Path
) -> None:
    store = tmp_path / "store.duckdb"
    assert not yielded(store)
    asked_for: list[int] = []
    with closing(StoreServer(ingest.database, dict)):
        assert not yielded(store)
    with closing(StoreServer(ingest.database, dict, on_yield=lambda: asked_for.append(1))):
        assert yielded(store)
    assert asked_for == [1]


OWNER = """
import sys
from pathlib import Path
from collectors.live.server import StoreServer
from collectors.store.database import Database
database = Database(Path(sys.argv[1]))
server = StoreServer(database, dict)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_owner_leaves_nothing_in_the_way(ingest: Ingest, tmp_path: Path) -> None:
    store = tmp_path / "store.duckdb"
    ingest.database.close()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        reader = connected(store)
        assert reader is not None
        assert reader.query("deployments").height == 1
        with pytest.raises(StoreBusyError, match=str(owner.pid)):
            Database(store)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        with pytest.raises(StoreGoneError):
            reader.query("deployments")
        reader.close()
    assert connected(store) is None
    with Database(store) as database, closing(StoreServer(database, dict)):
        again = connected(store)
        assert again is not None
        with closing(again):
            assert again.query("deployments").height == 1


def test_times_keep_their_microseconds(reader: SocketReader, ingest: Ingest) -> None:
    last = reader.query("extent", "demo", end=END)["last_ts"].to_list()[0]
    assert isinstance(last, datetime)
    table = store_of(ingest).layout.table("predictions")
    wanted = ingest.database.connection.execute(f"SELECT max(ts) FROM {table}").fetchall()[0][0]
    assert last == wanted


def test_heads_are_limited_and_json(server: StoreServer) -> None:
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(server.path))
        send(plain, {"do": "hello"})
        answer = receive(plain)
        assert answer is not None
        assert json.loads(json.dumps(answer[0]))["protocol"] == PROTOCOL
        send(plain, {"do": "what"})
        answer = receive(plain)
        assert answer is not None
        assert "error" in answer[0]


def test_the_owner_says_what_the_store_holds_and_copies_it(
    reader: SocketReader, ingest: Ingest, tmp_path: Path
) -> None:
    info = reader.info()
    assert info == store_info(ingest.database)
    assert info.deployments[0].n == 300
    target = tmp_path / "copy.duckdb"
    reader.backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with Database(target, read_only=True) as copy:
        assert store_info(copy).deployments[0].n == 300
    with pytest.raises(StoreError, match="is there already"):
        reader.backup(target)
    assert reader.query("deployments").height == 1
