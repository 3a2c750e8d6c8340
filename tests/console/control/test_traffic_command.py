"""`modelwatch traffic` over a real Envoy: what is shown, refused, confirmed; exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pexpect
import pytest
from fallback_rig import Rig

from console.cli import main
from console.control.entries import EntryKind

YES = ("--write", "--yes-i-mean", "churn", "--reason", "canary")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("traffic"))
    yield rig
    rig.close()


@pytest.fixture
def rig(running: Rig, capsys: pytest.CaptureFixture[str]) -> Rig:
    running.envoy.modify({"split.model.v1": 90, "split.model.v2": 10, "split.model.simple": 0})
    for path in running.config.parent.glob("store.duckdb.audit*"):  # so that nothing has to wait
        path.unlink()
    capsys.readouterr()
    return running


def run(rig: Rig, *words: str) -> int:
    return main(["traffic", *words, "--config", str(rig.config)])


def weights(rig: Rig) -> list[int]:
    runtime = rig.envoy.runtime()
    return [int(runtime[f"split.model.{arm}"]) for arm in ("v1", "v2", "simple")]


def test_show_counts_for_a_moment(rig, capsys):
    assert run(rig, "show", "--format", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [a["configured"] for a in shown["arms"]] == [0.9, 0.1, 0.0]
    assert sum(a["n"] for a in shown["arms"]) > 0
    assert shown["writable"] is False
    assert run(rig) == 0  # show is what it does when nothing is said
    assert "this is read-only" in capsys.readouterr().out


def test_set_rollback_and_undo(rig, capsys):
    assert run(rig, "set", "v2=30", *YES) == 0
    assert weights(rig) == [70, 30, 0]
    assert run(rig, "rollback", "--write", "--yes-i-mean", "churn") == 0
    assert weights(rig) == [100, 0, 0]
    capsys.readouterr()
    # back up again is an increase as any other: the last one was just now
    assert run(rig, "undo", "--write", "--yes-i-mean", "churn") == 1
    assert "wait" in capsys.readouterr().err
    assert weights(rig) == [100, 0, 0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "v2=20", "--reason", "x"), 2, "--write"),
        (("set", "v2=20", "--write"), 2, "say why"),
        (("set", "v2=20", "--write", "--reason", "x"), 2, "--yes-i-mean churn"),
        (("set", "v2=20", "--write", "--reason", "x", "--yes-i-mean", "chum"), 1, "not churn"),
        (("set", *YES), 2, "like `modelwatch traffic set v2=25`"),
        (("set", "v3=20", *YES), 2, "there is no arm 'v3'"),
        (("set", "v2=0.5", *YES), 2, "the smallest step is 1%"),
        (("set", "v2=60,v1=60", *YES), 2, "add up to 120%"),
        (("set", "v2=60", *YES), 1, "at most 25 at once"),
        (("set", "v2=10", *YES), 1, "split so already"),
        (("rollback", "now", *YES), 2, "takes nothing more"),
        (("complete", *YES), 2, "the audit does not say"),
        (("set", "v2=20", "--deployment", "other", *YES), 2, "there is no deployment 'other'"),
    ],
)
def test_nothing_is_changed_and_why(rig, capsys, words, code, said):
    assert run(rig, *words) == code
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert weights(rig) == [90, 10, 0]


def test_a_dry_run_says_what_it_would_and_whether_it_might(rig, capsys):
    assert run(rig, "set", "v2=20", "--dry-run") == 0
    assert "v2 10% -> 20%" in capsys.readouterr().out
    assert run(rig, "set", "v2=60", "--dry-run", "--format", "json") == 1
    proposal = json.loads(capsys.readouterr().out)["proposal"]
    assert proposal["permitted"] is False
    assert weights(rig) == [90, 10, 0]
    assert not rig.audit.entries()


def test_another_store_is_no_way_around_the_audit(rig, capsys, tmp_path):
    assert run(rig, "set", "v2=20", *YES) == 0
    elsewhere = tmp_path / "other.duckdb"
    shutil.copy(rig.config.parent / "store.duckdb", elsewhere)
    capsys.readouterr()
    assert run(rig, "set", "v2=30", "--store", str(elsewhere), *YES) == 2
    assert "leave --store out" in capsys.readouterr().err
    assert weights(rig) == [80, 20, 0]


def test_without_a_control_it_says_where_to_write_one(tmp_path, capsys):
    config = tmp_path / "modelwatch.toml"
    config.write_text('[[deployment]]\nname="d"\ntask="binary"\npredictions="p.csv"\nscore="s"\n')
    assert main(["traffic", "show", "--config", str(config)]) == 2
    assert "[[control]]" in capsys.readouterr().err


def test_a_dead_plane_is_a_failure_with_its_sentence(rig, capsys):
    text = rig.config.read_text()
    dead = rig.config.with_name("dead.toml")
    dead.write_text(text.replace(f":{rig.envoy.admin}", ":1"))
    code = main(["traffic", "rollback", *YES, "--config", str(dead)])
    assert code == 3
    assert "cannot reach" in capsys.readouterr().err
    assert main(["traffic", "show", "--config", str(dead)]) == 3


def test_the_name_is_typed_on_a_terminal(rig):
    command = [sys.executable, "-m", "console.cli", "traffic", "set", "v2=20", "--reason", "x"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for typed, code in (("", 1), ("churn", 0)):
        with pexpect.spawn(
            command[0],
            [*command[1:], "--write", "--config", str(rig.config)],
            env=environment,
            timeout=60,
            encoding="utf-8",
        ) as child:
            child.expect("type churn to confirm")
            child.sendline(typed)
            child.expect(pexpect.EOF)
            child.wait()
            assert child.exitstatus == code
        assert weights(rig) == ([80, 20, 0] if code == 0 else [90, 10, 0])


@pytest.mark.slow
def test_a_recorder_that_hangs_holds_up_no_rollback(rig):
    """Its socket takes the question and never answers: what was known is left out, and said."""
    ready = threading.Event()
    recorder = subprocess.Popen(
        [sys.executable, "-m", "console.cli", "record", "--config", str(rig.config)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in recorder.stderr:
            if "recording into" in line:
                ready.set()
                break
        assert ready.is_set()
        assert _answered(rig)
        recorder.send_signal(signal.SIGSTOP)
        words = ["traffic", "rollback", *YES, "--config", str(rig.config)]
        done = subprocess.run(
            [sys.executable, "-m", "console.cli", *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "has not answered in 3 s" in done.stderr
        assert weights(rig) == [100, 0, 0]
    finally:
        recorder.kill()
        recorder.wait(10)
        recorder.stderr.close()
    assert rig.last(EntryKind.RESULT).fields["outcome"] == "applied"


def _answered(rig: Rig) -> bool:
    """Once the recorder answers for its store."""
    from servers import until  # noqa: PLC0415

    from collectors.live.client import connected  # noqa: PLC0415

    def there() -> bool:
        reader = connected(rig.config.parent / "store.duckdb")
        if reader is None:
            return False
        reader.close()
        return True

    until(there, "the recorder's socket", 60)
    return True
