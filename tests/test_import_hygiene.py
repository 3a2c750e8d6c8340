"""Who may load what, seen from fresh interpreters.

Import contracts in pyproject.toml hold the same for imports that can be read from the source.
Here what is loaded counts, however it came: a library by way of another one too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TERMINAL = ["textual", "rich", "plotext"]
# scipy.stats alone takes most of a second; pandas and pyarrow are no dependencies of ours.
NEVER = ["scipy", "sklearn", "pandas", "pyarrow"]
ONLY_IN_TESTS = ["pytest", "_pytest", "hypothesis", "pexpect", "pyte", "setuptools"]

PROBE = """
import importlib, json, sys

sys.modules["click"] = None  # with it httpx would load its own command line, and rich for that
modules, unwanted, arguments = json.loads(sys.argv[1])
found, seen = {}, set()
for module in modules:
    importlib.import_module(module)
    new = {name for name in unwanted if name in sys.modules} - seen
    seen |= new
    if new:
        found[module] = sorted(new)
if arguments is not None:
    sys.argv = ["modelwatch", *arguments]
    try:
        code = importlib.import_module(modules[0]).main()
    except SystemExit as exit:
        code = exit.code
    assert not code, code
    found = sorted(name for name in unwanted if name in sys.modules)
print(json.dumps(found), file=sys.stderr)
"""


def _modules(*packages: str) -> list[str]:
    """Every module below the packages, or the module itself; what does not exist is left out."""
    found: set[str] = set()
    for package in packages:
        path = ROOT / package.replace(".", "/")
        files = [*path.rglob("*.py"), path.with_suffix(".py")]
        for file in files:
            if file.is_file() and file.name != "__main__.py":
                name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                found.add(name.removesuffix(".__init__"))
    return sorted(found)


def _probe(
    modules: Iterable[str], unwanted: list[str], arguments: list[str] | None = None
) -> object:
    """What was loaded that should not be; without `arguments` by the module that was first to."""
    given = json.dumps([list(modules), unwanted, arguments])
    done = subprocess.run(
        [sys.executable, "-c", PROBE, given], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


def _skip_without_cli() -> None:
    if not _modules("console.cli"):
        pytest.skip("console.cli is not there")


def test_modules_are_found() -> None:
    expected = {"collectors", "collectors.contract", "collectors.store.bins"}
    assert expected <= set(_modules("collectors"))


def test_collectors_load_neither_a_terminal_library_nor_the_console() -> None:
    assert _probe(_modules("collectors"), [*TERMINAL, "console"]) == {}


def test_analysis_loads_no_store_and_no_terminal_library() -> None:
    unwanted = [*TERMINAL, "duckdb", "collectors.store", "console.tui", "console.views"]
    assert _probe(_modules("console.analysis"), unwanted) == {}


def test_views_load_no_terminal_library() -> None:
    assert _probe(_modules("console.views"), [*TERMINAL, "console.tui"]) == {}


def test_headless_modules_load_no_terminal_library() -> None:
    modules = _modules("console.config", "console.panes", "console.show", "console.feed")
    assert _probe(modules, [*TERMINAL, "console.tui"]) == {}


def test_nothing_loads_a_library_of_the_tests() -> None:
    assert _probe(_modules("collectors", "console"), [*NEVER, *ONLY_IN_TESTS]) == {}


def test_the_command_starts_without_a_heavy_library() -> None:
    _skip_without_cli()
    heavy = [*TERMINAL, "polars", "numpy", "duckdb", "pydantic", "zstandard", *NEVER]
    assert _probe(["console.cli"], heavy) == {}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_load_no_heavy_library(option: str) -> None:
    _skip_without_cli()
    heavy = [*TERMINAL, "polars", "numpy", "duckdb", "pydantic", "zstandard", *NEVER]
    assert _probe(["console.cli"], heavy, [option]) == []
