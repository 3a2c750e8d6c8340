"""Files become blocks of whole lines; nothing is held whole, nothing is skipped."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.contract import FileFormat
from collectors.errors import FormatError, SourceError
from collectors.sources.files import (
    LONGEST_LINE,
    find_files,
    fingerprint,
    format_of,
    read_blocks,
    same_source,
)

PACK = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
}


@settings(
    max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(
    data=st.lists(st.sampled_from([b"a", b"\n", b'"', b"\r\n", b"\xff"]), max_size=60).map(
        b"".join
    ),
    block=st.integers(1, 30),
    quoted=st.booleans(),
    whole=st.booleans(),
    suffix=st.sampled_from(list(PACK)),
)
def test_blocks_together_are_the_file_and_end_at_line_ends(
    *,
    data: bytes,
    block: int,
    quoted: bool,
    whole: bool,
    suffix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("blocks") / f"a.csv{suffix}"
    path.write_bytes(PACK[suffix](data))
    blocks = list(read_blocks(path, 0, whole=whole, quoted=quoted, block=block))
    joined = b"".join(b.data for b in blocks)
    if whole:
        assert joined == data
    else:
        assert data.startswith(joined)
        assert quoted or joined == data[: data.rfind(b"\n") + 1]
    position = 0
    for b in blocks:
        assert (b.start, b.end) == (position, position + len(b.data))
        assert b.data.endswith(b"\n") or (whole and b is blocks[-1])
        position = b.end
    if blocks:
        rest = read_blocks(path, blocks[0].end, whole=whole, quoted=quoted, block=block)
        assert b"".join(b.data for b in rest) == joined[blocks[0].end :]


@pytest.mark.parametrize("length", [LONGEST_LINE, LONGEST_LINE + 1, 5 * LONGEST_LINE])
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_line_over_the_limit_is_reported_once(
    tmp_path: Path, *, length: int, ended: bool, whole: bool
) -> None:
    path = tmp_path / "a.jsonl"
    data = b"first\n" + b"x" * length + b"\n" * ended
    path.write_bytes(data)
    blocks = list(read_blocks(path, 0, whole=whole, quoted=False, block=LONGEST_LINE // 4))
    long = [line for b in blocks for line in b.too_long.values()]
    kept = b"".join(b.data for b in blocks)
    assert kept.startswith(b"first\n")
    if not ended and not whole:
        assert blocks[-1].end == 6
    else:
        assert blocks[-1].end == len(data)
        assert [line.length for line in long] == ([length] if length > LONGEST_LINE else [])


def test_a_decompression_bomb_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(60):
            file.write(bytes(1_000_000))
    (only,) = read_blocks(path, 0, whole=True, quoted=False, block=1_000_000)
    assert only.too_long[0].length == 60_000_000
    assert len(only.data) == 1


@pytest.mark.parametrize("data", [b"\x1f\x8bnot gzip", b"(\xb5/\xfdnot zstd", b"plain"])
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_is_not_packed_as_its_name_says_is_a_sentence(
    tmp_path: Path, data: bytes, suffix: str
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged or cut off"):
        list(read_blocks(path, 0, whole=True, quoted=True))


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("a.csv", b"id,ts\n", FileFormat.CSV),
        ("a.CSV.GZ", gzip.compress(b"id,ts\n", mtime=0), FileFormat.CSV),
        ("a.csv", b'{"id": 1}\n', FileFormat.JSONL),
        ("a.csv", b"[id],ts\n", FileFormat.CSV),
        ("a.log", b'\xef\xbb\xbf {"id": 1}\n', FileFormat.JSONL),
        ("a.log", b"id;ts\n", FileFormat.CSV),
        ("a.2024-01", b"PAR1....", FileFormat.PARQUET),
    ],
)
def test_the_format_is_told_by_content_then_by_name(
    tmp_path: Path, name: str, data: bytes, wanted: FileFormat
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert format_of(path) is wanted
    assert format_of(path, FileFormat.JSONL) is FileFormat.JSONL


def test_a_format_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(FormatError, match="give `format`"):
        format_of(path)


def test_a_file_is_known_again_when_it_grew_and_not_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id\n1\n")
    mark = fingerprint(path, FileFormat.CSV)
    path.write_bytes(b"id\n1\n2\n")
    assert same_source(path, FileFormat.CSV, mark, 5)
    path.write_bytes(b"id\n7\n2\n")
    assert not same_source(path, FileFormat.CSV, mark, 5)
    path.write_bytes(b"id\n1\n")
    assert not same_source(path, FileFormat.CSV, mark, 7)


def test_files_are_found_by_path_glob_and_folder_once_each_in_order(tmp_path: Path) -> None:
    for name in (
        "b.csv",
        "a.jsonl.gz",
        "sub/c.parquet",
        "note.md",
        ".a.csv",
        "_tmp.csv",
        "x[1].csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    names = [p.name for p in find_files((".", "b.csv", "*.csv", "x[1].csv"), tmp_path)]
    assert names == ["a.jsonl.gz", "b.csv", "c.parquet", "x[1].csv", "_tmp.csv"]
    with pytest.raises(SourceError, match="there is no file"):
        find_files(("gone.csv",), tmp_path)
