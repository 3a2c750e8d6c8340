"""What is pushed is on disk before it is acknowledged, and in the store once."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import NOW, assert_adds_up, count, deployment, labels, opened, predictions, store_of

from collectors.contract import Deployment
from collectors.errors import SourceError
from collectors.ingest import Ingest
from collectors.live.address import address
from collectors.live.push import Spool, push_problem
from collectors.live.web import LARGEST_BODY, WebServer
from collectors.store.database import Database

TOKEN = "a token that nobody guesses"  # noqa: S105 - of this test
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    pushed: dict[str, Any] = {"push": True}
    known = deployment().labels
    assert known is not None
    truth = {**known.model_dump(exclude={"source"}), "source": pushed}
    contract = deployment(predictions=pushed, labels=truth)
    with Database(tmp_path / "store.duckdb") as database:
        yield opened(contract, tmp_path, database)


def spools(ingest: Ingest) -> dict[tuple[str, str], Spool]:
    assert ingest.spool is not None
    return {("demo", k): Spool(ingest.spool / "demo" / k) for k in ("predictions", "labels")}


@pytest.fixture
def web(ingest: Ingest) -> Iterator[WebServer]:
    with closing(
        WebServer(
            ("127.0.0.1", 0),
            health=lambda: (True, {"status": "ok"}),
            metrics=list,
            spools=spools(ingest),
            token=TOKEN,
            news=lambda: None,
        )
    ) as web:
        yield web


def post(
    web: WebServer,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    path: str = "/v1/demo/predictions",
    token: str = TOKEN,
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    with closing(connection):
        given = {"Authorization": f"Bearer {token}", **LINES, **(headers or {})}
        connection.request("POST", path, body, given)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_pushed_rows_and_labels_are_loaded_once_however_often_they_come(
    ingest: Ingest, web: WebServer
) -> None:
    rows = predictions(60, 1)
    said = labels(rows, 2)
    assert post(web, lines(said), path="/v1/demo/labels")[0] == 202  # before their predictions
    for _ in range(2):  # a sender that got no answer sends again
        assert post(web, lines(rows[:40])) == (202, {"taken": True})
    assert not ingest.collect(whole=False).problems
    assert post(web, lines(rows[30:]))[0] == 202
    assert not ingest.collect(whole=False).problems
    stored = store_of(ingest)
    assert count(stored) == 60
    assert_adds_up(stored)
    assert count(stored, "labels") > 30
    changes = stored.database.connection.execute("SELECT * FROM schema_changes").fetchall()
    assert changes == []  # no label is expected beside a prediction


def test_many_send_at_once(ingest: Ingest, web: WebServer) -> None:
    rows = predictions(400, 3)
    codes: list[int] = []

    def send(part: int) -> None:
        for row in rows[part::8]:
            codes.append(post(web, lines([row]))[0])

    threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ingest.collect(whole=False)
    for thread in threads:
        thread.join()
    ingest.collect(whole=False)
    assert codes == [202] * 400
    assert count(store_of(ingest)) == 400


def test_one_json_object_or_a_list_of_them(ingest: Ingest, web: WebServer) -> None:
    rows = predictions(3, 4)
    kind = {"Content-Type": "application/json"}
    assert post(web, json.dumps(rows[0]).encode(), kind)[0] == 202
    assert post(web, json.dumps(rows[1:], indent=2).encode(), kind)[0] == 202
    ingest.collect(whole=False)
    assert count(store_of(ingest)) == 3


def test_cloudevents_of_a_serving_system(tmp_path: Path) -> None:
    """Binary (attributes are headers) and structured, a request and its response apart."""
    contract = Deployment.model_validate(
        {
            "name": "demo",
            "task": "binary",
            "predictions": {"push": True},
            "version": "version",
            "score": "prediction",
            "features": {"numeric": ["a", "b"]},
        }
    )
    with Database(tmp_path / "store.duckdb") as database:
        ingest = opened(contract, tmp_path, database)
        assert ingest.spool is not None
        spool = Spool(ingest.spool / "demo" / "predictions")
        with closing(
            WebServer(
                ("127.0.0.1", 0),
                health=lambda: (True, {}),
                metrics=list,
                spools={("demo", "predictions"): spool},
                token=TOKEN,
                news=lambda: None,
            )
        ) as web:
            at = (NOW - timedelta(hours=3)).isoformat()
            kind = "org.kubeflow.serving.inference."
            asked = {
                "inputs": [
                    {"name": "a", "datatype": "FP64", "shape": [1], "data": [1.5]},
                    {"name": "b", "datatype": "FP64", "shape": [1], "data": [2.5]},
                ]
            }
            answer = {
                "outputs": [{"name": "output", "datatype": "FP64", "shape": [1], "data": [0.75]}]
            }
            binary = {
                "Content-Type": "application/json",
                "ce-specversion": "1.0",
                "ce-id": "r-1",
                "ce-time": at,
                "ce-type": f"{kind}request",
                "ce-inferenceservicename": "demo",
                "ce-endpoint": "v1",
            }
            assert post(web, json.dumps(asked).encode(), binary)[0] == 202
            event = {
                "specversion": "1.0",
                "id": "r-1",
                "time": at,
                "type": f"{kind}response",
                "inferenceservicename": "demo",
                "endpoint": "v1",
                "data": answer,
            }
            structured = {"Content-Type": "application/cloudevents+json"}
            assert post(web, json.dumps(event).encode(), structured)[0] == 202
        assert not ingest.collect(whole=False).problems
        stored = store_of(ingest)
        found = database.connection.execute(
            f"SELECT id, version, score, f0, f1 FROM {stored.layout.table('predictions')}"
        ).fetchall()
    assert found == [("r-1", "v1", 0.75, 1.5, 2.5)]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"token": ""}, 401, "token"),
        ({"token": TOKEN + "x"}, 401, "token"),
        ({"path": "/v1/other/predictions"}, 404, "push = true"),
        ({"path": "/v1/demo/../../etc/passwd"}, 404, "push = true"),
        ({"path": "/"}, 404, "push = true"),
        ({"body": b"  \n"}, 400, "no record"),
        ({"body": b"x" * 1_100_000}, 400, "longer than"),
        ({"headers": {"Content-Type": "image/png"}}, 400, "application/x-ndjson"),
        ({"headers": {"Content-Type": "application/json"}, "body": b"{"}, 400, "no JSON"),
        ({"headers": {"Content-Type": "application/json"}, "body": b"[" * 99999}, 400, "no JSON"),
        ({"headers": {"Content-Encoding": "gzip"}}, 415, "not packed"),
        ({"headers": {"ce-type": "x"}, "body": b"no json"}, 400, "no JSON"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(
    ingest: Ingest, web: WebServer, change: dict[str, Any], code: int, words: str
) -> None:
    found, said = post(web, **{"body": b'{"id": 1}\n', **change})
    assert found == code
    assert words in said["error"]
    assert TOKEN not in json.dumps(said)
    assert post(web, b'{"id": 1}\n')[0] == 202  # it goes on


def test_a_body_that_is_too_large_is_not_even_read(web: WebServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    with closing(connection):
        connection.putrequest("POST", "/v1/demo/predictions")
        connection.putheader("Authorization", f"Bearer {TOKEN}")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Content-Length", str(LARGEST_BODY + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_without_a_token_nobody_may_send(ingest: Ingest) -> None:
    with closing(
        WebServer(
            ("127.0.0.1", 0),
            health=lambda: (True, {}),
            metrics=list,
            spools=spools(ingest),
            token="",
            news=lambda: None,
        )
    ) as web:
        assert post(web, b"{}\n", token="")[0] == 403


def test_bad_records_go_to_quarantine_and_not_back_to_the_sender(
    ingest: Ingest, web: WebServer
) -> None:
    rows = predictions(2, 5)
    body = lines(rows[:1]) + b'{"id": broken\n' + b'"\x1b[2J"\n' + lines(rows[1:])
    assert post(web, body)[0] == 202
    ingest.collect(whole=False)
    stored = store_of(ingest)
    assert count(stored) == 2
    assert_adds_up(stored)
    query = "SELECT reason, count(*) FROM quarantine GROUP BY 1"
    assert dict(stored.database.connection.execute(query).fetchall()) == {"not readable": 2}


def test_half_a_line_of_a_killed_recorder_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(b'{"id": 1}')
    spool.close()
    (path,) = (tmp_path / "s").iterdir()
    with path.open("ab") as file:
        file.write(b'{"id": 2, "half')
    Spool(tmp_path / "s")
    assert path.read_bytes() == b'{"id": 1}\n'


def test_what_the_disk_does_not_take_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(b'{"id": 1}')
    written, real = [], os.write

    def full(file: int, data: bytes) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(1)
        return real(file, data[:5])

    monkeypatch.setattr("collectors.live.push.os.write", full)
    with pytest.raises(SourceError, match="No space left"):
        spool.append(b'{"id": 2}')
    monkeypatch.undo()
    spool.append(b'{"id": 3}')
    data = b"".join(path.read_bytes() for path in sorted((tmp_path / "s").iterdir()))
    assert sorted(data.splitlines()) == [b'{"id": 1}', b'{"id": 3}']


def test_a_loaded_file_goes_after_a_while_and_one_with_bad_records_stays(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    for number in range(3):
        spool.append(b'{"id": %d}' % number)
        spool.close()
    spool.append(b'{"id": 9}')
    first, second, third, current = sorted((tmp_path / "s").iterdir(), key=os.path.getmtime)
    loaded = {str(p): p.stat().st_size for p in (first, second, current)}
    wanted = frozenset({str(second)})
    now = current.stat().st_mtime
    assert spool.forget(loaded, wanted, now + 10) == []
    assert set(spool.forget(loaded, wanted, now + 7200)) == {first, current}
    assert sorted((tmp_path / "s").iterdir()) == sorted([second, third])
    spool.append(b'{"id": 10}')  # into a file of its own
    assert len(list((tmp_path / "s").iterdir())) == 3


def test_lines_that_came_after_the_last_look_keep_their_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(b'{"id": 1}')
    (path,) = (tmp_path / "s").iterdir()
    loaded = {str(path): path.stat().st_size}
    spool.append(b'{"id": 2}')
    assert spool.forget(loaded, frozenset(), path.stat().st_mtime + 7200) == []
    assert path.read_bytes().count(b"\n") == 2


def test_pushes_leave_as_much_of_the_disk_as_loading_does(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", least_free=10**18)
    for _ in range(3):
        with pytest.raises(SourceError, match="too little room"):
            spool.append(b'{"id": 1}')
    assert list((tmp_path / "s").iterdir()) == []


@given(st.binary(max_size=300))
def test_only_a_body_without_a_record_is_refused(body: bytes) -> None:
    assert bool(push_problem(body)) == (not body.strip())


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("localhost:1", ("127.0.0.1", 1)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_addresses(written: str, wanted: tuple[str, int]) -> None:
    assert address(written) == wanted


@pytest.mark.parametrize(
    "written", ["0.0.0.0:1", "10.0.0.1:80", "x:1", "1:x", "", "127.0.0.1:99999"]
)
def test_only_this_host_is_listened_on(written: str) -> None:
    with pytest.raises(ValueError, match=r"address|alone|port"):
        address(written)
