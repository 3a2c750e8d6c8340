"""Tables of a store under the names of the log: what someone who writes SQL expects to find.

A view is temporary, so it lies beside the store and not in it, and a store that is only read has
it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collectors.contract import Deployment
from collectors.store.database import Cursor
from collectors.store.labels import latest
from collectors.store.layout import Layout, Role
from collectors.store.names import quote, text

__all__ = ["LoggedView", "create_views"]


@dataclass(frozen=True, slots=True)
class LoggedView:
    """A view: its name as SQL, what it holds, and its columns."""

    name: str
    about: str
    columns: tuple[str, ...]


def create_views(cursor: Cursor, deployments: tuple[Deployment, ...]) -> tuple[LoggedView, ...]:
    """Views of all deployments: those of the first also under their plain names."""
    made = []
    # a view of the same name as a table would find itself
    catalog = quote(cursor.execute("SELECT current_database()").fetchall()[0][0])
    for place, d in enumerate(deployments):
        for name, about, sql in _views(Layout(d), catalog):
            for full in (name, f"{d.name}.{name}") if place == 0 else (f"{d.name}.{name}",):
                cursor.execute(f"CREATE OR REPLACE TEMP VIEW {quote(full)} AS {sql}")
                if full == name or place:
                    columns = cursor.execute(f"DESCRIBE {quote(full)}").fetchall()
                    shown = name if full == name else quote(full)
                    made.append(LoggedView(shown, about, tuple(c[0] for c in columns)))
    return tuple(made)


def _views(layout: Layout, catalog: str) -> Iterator[tuple[str, str, str]]:
    """(name, what it holds, SELECT)."""
    known = latest(layout.table("labels"), ", labeller")
    of = text(layout.name)
    listed = _listed(layout, "p", (("l.value", "label"), ("l.received", "label_received")))
    yield (
        "predictions",
        "one row per prediction, with its latest label",
        f"SELECT {listed} FROM {layout.table('predictions')} AS p "
        f"LEFT JOIN ({known}) AS l ON l.id = p.id AND l.ts = p.ts",
    )
    yield (
        "labels",
        "every statement of a label, corrected ones too",
        'SELECT id, ts AS "prediction_timestamp", value, received, event, labeller '
        f"FROM {layout.table('labels')}",
    )
    yield (
        "reference",
        "the reference's rows",
        f"SELECT {_listed(layout, 'p', (('p.label', 'label'),))} "
        f"FROM {layout.table('reference')} AS p",
    )
    yield (
        "quarantine",
        "records that could not be used",
        "SELECT kind, reason, detail, source, position AS record, content, at_time "
        f"FROM {catalog}.main.quarantine WHERE deployment = {of}",
    )
    yield (
        "sources",
        "what was read of each file",
        "SELECT kind, source, n_read, n_new, n_duplicate, n_waiting, n_quarantined, loaded_at "
        f"FROM {catalog}.main.batches WHERE deployment = {of}",
    )


def _listed(layout: Layout, of: str, extra: tuple[tuple[str, str], ...]) -> str:
    """Columns under the names of the log; a name that is there already gets a number."""
    d = layout.deployment
    wanted = [(f"{of}.id", "id"), (f"{of}.ts", "timestamp"), (f"{of}.version", "version")]
    own = {
        Role.SCORE: "score",
        Role.PREDICTED: "prediction",
        Role.FALLBACK_SCORE: "fallback_score",
        Role.FALLBACK_PREDICTED: "fallback_prediction",
        Role.ERROR: "error",
    }
    classes = [f"score {name}" for name in d.class_scores]
    wanted += [
        (f"{of}.{c.name}", own.get(c.role) or (c.name if c.role is Role.NUMBER else ""))
        for c in layout.columns
        if c.role in own or c.role is Role.NUMBER
    ]
    wanted += [(f"{of}.c{i}", name) for i, name in enumerate(classes)]
    wanted += extra
    wanted += [(f"{of}.f{i}", f.name) for i, f in enumerate(d.features)]
    known = {f.name for f in d.features}
    wanted += [
        (layout.segment_value(i), s.name)
        for i, s in enumerate(d.segments)
        if s.name not in known or s.edges
    ]
    wanted += [(f"{of}.a{i}", column) for i, column in enumerate(d.attributions.values())]
    taken: set[str] = set()
    parts = []
    for sql, name in wanted:
        parts.append(f"{sql} AS {quote(_free(name, taken))}")
    return ", ".join(parts)


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it when one that differs by case only is there."""
    found, number = name, 0
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found.lower())
    return found
