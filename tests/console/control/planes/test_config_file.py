"""A file that others watch: never half, never somebody else's, and nothing that hangs."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from console.control.errors import PlaneError
from console.control.planes import config_file
from console.control.planes.config_file import ChangedError, ConfigFile


def left(folder: Path) -> list[str]:
    """What is beside the file."""
    return sorted(path.name for path in folder.iterdir())


def test_mode_and_attributes_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    path.chmod(0o640)
    with_attribute = True
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:  # a file system without
        with_attribute = False
    made = ConfigFile(path)
    made.replace(made.read().revision, "new ✓", 1)
    assert path.read_text() == "new ✓"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    if with_attribute:
        assert os.getxattr(path, "user.note") == b"kept"
    assert left(tmp_path) == ["a.yml"]


def test_what_has_changed_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    made = ConfigFile(path)
    base = made.read().revision
    path.write_text("an editor's")
    with pytest.raises(ChangedError):
        made.replace(base, "ours", 1)
    assert path.read_text() == "an editor's"
    assert left(tmp_path) == ["a.yml"]


def test_two_of_us_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    made = ConfigFile(path)
    base = made.read().revision
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(PlaneError, match="locked by another process"):
            made.replace(base, "ours", 0.05)
    assert made.replace(base, "ours", 1).revision == made.read().revision


COUNTING = """
import sys
from pathlib import Path
from console.control.planes.config_file import ChangedError, ConfigFile
made = ConfigFile(Path(sys.argv[1]))
done = 0
while done < 25:
    found = made.read()
    try:
        made.replace(found.revision, str(int(found.text) + 1), 30)
        done += 1
    except ChangedError:
        pass
"""


def test_no_change_of_several_processes_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    running = [subprocess.Popen([sys.executable, "-c", COUNTING, str(path)]) for _ in range(3)]
    try:
        assert [one.wait(60) for one in running] == [0, 0, 0]
    finally:
        for one in running:
            one.kill()
    assert path.read_text() == "75"
    assert left(tmp_path) == ["count"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    made = ConfigFile(path)

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config_file.os, "fsync", full)
    with pytest.raises(PlaneError, match="No space left on device"):
        made.replace(made.read().revision, "new", 1)
    assert path.read_text() == "old"
    assert left(tmp_path) == ["a.yml"]


def test_a_mounted_config_map_is_not_written(tmp_path: Path) -> None:
    """As Kubernetes mounts it: the file is a link to ..data, which is a link to a dated folder."""
    (tmp_path / "..2026_11_21").mkdir()
    (tmp_path / "..2026_11_21" / "flags.json").write_text("old")
    (tmp_path / "..data").symlink_to("..2026_11_21")
    (tmp_path / "flags.json").symlink_to("..data/flags.json")
    made = ConfigFile(tmp_path / "flags.json")
    assert made.read().text == "old"
    assert "change that object instead" in made.problem_of_writing()
    with pytest.raises(PlaneError, match="ConfigMap"):
        made.replace(made.read().revision, "new", 1)
    assert (tmp_path / "flags.json").is_symlink()
    assert made.read().text == "old"


def test_another_link_names_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "flags.json").symlink_to("real.json")
    made = ConfigFile(tmp_path / "flags.json")
    assert str(tmp_path / "real.json") in made.problem_of_writing()
    with pytest.raises(PlaneError, match="is a link"):
        made.replace(made.read().revision, "new", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    tmp_path.chmod(0o555)
    try:
        assert "no right to write" in ConfigFile(path).problem_of_writing()
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("what", ["nothing", "folder", "pipe", "device", "huge", "binary", "\x00"])
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a\x1b[2J.yml"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate(10 * 2**30)  # 10 GB, of which the disk has nothing
    elif what == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    elif what == "\x00":
        path = tmp_path / what
    with pytest.raises(PlaneError) as caught:
        ConfigFile(path).read()
    assert str(caught.value).isprintable()
