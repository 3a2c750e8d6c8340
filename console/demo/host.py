"""Starts the demo's world from the command, and ends it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from console.demo.running import Running, withdraw
from console.demo.world import Settings
from console.errors import ConsoleError

__all__ = ["DemoError", "world"]

_END_S = 15.0


class DemoError(ConsoleError):
    """The demo did not start."""


@contextmanager
def world(settings: Settings) -> Iterator[Running]:
    """Everything that the demo needs, while it is needed. Raises DemoError.

    It has a session of its own: a terminal that goes, or Ctrl-C, ends this process, and with its
    input that world.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "console.demo.world"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    demo = None
    try:
        demo = _asked(child, settings)
        yield demo
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if demo is not None:  # it has done so itself, unless it was killed
            withdraw(demo.pid)
            shutil.rmtree(demo.folder, ignore_errors=True)


def _asked(child: subprocess.Popen[bytes], settings: Settings) -> Running:
    line = b""
    with suppress(OSError):
        if child.stdin is not None and child.stdout is not None:
            child.stdin.write(json.dumps(asdict(settings)).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
    answer: Any = {}
    with suppress(ValueError):
        answer = json.loads(line)
    demo = Running.of(answer.get("ready"))
    if demo is None:
        raise DemoError(str(answer.get("failed") or "the demo's processes did not start"))
    return demo
