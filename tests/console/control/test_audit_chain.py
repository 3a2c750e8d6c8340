"""The chain of entries: whatever is changed, taken out or put in is found. No files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from console.control.audit import AuditCheck, EntryKind, Head
from console.control.chain import checked, tail_of
from console.control.entries import Link, entry_of, link_of, made
from console.control.who import Who

AT = datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=UTC)
ME = Who("mei", "ops-1", "10.0.0.7", "console")


# -- tampering -------------------------------------------------------------------------------------

LOADED = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))

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


@LOADED
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


@LOADED
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


@LOADED
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


@LOADED
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


# -- crashes ---------------------------------------------------------------------------------------


@LOADED
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


# -- hostile lines ---------------------------------------------------------------------------------


@LOADED
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
