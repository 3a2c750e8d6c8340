"""A reader whose change events are also those that the audit has: what this console itself changed.

So marks, explanations and incident bundles hold both, and nothing else must know of the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from collectors.reader import Param, Reader
from console.analysis.ask import naive, utc
from console.control.audit import Audit
from console.control.errors import AuditError

__all__ = ["AuditedReader"]


class AuditedReader:
    """Answers as the reader it is made of; an audit that cannot be read adds nothing."""

    def __init__(self, reader: Reader, audit: Audit) -> None:
        self._reader = reader
        self._audit = audit

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader."""
        frame = self._reader.query(name, deployment, **params)
        return self._with_told(frame, deployment, params) if name == "change_events" else frame

    def interrupt(self) -> None:
        """See Reader."""
        self._reader.interrupt()

    def at_once(self) -> Reader:
        """See Reader."""
        return AuditedReader(self._reader.at_once(), self._audit)

    def _with_told(
        self, frame: pl.DataFrame, deployment: str, params: Mapping[str, Param]
    ) -> pl.DataFrame:
        start, end, as_of = (_moment(params.get(key)) for key in ("start", "end", "as_of"))
        if start is None or end is None or as_of is None:
            return frame
        try:
            entries = self._audit.entries()
        except AuditError:  # the Traffic pane says so
            return frame
        if not entries:
            return frame
        # as slow to import as the rest of control; most stores have no audit
        from console.control.told import changes_told  # noqa: PLC0415

        told = changes_told(entries, deployment, start, end, as_of)
        if not told:
            return frame
        n = len(told) + (int(frame["n_found"][0]) if frame.height else 0)
        rows = {
            "ts": [naive(c.at) for c in told],
            "kind": [c.kind for c in told],
            "subject": [c.subject for c in told],
            "detail": [c.detail for c in told],
            "n_found": [n] * len(told),
        }
        both = pl.concat([
            frame.with_columns(n_found=pl.lit(n, frame.schema["n_found"])),
            pl.DataFrame(rows, schema=frame.schema),
        ])  # fmt: skip
        most = params.get("most")
        both = both.sort("ts", "kind", "subject", "detail", descending=[True, False, False, False])
        return both.head(most) if isinstance(most, int) else both


def _moment(value: Param) -> datetime | None:
    return utc(value) if isinstance(value, datetime) else None
