"""Records out of JSON documents of any shape, read in pieces of any size."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import FormatError
from collectors.sources import json_records
from collectors.sources.json_records import Found, walk_document

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXTS = st.text(st.sampled_from('a"\\{}[],:\n\u00e9\U0001f600'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def walked(
    data: bytes, folder: Path, records: str = "", following: str = ""
) -> tuple[Found, bytes, list[Any]]:
    path, out, seen = folder / "body", BytesIO(), []
    path.write_bytes(data)
    places = [tuple(p.split(".")) if p else () for p in (records, following)]
    found = walk_document(path, places[0], places[1], out, seen.append)
    return found, out.getvalue(), seen


@SETTINGS
@given(
    rows=st.lists(VALUES, max_size=8),
    before=VALUES,
    token=st.none() | TEXTS | st.integers(0, 10**20),
    indent=st.sampled_from([None, 0, 3]),
    ascii_=st.booleans(),
    piece=st.integers(1, 40),
)
def test_records_come_out_as_they_are(
    *,
    rows: list[Any],
    before: Any,
    token: str | int | None,
    indent: int | None,
    ascii_: bool,
    piece: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_records, "_PIECE", piece)
    body = {"before": before, "page": {"next": token, "rows": rows}, "after": before}
    data = json.dumps(body, indent=indent, ensure_ascii=ascii_).encode()
    found, written, seen = walked(data, tmp_path, "page.rows", "page.next")
    lines = [json.loads(line) for line in written.decode().split("\n")[:-1]]
    assert lines == seen == rows
    assert (found.n, found.has_records) == (len(rows), True)
    assert found.following == ("" if token is None else str(token))


@SETTINGS
@given(rows=st.lists(VALUES, min_size=1, max_size=5), piece=st.integers(1, 40), data=st.data())
def test_what_is_cut_off_is_refused(
    *,
    rows: list[Any],
    piece: int,
    data: st.DataObject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_records, "_PIECE", piece)
    whole = json.dumps({"rows": rows}).encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(FormatError):
        walked(whole[:cut], tmp_path, "rows")


@SETTINGS
@given(
    data=st.lists(
        st.sampled_from(["{", "}", "[", "]", ",", ":", '"', "\\", "1", "null", "NaN", " ", '"a"']),
        max_size=25,
    ),
    piece=st.integers(1, 10),
)
def test_anything_at_all_gives_records_or_a_sentence(
    *, data: list[str], piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_records, "_PIECE", piece)
    for records in ("", "a"):
        try:
            found, written, seen = walked("".join(data).encode(), tmp_path, records)
        except FormatError:
            continue
        assert found.n == len(seen) == written.count(b"\n")


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    data = b'[{"x": 0.10000000000000000000001, "n": 123456789012345678901234567890}]'
    assert walked(data, tmp_path)[1] == data[1:-1] + b"\n"


def test_a_record_that_goes_wrong_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_records, "_LONGEST_VALUE", 64)
    bad = [
        b"{oops}",
        b'{"a": [1, 2}, "]"]}'.replace(b"}, ", b", "),
        b'{"x": ' + b"7" * 5000 + b"}",
        b"[" * 3000 + b'"]"' + b"]" * 3000,
        b'"\x01 a control character"',
        b"undefined",
        b'{"t": "' + b'\\"' * 100 + b'"}',
    ]
    for piece in (3, 50, 1 << 20):
        monkeypatch.setattr(json_records, "_PIECE", piece)
        data = b"[" + b", ".join([b'{"id": 1}', *bad, b'{"id": 2}']) + b"]"
        found, written, _ = walked(data, tmp_path)
        lines = written.split(b"\n")[:-1]
        assert found.n == len(lines) == len(bad) + 2
        assert lines[1:-1] == bad
        assert (lines[0], lines[-1]) == (b'{"id": 1}', b'{"id": 2}')
