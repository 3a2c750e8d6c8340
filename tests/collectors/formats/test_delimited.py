"""CSV as it comes: every record is read, or in quarantine by its number."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import Logs

from collectors.contract import FileFormat
from collectors.formats.tabular import stage_file
from collectors.store.batches import Offset
from collectors.store.database import Cursor, Database

HEAD = "id,ts,score,shop,note\n"
T = "2024-03-01T10:00:00Z"


def line(name: str, shop: str = "north", note: str = "") -> str:
    return f"{name},{T},0.5,{shop},{note}\n"


@pytest.fixture(scope="module")
def cursor() -> Iterator[Cursor]:
    with Database(None) as database:
        yield database.connection


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def test_quotes_delimiters_and_line_ends_inside_quotes_are_content(logs: Logs) -> None:
    logs.put("a.csv", HEAD + line("a", '"x, ""y"""') + line("b", '"two\n\nlines"') + line("c"))
    assert logs.collect() == []
    assert [(r[0], r[3]) for r in logs.rows()] == [
        ("a", 'x, "y"'),
        ("b", "two\n\nlines"),
        ("c", "north"),
    ]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_common_dialect_is_read(logs: Logs, delimiter: str, mark: str, end: str) -> None:
    text = (HEAD + line("a") + line("b")).replace(",", delimiter).replace("\n", end)
    logs.put("a.csv", mark + text)
    assert logs.collect() == []
    assert [(r[0], r[2], r[3]) for r in logs.rows()] == [("a", 0.5, "north"), ("b", 0.5, "north")]


def test_mixed_line_ends_and_blank_lines_do_no_harm(logs: Logs) -> None:
    logs.put(
        "a.csv", f"\n{HEAD}" + line("a").replace("\n", "\r\n") + "\n\r\n" + line("b") + "bad\n"
    )
    assert logs.collect() == []
    assert logs.ids() == ["a", "b"]
    assert logs.bad() == [(3, "not readable")]


def test_a_delimiter_inside_a_quoted_column_name_does_not_decide(logs: Logs) -> None:
    logs.put("a.csv", f'id;ts;score;shop;"a,b,c,d,e,f,g"\na;{T};0.5;north;x\n')
    logs.collect()
    assert logs.ids() == ["a"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_files_are_read_as_streams(logs: Logs, pack) -> None:  # type: ignore[no-untyped-def]
    suffix = ".gz" if pack is gzip.compress else ".zst"
    first, more = (HEAD + line("a")).encode(), line("b").encode()
    logs.put(f"a.csv{suffix}", pack(first))
    assert logs.collect() == []
    logs.put(f"a.csv{suffix}", pack(first) + pack(more))  # another member, another frame
    assert logs.collect() == []
    assert logs.ids() == ["a", "b"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_off_packed_file_is_reported_and_its_whole_lines_kept(
    logs: Logs, suffix: str
) -> None:
    text = (HEAD + "".join(line(f"r{i}", f"shop {i * 7919 % 1000}") for i in range(2000))).encode()
    packed = gzip.compress(text) if suffix == ".gz" else zstandard.compress(text)
    logs.put(f"a.csv{suffix}", packed[: len(packed) * 3 // 4])
    (problem,) = logs.collect()
    assert "damaged or cut off" in problem
    logs.put(f"a.csv{suffix}", packed)
    assert logs.collect() == []
    assert len(logs.ids()) == 2000
    assert logs.bad() == []


@pytest.mark.parametrize("data", ["", "\n\n", HEAD, HEAD.rstrip("\n"), "\ufeff" + HEAD])
def test_a_file_without_records_brings_nothing(logs: Logs, data: str) -> None:
    logs.put("a.csv", data)
    assert logs.collect() == []
    assert logs.ids() == []
    logs.put("a.csv", HEAD + line("a"))
    assert logs.collect() == []
    assert logs.ids() == ["a"]


def test_repeated_and_case_different_names_stay_apart(logs: Logs) -> None:
    logs.put("a.csv", f"ID,id,Score,score,score,ts,position,shop\nX,a,9,0.5,7,{T},1,north\n")
    logs.collect()
    assert [(r[0], r[2]) for r in logs.rows()] == [("a", 0.5)]


def test_records_of_another_width_are_set_apart_by_number(logs: Logs) -> None:
    logs.put("a.csv", HEAD + line("a") + "short,1\n" + line("b") + line("c").strip() + ",x,y\n")
    logs.collect()
    assert logs.ids() == ["a", "b"]
    assert logs.bad("position, reason, detail, content") == [
        (2, "not readable", "2 columns where the header has 5", "short,1"),
        (4, "not readable", "7 columns where the header has 5", line("c").strip() + ",x,y"),
    ]


def test_an_unclosed_quote_costs_its_line_and_not_the_rest(logs: Logs) -> None:
    rows = "".join(line(f"r{i:03}") for i in range(500))
    logs.put("a.csv", HEAD + line("a") + line("b", '"open') + rows + line("c", '"x" y'))
    logs.collect()
    assert len(logs.ids()) == 501
    assert logs.bad() == [(2, "not readable"), (503, "not readable")]


@pytest.mark.parametrize("before", [line("a"), line("a", '5" pipe')])
def test_a_quote_that_is_never_closed_swallows_nothing(logs: Logs, before: str) -> None:
    logs.put("a.csv", HEAD + before + line("b", '"open') + line("c") + line("d"))
    logs.collect()
    assert logs.ids() == ["a", "c", "d"]
    assert logs.bad() == [(2, "not readable")]


def test_a_quote_within_a_plain_text_is_content(logs: Logs) -> None:
    logs.put("a.csv", HEAD + line("a", '5" pipe') + line("b"))
    logs.collect()
    assert [(r[0], r[3]) for r in logs.rows()] == [("a", '5" pipe'), ("b", "north")]


def test_lines_that_are_not_utf8_are_set_apart_with_their_bytes(logs: Logs) -> None:
    bad = line("b", "Zürich").encode("latin-1")
    logs.put("a.csv", (HEAD + line("a")).encode() + bad + line("c", "Zürich").encode())
    logs.collect()
    assert [(r[0], r[3]) for r in logs.rows()] == [("a", "north"), ("c", "Zürich")]
    assert logs.bad() == [(2, "not UTF-8")]
    assert "Z\\xfcrich" in logs.bad("content")[0][0]


def test_a_line_over_the_limit_is_set_apart_by_number(logs: Logs) -> None:
    long = line("b", "x" * 1_100_000)
    logs.put("a.csv", HEAD + line("a") + long + line("c") + "bad\n")
    logs.collect()
    assert logs.ids() == ["a", "c"]
    assert logs.bad() == [(2, "line too long"), (4, "not readable")]


def test_while_a_file_grows_its_last_line_waits(logs: Logs) -> None:
    path = logs.put("a.csv", HEAD + line("a") + line("b")[:-5])
    logs.collect(whole=False)
    assert logs.ids() == ["a"]
    path.write_text(HEAD + line("a") + line("b") + line("c", '"half\nof'))
    logs.collect(whole=False)
    assert logs.ids() == ["a", "b"]
    path.write_text(HEAD + line("a") + line("b") + line("c", '"half\nof').rstrip("\n") + "\n")
    logs.collect(whole=False)
    assert (logs.ids(), logs.bad()) == (["a", "b"], [])
    path.write_text(HEAD + line("a") + line("b") + line("c", '"half\nof it"'))
    logs.collect(whole=False)
    assert [(r[0], r[3]) for r in logs.rows()][2:] == [("c", "half\nof it")]
    assert logs.bad() == []


def test_the_last_line_of_a_whole_file_needs_no_line_end(logs: Logs) -> None:
    logs.put("a.csv", (HEAD + line("a") + line("b")).rstrip("\n"))
    logs.collect(whole=True)
    assert logs.ids() == ["a", "b"]
    logs.put("b.csv", HEAD + "c,2024")
    logs.collect(whole=True)
    assert logs.bad() == [(1, "not readable")]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xff\xfei\x00d\x00,\x00t\x00s\x00\n\x00", "not UTF-8"),
        (b"id\x00,ts\n", "no CSV file that can be read"),
        (b"id,ts\ra,b\rc,d", "no CSV file that can be read"),
        (b"x" * 6_000_000, "header is too long"),
    ],
)
def test_what_is_no_csv_is_refused_with_a_sentence(logs: Logs, data: bytes, sentence: str) -> None:
    logs.put("a.csv", data)
    (problem,) = logs.collect()
    assert sentence in problem


field = st.text(st.sampled_from('ab,"\n\r;\x00\x1b[é '), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    rows=st.lists(st.lists(field, min_size=3, max_size=3), max_size=12), block=st.integers(40, 400)
)
def test_what_a_csv_writer_wrote_is_read_back_in_blocks_of_any_size(
    rows: list[list[str]], block: int, tmp_path_factory: pytest.TempPathFactory, cursor: Cursor
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["a", "b", "c"], *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text(written.getvalue(), newline="")
    found, positions, rejects = [], [], []
    for staged in stage_file(cursor, path, FileFormat.CSV, Offset(), whole=True, block=block):
        rejects += staged.rejects
        listed = cursor.execute("SELECT * FROM stage ORDER BY position").fetchall()
        positions += [row[0] for row in listed]
        found += [[value or "" for value in row[1:]] for row in listed]
    assert rejects == []
    assert found == [[value.replace("\r\n", "\n") for value in row] for row in rows]
    assert positions == list(range(1, len(rows) + 1))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.binary(max_size=80) | st.text('a,"\n\r;1é', max_size=80).map(str.encode))
def test_any_bytes_are_read_set_apart_or_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory, cursor: Cursor
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(b"a,b\n" + data)
    numbers: list[int] = []
    for staged in stage_file(cursor, path, FileFormat.CSV, Offset(), whole=True):
        rows = cursor.execute("SELECT position FROM stage").fetchall()
        numbers += [position for (position,) in rows]
        numbers += [reject.position for reject in staged.rejects]
        assert staged.after.records == len(numbers)
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
