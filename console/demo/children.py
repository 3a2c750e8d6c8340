"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["child", "module"]

_END_S = 5.0


def module(name: str, *arguments: str) -> list[str]:
    """The words that run a module of ours in this Python, whatever folder we are in."""
    return [sys.executable, "-P", "-m", name, *arguments]


@contextmanager
def child(
    words: Sequence[str],
    *,
    talks: bool = False,
    log: Path | None = None,
    tethered: bool = False,
    apart: bool = False,
    scratch: Path | None = None,
    end_s: float = _END_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, while it is needed. Raises OSError.

    talks: it is spoken with, and ends with its input. tethered: it knows nothing of us, so the
    kernel ends it when we are killed. apart: what ends our terminal does not end it. log: where
    its output goes. scratch: where it keeps what it leaves behind when it is killed. end_s: how
    long its end may take before that.
    """
    if tethered:
        words = [*module("console.demo.tether", str(os.getpid())), *words]
    with ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log is not None else subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603 - our own words, no shell
            words,
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else out,
            stderr=out,
            start_new_session=apart,
            env={
                **os.environ,
                "PYTHONPATH": _path(),
                **({"TMPDIR": str(scratch)} if scratch is not None else {}),
            },
        )
    try:
        yield process
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if not talks:
            process.terminate()
        try:
            process.wait(end_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _path() -> str:
    """Where our modules are found, also from a source tree."""
    own = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join((own, *filter(None, [os.environ.get("PYTHONPATH", "")])))
