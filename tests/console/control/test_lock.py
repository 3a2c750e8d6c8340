"""Who acts, and that only one does at a time."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.control.errors import LockedError
from console.control.lock import TargetLock
from console.control.who import Who, who

ROOT = Path(__file__).parents[3]
SINCE = datetime(2026, 3, 1, 12, 30, 1, tzinfo=UTC)
ME = Who("mei", "ops-1", "10.0.0.7", "console")

HOLDING = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from console.control.lock import TargetLock
    from console.control.who import Who

    by = Who("alex", "ops-2", "", "recorder")
    with TargetLock(Path(sys.argv[1]), "demo", by, datetime(2026, 3, 1, tzinfo=UTC)):
        print("held", flush=True)
        sys.stdin.read()
"""


@contextmanager
def held_elsewhere(audit: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDING), str(audit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "s.audit.jsonl"


def lock(audit: Path, deployment: str = "demo", wait_s: float = 0.0) -> TargetLock:
    return TargetLock(audit, deployment, ME, SINCE, wait_s)


def test_another_process_is_named(audit: Path) -> None:
    with held_elsewhere(audit) as process:
        with pytest.raises(LockedError) as caught, lock(audit):
            pass
        assert str(caught.value) == (
            f"alex@ops-2 (modelwatch recorder, process {process.pid}, since "
            "2026-03-01T00:00:00+00:00) is changing the traffic of demo; nothing was changed; "
            f"if it hangs, end it: kill {process.pid}"
        )
        with lock(audit, "another"):
            pass
        with lock(audit.with_name("another.jsonl")):
            pass


def test_the_lock_ends_with_its_process(audit: Path) -> None:
    with held_elsewhere(audit) as process:
        process.kill()
        process.wait()
        with lock(audit):
            pass


def test_one_that_ends_soon_is_waited_for(audit: Path) -> None:
    with held_elsewhere(audit) as process:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        with lock(audit, wait_s=30):
            pass


def test_two_in_one_process_keep_each_other_out_and_it_can_be_taken_again(audit: Path) -> None:
    first, second = lock(audit), lock(audit)
    for _ in range(3):
        with first:
            with pytest.raises(LockedError, match=r"mei@ops-1 from 10\.0\.0\.7"), second:
                pass
            with pytest.raises(LockedError), second:
                pass
        with second:
            pass
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert first.path.read_bytes() == b""


def test_an_error_inside_lets_it_go(audit: Path) -> None:
    with pytest.raises(KeyError), lock(audit):
        raise KeyError
    with lock(audit):
        pass


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[1]", b'{"who": "a"}', b'{"pid": 1e999, "who": 1, "program": 2, "since": 3}'],
)
def test_a_holder_that_says_nothing_sensible_is_another_process(
    audit: Path, content: bytes
) -> None:
    with lock(audit) as held:
        held.path.write_bytes(content)
        with pytest.raises(LockedError, match=r"^another process is changing"), lock(audit):
            pass


def test_what_a_holder_says_cannot_reach_the_terminal(audit: Path) -> None:
    with lock(audit) as held:
        hostile = '{"pid": 1, "who": "\\u001b[31m\\u202eroot", "program": "x", "since": "y"}'
        held.path.write_text(hostile)
        with pytest.raises(LockedError) as caught, lock(audit):
            pass
    assert str(caught.value).isprintable()


def test_a_link_or_a_pipe_in_its_place_is_refused(audit: Path) -> None:
    path = lock(audit).path
    path.symlink_to(audit.parent / "elsewhere")
    with (
        pytest.raises(LockedError, match="it is a symbolic link; nothing was changed"),
        lock(audit),
    ):
        pass
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LockedError, match="it is no plain file"), lock(audit):
        pass


# -- who -------------------------------------------------------------------------------------------


def test_the_user_is_the_system_s_and_not_the_environment_s() -> None:
    found = who("command", {"USER": "somebody", "LOGNAME": "else", "SECRET": "x"})
    assert found.user == pwd.getpwuid(os.getuid()).pw_name
    assert (found.origin, found.program) == ("", "command")
    assert found.host


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ("10.0.0.7 55122 10.0.0.1 22", "10.0.0.7"),
        ("2001:db8::1 55122 2001:db8::2 22", "2001:db8::1"),
        ("fe80::1%eth0 1 fe80::2 22", "fe80::1%eth0"),
        ("\x1b[31mhost 1 2 3", ""),
        ("token=secret", ""),
        ("", ""),
        ("1" * 10_000, ""),
    ],
)
def test_the_origin_is_an_address_or_nothing(said: str, origin: str) -> None:
    assert who("console", {"SSH_CONNECTION": said}).origin == origin


def test_sudo_stands_beside_the_user() -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    assert who("console", {"SUDO_USER": "alex"}).user == f"{user} (sudo by alex)"
    assert who("console", {"SUDO_USER": user}).user == user
    assert "\x1b" not in who("console", {"SUDO_USER": "\x1b[31m" + "x" * 1000}).user


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert who("console", {}).user == "3999999999"
