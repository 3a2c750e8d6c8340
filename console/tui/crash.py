"""What happens when the app itself is wrong: one sentence for the user, a log for us.

The log has the traceback without the values of local variables: they may hold secrets.
"""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime
from pathlib import Path

from collectors.text import clean

__all__ = ["EXIT_CODE", "report"]

EXIT_CODE = 3


def report(error: BaseException, log_file: Path | None) -> str:
    """Write the log if a file is given; returns the sentence to leave with."""
    kind = clean(type(error).__name__)
    if log_file is None:
        return f"modelwatch stopped because of an error in itself ({kind})."
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {kind}\n")
            log.writelines(traceback.format_tb(error.__traceback__))
    except OSError as problem:
        return (
            f"modelwatch stopped because of an error in itself ({kind}); "
            f"{clean(log_file)} could not be written ({clean(problem.strerror)})."
        )
    return f"modelwatch stopped because of an error in itself ({kind}); details are in {log_file}."
