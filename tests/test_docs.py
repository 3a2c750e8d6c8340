"""The documentation is true: its commands run, its examples load, its generated pages are current.

`console` blocks are commands with their output; "..." stands for what is left out. `toml` blocks
are configurations. `json` blocks are beginnings of what `show` prints.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from collectors.contract import (
    Costs,
    Deployment,
    Fallback,
    Feature,
    FileSource,
    LabelColumns,
    MetricColumns,
    Reference,
    Segment,
    Trial,
)
from collectors.quality_rules import ColumnRule, Quality
from collectors.store.reasons import Reason
from console.analysis.distances import DriftState
from console.analysis.estimate import State
from console.analysis.findings import Severity
from console.cli import main
from console.config import (
    ConsoleSection,
    RecorderSection,
    RetentionSection,
    StoreSection,
    load_config,
)
from console.gate import Gate
from console.panes import PANES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SAMPLE = ROOT / "sample_data"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")])

ELLIPSIS = "..."
CHOSEN = {
    "metrics",
    "estimated",
    "estimated_labelled",
    "gaps",
    "baselines",
    "fallback",
    "against_metrics",
    "differences",
    "features",
}
"""Objects of which the examples show some keys only."""


@dataclass(frozen=True)
class Step:
    """One command of a page and the lines that the page quotes of its output."""

    command: list[str]
    quoted: list[str]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def steps(page: Path) -> list[Step]:
    found: list[Step] = []
    for block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(shlex.split(line[2:]), []))
            else:
                found[-1].quoted.append(line)
    return found


def squeezed(text: str) -> str:
    return " ".join(text.split())


OWN_LOGS = ("labellers.md",)
"""Pages whose commands are about logs that they show."""

# --- a store of half the sample --------------------------------------------------------------


@dataclass(frozen=True)
class Store:
    config: Path
    data: Path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The sample's first deployment, recorded as the pages say."""
    folder = tmp_path_factory.mktemp("docs")
    written = (SAMPLE / "modelwatch.toml").read_text()
    head, first, _ = written.split("\n[[deployment]]\n")
    text = f"{head}\n[[deployment]]\n{first}"
    for name in ("predictions", "labels", "reference"):
        text = text.replace(f'"{name}/', f'"{SAMPLE.as_posix()}/{name}/')
    config = folder / "modelwatch.toml"
    config.write_text(text)
    made = Store(config, folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        _use(patch, made, folder)
        assert main(["record", "--once"]) == 0
    yield made


@pytest.fixture
def as_documented(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> pytest.MonkeyPatch:
    _use(monkeypatch, store, tmp_path)
    return monkeypatch


def _use(patch: pytest.MonkeyPatch, store: Store, home: Path) -> None:
    patch.setenv("HOME", str(home))
    patch.setenv("MODELWATCH_CONFIG", str(store.config))
    patch.setenv("XDG_DATA_HOME", str(store.data))
    patch.setenv("COLUMNS", "120")


def run(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert command[0] == "modelwatch"
    assert main(command[1:]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


# --- pages that show commands ----------------------------------------------------------------


def documented() -> list[Step]:
    found = [s for page in PAGES if page.name not in OWN_LOGS for s in steps(page)]
    return [s for s in found if s.command[1:2] in (["show"], ["explain"], ["sql"])]


@pytest.mark.parametrize("step", documented(), ids=lambda s: " ".join(s.command[2:]))
def test_a_command_prints_what_its_page_quotes(
    step: Step, as_documented: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = [squeezed(line) for line in run(step.command, capsys).splitlines()]
    at = 0
    for line in step.quoted:
        wanted = squeezed(line)
        if wanted == ELLIPSIS:
            continue
        begins = wanted.removesuffix(ELLIPSIS)
        places = [
            i
            for i, held in enumerate(printed[at:], at)
            if held == wanted or (begins != wanted and held.startswith(begins))
        ]
        assert places, f"not printed: {line}\n" + "\n".join(printed[:40])
        at = places[0] + 1


def test_incidents_are_shown_with_commands() -> None:
    assert len(steps(DOCS / "incidents.md")) >= 10


# --- JSON and CSV ----------------------------------------------------------------------------


def examples() -> dict[str, Any]:
    made = [json.loads(block) for block in blocks(DOCS / "json.md", "json")]
    return {example["pane"]: example for example in made if "pane" in example}


def command_of(example: dict[str, Any], form: str) -> list[str]:
    """The command that json.md names for all its examples."""
    line = next(
        s.command for s in steps(DOCS / "json.md") if s.command[:2] == ["modelwatch", "show"]
    )
    words = ["modelwatch", "show", example["pane"], *line[3:]]
    return [form if w in ("json", "csv") else w for w in words]


def test_every_pane_has_an_example() -> None:
    assert set(examples()) == {*PANES, "explain"}


@pytest.mark.parametrize("pane", list(PANES))
def test_an_example_is_what_show_prints(
    pane: str, as_documented: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = examples()[pane]
    printed = json.loads(run(command_of(example, "json"), capsys))
    differ = list(differences(example, printed, pane))
    assert not differ, "\n".join(differ)


def test_the_explanation_is_what_the_command_prints(
    as_documented: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = next(s.command for s in steps(DOCS / "json.md") if s.command[1] == "explain")
    differ = list(differences(examples()["explain"], json.loads(run(command, capsys)), "explain"))
    assert not differ, "\n".join(differ)


def differences(example: Any, printed: Any, place: str, name: str = "") -> Iterator[str]:
    """Places where an example is not the beginning of what was printed."""
    if isinstance(example, dict) and isinstance(printed, dict):
        if not (set(example) <= set(printed) if name in CHOSEN else set(example) == set(printed)):
            yield f"{place}: keys {sorted(example)}, printed {sorted(printed)}"
            return
        for key, value in example.items():
            yield from differences(value, printed[key], f"{place}.{key}", key)
    elif isinstance(example, list) and isinstance(printed, list):
        if len(example) > len(printed) or bool(example) != bool(printed):
            yield f"{place}: {len(example)} in the example, {len(printed)} printed"
        for i, (mine, theirs) in enumerate(zip(example, printed, strict=False)):
            yield from differences(mine, theirs, f"{place}[{i}]")
    elif isinstance(example, float) and isinstance(printed, float):
        if example != pytest.approx(printed, rel=1e-6):
            yield f"{place}: {example}, printed {printed}"
    elif example != printed or type(example) is not type(printed):
        yield f"{place}: {example!r}, printed {printed!r}"


@pytest.mark.parametrize("pane", [p for p in PANES if p != "rows"])
def test_csv_has_the_documented_columns(
    pane: str, as_documented: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = examples()[pane]
    printed = run(command_of(example, "csv"), capsys)
    columns = csv.DictReader(io.StringIO(printed)).fieldnames or []
    row = example["rows"][0]
    plain = {k for k, v in row.items() if not isinstance(v, dict | list)}
    figures = {f"{m}{end}" for m in row["metrics"] for end in ("", ".low", ".high", ".n", ".state")}
    assert plain | figures <= set(columns)


def test_every_state_is_explained() -> None:
    page = (DOCS / "json.md").read_text()
    words = [*State, *DriftState, *(s.name.lower() for s in Severity)]
    assert [w for w in words if f"`{w}`" not in page] == []


# --- configuration ---------------------------------------------------------------------------

SECTIONS: dict[str, type[BaseModel]] = {
    "store": StoreSection,
    "console": ConsoleSection,
    "recorder": RecorderSection,
    "deployment": Deployment,
    "deployment.labels": LabelColumns,
    "deployment.reference": Reference,
    "deployment.fallback": Fallback,
    "deployment.costs": Costs,
    "deployment.trial": Trial,
    "deployment.quality": Quality,
    "deployment.quality.columns": ColumnRule,
    "deployment.metrics": MetricColumns,
    "deployment.segments": Segment,
    "deployment.features": Feature,
    "gate": Gate,
    "store.retention": RetentionSection,
    "file source": FileSource,
}


def described(section: str) -> dict[str, str]:
    """Keys of a section's table in configuration.md, with what it says about the default."""
    page = (DOCS / "configuration.md").read_text()
    part = re.search(rf"^## `?\[*{re.escape(section)}\]*`?$(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert part, f"configuration.md has no section {section}"
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", part.group(1), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("section", list(SECTIONS))
def test_every_key_of_the_configuration_is_described(section: str) -> None:
    fields = SECTIONS[section].model_fields
    assert set(described(section)) == set(fields)


@pytest.mark.parametrize("section", list(SECTIONS))
def test_defaults_are_as_described(section: str) -> None:
    for key, said in described(section).items():
        field = SECTIONS[section].model_fields[key]
        if field.is_required():
            assert said == "required", f"{key} is required"
        elif isinstance(field.default, bool):
            assert said == f"`{str(field.default).lower()}`", key
        elif isinstance(field.default, int | float):
            assert float(said.strip("`")) == field.default, key
        elif isinstance(field.default, str) and field.default:
            assert said == f'`"{field.default}"`', key
        else:
            assert said not in ("required", ""), key


@pytest.mark.parametrize("number", range(len(blocks(DOCS / "configuration.md", "toml"))))
def test_configurations_of_the_page_load(number: int, tmp_path: Path) -> None:
    path = tmp_path / "modelwatch.toml"
    path.write_text(blocks(DOCS / "configuration.md", "toml")[number])
    assert load_config(path).deployment


def test_every_reason_for_quarantine_is_listed() -> None:
    page = (DOCS / "configuration.md").read_text()
    assert [r.value for r in Reason if f"`{r.value}`" not in page] == []


# --- the README ------------------------------------------------------------------------------


def test_the_readmes_own_logs_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "README.md").read_text()
    files = dict(
        re.findall(r"`([\w.]+)`:\n\n```(?:toml|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    )
    assert set(files) == {"predictions.csv", "labels.csv", "modelwatch.toml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for variable in ("MODELWATCH_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert "everything fits" in run(["modelwatch", "check"], capsys)
    run(["modelwatch", "record", "--once"], capsys)
    out = run(["modelwatch", "show", "performance", "--step", "all", "--format", "json"], capsys)
    rows = json.loads(out)["rows"]
    assert sum(row["n"] for row in rows) == files["predictions.csv"].count("\n") - 1
    assert sum(row["n_labelled"] for row in rows) == files["labels.csv"].count("\n") - 1


def test_the_page_of_labellers_works_on_its_own_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOCS / "labellers.md"
    files = re.findall(
        r"`([\w.]+)`:\n\n```(?:toml|text)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
    assert [name for name, _ in files] == ["predictions.csv", "labels.csv", "modelwatch.toml"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    for variable in ("MODELWATCH_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for step in steps(page):
        printed = run(step.command, capsys).splitlines()
        wanted = [line for line in step.quoted if line not in ("", ELLIPSIS)]
        assert [line for line in printed if line in wanted] == wanted, printed


# --- all pages -------------------------------------------------------------------------------


def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    generate = _generate()
    for name, page in generate.PAGES.items():
        current = (DOCS / name).read_text(encoding="utf-8") == page()
        assert current, f"docs/{name} is out of date: run python docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [p.name for p in DOCS.glob("*.md") if f"docs/{p.name}" not in readme] == []


def test_the_picture_is_small_and_needs_nothing_else() -> None:
    picture = (DOCS / "console.svg").read_text(encoding="utf-8")
    assert len(picture.encode()) < 300_000
    assert "@font-face" not in picture
    assert re.findall(r"https?://[^\"' <]+", picture) == ["http://www.w3.org/2000/svg"]
    assert "flight-late" in picture
