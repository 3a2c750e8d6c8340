"""A report as one HTML page: nothing is fetched, nothing runs, it prints."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from console.report.pages import Report, Section
from console.report.svg import svg
from console.views.model import Cell, Detail, Table, Tone

__all__ = ["html"]

_MOST_DETAILS = 3
"""Rows whose own plots are shown: the worst ones, as tables are ordered."""

_STYLE = """
:root { color-scheme: light dark; --fg: #1c1917; --bg: #ffffff; --dim: #57534e; --line: #d6d3d1; }
@media (prefers-color-scheme: dark) {
  :root { --fg: #e7e5e4; --bg: #1c1917; --dim: #a8a29e; --line: #44403c; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
.w { overflow-x: auto; }
th, td { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
th.r, td.r { text-align: right; }
.bad { color: #b91c1c; font-weight: 600; } .warn { color: #b45309; font-weight: 600; }
.good { color: #15803d; } .dim, .unknown { color: var(--dim); }
svg { width: 100%; height: auto; margin: .6rem 0; }
svg text { font: 11px system-ui, sans-serif; fill: var(--fg); } svg .t { font-weight: 600; }
svg .r { text-anchor: end; } svg .g { stroke: var(--line); }
svg .d { stroke: var(--dim); stroke-dasharray: 4 3; }
section { break-inside: avoid-page; } ul { padding-left: 1.2rem; }
@media print { body { margin: 0; max-width: none; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_MARKS = {Tone.BAD: "✖ ", Tone.WARN: "▲ ", Tone.GOOD: "● ", Tone.UNKNOWN: "? "}


def html(report: Report) -> str:
    """The whole page."""
    title = escape(report.title)
    facts = "".join(f"<li>{escape(k)}: {escape(v)}</li>" for k, v in report.facts)
    body = "".join(part for section in report.sections for part in _section(section))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1><ul>{facts}</ul>{body}</body></html>\n"
    )


def _section(section: Section) -> Iterator[str]:
    view = section.view
    yield f"<section><h2>{escape(section.title)}</h2>"
    if view.headline:
        yield "<ul>" + "".join(f"<li>{_cell(cell)}</li>" for cell in view.headline) + "</ul>"
    for plot in view.plots:
        yield svg(plot)
    yield _table(view.table, section.title)
    left = section.n_rows - len(view.table.rows)
    if left > 0:
        yield f'<p class="dim">{left} more rows are in the bundle.</p>'
    yield "".join(f'<p class="dim">{escape(cell.text)}</p>' for cell in view.notes)
    with_plots = [detail for _, detail in view.details if detail.plots]
    for detail in with_plots[:_MOST_DETAILS]:
        yield from _detail(detail)
    yield "</section>"


def _detail(detail: Detail) -> Iterator[str]:
    yield f"<h3>{escape(detail.title)}</h3>"
    yield "".join(f"<p>{_cell(cell)}</p>" for cell in detail.notes[:6])
    yield "".join(svg(plot) for plot in detail.plots)


def _table(table: Table, caption: str) -> str:
    if not table.rows:
        return f"<p>{escape(table.empty)}</p>"
    kinds = [' class="r"' if c.right else "" for c in table.columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(c.title)}</th>'
        for c, kind in zip(table.columns, kinds, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row.cells, kinds, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="w"><table aria-label="{escape(caption)}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    text = _MARKS.get(cell.tone, "") + escape(cell.text)
    return text if cell.tone is Tone.PLAIN else f'<span class="{cell.tone.value}">{text}</span>'
