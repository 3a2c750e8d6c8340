"""The audit: nothing that was written is lost or changed without being found."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from console.control import audit as audit_file
from console.control.audit import Audit, AuditCheck, EntryKind, Head, audit_path, head_path
from console.control.chain import checked, tail_of
from console.control.entries import LONGEST_LINE, Link, entry_of, link_of, made
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

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=5)


def chain(all_fields: list[dict[str, Any]]) -> tuple[list[bytes], Head]:
    """Lines and the head after them."""
    lines: list[bytes] = []
    last: Link | None = None
    for n, fields in enumerate(all_fields):
        more = {"kind": EntryKind.RAMP, "deployment": "demo", "change": f"c{n}", "who": ME}
        _, line = made(last, "", at=AT, fields=fields, **more)  # type: ignore[arg-type]
        lines.append(line)
        found = link_of(line)
        assert isinstance(found, Link)
        last = found
    assert last is not None
    return lines, Head(last.n, last.hash)


@given(FIELDS)
def test_any_fields_make_a_chain_that_holds(all_fields: list[dict[str, Any]]) -> None:
    lines, head = chain(all_fields)
    found = checked(lines, None, head)
    assert found == AuditCheck(len(lines), 0, "", 0, head.hash)
    assert all(entry_of(line) is not None for line in lines)
    tail = tail_of(b"\n".join(lines) + b"\n", True, head)
    assert not isinstance(tail, str)
    assert tail.last is not None
    assert (tail.last.n, tail.last.hash, tail.torn, tail.closing) == (head.n, head.hash, "", b"")


@given(FIELDS, st.data())
def test_any_changed_byte_is_found(all_fields: list[dict[str, Any]], data: st.DataObject) -> None:
    lines, head = chain(all_fields)
    whole = bytearray(b"\n".join(lines) + b"\n")
    at = data.draw(st.integers(0, len(whole) - 2))
    byte = data.draw(st.integers(0, 255))
    assume(whole[at] != byte)
    whole[at] = byte
    found = checked(bytes(whole).split(b"\n")[:-1], None, head)
    assert not found.fine
    line = bytes(whole[:at]).count(b"\n") + 1
    assert found.line in {0, line, line + 1}


@given(FIELDS, st.data())
def test_a_missing_moved_or_foreign_line_is_found(
    all_fields: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines, head = chain(all_fields)
    at = data.draw(st.integers(0, len(lines) - 1))
    others, _ = chain([{"another": 1}, *all_fields])
    match data.draw(st.sampled_from(["removed", "swapped", "inserted", "duplicated", "replaced"])):
        case "removed":
            changed = [*lines[:at], *lines[at + 1 :]]
        case "swapped":
            other = data.draw(st.integers(0, len(lines) - 1))
            changed = list(lines)
            changed[at], changed[other] = changed[other], changed[at]
        case "inserted":
            foreign = data.draw(st.binary(max_size=30) | st.sampled_from([*others, b"", b"{}"]))
            assume(b"\n" not in foreign and b'{"at":"'[: len(foreign)] != foreign[:7].rstrip(b"\0"))
            place = data.draw(st.integers(0, len(lines)))
            changed = [*lines[:place], foreign, *lines[place:]]
        case "duplicated":
            changed = [*lines[: at + 1], *lines[at:]]
        case _:
            changed = [*lines[:at], others[at + 1], *lines[at + 1 :]]
    assume(changed != lines)
    assert not checked(changed, None, head).fine


@given(FIELDS, st.data())
def test_a_head_noted_elsewhere_finds_a_chain_that_was_written_anew(
    all_fields: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines, _ = chain(all_fields)
    n = data.draw(st.integers(1, len(lines)))
    link = link_of(lines[n - 1])
    assert isinstance(link, Link)
    noted = Head(n, link.hash)
    assert Head.parsed(str(noted)) == noted
    assert checked(lines, noted, ended=False).fine
    forged, forged_head = chain([{"forged": True, **f} for f in all_fields])
    assert checked(forged, None, forged_head).fine  # whoever writes both files can forge both
    assert "another hash" in checked(forged, noted, forged_head).why
    if n > 1:
        assert "missing" in checked(lines[: n - 1], noted, ended=False).why


@pytest.mark.parametrize(
    "text", ["", "5", "5:", "x:" + "a" * 64, "5:" + "g" * 64, "-1:" + "a" * 64]
)
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUMBER:HASH"):
        Head.parsed(text)


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
        with pytest.raises(AuditError, match="Nothing is changed without it"):
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


# -- crashes ---------------------------------------------------------------------------------------


@given(FIELDS, st.data())
def test_what_a_crash_left_of_a_line_is_told_from_tampering(
    all_fields: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines, _ = chain([*all_fields, {"reason": "x" * 50}])
    *lines, torn = lines
    cut = data.draw(st.integers(1, len(torn) - 1))
    left = torn[:cut] + b"\0" * data.draw(st.sampled_from([0, 0, 7]))
    last = link_of(lines[-1])
    assert isinstance(last, Link)
    head = Head(last.n, last.hash)
    assert checked([*lines, left], None, head) == AuditCheck(len(lines), 0, "", 1, last.hash)
    for end in (b"", b"\n"):  # the crash may have come while an earlier one was mended
        tail = tail_of(b"\n".join([*lines, left]) + end, True, head)
        assert not isinstance(tail, str)
        assert tail.last == last
        assert tail.closing == (b"" if end else b"\n")
        more = {"kind": EntryKind.RESULT, "deployment": "demo", "change": "c", "who": ME}
        entry, line = made(tail.last, tail.torn, at=AT, fields={}, **more)  # type: ignore[arg-type]
        mended = [*lines, left, line]
        now = Head(entry.n, entry.hash)
        assert checked(mended, None, now) == AuditCheck(len(lines) + 1, 0, "", 1, entry.hash)
        # and what it left is part of the record from then on
        assert not checked([*lines, line], None, now).fine
        assert not checked([*lines, left + b"x", line], None, now).fine


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
    most = 150
    running = [appending(audit.path, name, most) for name in ("a", "b")]
    for _ in range(60):
        add(audit, "c-mine")
        audit.entries()
    for process in running:
        process.communicate(timeout=60)
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


# -- files that cannot be --------------------------------------------------------------------------


def in_a_process(path: Path, before: Callable[[], object]) -> list[str]:
    """What `check_writable`, many `append`s and `verify` say in a process of their own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before()
            audit = Audit(path)
            said = []
            for what in (audit.check_writable, lambda: add(audit, filler="x" * 3000)):
                try:
                    for _ in range(200):
                        what()
                    said.append("fine")
                except AuditError as error:
                    said.append(str(error))
            try:
                said.append(str(audit.verify().fine))
            except AuditError as error:
                said.append(str(error))
            os.write(writing, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said_by_child: list[str] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return said_by_child


def test_a_full_disk_takes_nothing_from_what_is_there(five: Audit) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    said = in_a_process(five.path, small)
    assert said[0] == "fine"
    assert "cannot be written: file too large" in said[1]
    assert said[2] == "True"
    found = five.verify()
    assert found.fine
    assert found.torn == 0  # what did not fit was taken back
    assert 5 < found.n == len(five.entries())
    add(five)
    assert five.verify().fine


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_is_told_before_anything_is_changed(small_disk: Path) -> None:
    audit = Audit(small_disk / "s.audit.jsonl")
    with pytest.raises(AuditError, match="the disk is full"):
        audit.check_writable()
    with pytest.raises(AuditError, match="no space left on device"):
        for _ in range(200):
            add(audit, filler="x" * 3000)
    found = audit.verify()
    assert found.fine
    assert found.n > 10
    (small_disk / "s.audit.jsonl.head.new").unlink(missing_ok=True)
    assert len(audit.entries()) == found.n


def test_a_folder_that_cannot_be_written_is_said() -> None:
    def nobody() -> None:
        if os.geteuid() == 0:  # for whom no folder is shut
            os.setgid(65534)
            os.setuid(65534)

    # not pytest's folder: nobody else may look into that
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        said = in_a_process(Path(folder) / "new.jsonl", nobody)
        Path(folder).chmod(0o755)
    assert "permission denied" in said[0]
    assert "permission denied" in said[1]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("link", "it is a symbolic link"),
        ("pipe", "it is no plain file"),
        ("folder", "it is no plain file"),
        ("socket folder", "no such file"),
        ("open", "others may write to it"),
    ],
)
def test_something_else_in_its_place_is_refused(audit: Audit, kind: str, said: str) -> None:
    path = audit.path
    match kind:
        case "link":
            (path.parent / "elsewhere").touch()
            path.symlink_to(path.parent / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket folder":
            audit = Audit(path.parent / "absent" / path.name)
        case _:
            path.touch()
            path.chmod(0o666)
    for attempt in (audit.check_writable, lambda: add(audit)):
        with pytest.raises(AuditError, match=f"cannot be written: .*{said}"):
            attempt()
    if kind in ("link", "pipe", "folder"):
        for look in (audit.entries, audit.verify):
            with pytest.raises(AuditError, match=f"cannot be read: {said}"):
                look()


def test_a_file_far_too_large_is_refused_and_still_verified(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(audit)
    os.truncate(audit.path, 1 << 30)  # with nothing in it
    for attempt in (audit.check_writable, lambda: add(audit), audit.entries):
        with pytest.raises(AuditError, match="too large"):
            attempt()
    monkeypatch.setattr(audit_file, "LARGEST", 1 << 40)
    os.truncate(audit.path, 40_000_000)
    assert not audit.verify().fine
    with pytest.raises(AuditError, match=r"its end is no entry|no entry"):
        add(audit)


def test_many_tiny_lines_are_gone_through_in_time(audit: Audit) -> None:
    audit.path.write_bytes(b"\n" * 3_000_000)
    audit.path.chmod(0o600)
    assert audit.verify().line == 1
    with pytest.raises(AuditError):
        add(audit)


def test_the_audit_lies_beside_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "real" / "s.duckdb")
    assert audit_path(tmp_path / "link.duckdb") == tmp_path / "real" / "s.duckdb.audit.jsonl"
    loop = tmp_path / "loop.duckdb"
    loop.symlink_to(loop)
    assert audit_path(loop).name == "loop.duckdb.audit.jsonl"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_line_takes_it_down(line: bytes) -> None:
    link_of(line)
    entry_of(line)
    entry_of(b'{"who":' + line + b"}")
    tail_of(line, True, None)
    Head.of(line)


@pytest.mark.parametrize(
    "line",
    [b"[" * 60_000, b'{"a":' * 10_000, b"1" * 60_000, b'{"n":1e999}', b"nan", b'{"hash":""}'],
)
def test_json_that_hurts_is_no_entry(line: bytes) -> None:
    assert isinstance(link_of(line), str)
    assert entry_of(line) is None
