"""The audit as a table, newest first: what was wanted, what became of it, who, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from console.control.audit import AuditCheck, Entry, EntryKind, Head
from console.control.history import Change, changes_of
from console.control.told import reason_of, sentence
from console.views.model import Cell, Column, Row, Table, Tone, View
from console.views.words import name, plain

__all__ = ["check_document", "document", "flat", "view"]

_BAD = frozenset({"unknown", "partial"})
_WARN = frozenset({"not verified", "conflict", "refused"})

Changes = Mapping[tuple[str, str], Change]


def view(entries: Sequence[Entry], shown: Sequence[Entry], unresolved: Sequence[Entry]) -> View:
    """entries: all of them, oldest first. shown: those of the table, in its order."""
    changes = _changes(entries)
    rows = tuple(
        Row(
            str(e.n),
            (
                plain(str(e.n), sort=e.n),
                plain(f"{e.at:%Y-%m-%d %H:%M:%S}", sort=e.at.timestamp()),
                plain(name(e.deployment)),
                Cell(e.kind.value, _tone(e)),
                plain(name(sentence(e, changes.get((e.deployment, e.change))), 300)),
                plain(name(reason_of(e), 200)),
                plain(name(f"{e.who.program} {e.who}", 80)),
                plain(name(e.change), Tone.DIM),
            ),
        )
        for e in shown
    )
    columns = (
        Column("n", right=True),
        Column("when (UTC)"),
        Column("deployment", priority=3),
        Column("kind"),
        Column("what", flexible=True),
        Column("why", priority=1, flexible=True),
        Column("who", flexible=True),
        Column("change", priority=4),
    )
    headline = tuple(
        Cell(
            name(f"{e.change} of {e.deployment} has no result: {_of_unresolved(e)}", 300), Tone.BAD
        )
        for e in unresolved
    )
    return View("Audit", headline, Table(columns, rows, "nothing was changed yet"))


def _of_unresolved(e: Entry) -> str:
    return (
        f"{sentence(e)}, by {e.who} ({e.who.program}) at {e.at:%Y-%m-%d %H:%M:%S}; "
        "`modelwatch traffic settle` looks what became of it"
    )


def document(entries: Sequence[Entry], shown: Sequence[Entry]) -> list[dict[str, Any]]:
    """The documented JSON of entries: all that their lines have, and the sentence."""
    changes = _changes(entries)
    return [
        {
            "n": e.n,
            "at": _stamp(e.at),
            "kind": e.kind.value,
            "deployment": e.deployment,
            "change": e.change,
            "who": {
                "user": e.who.user,
                "host": e.who.host,
                "origin": e.who.origin,
                "program": e.who.program,
            },
            "what": sentence(e, changes.get((e.deployment, e.change))),
            "reason": reason_of(e),
            "fields": dict(e.fields),
            "previous": e.previous,
            "hash": e.hash,
        }
        for e in shown
    ]


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A documented entry as one row of a CSV file, without its fields."""
    row = {key: value for key, value in record.items() if key not in ("who", "fields")}
    return {**row, **record["who"]}


def check_document(path: str, check: AuditCheck) -> dict[str, Any]:
    """The documented JSON of a check."""
    return {
        "audit": path,
        "fine": check.fine,
        "n": check.n,
        "torn": check.torn,
        "line": check.line or None,
        "problem": check.why,
        "head": str(Head(check.n, check.head)) if check.fine and check.n else None,
    }


def _changes(entries: Sequence[Entry]) -> Changes:
    names = dict.fromkeys(e.deployment for e in entries)
    return {(of, c.id): c for of in names for c in changes_of(entries, of)}


def _tone(entry: Entry) -> Tone:
    outcome = str(entry.fields.get("outcome"))
    if entry.kind is EntryKind.REFUSED or outcome in _WARN:
        return Tone.WARN
    return Tone.BAD if outcome in _BAD else Tone.PLAIN


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
