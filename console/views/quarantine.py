"""Records in quarantine as a table: newest first, why, and what was in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from console.views.model import Column, Row, Table, Tone, View
from console.views.words import count, name, plain

__all__ = ["view"]


def view(records: Sequence[Mapping[str, Any]]) -> View:
    """records: kind, reason, detail, source, position, content of each."""
    rows = tuple(
        Row(
            f"{r['source']}:{r['position']}:{r['reason']}",
            (
                plain(r["kind"]),
                plain(name(f"{r['reason']}: {r['detail']}" if r["detail"] else r["reason"], 60)),
                plain(name(PurePath(r["source"]).name, 40)),
                plain(count(r["position"]), sort=r["position"]),
                plain(name(r["content"], 200), Tone.DIM),
            ),
        )
        for r in records
    )
    columns = (
        Column("kind"),
        Column("why"),
        Column("source"),
        Column("record", right=True),
        Column("content", flexible=True, priority=1),
    )
    return View("Quarantine", (), Table(columns, rows, "no record is in quarantine"))
