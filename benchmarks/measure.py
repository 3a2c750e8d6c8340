"""CPU seconds, never wall time: machines are shared, and DuckDB uses every core it finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Child", "Figure", "best", "child", "timed"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing.

    floor: what DuckDB needs to read the same columns once; handwritten: what direct SQL for the
    same figures needs; both in `unit`, in the same run. goal: as the issue states it, with the
    largest value that reaches it in `limit` (compared with `value`, or with the ratio to
    handwritten where `by_ratio`).
    """

    group: str
    what: str
    value: float
    unit: str
    floor: float | None = None
    handwritten: float | None = None
    goal: str = ""
    limit: float | None = None
    by_ratio: bool = False
    note: str = ""

    @property
    def floor_ratio(self) -> float | None:
        """How many times the floor."""
        return self.value / self.floor if self.floor else None

    @property
    def handwritten_ratio(self) -> float | None:
        """How many times the hand-written SQL."""
        return self.value / self.handwritten if self.handwritten else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.limit is None:
            return None
        value = self.handwritten_ratio if self.by_ratio else self.value
        return value is not None and value <= self.limit


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads, for one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


def best(work: Callable[[], object], times: int = 3) -> float:
    """The least of several: the rest is what else ran on the machine."""
    return min(timed(work) for _ in range(times))


@dataclass(frozen=True, slots=True)
class Child:
    """What a process used and said."""

    cpu: float
    rss_mb: float
    out: str

    @property
    def said(self) -> dict[str, Any]:
        """Its last line, as JSON."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


def child(args: Sequence[str], **environment: str) -> Child:
    """Run Python with arguments, from the repository. Raises RuntimeError when it fails."""
    process = subprocess.Popen(
        [sys.executable, *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None  # noqa: S101 - asked for above
    out = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(args)} ended with {process.returncode}")
    return Child(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out)
