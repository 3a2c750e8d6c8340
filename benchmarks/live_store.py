"""What another process of ours uses."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_of", "peak_of", "resident_of"]


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_of(pid: int) -> float:
    """Its resident memory in MB."""
    return _status(pid, "VmRSS")


def peak_of(pid: int) -> float:
    """The most that it has been, in MB."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
