"""Become another program that ends with whoever started this one, however that went.

`python -m console.demo.tether PARENT PROGRAM ARGUMENT...`: on Linux the kernel kills it when its
parent is gone. Elsewhere nothing but an orderly end of the parent ends it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask for the signal, see that the parent is still there, go on as the program."""
    parent, program = int(arguments[0]), arguments[1]
    if sys.platform == "linux":
        # outlives execve; sent when the thread that started this one ends, which is the main one
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)  # it was gone before we asked
    os.execv(program, arguments[1:])  # noqa: S606 - the caller's own words, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
