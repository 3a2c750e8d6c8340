"""What `show` prints of one awkward store: JSON by its schema, harmless CSV, plain tables."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import awkward
import pytest
from show_schema import PANE_SCHEMAS, check
from shown import Store

from console.cli import main
from console.options import COMMANDS, PANE_NAMES
from console.panes import PANES, SHOWN

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "MODELWATCH_UPDATE_GOLDEN"
"""Set it to write the golden files anew; read the difference before keeping it."""

DEPLOYMENTS = ("binary", "multi", "number", "bare", "scoreless")
ASKED = [("binary", "overview"), *((d, p) for d in DEPLOYMENTS for p in PANES if p != "overview")]
"""The overview is of all deployments at once."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printed(capsys: pytest.CaptureFixture[str], config: Path, pane: str, *words: str) -> str:
    """What the command prints."""
    assert main(["show", pane, "--config", str(config), "--window", "2d", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def alike(one: Any, other: Any) -> bool:
    """The same but for the last digits of floats: sums of two stores ran in another order."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize(("deployment", "pane"), ASKED)
def test_json_is_as_documented(awkward_store: Store, deployment: str, pane: str) -> None:
    for step in ("day", "all"):
        out = awkward_store.show(pane, deployment, step=step)
        document = json.loads(out, parse_constant=no_constant)
        check(document, PANE_SCHEMAS[pane], pane)
        assert document["deployment"] == (None if pane == "overview" else deployment)


@pytest.mark.parametrize("fmt", ["json", "csv", "table"])
def test_the_command_prints_the_same_bytes_each_time(
    awkward_config: Path, capsys: pytest.CaptureFixture[str], awkward_store: Store, fmt: str
) -> None:
    for pane in ("performance", "data"):
        words = ["--step", "day", "--format", fmt]
        first = printed(capsys, awkward_config, pane, *words)
        assert printed(capsys, awkward_config, pane, *words) == first
        if fmt != "table":
            assert first == awkward_store.show(pane, fmt=fmt, step="day") + "\n"


def test_a_second_store_of_the_same_logs_gives_the_same_figures(
    awkward_config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = awkward.write(tmp_path)
    assert main(["record", "--once", "--config", str(other)]) == 0
    capsys.readouterr()
    for pane in ("performance", "drift", "subgroups", "traffic"):
        again = json.loads(printed(capsys, other, pane, "--format", "json"))
        first = json.loads(printed(capsys, awkward_config, pane, "--format", "json"))
        assert alike(again, first), pane


@pytest.mark.parametrize("fmt", ["json", "csv", "table"])
def test_no_output_holds_a_control_character(awkward_store: Store, fmt: str) -> None:
    for deployment, pane in ASKED:
        out = awkward_store.show(pane, deployment, fmt, step="day")
        odd = {c for c in out if unicodedata.category(c).startswith("C") and c != "\n"}
        assert not odd, (pane, odd)


def test_names_are_whole_in_json_and_harmless_elsewhere(awkward_store: Store) -> None:
    table = awkward_store.show("traffic", fmt="table")
    assert "[bold]v2[/bold]" in table
    assert "\N{REPLACEMENT CHARACTER}[31mred" in table
    assert "[bold]kind=[red]x[/]" in awkward_store.show("subgroups", fmt="table")
    document = json.loads(awkward_store.show("traffic", step="all"))
    assert {row["version"] for row in document["rows"]} == set(awkward.VERSIONS)


@pytest.mark.parametrize("pane", PANES)
def test_no_csv_cell_is_run_as_a_formula(awkward_store: Store, pane: str) -> None:
    rows = list(csv.reader(io.StringIO(awkward_store.show(pane, fmt="csv", step="day"))))
    for row in rows:
        for cell in row:
            if cell.startswith(FORMULA):
                assert math.isfinite(float(cell)), cell
    if pane in ("performance", "subgroups", "traffic"):
        assert any("'=1+1" in row for row in rows)
    if pane == "subgroups":
        assert any("'=cmd()" in row for row in rows)


def test_csv_has_the_rows_of_the_json(awkward_store: Store) -> None:
    for pane in (p for p in PANES if p != "rows"):
        document = json.loads(awkward_store.show(pane, step="day"))
        rows = list(csv.DictReader(io.StringIO(awkward_store.show(pane, fmt="csv", step="day"))))
        assert len(rows) == len(document["rows"]) > 0
        for got, row in zip(rows, document["rows"], strict=True):
            assert got["start"] == row["start"]
            assert int(got["n"]) == row["n"]
            for name, e in row["metrics"].items():
                assert got[f"{name}.state"] == e["state"]
                value = "" if e["value"] is None else repr(e["value"])
                assert got[name] == value, (pane, name)


def test_csv_without_rows_has_its_header(awkward_store: Store) -> None:
    assert awkward_store.show("subgroups", "bare", "csv").startswith("version,segment,value,")


def test_csv_of_subgroups_has_the_gaps(awkward_store: Store) -> None:
    header = awkward_store.show("subgroups", fmt="csv").splitlines()[0]
    assert any("gap" in name for name in header.split(","))


def test_a_naive_time_is_read_in_its_zone_over_the_change_of_clocks(awkward_store: Store) -> None:
    document = json.loads(awkward_store.show("traffic", step="hour"))
    found: dict[str, int] = {}
    for row in document["rows"]:
        found[row["start"]] = found.get(row["start"], 0) + row["n"]
    expected: dict[str, int] = {}
    for i in range(awkward.ROWS):
        hour = awkward.at(i).strftime("%Y-%m-%dT%H:00:00Z")
        expected[hour] = expected.get(hour, 0) + 1
    assert found == expected


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("pane", PANES)
def test_a_table_keeps_to_the_width_where_it_can(
    awkward_store: Store, pane: str, width: int
) -> None:
    text = awkward_store.show(pane, fmt="table", width=width).splitlines()
    rule = next(i for i, line in enumerate(text) if line and set(line) == {"-", " "})
    if width == 200:
        assert len(text[rule]) <= width
        assert text[rule].count("  ") >= 2
    assert len(text[rule - 1]) <= len(text[rule])
    assert all(line == line.rstrip() for line in text)


def test_a_narrow_table_has_fewer_columns_than_a_wide_one(awkward_store: Store) -> None:
    rules = [
        next(line for line in text.splitlines() if line and set(line) == {"-", " "})
        for text in (awkward_store.show("drift", fmt="table", width=w) for w in (60, 200))
    ]
    assert len(rules[0].split()) < len(rules[1].split())
    assert len(rules[0]) <= 60


def test_the_panes_of_the_command_are_the_panes_there_are() -> None:
    assert list(PANE_NAMES) == list(SHOWN)
    argument = COMMANDS["show"].argument
    assert argument is not None
    assert list(argument[1]) == list(SHOWN)


def lines(document: Any) -> str:
    """JSON with each figure on one line."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return re.sub(r"\{\s+([^{}\[\]]*?)\s+\}", lambda m: "{" + " ".join(m[1].split()) + "}", text)


def short(value: Any) -> Any:
    """Ten digits of every number: the last ones differ between processors' logarithms."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items()}
    return [short(v) for v in value] if isinstance(value, list) else value


def short_csv(text: str) -> str:
    def cell(written: str) -> str:
        try:
            return f"{float(written):.10g}" if "." in written else written
        except ValueError:
            return written

    rows = csv.reader(io.StringIO(text))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([cell(c) for c in row] for row in rows)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "pane", "more"),
    [
        ("performance.json", "performance", {"step": "all"}),
        ("performance_multi.json", "performance", {"step": "all", "deployment": "multi"}),
        ("performance_number.json", "performance", {"step": "all", "deployment": "number"}),
        ("drift.json", "drift", {"version": "v1"}),
        ("subgroups.csv", "subgroups", {"segment": "band"}),
        ("traffic.csv", "traffic", {"step": "day"}),
        ("data.json", "data", {"step": "day"}),
    ],
)
def test_the_answer_is_the_golden_one(
    awkward_store: Store, name: str, pane: str, more: dict[str, str]
) -> None:
    fmt = name.rpartition(".")[2]
    out = awkward_store.show(pane, fmt=fmt, **more)
    text = lines(short(json.loads(out))) + "\n" if fmt == "json" else short_csv(out)
    path = GOLDEN / name
    if os.environ.get(UPDATE):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
