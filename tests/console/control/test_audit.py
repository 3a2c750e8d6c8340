"""The audit: nothing that was written is lost or changed without being found."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.control import audit as audit_file
from console.control.audit import Audit, AuditCheck, EntryKind, head_path
from console.control.entries import LONGEST_LINE, Link, link_of
from console.control.errors import AuditError
from console.control.who import Who

AT = datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=UTC)
ME = Who("mei", "ops-1", "10.0.0.7", "console")
ROOT = Path(__file__).parents[3]


def add(
    audit: Audit, change: str = "c-1", kind: EntryKind = EntryKind.INTENT, **fields: Any
) -> None:
    audit.append(AT, kind, "demo", change, ME, fields)


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "s.duckdb.audit.jsonl")


@pytest.fixture
def five(audit: Audit) -> Audit:
    """With five entries."""
    for n in range(5):
        add(audit, f"c-{n}", reason=f"because {n}")
    return audit


# -- what is written -------------------------------------------------------------------------------


def test_entries_come_back_as_they_were_written(audit: Audit) -> None:
    assert audit.entries() == ()
    assert audit.verify() == AuditCheck(0, 0, "", 0, "")
    here = datetime(2026, 3, 1, 14, 30, 1, 5).astimezone()
    fields = {"before": {"v1": 75, "v2": 25}, "why": 'say "no" \x1b[31m', "n": [1, 2.5, None, True]}
    made_entry = audit.append(here, EntryKind.REFUSED, "demo", "c-1", ME, fields)
    assert audit.entries() == (made_entry,)
    assert (made_entry.n, made_entry.at, made_entry.who) == (1, here, ME)
    assert made_entry.fields == fields
    again = Audit(audit.path)
    assert again.entries() == (made_entry,)
    assert again.verify() == AuditCheck(1, 0, "", 0, made_entry.hash)
    assert audit.path.stat().st_mode & 0o777 == 0o600
    assert head_path(audit.path).stat().st_mode & 0o777 == 0o600
    text = audit.path.read_bytes()
    assert text.isascii()
    assert b"\x1b" not in text


def test_a_chain_can_be_checked_with_ten_lines_of_anything(five: Audit) -> None:
    """As docs/audit.md describes it, without this project's code."""
    import hashlib  # noqa: PLC0415

    previous = ""
    for line in five.path.read_text().splitlines():
        entry = json.loads(line)
        said = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == said
        assert entry["previous"] == previous
        previous = said


def test_only_what_came_since_is_read(five: Audit) -> None:
    first = five.entries()
    add(Audit(five.path), "c-9")
    then = five.entries()
    assert all(a is b for a, b in zip(first, then, strict=False))
    assert [e.change for e in then[5:]] == ["c-9"]


def test_an_intent_without_a_result_is_unresolved(audit: Audit) -> None:
    add(audit, "c-1")
    add(audit, "c-2")
    add(audit, "c-1", EntryKind.RESULT, outcome="applied")
    add(audit, "c-3", EntryKind.REFUSED)
    audit.append(AT, EntryKind.RESULT, "another", "c-2", ME, {})
    assert [e.change for e in audit.unresolved()] == ["c-2"]


def test_values_that_json_has_not_are_written_as_text(audit: Audit) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    deep: Any = "deep"
    for _ in range(10_000):
        deep = [deep]
    entry = audit.append(
        AT.replace(tzinfo=None),
        EntryKind.RAMP,
        "demo",
        "",
        ME,
        {
            "nan": math.nan,
            "inf": math.inf,
            "huge": 10**6000,
            "at": AT + timedelta(hours=1),
            "tuple": (1, {2: "two"}),
            "half": "\ud83d\ude00 \ud800",
            "odd": Odd(),
            "deep": deep,
            "kind": EntryKind.RAMP,
            "path": Path("/a/b"),
        },
    )
    assert entry.at == AT
    assert entry.fields["nan"] == "nan"
    assert entry.fields["huge"] == "a number of 19932 bits"
    assert entry.fields["at"] == "2026-03-01T13:30:01.000005Z"
    assert entry.fields["tuple"] == [1, {"2": "two"}]
    assert entry.fields["half"] == "\U0001f600 \ufffd"
    assert entry.fields["odd"] == "\ufffd"
    assert entry.fields["kind"] == "ramp"
    assert audit.verify().fine


def test_an_entry_has_a_bounded_size_and_marks_what_was_cut(audit: Audit) -> None:
    wide = {f"arm{n}": n for n in range(100_000)}
    add(audit, before=wide, text="x" * 10**7, many=[{"y": "\x00" * 999}] * 10_000)
    add(
        audit,
        **{
            f"{n}": {str(m): {str(o): "\U0001f600" * 99 for o in range(99)} for m in range(99)}
            for n in range(99)
        },
    )
    lines = audit.path.read_bytes().splitlines()
    assert max(map(len, lines)) <= LONGEST_LINE
    first, second = audit.entries()
    assert first.fields["text"].endswith("…")
    assert "more" in first.fields["before"]["…"]
    assert "more" in first.fields["many"][-1]
    assert second.fields == {"left_out": "all: it was too long"}
    assert audit.verify().fine


def test_a_line_of_another_release_is_passed_over_and_stays_in_the_chain(five: Audit) -> None:
    last = link_of(five.path.read_bytes().splitlines()[-1])
    assert isinstance(last, Link)
    line = chained(last, "invented")
    five.path.write_bytes(five.path.read_bytes() + line + b"\n")
    assert five.verify().n == 6
    assert five.verify().fine
    assert len(five.entries()) == 5
    add(five)
    assert five.verify() == AuditCheck(7, 0, "", 0, five.entries()[-1].hash)


def chained(last: Link, kind: str) -> bytes:
    import hashlib  # noqa: PLC0415

    def text(value: object) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    whole = {"at": "2026-03-01T00:00:00Z", "kind": kind, "n": last.n + 1, "previous": last.hash}
    return text({**whole, "hash": hashlib.sha256(text(whole).encode()).hexdigest()}).encode()


# -- tampering -------------------------------------------------------------------------------------


def without_last(five: Audit) -> None:
    lines = five.path.read_bytes().splitlines(keepends=True)
    five.path.write_bytes(b"".join(lines[:-1]))


def half_a_last(five: Audit) -> None:
    five.path.write_bytes(five.path.read_bytes()[:-30])


def changed_last(five: Audit) -> None:
    five.path.write_bytes(five.path.read_bytes().replace(b"because 4", b"because 5"))


def emptied(five: Audit) -> None:
    five.path.write_bytes(b"")


def gone(five: Audit) -> None:
    five.path.unlink()


def headless(five: Audit) -> None:
    head_path(five.path).unlink()


def head_put_back(five: Audit) -> None:
    head_path(five.path).write_text(json.dumps({"n": 2, "hash": five.entries()[1].hash}))


def head_of_nothing(five: Audit) -> None:
    head_path(five.path).write_bytes(b"\xff{[")


def appended(five: Audit) -> None:
    five.path.write_bytes(five.path.read_bytes() + b"hello\n")


def blank_appended(five: Audit) -> None:
    five.path.write_bytes(five.path.read_bytes() + b"\n")


def foreign(five: Audit) -> None:
    five.path.write_bytes(b"id,name\n1,x\n" * 300_000)


@pytest.mark.parametrize(
    ("tamper", "said", "entries"),
    [
        (without_last, "entry 5 is missing at the end", 4),
        (half_a_last, "entry 5 is missing at the end", 4),
        (changed_last, "its hash does not fit", 5),
        (emptied, "all 5 entries are missing", 0),
        (gone, "all 5 entries are missing", 0),
        (headless, ".head file is missing", 5),
        (head_put_back, "put back: it notes entry 2 of 5", 5),
        (head_of_nothing, ".head file makes no sense", 5),
        (appended, "it is no entry", 5),
        (blank_appended, "it is no entry", 5),
        (foreign, "it is no entry", 0),
    ],
)
def test_a_damaged_end_is_found_and_nothing_is_added_to_it(
    five: Audit, tamper: Callable[[Audit], None], said: str, entries: int
) -> None:
    tamper(five)
    found = five.verify()
    assert said in found.why
    before = five.path.read_bytes() if five.path.exists() else b""
    for attempt in (five.check_writable, lambda: add(five)):
        with pytest.raises(AuditError, match="cannot be written"):
            attempt()
    assert (five.path.read_bytes() if five.path.exists() else b"") == before
    assert len(five.entries()) == entries


def test_a_new_audit_begins_when_both_files_were_moved_away(five: Audit, tmp_path: Path) -> None:
    known = five.entries()
    (tmp_path / "old").mkdir()
    for path in (five.path, head_path(five.path)):
        path.rename(tmp_path / "old" / path.name)
    assert five.entries() == ()
    add(five)
    assert five.entries()[0].n == 1
    assert five.verify().fine
    old = Audit(tmp_path / "old" / five.path.name)
    assert old.entries() == known
    assert old.verify().fine


def test_one_that_was_moved_away_while_it_was_waited_for_is_let_alone(
    five: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = audit_file.locked

    def moved_first(number: int, wait_s: float, *, shared: bool = False) -> Any:
        if five.path.exists():
            for path in (five.path, head_path(five.path)):
                path.rename(tmp_path / f"old {path.name}")
            monkeypatch.setattr(audit_file, "locked", held)
        return held(number, wait_s, shared=shared)

    monkeypatch.setattr(audit_file, "locked", moved_first)
    add(five, "c-new")
    assert [e.change for e in five.entries()] == ["c-new"]
    assert five.verify().fine
    assert len(Audit(tmp_path / f"old {five.path.name}").entries()) == 5


# -- crashes ---------------------------------------------------------------------------------------


def test_a_torn_line_is_closed_by_the_next_entry(five: Audit) -> None:
    whole = five.path.read_bytes()
    five.path.write_bytes(whole + whole.splitlines()[-1][:100])
    assert five.verify() == AuditCheck(5, 0, "", 1, five.entries()[-1].hash)
    five.check_writable()
    add(five, "c-after")
    assert [e.change for e in five.entries()][4:] == ["c-4", "c-after"]
    assert five.entries() == Audit(five.path).entries()
    assert five.verify() == AuditCheck(6, 0, "", 1, five.entries()[-1].hash)


def test_an_entry_that_lost_only_its_end_of_line_is_one(five: Audit) -> None:
    five.path.write_bytes(five.path.read_bytes()[:-1])
    assert len(Audit(five.path).entries()) == 5
    assert five.verify().fine
    add(five)
    assert [e.n for e in five.entries()] == [1, 2, 3, 4, 5, 6]
    assert five.verify().fine


def test_a_head_one_behind_is_what_a_crash_between_both_files_leaves(five: Audit) -> None:
    before = head_path(five.path).read_bytes()
    add(five)
    head_path(five.path).write_bytes(before)
    assert five.verify().fine
    add(five)
    assert five.verify().n == 7
    first = Audit(five.path.with_name("first.jsonl"))
    add(first)
    head_path(first.path).unlink()
    assert first.verify().fine
    add(first)
    assert first.verify().n == 2


APPENDING = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from console.control.audit import Audit, EntryKind
    from console.control.who import Who

    path, name, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    audit = Audit(path)
    print("ready", flush=True)
    for n in range(most):
        me = Who(name, "h", "", "command")
        fields = {"n": n, "filler": "é" * 3000}
        entry = audit.append(datetime.now(UTC), EntryKind.RAMP, "demo", f"{name}-{n}", me, fields)
        print(entry.n, flush=True)
"""


def appending(path: Path, name: str, most: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", textwrap.dedent(APPENDING), str(path), name, str(most)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_append_at_once_make_one_chain(audit: Audit) -> None:
    most = 100
    running = [appending(audit.path, name, most) for name in ("a", "b")]
    for _ in range(60):
        add(audit, "c-mine")
        audit.entries()
    for process in running:
        process.communicate(timeout=300)
        assert process.returncode == 0
    entries = audit.entries()
    assert audit.verify() == AuditCheck(2 * most + 60, 0, "", 0, entries[-1].hash)
    assert entries == Audit(audit.path).entries()
    for name in ("a", "b"):
        assert [e.change for e in entries if e.who.user == name] == [
            f"{name}-{n}" for n in range(most)
        ]


def kill_while_appending(audit: Audit, times: int) -> None:
    """Each time kill -9 in the middle of it; what was acknowledged is there, and it goes on."""
    promised = 0
    for turn in range(times):
        process = appending(audit.path, f"k{turn}", 100_000)
        assert process.stdout is not None
        for _ in range(2 + turn * 7 % 20):
            said = process.stdout.readline().strip()
            promised = int(said) if said != "ready" else promised
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        promised = max([promised, *(int(n) for n in rest if n.isdecimal())])
        found = audit.verify()
        assert found.fine, found
        assert promised <= found.n <= promised + 1
        audit.check_writable()
    add(audit)
    assert audit.verify().fine


def test_kill_9_in_the_middle_loses_nothing_that_was_acknowledged(audit: Audit) -> None:
    kill_while_appending(audit, 4)


@pytest.mark.slow
def test_kill_9_many_times(audit: Audit) -> None:
    kill_while_appending(audit, 60)
