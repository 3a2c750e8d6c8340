"""`modelwatch record` as a process: its socket, its HTTP side, its log, and who gets the store."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pexpect
import pytest

from collectors.live.client import connected
from console.config import load_config

ROOT = Path(__file__).parents[2]
TOKEN = "s3cret-token"  # noqa: S105 - of this test

CONFIG = """
[store]
path = "store.duckdb"

[console]
window = "6h"
refresh = 0.2

[recorder]
interval = "1s"
findings = "1s"

[[deployment]]
name = "demo"
task = "binary"
predictions = { path = "logs" }
score = "score"
version = "version"
latency_ms = "latency"

[deployment.labels]
source = { push = true }
received = "received"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "modelwatch.toml").write_text(CONFIG)
    append(tmp_path, 0, 120)
    return tmp_path


def append(place: Path, first: int, n: int, version: str = "v1") -> None:
    """Rows of the last hour."""
    now = datetime.now(UTC)
    with (place / "logs" / "log.jsonl").open("a") as file:
        for i in range(first, first + n):
            at = now - timedelta(minutes=50) + timedelta(seconds=i)
            row = {"id": f"r{i}", "timestamp": at.isoformat(), "version": version}
            file.write(json.dumps({**row, "score": (i % 10) / 10, "latency": 12.5}) + "\n")


def command(place: Path, name: str, *args: str) -> list[str]:
    config = str(place / "modelwatch.toml")
    return [sys.executable, "-m", "console.cli", name, "--config", config, *args]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "MODELWATCH_PUSH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def recorder(place: Path, *args: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running recorder and the line with which it said that it records."""
    with subprocess.Popen(
        command(place, "record", *args),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
        cwd=ROOT,
    ) as child:
        assert child.stderr is not None
        first = ""
        while "recording into" not in first:
            line = child.stderr.readline()
            assert line, first
            first += line
        try:
            yield child, first
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            child.stderr.read()


def until_shown(place: Path, wanted: int) -> dict[str, object]:
    """`show traffic` as JSON, once it has so many predictions."""
    until = time.monotonic() + 60
    while True:
        ran = subprocess.run(
            command(place, "show", "traffic", "--format", "json"),
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            cwd=ROOT,
        )
        assert ran.returncode == 0, ran.stderr
        found: dict[str, object] = json.loads(ran.stdout)
        rows = found["rows"]
        assert isinstance(rows, list)
        if sum(row["n"] for row in rows) == wanted:
            return found
        assert time.monotonic() < until, found


def fetch(url: str) -> tuple[int, str]:
    answer = httpx.get(url, timeout=10, trust_env=False)
    return answer.status_code, answer.text


def port_of(said: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
    assert found, said
    return int(found.group(1))


def test_it_records_answers_and_stops(place: Path) -> None:
    with recorder(place, "--listen", "127.0.0.1:0") as (child, said):
        base = f"http://127.0.0.1:{port_of(said)}"
        until_shown(place, 120)  # through its socket, since it owns the store
        append(place, 120, 30, "v2")
        until_shown(place, 150)
        lines = "".join(
            json.dumps({"id": f"r{i}", "label": i % 2, "received": datetime.now(UTC).isoformat()})
            + "\n"
            for i in range(100)
        )
        answer = httpx.post(
            f"{base}/v1/demo/labels",
            content=lines,
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"},
            trust_env=False,
        )
        assert answer.status_code == 202
        code, health = fetch(f"{base}/healthz")
        assert (code, json.loads(health)["status"]) == (200, "ok")
        until = time.monotonic() + 60
        while 'window_labelled_predictions{deployment="demo",version="v1"} 100' not in (
            text := fetch(f"{base}/metrics")[1]
        ):
            assert time.monotonic() < until, text
        assert_exposition(text)
        assert fetch(f"{base}/nothing")[0] == 404
        second = subprocess.run(
            command(place, "record", "--once"),
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            cwd=ROOT,
        )
        assert second.returncode == 3
        assert f"in use by another process (process {child.pid})" in second.stderr
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    assert not (place / "store.duckdb.sock").exists()
    until_shown(place, 150)  # without an owner


def assert_exposition(text: str) -> None:
    """OpenMetrics: every sample after its type, no family twice, an end."""
    assert text.endswith("# EOF\n")
    families: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in families
            families.add(name)
        elif not line.startswith("#"):
            found = re.fullmatch(r'(\w+)(\{(\w+="[^"\n]*",?)*\})? ([-+.\deEInf]+)', line)
            assert found, line
            assert found.group(1).removesuffix("_total") in families
    assert {"modelwatch_up", "modelwatch_figure", "modelwatch_data_age_seconds"} <= families


def test_its_log_is_json_where_that_is_asked_for(place: Path) -> None:
    append(place, 500, 1, "v\x1b[2Jx")
    with recorder(place, "--log-as", "json") as (child, said):
        until_shown(place, 121)
        child.send_signal(signal.SIGTERM)
        assert child.stderr is not None
        events = [json.loads(line) for line in (said + child.stderr.read()).splitlines()]
    assert {"started", "loaded", "stopped"} <= {e["event"] for e in events}
    assert all({"time", "level", "event", "message"} <= set(e) for e in events)
    loaded = [e for e in events if e["event"] == "loaded" and e["kind"] == "predictions"]
    assert sum(e["n_new"] for e in loaded) == 121


def test_records_are_pushed_only_with_a_token(place: Path) -> None:
    ran = subprocess.run(
        command(place, "record", "--listen", "127.0.0.1:0"),
        capture_output=True,
        text=True,
        check=False,
        env=environment(MODELWATCH_PUSH_TOKEN=""),
        cwd=ROOT,
    )
    assert ran.returncode == 2
    assert "MODELWATCH_PUSH_TOKEN must hold the token" in ran.stderr


@pytest.mark.parametrize("where", ["0.0.0.0:9464", "example.org:80", "nonsense"])
def test_it_listens_on_this_host_only(place: Path, where: str) -> None:
    ran = subprocess.run(
        command(place, "record", "--listen", where),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=ROOT,
    )
    assert ran.returncode == 2
    assert "--listen" in ran.stderr


def test_check_asks_the_servers_of_a_configuration(place: Path) -> None:
    with socket.socket() as taken:  # an address at which nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = (place / "modelwatch.toml").read_text()
        url = f'{{ url = "http://127.0.0.1:{port}/labels", every = "5s" }}'
        (place / "modelwatch.toml").write_text(text.replace("{ push = true }", url))
        ran = subprocess.run(
            command(place, "check"),
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            cwd=ROOT,
        )
    assert ran.returncode == 1
    assert "demo predictions: 1 file(s), every column is there" in ran.stdout
    assert f"demo labels: cannot reach http://127.0.0.1:{port}/labels" in ran.stdout


def test_systemd_is_told_when_it_is_ready(place: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        with recorder(place, NOTIFY_SOCKET=str(tmp_path / "notify")) as (child, _):
            assert systemd.recv(100) == b"READY=1"
            child.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"


def test_the_unit_file_starts_what_there_is() -> None:
    unit = (ROOT / "docs" / "systemd" / "modelwatch-record.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    options = re.findall(r"--[\w-]+", start)
    ran = subprocess.run(
        [sys.executable, "-m", "console.cli", "record", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert options
    assert [o for o in options if o not in ran.stdout] == []


class Screen:
    """A console on a terminal of its own."""

    def __init__(self, place: Path) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "console.cli", "--config", str(place / "modelwatch.toml"), "--stock-driver"],
            dimensions=(24, 100),
            cwd=str(ROOT),
            env={**environment(), "TERM": "xterm-256color", "LANG": "C.UTF-8"},  # type: ignore[arg-type]
            timeout=60,
        )

    def shows(self, *words: str) -> None:
        self.child.expect([re.escape(w).encode() for w in words])

    def quit(self) -> None:
        self.child.send("q")
        self.child.expect(pexpect.EOF)
        self.child.close()


def owner(place: Path) -> int | None:
    """The process that answers for the store."""
    config = place / "modelwatch.toml"
    reader = connected(load_config(config).store_path(config, os.environ))
    if reader is None:
        return None
    found = reader.state().get("pid")
    reader.close()
    return int(found) if found else None


def until_owned_by(place: Path, *pids: int) -> int:
    until = time.monotonic() + 60
    while (found := owner(place)) not in pids:
        assert time.monotonic() < until, found
    assert found is not None
    return found


def test_consoles_look_through_a_recorder_take_over_and_make_room(place: Path) -> None:
    with recorder(place) as (child, _):
        until_owned_by(place, child.pid)
        first, second = Screen(place), Screen(place)
        first.shows("v1")
        second.shows("v1")
        child.send_signal(signal.SIGKILL)
        child.wait()
        holder = until_owned_by(place, first.child.pid, second.child.pid)
    append(place, 200, 40, "v2")
    other = second if holder == first.child.pid else first
    other.shows("v2")  # brought by the one console, shown by the other
    with recorder(place) as (child, _):
        until_owned_by(place, child.pid)  # a console never blocks it
        append(place, 300, 40, "v3")
        first.shows("v3")
        second.shows("v3")
        first.quit()
        second.quit()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's command needs curl")
def test_the_page_about_pushing_works_as_it_is_written(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sources" / "push.md").read_text()
    (config,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    start, send = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "modelwatch record --listen 127.0.0.1:9464" in start
    (tmp_path / "modelwatch.toml").write_text('[store]\npath = "store.duckdb"\n' + config)
    rows = [
        {
            "id": f"r{i}",
            "timestamp": (datetime.now(UTC) - timedelta(minutes=i)).isoformat(),
            "version": "v1",
            "score": 0.5,
        }
        for i in range(40)
    ]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with recorder(tmp_path, "--listen", "127.0.0.1:0") as (_, said):
        sent = subprocess.run(
            ["bash", "-c", send.replace("9464", str(port_of(said)))],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=environment(),
        )
        assert json.loads(sent.stdout) == {"taken": True}
        until_shown(tmp_path, 40)
