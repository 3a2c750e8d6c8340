"""Labellers on the command and on the screen, with names of strangers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from show_schema import AGREEMENT, check

from console.cli import build_parser, main
from console.commands.common import opened
from console.commands.screen import panes
from console.commands.show import ask_from
from console.config import load_config
from console.panes import take, view

NAMES = ("\x1b[31mann\x1b[0m", "=bob()", "[bold]cee[/bold]", "\u202edan, 漢字", "x" * 5000)
TASKS = ("binary", "multiclass", "regression")
CLASSES = ("cat", "[b]dög", "=cow")

CONFIG = """
[console]
clock = "latest"
[store]
path = "store.duckdb"
""" + "".join(
    f"""
[[deployment]]
name = "{task}"
task = "{task}"
predictions = {{ path = "{task}.csv" }}
prediction = "said"
{'score = "score"' if task == "binary" else ""}
labels = {{ source = {{ path = "{task}_labels.csv" }}, received = "at", labeller = "who" }}
"""
    for task in TASKS
)

START = datetime(2024, 3, 30, 20, tzinfo=UTC)


def value(task: str, i: int) -> Any:
    if task == "binary":
        return i % 2
    return CLASSES[i % 3] if task == "multiclass" else (1e75 if i % 11 == 0 else i / 7)


def table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store of predictions that five people with awkward names have labelled."""
    folder = tmp_path_factory.mktemp("agreement")
    for task in TASKS:
        made, said = [], []
        for i in range(60):
            at = START + timedelta(minutes=7 * i)
            made.append((f"[b]r{i}", at.isoformat(), value(task, i), i / 60))
            for j, who in enumerate(NAMES):
                if (i + j) % 3:
                    label = value(task, i if (i * (j + 2)) % 5 else i + 1)
                    said.append((f"[b]r{i}", label, (at + timedelta(hours=j)).isoformat(), who))
        path = folder / f"{task}.csv"
        path.write_text(table(("id", "timestamp", "said", "score"), made), encoding="utf-8")
        path = folder / f"{task}_labels.csv"
        path.write_text(table(("id", "label", "at", "who"), said), encoding="utf-8")
    path = folder / "modelwatch.toml"
    path.write_text(CONFIG, encoding="utf-8")
    assert main(["record", "--once", "--config", str(path)]) == 0
    yield path


def printed(capsys: pytest.CaptureFixture[str], config: Path, task: str, *words: str) -> str:
    command = ["show", "agreement", "--config", str(config), "--deployment", task, *words]
    capsys.readouterr()
    assert main([*command, "--window", "2d"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("task", TASKS)
def test_the_json_is_as_documented_and_plain(
    task: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, config, task, "--format", "json")
    assert out.isascii()
    assert "\x1b" not in out
    document = json.loads(out)
    check(document, AGREEMENT, "agreement")
    assert document["known"] == "yes"
    assert len(document["rows"]) == document["n_disagree"] == document["n_found"]
    assert len(document["pairs"]) == 10
    names = {x["labeller"] for x in document["labellers"]}
    assert names == {*NAMES[:4], "x" * 200}


@pytest.mark.parametrize("task", TASKS)
def test_names_of_strangers_reach_no_terminal(
    task: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, config, task)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert "[bold]cee[/bold]" in text
    assert "disagreements" in text
    rows = printed(capsys, config, task, "--format", "csv", "--limit", "7")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", rows)
    found = list(csv.DictReader(io.StringIO(rows)))
    assert len(found) == 7
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in found for cell in row.values())
    assert all(row["said"].count(": ") >= 2 for row in found)


def test_a_limit_is_of_rows_and_a_kind_is_not(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (["--limit", "none"], "--limit takes a number"),
        (["--kind", "wrong"], "--kind is about the pane rows"),
        (["--segment", "x"], "segment"),
    ):
        command = ["show", "agreement", "--config", str(config), *words]
        assert main(command) == 2
        assert said in capsys.readouterr().err
    assert main(["show", "traffic", "--config", str(config), "--limit", "3"]) == 2


def test_no_labeller_is_said(awkward_config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, awkward_config, "binary")
    assert "labels.labeller" in text
    document = json.loads(printed(capsys, awkward_config, "binary", "--format", "json"))
    check(document, AGREEMENT, "agreement")
    assert document["known"] == "no_labeller"
    assert document["rows"] == []


def test_the_screen_has_the_pane_where_labels_say_who(config: Path, awkward_config: Path) -> None:
    there = [p.name for p in panes(load_config(config).deployment)]
    assert there[-1] == "agreement"
    assert "agreement" not in [p.name for p in panes(load_config(awkward_config).deployment)]


def test_a_prediction_says_who_labelled_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = build_parser().parse_args(["show", "rows", "--config", str(config), "--window", "2d"])
    with opened(options) as store:
        ask = ask_from(options, store.config, store.clock.now())
        shown = view("rows", take("rows", store.taker(), ask))
    pages = [cell.text for _, page in shown.details for cell in page.notes]
    said = [text for text in pages if text.startswith("several people labelled it")]
    assert said
    assert "[bold]cee[/bold]: " in " ".join(said)
