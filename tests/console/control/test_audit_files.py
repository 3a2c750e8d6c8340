"""The audit where files cannot be written, or are something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.control import audit as audit_file
from console.control.audit import Audit, EntryKind, audit_path
from console.control.errors import AuditError
from console.control.who import Who

AT = datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=UTC)
ME = Who("mei", "ops-1", "10.0.0.7", "console")
ROOT = Path(__file__).parents[3]


def add(
    audit: Audit, change: str = "c-1", kind: EntryKind = EntryKind.INTENT, **fields: Any
) -> None:
    audit.append(AT, kind, "demo", change, ME, fields)


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "s.duckdb.audit.jsonl")


@pytest.fixture
def five(audit: Audit) -> Audit:
    """With five entries."""
    for n in range(5):
        add(audit, f"c-{n}", reason=f"because {n}")
    return audit


ATTEMPTS = """
    import json, os, resource, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from console.control.audit import Audit, EntryKind
    from console.control.errors import AuditError
    from console.control.who import Who

    audit, me = Audit(Path(sys.argv[1])), Who("mei", "ops-1", "", "command")
    exec(sys.argv[2])

    def append():
        for _ in range(200):
            audit.append(datetime.now(UTC), EntryKind.RAMP, "demo", "c", me, {"filler": "x" * 3000})

    said = []
    for what in (audit.check_writable, append, lambda: said.append(audit.verify().fine)):
        try:
            what()
            said.append("fine")
        except AuditError as error:
            said.append(str(error))
    print(json.dumps(said))
"""


def in_a_process(path: Path, before: str) -> list[object]:
    """What `check_writable`, many appends and `verify` say in a process of their own."""
    words = [sys.executable, "-c", textwrap.dedent(ATTEMPTS), str(path), before]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, check=True, env=environment, text=True)
    said: list[object] = json.loads(done.stdout)
    return said


def test_a_full_disk_takes_nothing_from_what_is_there(five: Audit) -> None:
    said = in_a_process(five.path, "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))")
    assert said[0] == "fine"
    assert "cannot be written: file too large" in str(said[1])
    assert said[2] is True
    found = five.verify()
    assert found.fine
    assert found.torn == 0  # what did not fit was taken back
    assert 5 < found.n == len(five.entries())
    add(five)
    assert five.verify().fine


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_is_told_before_anything_is_changed(small_disk: Path) -> None:
    audit = Audit(small_disk / "s.audit.jsonl")
    with pytest.raises(AuditError, match="the disk is full"):
        audit.check_writable()
    with pytest.raises(AuditError, match="no space left on device"):
        for _ in range(200):
            add(audit, filler="x" * 3000)
    found = audit.verify()
    assert found.fine
    assert found.n > 10
    (small_disk / "s.audit.jsonl.head.new").unlink(missing_ok=True)
    assert len(audit.entries()) == found.n


def test_a_folder_that_cannot_be_written_is_said() -> None:
    # for root no folder is shut
    nobody = "os.geteuid() or (os.setgid(65534), os.setuid(65534))"
    # not pytest's folder: nobody else may look into that
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        said = in_a_process(Path(folder) / "new.jsonl", nobody)
        Path(folder).chmod(0o755)
    assert "permission denied" in str(said[0])
    assert "permission denied" in str(said[1])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("link", "it is a symbolic link"),
        ("pipe", "it is no plain file"),
        ("folder", "it is no plain file"),
        ("socket folder", "no such file"),
        ("open", "others may write to it"),
    ],
)
def test_something_else_in_its_place_is_refused(audit: Audit, kind: str, said: str) -> None:
    path = audit.path
    match kind:
        case "link":
            (path.parent / "elsewhere").touch()
            path.symlink_to(path.parent / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket folder":
            audit = Audit(path.parent / "absent" / path.name)
        case _:
            path.touch()
            path.chmod(0o666)
    for attempt in (audit.check_writable, lambda: add(audit)):
        with pytest.raises(AuditError, match=f"cannot be written: .*{said}"):
            attempt()
    if kind in ("link", "pipe", "folder"):
        for look in (audit.entries, audit.verify):
            with pytest.raises(AuditError, match=f"cannot be read: {said}"):
                look()


def test_a_file_far_too_large_is_refused_and_still_verified(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(audit)
    os.truncate(audit.path, 1 << 30)  # with nothing in it
    for attempt in (audit.check_writable, lambda: add(audit), audit.entries):
        with pytest.raises(AuditError, match="too large"):
            attempt()
    monkeypatch.setattr(audit_file, "LARGEST", 1 << 40)
    os.truncate(audit.path, 40_000_000)
    assert not audit.verify().fine
    with pytest.raises(AuditError, match=r"its end is no entry|no entry"):
        add(audit)


def test_many_tiny_lines_are_gone_through_in_time(audit: Audit) -> None:
    audit.path.write_bytes(b"\n" * 3_000_000)
    audit.path.chmod(0o600)
    assert audit.verify().line == 1
    with pytest.raises(AuditError):
        add(audit)


def test_the_audit_lies_beside_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "real" / "s.duckdb")
    assert audit_path(tmp_path / "link.duckdb") == tmp_path / "real" / "s.duckdb.audit.jsonl"
    loop = tmp_path / "loop.duckdb"
    loop.symlink_to(loop)
    assert audit_path(loop).name == "loop.duckdb.audit.jsonl"
