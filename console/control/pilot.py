"""Whether somebody carries ramps on and keeps rules: a recorder that may write, and lives.

It holds a lock for as long as it looks, which ends with its process. So whoever starts a ramp, or
looks at one, knows whether anybody judges it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from console.control.errors import LockedError
from console.control.lock import TargetLock
from console.control.who import who

__all__ = ["NOBODY", "is_piloted", "piloting"]

NOBODY = "no recorder that may write is running, so nobody judges it"
"""What is wrong with a ramp, or with rules, while nobody pilots."""


def piloting(audit: Path, deployment: str, wait_s: float = 2.0) -> TargetLock:
    """What a recorder holds while it looks after a deployment. Entering raises LockedError.

    wait_s: whoever only asks has it for a moment.
    """
    by, now = who("recorder", os.environ), datetime.now(UTC)
    return TargetLock(audit, f"autopilot of {deployment}", by, now, wait_s)


def is_piloted(audit: Path, deployment: str) -> bool:
    """Whether a recorder looks after a deployment now."""
    try:
        with piloting(audit, deployment, 0.0):
            return False
    except LockedError:
        return True
