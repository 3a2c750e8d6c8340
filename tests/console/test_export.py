"""Incident bundles: the same figures to the last digit elsewhere, and nothing too much in them."""

from __future__ import annotations

import json
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from sample_rows import SAMPLE
from sample_store import Sample

from collectors.errors import StoreError
from collectors.reader import InProcessReader
from console.bundle import RecordedReader, is_bundle, read_bundle
from console.cli import main
from console.clocks import FixedClock
from console.feed import Request
from console.report.html import html
from console.report.markdown import markdown
from console.report.pages import Report, Section
from console.report.svg import svg
from console.session import Session
from console.views.model import Bars, Cell, Column, Row, Table, Tone, View

WINDOW = ["--start", "2013-07-08", "--end", "2013-07-15", "--as-of", "2013-07-15T06:00"]
PANES = ("performance", "drift", "subgroups", "traffic", "data", "versions")


@pytest.fixture(scope="module")
def bundle(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of July with raw rows, as it was known the morning after."""
    target = tmp_path_factory.mktemp("bundle") / "it's [1].modelwatch"
    words = ["--output", str(target), "--rows", "--limit", "100", "--redact", "carrier", "temp"]
    assert main(["export", *sample.options, *WINDOW, *words]) == 0
    return target


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["show", *words, "--format", "json"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("pane", PANES)
def test_json_is_the_same_to_the_last_byte(
    pane: str, sample: Sample, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = shown(capsys, pane, "--log", str(bundle))
    assert elsewhere == shown(capsys, pane, *sample.options, *WINDOW)
    with zipfile.ZipFile(bundle) as archive:
        assert archive.read(f"snapshots/{pane}.json").decode() == elsewhere


@pytest.mark.parametrize(
    "words",
    [
        ["performance", "--version", "v1"],
        ["performance", "--segment", "origin=EWR"],
        ["performance", "--against", "before"],
        ["performance", "--threshold", "0.4"],
        ["performance", "--step", "hour"],
        ["subgroups", "--segment", "origin,carrier"],
        ["drift", "--against", "version=v2"],
    ],
)
def test_one_can_look_around_in_the_window(
    words: list[str], sample: Sample, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = shown(capsys, *words, *sample.options, *WINDOW)
    assert shown(capsys, *words, "--log", str(bundle)) == here


def test_explanations_come_along(
    sample: Sample, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "recall", "--version", "v1", "--format", "json"]
    assert main([*words, *sample.options, *WINDOW]) == 0
    here = capsys.readouterr().out
    assert main([*words, "--log", str(bundle)]) == 0
    assert capsys.readouterr().out == here


def test_what_it_does_not_hold_is_said(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "drift", "--log", str(bundle), "--window", "3d"]) == 3
    assert "the bundle does not hold this" in capsys.readouterr().err
    assert main(["sql", "SELECT 1", "--log", str(bundle)]) == 2
    assert main(["show", "drift", "--log", str(bundle), "--id", "x"]) == 2


def test_ids_folders_and_redacted_columns_are_nowhere_in_it(bundle: Path) -> None:
    ids = pl.read_parquet(SAMPLE / "predictions" / "2013-07.parquet")["request_id"].to_list()
    held = read_bundle(bundle)
    rows = [frame for (name, *_), frame in held.answers.items() if name == "rows"]
    assert sum(frame.height for frame in rows) > 50
    d = held.deployment
    carrier = [f.name for f in d.features].index("carrier")
    for frame in rows:
        assert set(frame[f"f{carrier}"].drop_nulls()) <= {"(redacted)"}
    with zipfile.ZipFile(bundle) as archive:
        everything = b"\n".join(archive.read(name) for name in archive.namelist())
    for name in ids[:3000]:
        assert name.encode() not in everything
    assert str(SAMPLE).encode() not in everything.replace(str(SAMPLE / "predictions").encode(), b"")


def test_rows_are_listed_under_hashed_ids(
    bundle: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = json.loads(shown(capsys, "rows", "--log", str(bundle)))
    here = json.loads(shown(capsys, "rows", *sample.options, *WINDOW))
    assert [r["score"] for r in elsewhere["rows"]] == [r["score"] for r in here["rows"]]
    assert not {r["id"] for r in elsewhere["rows"]} & {r["id"] for r in here["rows"]}
    assert {r["features"]["carrier"] for r in elsewhere["rows"]} == {"(redacted)"}


def test_without_rows_there_are_none(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "b.modelwatch"
    assert main(["export", *sample.options, *WINDOW, "--output", str(target)]) == 0
    assert not any(name == "rows" for name, *_ in read_bundle(target).answers)
    assert target.stat().st_mode & 0o777 == 0o600
    assert main(["export", *sample.options, *WINDOW, "--output", str(target)]) == 2
    assert "there already" in capsys.readouterr().err
    assert main(["show", "rows", "--log", str(target)]) == 3


@pytest.mark.parametrize(
    "words", [["--redact", "temp"], ["--rows", "--redact", "nope"], ["--rows", "--limit", "0"]]
)
def test_wrong_words_are_refused(words: list[str], sample: Sample) -> None:
    assert main(["export", *sample.options, *WINDOW, *words]) == 2


def test_the_screen_shows_a_bundle(bundle: Path) -> None:
    held = read_bundle(bundle)
    session = Session(None, [held.deployment], FixedClock(held.as_of), reader=RecordedReader(held))
    request = Request(("performance", "drift", "rows"), window=held.as_of - held.start)
    views = dict(session.frame(request).views)
    assert views["performance"].table.rows
    assert views["rows"].table.rows
    session.close()


@pytest.mark.parametrize("cut", [10, 1000, -100])
def test_a_damaged_bundle_is_refused(
    cut: int, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cut.modelwatch"
    target.write_bytes(
        bundle.read_bytes()[:cut] if cut != 10 else b"PK\x03\x04" + b"0" * 26 + b"manifest.json"
    )
    if is_bundle(target):
        with pytest.raises(StoreError, match="no whole bundle"):
            read_bundle(target)
        assert main(["show", "drift", "--log", str(target)]) == 3
        assert "Traceback" not in capsys.readouterr().err


def test_a_changed_or_newer_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def written(changed: dict[str, bytes]) -> Path:
        target = tmp_path / "other.modelwatch"
        with zipfile.ZipFile(target, "w") as archive:
            for name, data in {**members, **changed}.items():
                archive.writestr(name, data)
        return target

    with pytest.raises(StoreError, match="was changed"):
        read_bundle(written({"report.md": b"forged"}))
    manifest = json.loads(members["manifest.json"])
    newer = json.dumps({**manifest, "format": 99}).encode()
    with pytest.raises(StoreError, match="newer modelwatch"):
        read_bundle(written({"manifest.json": newer}))
    for wrong in (b"[]", b"{}", b"nan", json.dumps({**manifest, "answers": [[1]]}).encode()):
        with pytest.raises(StoreError):
            read_bundle(written({"manifest.json": wrong}))


# -- reports -------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>|`[x](http://e)`\"' &amp; **b**"


def hostile() -> Report:
    view = View(
        HOSTILE,
        (Cell(HOSTILE, Tone.BAD),),
        Table((Column(HOSTILE), Column("n", right=True)), (Row("a", (Cell(HOSTILE), Cell("1"))),)),
        (Bars(HOSTILE, (HOSTILE, "b"), ((HOSTILE, (0.2, None), Tone.PLAIN),)),),
        notes=(Cell(HOSTILE),),
    )
    return Report(HOSTILE, ((HOSTILE, HOSTILE),), (Section(HOSTILE, view, 30),))


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_nothing_in_a_name_becomes_markup() -> None:
    page = Tags()
    page.feed(html(hostile()))
    assert "script" not in page.tags
    assert "a" not in page.tags
    assert not any(name.startswith("on") or name in ("href", "src") for name in page.attributes)
    written = markdown(hostile())
    assert "<script>" not in written
    assert "](http" not in written


def test_plots_are_well_formed(bundle: Path) -> None:
    for plot in hostile().sections[0].view.plots:
        ElementTree.fromstring(svg(plot))  # noqa: S314 - our own
    with zipfile.ZipFile(bundle) as archive:
        page = archive.read("report.html").decode()
        text = archive.read("report.md").decode()
    plots = page.count("<svg")
    assert plots >= 3
    for part in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + part.split("</svg>")[0] + "</svg>")  # noqa: S314
    for word in ("Performance", "Drift", "Subgroups", "Why f1 changed", "v1"):
        assert word in page
        assert word in text
    assert "http" not in page.replace("http-equiv", "")


def test_the_reader_is_what_answers(sample: Sample) -> None:
    assert isinstance(sample.reader, InProcessReader)
