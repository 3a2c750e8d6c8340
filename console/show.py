"""`modelwatch show`: a pane's snapshot as a table, JSON or CSV. No terminal library."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any

from collectors.text import harmless
from console.panes import SHOWN
from console.snapshots import Snapshot
from console.views.model import Cell, Column, Table, Tone, View

__all__ = ["rows_to_csv", "sections_to_table", "to_csv", "to_json", "to_table"]

_ALWAYS = ("version", "segment", "value", "start", "end", "n")  # the head of an empty table
_MARKS = {Tone.BAD: "x ", Tone.WARN: "! ", Tone.UNKNOWN: "? "}


def to_json(pane: str, snapshot: Snapshot) -> str:
    """The documented JSON: numbers unrounded, no NaN, keys in a fixed order."""
    # ASCII only: a name in the data cannot reach the terminal as a control character
    return json.dumps(_document(pane, snapshot), indent=2, allow_nan=False)


def to_csv(pane: str, snapshot: Snapshot) -> str:
    """The rows of the JSON, one line each; a figure is NAME, NAME.low, .high, .n and .state."""
    return rows_to_csv(_document(pane, snapshot)["rows"])


def rows_to_csv(rows: Iterable[dict[str, Any]]) -> str:
    """Rows of a JSON document as CSV."""
    flat = [_flat(row) for row in rows]
    names: dict[str, None] = {} if flat else dict.fromkeys(_ALWAYS)
    for row in flat:
        names.update(dict.fromkeys(row))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: harmless(v) for k, v in row.items()} for row in flat)
    return out.getvalue().rstrip("\n")


def to_table(view: View, title: str, width: int) -> str:
    """The pane as plain text: findings, then the table, then notes."""
    lines = [title, ""]
    lines += [f"{_MARKS.get(cell.tone, '  ')}{cell.text}" for cell in view.headline]
    lines.append("")
    lines += list(_table(view.table, width))
    lines += [""] if view.notes else []
    lines += [cell.text for cell in view.notes]
    return "\n".join(line.rstrip() for line in lines)


def sections_to_table(view: View, title: str, width: int) -> str:
    """A page whose details are sections: the pane's text, then each section under its title."""
    parts = [to_table(replace(view, notes=()), title, width)]
    for _, section in view.details:
        lines = ["", section.title]
        lines += [cell.text for cell in section.notes]
        for table in section.tables:
            lines += ["", *_table(table, width)]
        parts.append("\n".join(line.rstrip() for line in lines))
    if view.notes:
        parts.append("\n".join(["", *(cell.text for cell in view.notes)]))
    return "\n".join(parts)


def _document(pane: str, snapshot: Snapshot) -> dict[str, Any]:
    module: Any = import_module(SHOWN[pane].module)
    made: dict[str, Any] = module.document(snapshot)
    return made


_PREFIXES = {"metrics": "", "gaps": "gap.", "differences": "difference."}
"""Figures of a row that are columns of its CSV, and what is put before their names."""


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key in _PREFIXES:
            for metric, figure in value.items():
                name = _PREFIXES[key] + metric
                flat[name] = figure["value"]
                flat |= {f"{name}.{k}": figure[k] for k in ("low", "high", "n", "state")}
                flat[f"{name}.interval"] = figure.get("interval")
        elif not isinstance(value, dict | list):
            flat[key] = value
    return flat


def _table(table: Table, width: int) -> Iterable[str]:
    if not table.rows:
        yield table.empty
        return
    widths = _fitting(table, width)
    kept = [i for i, cells in enumerate(widths) if cells]
    widths = [widths[i] for i in kept]
    columns = [table.columns[i] for i in kept]
    yield "  ".join(_pad(c.title, w, c) for c, w in zip(columns, widths, strict=True))
    yield "  ".join("-" * w for w in widths)
    for row in table.rows:
        cells = [row.cells[i] for i in kept]
        yield "  ".join(
            _pad(_cut(_text(cell), w), w, c)
            for cell, w, c in zip(cells, widths, columns, strict=True)
        )


_LADDER = ((40, 3), (26, 2), (10, 1))
"""Flexible columns give way down to so many characters, then columns from this priority number on
go, by turns: a sentence cut in half is more than none, a name of three letters is not."""


def _fitting(table: Table, width: int) -> list[int]:
    """The width of each column, 0 for one that has no room."""
    natural = [max(_width(table, i), 1) for i in range(len(table.columns))]
    flexible = [i for i, column in enumerate(table.columns) if column.flexible]
    order = sorted(range(len(natural)), key=lambda i: (-table.columns[i].priority, -i))
    widths = list(natural)

    def spare() -> int:
        return width - sum(cells + 2 for cells in widths if cells) + 2

    for least, lowest in _LADDER:
        if spare() >= 0:
            break
        for i in flexible:
            widths[i] = min(widths[i], least)
        for i in order:
            if spare() < 0 and table.columns[i].priority >= lowest:
                widths[i] = 0
    while spare() > 0:  # what has room again, the narrowest first
        cut = [i for i in flexible if 0 < widths[i] < natural[i]]
        if not cut:
            break
        widths[min(cut, key=lambda i: widths[i])] += 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 3, 0)]}..."


def _width(table: Table, i: int) -> int:
    return max(len(table.columns[i].title), *(len(_text(r.cells[i])) for r in table.rows))


def _text(cell: Cell) -> str:
    return cell.text


def _pad(text: str, width: int, column: Column) -> str:
    return text.rjust(width) if column.right else text.ljust(width)
