"""The demo behind a real Envoy: what is served, what is logged, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sample_rows import SAMPLE, predictions
from test_cli import COMMAND, environment, process

from console.cli import main
from console.config import load_config
from console.control.audit import Audit, audit_path
from console.control.desk import Desk
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.planes.registry import make_plane
from console.control.who import who
from console.demo.breaking import break_server
from console.demo.host import DemoError, world
from console.demo.proxy import find_envoy
from console.demo.running import Running, announce, running
from console.demo.server import Fault
from console.demo.settings import Settings
from console.errors import UsageError

try:
    find_envoy()
except UsageError as error:
    pytest.skip(f"no Envoy on this machine: {error}", allow_module_level=True)

HOLD = """
import json, sys
from console.demo.host import world
from console.demo.settings import Settings
with world(Settings(sys.argv[1], rate=20)) as demo:
    print(json.dumps([demo.pid, demo.folder, demo.config]), flush=True)
    sys.stdin.read()
"""
"""A console's part of the demo, without a screen."""


def until(asked: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = asked()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    with world(Settings(str(SAMPLE), rate=200, label_delay_s=0.5)) as found:
        yield found


def logged(demo: Running, name: str = "predictions") -> list[dict[str, Any]]:
    text = (Path(demo.folder) / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def asked(address: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    where = urlsplit(address)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=10)
    try:
        text = body if isinstance(body, str) else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_answers_through_the_proxy_are_those_of_the_sample(demo: Running) -> None:
    row = predictions().row(5000, named=True)
    features = {k: v for k, v in row.items() if k not in ("timestamp", "month", "departure")}
    status, answer = asked(demo.proxy, "/predict", features)
    assert (status, answer["version"]) == (200, "v1")
    assert answer["score"] == pytest.approx(row["late_score"], abs=1e-9)
    assert row["version"] == "v1"


def test_every_answer_is_logged_once_and_labels_follow(demo: Running) -> None:
    rows = until(lambda: len(found := logged(demo)) > 300 and found, "300 predictions")
    labels = until(lambda: len(found := logged(demo, "labels")) > 100 and found, "100 labels")
    ids = [row["request_id"] for row in rows]
    assert len(set(ids)) == len(ids)
    by_id = {row["request_id"]: row for row in logged(demo)}
    for label in labels:
        assert label["received_at"] > by_id[label["request_id"]]["timestamp"]
    # what was logged is what that model says of the row that was sent
    truth = {r["request_id"]: r for r in predictions().to_dicts()}
    for row in rows[:200]:
        sent = truth[row["request_id"].rpartition("-")[0]]
        assert row["status"] == "200"
        assert (row["temp"], row["dest"]) == (sent["temp"], sent["dest"])
        if sent["version"] == row["version"]:
            assert row["late_score"] == pytest.approx(sent["late_score"], abs=1e-9)
        assert row["fallback_score"] == pytest.approx(sent["fallback_score"], abs=1e-12)


def test_its_recorder_has_the_rows_and_the_console_can_ask(
    demo: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown() -> Any:
        assert main(["show", "traffic", "--config", demo.config, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        return rows and rows[0]["n"] > 200 and rows

    rows = until(shown, "rows in the store")
    assert rows[0]["version"] == "v1"


def test_a_change_of_the_split_fails_no_request(demo: Running) -> None:
    """The target for a change that a user makes: none of the requests in flight is lost."""
    control = load_config(Path(demo.config)).controls["flight-late"]
    with make_plane(control, Path(demo.folder)) as plane:
        audit = Audit(audit_path(Path(demo.store)))
        desk = Desk("flight-late", control, plane, audit, who("command", {}), refused="")
        for percent in (50, 100, 0, 33, 0):
            purpose = Purpose.FALLBACK if percent else Purpose.ROLLBACK
            shares = {"heuristic": Fraction(percent)} if percent else None
            proposal = desk.propose(purpose, shares, "a test", None)
            outcome = desk.act(proposal, "flight-late")
            assert outcome.result is Result.APPLIED, outcome.text
    counted = Counter((row["version"], row["status"]) for row in logged(demo))
    assert {status for _, status in counted} == {"200"}, counted
    assert counted["heuristic", "200"] > 20


@pytest.mark.parametrize(
    ("fault", "status", "seen"),
    [
        (Fault.ERRORS, {200, 500}, {}),
        (Fault.FEATURE, {200}, {"dep_minute": 10.0}),
        (Fault.DOWN, {503}, {}),
    ],
)
def test_a_server_can_be_broken_and_mended(
    demo: Running, fault: Fault, status: set[int], seen: dict[str, float]
) -> None:
    row = {"dep_minute": 600}
    whole = asked(demo.servers["v2"], "/predict", row)
    break_server(demo, "v2", fault)
    found = [asked(demo.servers["v2"], "/predict", row) for _ in range(6)]
    assert asked(demo.servers["v2"], "/health")[0] == (503 if fault is Fault.DOWN else 200)
    break_server(demo, "v2", Fault.OFF)
    assert {s for s, _ in found} == status
    assert all(answer.get("seen", {}) == seen for s, answer in found if s == 200)
    if fault is Fault.FEATURE:
        assert found[0][1]["score"] != whole[1]["score"]
    assert asked(demo.servers["v2"], "/predict", row) == whole


def test_the_slow_fault_is_slow(demo: Running) -> None:
    break_server(demo, "heuristic", Fault.LATENCY)
    began = time.monotonic()
    assert asked(demo.servers["heuristic"], "/predict", {})[0] == 200
    break_server(demo, "heuristic", Fault.OFF)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", "{", 400),
        ("/predict", "[1]", 400),
        ("/predict", "[" * 50_000, 400),
        ("/predict", '{"temp": "\\u001b[31m"}', 400),
        ("/predict", '{"x": "' + "a" * 70_000 + '"}', 400),
        ("/fault", '{"kind": "meteor"}', 400),
        ("/other", "{}", 404),
    ],
)
def test_a_server_outlives_nonsense(demo: Running, path: str, body: str, status: int) -> None:
    assert asked(demo.servers["v1"], path, body)[0] == status
    assert asked(demo.servers["v1"], "/health")[0] == 200


def test_another_terminal_breaks_the_newest_demo(demo: Running, tmp_path: Path) -> None:
    runtime = str(tmp_path / "run")
    announce(demo, {"XDG_RUNTIME_DIR": runtime})
    row = {"dep_minute": 600}
    for written, seen in (("feature", {"dep_minute": 10.0}), ("v2=off", {})):
        done = process("demo", "--break", written, cwd=tmp_path, XDG_RUNTIME_DIR=runtime)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("v2: ")
        assert asked(demo.servers["v2"], "/predict", row)[1].get("seen", {}) == seen
    for written, said in (
        ("fire", "errors, latency, feature, down, off"),
        ("v9=off", "it has v1, v2"),
    ):
        done = process("demo", "--break", written, cwd=tmp_path, XDG_RUNTIME_DIR=runtime)
        assert done.returncode == 2
        assert said in done.stderr


def test_without_a_demo_there_is_nothing_to_break(tmp_path: Path) -> None:
    # one that died without a word is forgotten
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    dead = Running(gone.pid, "", "", "", "", {"v2": "http://127.0.0.1:1"})
    place = announce(dead, {"XDG_RUNTIME_DIR": str(tmp_path)})
    done = process("demo", "--break", "errors", cwd=tmp_path, XDG_RUNTIME_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no demo runs here" in done.stderr
    assert not place.exists()


def test_wrong_uses_are_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--rate", "many"], "--rate takes requests a second"),
        (["--rate", "1e9"], "1 to 500"),
        (["--as-of", "2013-02-13"], "--as-of is of the replay"),
        (["--sample", "/nowhere"], "there is no modelwatch.toml"),
    ):
        assert main(["demo", "--with-proxy", "--headless", *words]) == 2
        assert said in capsys.readouterr().err


def test_a_folder_that_is_no_sample_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="did not start"), world(Settings(str(tmp_path))):
        raise AssertionError("it started")
    assert not running(os.environ)


@pytest.mark.slow
def test_the_story_comes_true(tmp_path: Path) -> None:
    """Rolled out, broken, rolled back to a measured 0 %, fallen back, returned: as CI runs it."""
    done = subprocess.run(
        [*COMMAND, "demo", "--with-proxy", "--headless", "--rate", "150"],
        cwd=tmp_path, env=environment(XDG_RUNTIME_DIR=str(tmp_path)), capture_output=True,
        text=True, timeout=400, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("rolled back", "fallback", "return", "0 otherwise", "is whole"):
        assert said in done.stdout
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


# -- however it ends, nothing stays ----------------------------------------------------------------


def processes(mark: str) -> set[int]:
    """Live processes that have a text in their command line."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in place.read_bytes():
                found.add(int(place.parent.name))
        except OSError:
            continue
    return found


def descendants(pid: int) -> set[int]:
    """Children of a process, and theirs."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(place.parent.name))
    found, todo = set[int](), [pid]
    while todo:
        todo += (children := parents.get(todo.pop(), []))
        found |= set(children)
    return found


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.add(pid)
    return found


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A console with its demo: the process, the pid of the world, the folder."""
    words = [sys.executable, "-P", "-c", HOLD, str(SAMPLE)]
    child = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env=environment(XDG_RUNTIME_DIR=str(tmp_path / "run"), TMPDIR=str(tmp_path)),
    )  # fmt: skip
    try:
        assert child.stdout is not None
        pid, folder, _ = json.loads(child.stdout.readline())
        yield child, pid, Path(folder)
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; only Linux ends orphans at once")
@pytest.mark.parametrize(
    "how",
    [
        "SIGKILL",
        *(
            pytest.param(how, marks=pytest.mark.slow)
            for how in ("its end", "SIGTERM", "the world's SIGKILL")
        ),
    ],
)
def test_however_it_ends_nothing_stays(
    held: tuple[subprocess.Popen[str], int, Path], tmp_path: Path, how: str
) -> None:
    child, pid, folder = held
    everything = {pid, *descendants(pid)}
    assert len(everything) == 6  # it, three servers, Envoy, the recorder
    assert folder.is_dir()
    if how == "its end":
        assert child.stdin is not None
        child.stdin.close()
    elif how == "the world's SIGKILL":
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(everything), "its children end with it")
        assert child.stdin is not None
        child.stdin.close()
    else:
        child.send_signal(getattr(signal, how))
    until(lambda: not alive(everything), "everything ends")
    until(lambda: child.poll() is not None, "the console's part ends")
    until(lambda: not folder.exists(), "the folder is gone")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == []
