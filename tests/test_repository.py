"""What holds for the repository as a whole: no addresses, no machine paths, everything pinned.

Patterns are put together from pieces, so that this file does not match them.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))

# Package registries, by the host their clients ask.
REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pypi", "python", "org"),
        ("conda", "anaconda", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("rubygems", "org"),
        ("repo", "maven", "apache", "org"),
        ("repo1", "maven", "org"),
    ]
]
HOST = re.compile("|".join(map(re.escape, REGISTRIES)).encode(), re.IGNORECASE)

# Folders of one machine or one person. A path that users type, as in /var/log, is fine.
MACHINE_PATH = re.compile(
    rb"(?<![\w.:-])/(?:" + b"|".join([b"ro" + b"ot", b"ho" + b"me", b"Us" + b"ers"]) + rb")/\w"
    rb"|(?<![\w.:-])/(?:wo" + rb"rk/(?:main|shared)|opt/(?:py" + rb"pi|wh" + rb"eels))\b"
    rb"|[A-Z]:\\\\?Us" + rb"ers\\"
)
# Lock files that record where each file came from.
LOCK_FILES = re.compile(
    r"(uv|poetry|pdm|pixi|Cargo|yarn)\.lock|Pipfile\.lock|pylock.*\.toml"
    r"|conda-lock\.yml|package-lock\.json|pnpm-lock\.yaml"
)

PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+)"
    r"(?: ; (?P<marker>[^#]+?))?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)


def _tracked() -> list[Path]:
    """Every file git knows or would add; without git, what .gitignore does not name."""
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    try:
        found = subprocess.run(
            [*git, "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return list(_not_ignored())
    paths = [ROOT / name for name in os.fsdecode(found).split("\0") if name]
    return [path for path in paths if path.is_file()]


def _not_ignored() -> Iterator[Path]:
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    for folder, folders, names in os.walk(ROOT):
        skipped = {name for name in folders if any(Path(name).match(each) for each in ignored)}
        folders[:] = sorted({*folders} - skipped - {".git"})
        yield from (Path(folder) / name for name in names)


def _lines_with(pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line[:120]!r}"
        for path in _tracked()
        if pattern.search(content := path.read_bytes())
        for number, line in enumerate(content.splitlines(), 1)
        if pattern.search(line)
    ]


def _pins(path: Path) -> list[re.Match[str]]:
    """Every requirement of a file; fails on a line that is not exactly pinned and hashed."""
    joined = re.sub(r"\s*\\\n\s*", " ", path.read_text())
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    for line in lines:
        assert PIN.fullmatch(line), f"{path.name}: not one exact version with hashes: {line[:80]!r}"
    return [pin for pin in map(PIN.fullmatch, lines) if pin]


def _requirements(*sources: list[str]) -> list[Requirement]:
    return [Requirement(each) for source in sources for each in source]


# --- what no file holds --------------------------------------------------------------------


def test_there_are_files_to_look_at() -> None:
    assert ROOT / "pyproject.toml" in _tracked()
    assert Path(__file__) in _tracked()


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert _lines_with(HOST) == []


def test_no_file_holds_a_path_of_one_machine() -> None:
    assert _lines_with(MACHINE_PATH) == []


@pytest.mark.parametrize("folder", ["ro" + "ot", "ho" + "me", "Us" + "ers"])
def test_a_path_of_one_machine_is_recognised(folder: str) -> None:
    assert MACHINE_PATH.search(f'open("/{folder}/ann/log")'.encode())
    assert not MACHINE_PATH.search(f"https://example.com/{folder}/page".encode())


def test_no_file_holds_the_path_of_this_checkout() -> None:
    if len(ROOT.parts) < 4:
        pytest.skip("a short path may be a word of a document")
    assert _lines_with(re.compile(re.escape(os.fsencode(ROOT)))) == []


def test_no_lock_file_records_addresses() -> None:
    assert [path for path in _tracked() if LOCK_FILES.fullmatch(path.name)] == []


# --- requirements ---------------------------------------------------------------------------


def test_every_requirements_file_is_there() -> None:
    stems = [path.stem for path in REQUIREMENTS]
    assert stems == ["core", "demo", "dev", "lock", "sample", "test"]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_every_requirement_is_one_exact_version_with_hashes(path: Path) -> None:
    assert _pins(path)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_hold_no_option_address_or_path(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert not line.startswith("-"), line
        assert "://" not in line, line
        assert " /" not in line, line


def test_a_package_has_the_same_version_in_every_requirements_file() -> None:
    versions: dict[tuple[str, str | None], set[str]] = {}
    for path in REQUIREMENTS:
        for pin in _pins(path):
            versions.setdefault((pin["name"], pin["marker"]), set()).add(pin["version"])
    assert {key: found for key, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("core", [PROJECT["project"]["dependencies"], PROJECT["build-system"]["requires"]]),
        ("test", [PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]["test"]]),
        ("dev", [*PROJECT["dependency-groups"].values()][:2]),
        ("sample", [PROJECT["project"]["optional-dependencies"]["sample"]]),
        ("demo", [PROJECT["project"]["optional-dependencies"]["demo"]]),
        ("lock", [PROJECT["dependency-groups"]["lock"]]),
    ],
)
def test_pins_are_what_pyproject_allows(name: str, declared: list[list[str]]) -> None:
    pins: dict[str, set[str]] = {}
    for pin in _pins(ROOT / "requirements" / f"{name}.txt"):
        pins.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    for requirement in _requirements(*declared):
        versions = pins.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in {name}.txt; run make requirements"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement}: {versions}"


def test_every_dependency_says_why_it_is_there() -> None:
    groups = [
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    for dependency in [each for group in groups for each in group]:
        reason = re.compile(rf'^[^#]*"{re.escape(dependency)}"[],]*\s+# \S', re.MULTILINE)
        assert reason.search(PYPROJECT), f"{dependency} has no reason beside it"


# --- the commands ---------------------------------------------------------------------------


def test_the_scripts_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert os.access(ROOT / ".ci" / "venv", os.X_OK)
