"""What a recorder logs: one line an event, for people or as JSON."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

from collectors.text import clean

__all__ = ["EventLog"]

_LONGEST = 1000


class EventLog:
    """Writes to standard error, from any thread. structured: JSON, one object a line."""

    def __init__(self, *, structured: bool, stream: TextIO | None = None) -> None:
        self._structured = structured
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def say(self, event: str, text: str, level: str = "info", **fields: object) -> None:
        """One event: its name, a sentence, and fields that programs read."""
        shown = clean(text, _LONGEST)
        if self._structured:
            at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            known = {"time": at, "level": level, "event": event, "message": shown}
            line = json.dumps({**known, **fields}, default=str)
        else:
            mark = "modelwatch: " if level in ("error", "warning") else ""
            line = f"{mark}{shown}"
        with self._lock:
            print(line, file=self._stream, flush=True)
