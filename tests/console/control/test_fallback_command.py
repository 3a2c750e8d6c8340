"""`modelwatch fallback` over a real Envoy: on, off, status, preview."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fallback_rig import Rig

from console.cli import main
from console.control.entries import EntryKind

RULE = """
[[control.fallback.rule]]
figure = "error_rate"
above = 0.05
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("fallback"), RULE)
    yield rig
    rig.close()


@pytest.fixture
def rig(running: Rig, capsys: pytest.CaptureFixture[str]) -> Rig:
    running.back()
    capsys.readouterr()
    return running


WRITE = ("--write", "--yes-i-mean", "churn", "--reason", "v2 fails")


def test_on_and_off_again(rig, capsys):
    assert rig.run("on", *WRITE) == 0
    assert rig.serves() == {"simple"}
    assert "simple would have been worse: f1" in capsys.readouterr().out
    intent = rig.last(EntryKind.INTENT)
    assert intent.fields["purpose"] == "fallback"
    assert intent.fields["reason"] == "v2 fails"
    assert any("would have been worse" in text for text in intent.fields["effect"])
    assert rig.run("status", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["on"] == "simple"
    assert rig.run("off", "--write", "--yes-i-mean", "churn") == 0
    assert rig.serves() == {"v2"}
    assert rig.last(EntryKind.INTENT).fields["purpose"] == "return"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("on",), 2),
        (("on", "--dry-run"), 0),
        (("on", "--write", "--yes-i-mean", "other"), 1),
        (("on", "nobody", *WRITE), 2),
    ],
)
def test_nothing_is_changed_without_leave(rig, capsys, words, code):
    assert rig.run(*words) == code
    assert rig.serves() == {"v2"}


def test_a_target_that_is_down_is_passed_over(rig, capsys):
    rig.upstreams["simple"].status = 503
    assert rig.run("on", *WRITE) == 0
    assert rig.serves() == {"v1"}
    assert "simple is down" in capsys.readouterr().err


def test_a_named_target_that_is_down_is_refused(rig, capsys):
    rig.upstreams["simple"].status = 503
    assert rig.run("on", "simple", *WRITE) == 1
    assert rig.serves() == {"v2"}
    assert "sending it traffic would fail requests" in capsys.readouterr().err


def test_off_without_a_fallback_says_what_to_do(rig, capsys):
    # a change of another kind: what was before the fallback is over
    command = ["traffic", "rollback", "--config", str(rig.config)]
    assert main([*command, "--write", "--yes-i-mean", "churn"]) == 0
    capsys.readouterr()
    assert rig.run("off", "--write", "--yes-i-mean", "churn") == 2
    assert "modelwatch traffic set" in capsys.readouterr().err


def test_status_says_who_is_up_and_what_rules_see(rig, capsys):
    rig.upstreams["simple"].status = 500
    assert rig.run("status", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(t["arm"], t["health"]) for t in found["targets"]] == [("simple", "down"), ("v1", "up")]
    assert found["rules"][0]["rule"] == "error_rate above 0.05 for 2m"
    assert found["rules"][0]["verdict"] == "kept"
    assert rig.run("status") == 0
    assert "error_rate above 0.05 for 2m" in capsys.readouterr().out


def test_status_of_a_dead_plane(rig, capsys):
    rig.envoy.stop()
    try:
        assert rig.run("status") == 3
        said = capsys.readouterr()
        assert "cannot reach" in said.out + said.err
    finally:
        rig.envoy.start()
        text = rig.config.read_text()
        start = text.index("admin = [")
        rig.config.write_text(
            text[:start]
            + f'admin = ["http://127.0.0.1:{rig.envoy.admin}"'
            + text[text.index("]", start) :]
        )


def test_preview(rig, capsys):
    assert rig.run("preview") == 0
    shown = capsys.readouterr().out
    assert "simple would have been worse: f1" in shown
    assert "cost per 1,000" in shown
    assert rig.run("preview", "v1", "--format", "json", "--window", "3h") == 0
    found = json.loads(capsys.readouterr().out)
    assert [t["arm"] for t in found["targets"]] == ["v1"]
    assert found["targets"][0]["latency"]["latency_p95"]["value"] > 0


def test_no_terminal_library_and_no_plane_is_needed_to_preview(rig):
    code = (
        "import sys; from console.cli import main; "
        f"code = main(['fallback', 'preview', '--config', {str(rig.config)!r}]); "
        "assert not {'textual', 'rich', 'httpx'} & set(sys.modules), set(sys.modules); "
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "would have been worse" in done.stdout


def test_slips_of_the_pen(rig, capsys):
    assert rig.run("off", "simple") == 2
    assert rig.run("status", "simple") == 2
    assert rig.run("preview", "nobody") == 2
    assert rig.run("preview", "--window", "x") == 2
    assert "Traceback" not in capsys.readouterr().err
