"""`modelwatch audit`: the record shown, verified and exported."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.cli import main
from console.control.audit import Audit, EntryKind, audit_path, head_path
from console.control.who import Who

AT = datetime(2026, 3, 1, 12, 30, 1, tzinfo=UTC)
ME = Who("mei", "ops-1", "10.0.0.7", "command")
HOSTILE = "=cmd()\x1b[31m\u202e[bold]\ttab"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration; an audit is found without a store."""
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "modelwatch.toml"
    path.write_text(
        '[store]\npath = "s.duckdb"\n\n[[deployment]]\nname = "churn"\ntask = "binary"\n'
        'id = "id"\nprediction = "p"\npredictions = "*.csv"\npositive = "1"\n'
    )
    return path


@pytest.fixture
def audit(config: Path) -> Audit:
    """A change and its result, a refused one, one of another deployment, one without a result."""
    made = Audit(audit_path(config.parent / "s.duckdb"))
    split = {"before": {"v1": 100, "v2": 0}, "after": {"v1": 90, "v2": 10}}
    rows: tuple[tuple[EntryKind, str, str, dict[str, Any]], ...] = (
        (EntryKind.INTENT, "churn", "c-1", {"purpose": "set", **split, "reason": HOSTILE}),
        (EntryKind.RESULT, "churn", "c-1", {"outcome": "applied", "text": "so it is"}),
        (EntryKind.REFUSED, "churn", "c-2", {"purpose": "set", **split, "text": "too much"}),
        (EntryKind.RAMP, "fraud", "r-1", {"event": "step", "arm": "v2", "step": 5, "why": "fine"}),
        (EntryKind.INTENT, "churn", "c-3", {"purpose": "rollback", "after": {"v1": 1, "v2": 0}}),
    )
    for n, (kind, deployment, change, fields) in enumerate(rows):
        made.append(AT + timedelta(seconds=n), kind, deployment, change, ME, fields)
    return made


def ran(
    capsys: pytest.CaptureFixture[str], config: Path, *words: str, code: int = 0
) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["audit", *words, "--config", str(config)]) == code
    out, err = capsys.readouterr()
    return out, err


def test_the_newest_entry_is_first_and_what_has_no_result_on_top(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = ran(capsys, config, "show")
    lines = out.splitlines()
    assert lines[0] == f"5 entries of the audit {audit.path}"
    assert lines[2].startswith("x c-3 of churn has no result: rollback: to v1 100%, v2 0%, by mei@")
    assert "modelwatch traffic settle" in lines[2]
    assert [line.split()[0] for line in lines[6:]] == ["5", "4", "3", "2", "1"]
    assert "set: v1 100% -> 90%, v2 0% -> 10%" in lines[-1]
    assert "set applied: so it is" in lines[-2]
    assert "mei@ops-1 from 10.0.0.7" in lines[-1]
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_entries_of_one_deployment_and_a_limit(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = ran(capsys, config, "show", "--limit", "2", "--deployment", "churn")
    assert "r-1" not in out
    assert "c-1" not in out
    assert "the newest 2 of 4; --limit gives more" in err
    out, err = ran(capsys, config, "show", "--deployment", "chrun", code=2)
    assert "there is churn, fraud" in err
    for limit in ("0", "x", "-1", "9" * 30):
        ran(capsys, config, "show", "--limit", limit, code=2)


def test_json_has_all_of_an_entry(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = ran(capsys, config, "show", "--format", "json")
    assert out.isascii()
    document = json.loads(out)
    assert list(document) == ["audit", "n", "unresolved", "entries"]
    assert document["unresolved"] == ["c-3"]
    assert [e["n"] for e in document["entries"]] == [5, 4, 3, 2, 1]
    first = document["entries"][-1]
    assert list(first) == [
        *("n", "at", "kind", "deployment", "change", "who", "what", "reason", "fields"),
        *("previous", "hash"),
    ]
    assert first["who"] == {
        "user": "mei",
        "host": "ops-1",
        "origin": "10.0.0.7",
        "program": "command",
    }
    assert first["reason"] == HOSTILE
    assert first["at"] == "2026-03-01T12:30:01.000000Z"
    assert first["hash"] == document["entries"][-2]["previous"]


def test_csv_holds_no_formula_and_no_control_character(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = ran(capsys, config, "show", "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["n"] for row in rows] == ["5", "4", "3", "2", "1"]
    assert rows[-1]["reason"].startswith("'=cmd()")
    assert "\x1b" not in out


def test_a_sound_audit_and_one_that_is_not(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = f"5:{audit.entries()[-1].hash}"
    out, _ = ran(capsys, config, "verify")
    assert out == f"{audit.path}: 5 entries, all there and unchanged\nhead {head}\n"
    ran(capsys, config, "verify", "--head", head)
    out, _ = ran(capsys, config, "verify", "--head", "5:" + "0" * 64, code=1)
    assert "entry 5 has another hash than was noted" in out
    _, err = ran(capsys, config, "verify", "--head", "five", code=2)
    assert "NUMBER:HASH" in err
    audit.path.write_bytes(audit.path.read_bytes().replace(b"too much", b"too wide"))
    out, _ = ran(capsys, config, "verify", code=1)
    assert out.startswith(f"{audit.path} is not whole: line 3: its hash does not fit")
    out, _ = ran(capsys, config, "verify", "--format", "json", code=1)
    assert json.loads(out) == {
        "audit": str(audit.path),
        "fine": False,
        "n": 4,
        "torn": 0,
        "line": 3,
        "problem": "its hash does not fit what it says: it was changed",
        "head": None,
    }


def test_before_the_first_change_there_is_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing was changed yet" in ran(capsys, config, "show")[0]
    assert "nothing was changed yet" in ran(capsys, config, "verify")[0]
    assert ran(capsys, config, "export")[0] == ""
    assert not list(config.parent.glob("*audit*"))


def test_one_that_cannot_be_read_ends_with_3(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.path.unlink()
    audit.path.mkdir()
    for action in ("show", "verify", "export"):
        _, err = ran(capsys, config, action, code=3)
        assert "cannot be read: it is no plain file" in err


def test_a_crash_is_told_and_is_no_finding(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = audit.path.read_bytes()
    audit.path.write_bytes(whole + whole[:100])
    out, _ = ran(capsys, config, "verify")
    assert "5 entries, all there and unchanged; 1 unfinished line that a crash left" in out


def test_an_export_can_be_verified_elsewhere(
    audit: Audit, config: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = ["audit", "export", "--config", str(config)]
    copy = tmp_path / "copy.jsonl"
    assert main([*words, "--output", str(copy)]) == 0
    head = capsysbinary.readouterr().err.decode().split()[-1]
    assert copy.read_bytes() == audit.path.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert main([*words, "--output", str(copy)]) == 2  # never over another file
    assert main([*words, "--output", str(copy), "--force"]) == 0
    capsysbinary.readouterr()
    assert main(words) == 0
    assert capsysbinary.readouterr().out == copy.read_bytes()
    elsewhere = ["audit", "verify", "--input", str(copy)]
    assert main(elsewhere) == 0
    copy.write_bytes(b"".join(copy.read_bytes().splitlines(keepends=True)[:-1]))
    assert main(elsewhere) == 0  # a chain alone does not show it
    assert main([*elsewhere, "--head", head]) == 1
    assert b"entry 5 is missing at the end" in capsysbinary.readouterr().out
    assert main(["audit", "show", "--input", str(copy)]) == 0
    assert main(["audit", "show", "--input", str(tmp_path / "absent")]) == 2


def test_an_export_of_what_is_not_whole_says_so(
    audit: Audit, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head_path(audit.path).unlink()
    _, err = ran(capsys, config, "export", "--output", str(tmp_path / "copy.jsonl"), code=1)
    assert "it is not whole: its .head file is missing" in err
    assert (tmp_path / "copy.jsonl").exists()


def test_a_spreadsheet_of_one_deployment(
    audit: Audit, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("export", "--deployment", "fraud")
    _, err = ran(capsys, config, *words, code=2)
    assert "--format csv exports them" in err
    capsys.readouterr()
    path = config.parent / "out.csv"
    ran(capsys, config, *words, "--format", "csv", "--output", str(path))
    assert [row["change"] for row in csv.DictReader(path.read_text().splitlines())] == ["r-1"]


@pytest.mark.parametrize(
    "words",
    [
        ("show", "--head", "1:2"),
        ("show", "--output", "x"),
        ("verify", "--limit", "3"),
        ("verify", "--format", "csv"),
        ("export", "--limit", "3"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    words: tuple[str, ...], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(capsys, config, *words, code=2)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_to_the_terminal_and_says_which_program(
    config: Path,
    audit: Audit,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    """A rule of a person's screen, a command and what goes by itself can be told apart."""
    split = {"before": {"v1": 100, "v2": 0}, "after": {"v1": 90, "v2": 10}}
    by = Who("root", "ops-1", "", "recorder")
    long = {"purpose": "rollback", **split, "reason": "a reason that says all of it " * 9}
    audit.append(AT, EntryKind.INTENT, "churn", "c-4", by, long)
    audit.append(
        AT, EntryKind.RESULT, "churn", "c-4", by, {"outcome": "applied", "text": "x" * 300}
    )
    monkeypatch.setenv("COLUMNS", str(width))
    out, _ = ran(capsys, config, "show")
    table = out[out.index("when (UTC)") - 10 :].splitlines()
    assert max(map(len, table)) <= width
    assert "recorder" in out and "command" in out
    assert ("a reason that says" in out) == (width == 120)
