"""Starts the demo's world from the command, and ends it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from console.demo.children import child, module
from console.demo.running import Running, withdraw
from console.demo.settings import Settings
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
    demo = None
    try:
        words = module("console.demo.world")
        with child(words, talks=True, apart=True, end_s=_END_S) as process:
            demo = _asked(process, settings)
            yield demo
    finally:
        if demo is not None:  # it has done so itself, unless it was killed
            withdraw(demo.pid)
            shutil.rmtree(demo.folder, ignore_errors=True)


def _asked(process: subprocess.Popen[bytes], settings: Settings) -> Running:
    line = b""
    with suppress(OSError):
        if process.stdin is not None and process.stdout is not None:
            process.stdin.write(json.dumps(asdict(settings)).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
    answer: Any = {}
    with suppress(ValueError):
        answer = json.loads(line)
    demo = Running.of(answer.get("ready"))
    if demo is None:
        raise DemoError(str(answer.get("failed") or "the demo's processes did not start"))
    return demo
