"""Compile requirements/*.txt from pyproject.toml: `make requirements`.

The tool is uv, pinned in requirements/lock.txt, in universal mode: one file serves every
platform and every Python from the lowest that pyproject.toml allows, with the hashes of all
files of a release. `make requirements ARGS=--upgrade` takes newer versions; without it a pin
changes only when pyproject.toml no longer allows it.

Only the default index is asked, whatever the machine's settings say, and no address is written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
_SOURCES = ("INDEX", "FIND_LINKS", "CONFIG")  # settings of uv that name another source


@dataclass(frozen=True, slots=True)
class RequirementsFile:
    """One file: `chosen` are uv's options; `installs` files also hold the project and its build."""

    name: str
    says: str
    chosen: tuple[str, ...] = ()
    installs: bool = True

    @property
    def path(self) -> Path:
        """Where it is."""
        return FOLDER / f"{self.name}.txt"


# The first holds all the others, and they are constrained by it, so that they agree.
FILES = (
    RequirementsFile(
        "dev",
        "what `make check` needs: test.txt and the linters",
        ("--group", "test", "--group", "dev", "--extra", "sample", "--extra", "demo"),
    ),
    RequirementsFile(
        "test", "what `make test` needs: core.txt and test tools", ("--group", "test")
    ),
    RequirementsFile("core", "what the command needs, and the build backend that installs it"),
    RequirementsFile(
        "demo", "what `make demo ARGS=--with-proxy` needs: core.txt and Envoy", ("--extra", "demo")
    ),
    RequirementsFile("sample", "what sample_data/build.py needs", ("--extra", "sample")),
    RequirementsFile("lock", "what `make requirements` needs", ("--group", "lock"), installs=False),
)


def main(arguments: Sequence[str]) -> int:
    """Compile all; `arguments` go to uv."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    complete = FILES[0]
    for file in FILES:
        agree = () if file is complete or not file.installs else ("--constraints", complete.path)
        _compile(file, project, [*map(str, agree), *arguments])
        pins = len(re.findall(r"^[\w.-]+==", file.path.read_text(), re.MULTILINE))
        sys.stdout.write(f"requirements/{file.path.name}: {pins} pins\n")
    return 0


def _compile(
    file: RequirementsFile, project: Mapping[str, Mapping[str, object]], more: Sequence[str]
) -> None:
    lowest = str(project["project"]["requires-python"]).removeprefix(">=")
    backend = project["build-system"]["requires"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", lowest, "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--only-binary", ":all:", "--output-file", str(file.path), *file.chosen, *more]
    if file.installs:
        command += ["pyproject.toml", "-"]
    subprocess.run(  # noqa: S603 - fixed words, our own files and the caller's own arguments
        command,
        cwd=ROOT,
        env=_default_index_only(),
        input="\n".join(backend) if isinstance(backend, list) else "",
        text=True,
        check=True,
    )
    header = "Compiled from pyproject.toml by `make requirements`; do not edit."
    file.path.write_text(f"# {file.says}.\n# {header}\n{file.path.read_text()}")


def _default_index_only() -> dict[str, str]:
    """Return the environment without the settings that would add another source."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("UV_") and any(word in name for word in _SOURCES))
    }
    return {**kept, "UV_NO_CONFIG": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
