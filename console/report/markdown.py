"""A report as Markdown: readable as text, and where it is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator

from console.report.pages import Report, Section
from console.views.model import Table, Tone

__all__ = ["markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")
_MARKS = {Tone.BAD: "**bad:** ", Tone.WARN: "**warning:** ", Tone.UNKNOWN: "*unknown:* "}


def markdown(report: Report) -> str:
    """The whole report."""
    lines = [f"# {_text(report.title)}", ""]
    lines += [f"- {_text(name)}: {_text(value)}" for name, value in report.facts]
    for section in report.sections:
        lines += ["", f"## {_text(section.title)}", "", *_section(section)]
    return "\n".join(lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    view = section.view
    for cell in view.headline:
        yield f"- {_MARKS.get(cell.tone, '')}{_text(cell.text)}"
    yield ""
    yield from _table(view.table)
    left = section.n_rows - len(view.table.rows)
    if left > 0:
        yield ""
        yield f"{left} more rows are in the bundle."
    for cell in view.notes:
        yield ""
        yield _text(cell.text)


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        yield _text(table.empty)
        return
    yield "| " + " | ".join(_text(c.title) for c in table.columns) + " |"
    yield "| " + " | ".join("---:" if c.right else "---" for c in table.columns) + " |"
    for row in table.rows:
        yield "| " + " | ".join(_text(cell.text) for cell in row.cells) + " |"


def _text(text: str) -> str:
    """Text that stays text: nothing in a name becomes a link, a tag or a row."""
    return _SPECIAL.sub(r"\\\1", text).replace("\n", " ")
