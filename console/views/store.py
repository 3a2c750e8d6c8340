"""A store as a table: its size, its deployments, its tables, and what retention has deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from collectors.store.info import DeploymentInfo, StoreInfo
from console.views.model import Cell, Column, Row, Table, Tone, View
from console.views.words import count, name, plain

__all__ = ["view"]


def view(info: StoreInfo) -> View:
    """The largest tables first."""
    rows = tuple(
        Row(
            f"{t.of}/{t.name}",
            (
                plain(name(t.of)),
                plain(name(t.name)),
                plain(count(t.rows), sort=t.rows),
                plain(_size(t.bytes), sort=t.bytes),
            ),
        )
        for t in sorted(info.tables, key=lambda t: (-t.bytes, t.of, t.name))
        if t.rows
    )
    columns = (
        Column("of", flexible=True),
        Column("table"),
        Column("rows", right=True),
        Column("size", right=True),
    )
    return View("Store", tuple(_facts(info)), Table(columns, rows, "nothing yet"))


def _facts(info: StoreInfo) -> Iterator[Cell]:
    log = f", {_size(info.wal_bytes)} not merged yet" if info.wal_bytes else ""
    yield plain(f"file {_size(info.bytes)}: {_size(info.used_bytes)} in use{log}")
    if info.free_bytes > 0.2 * info.bytes:
        free = f"{_size(info.free_bytes)} are free and will be used again"
        yield plain(f"{free}; `modelwatch store vacuum` gives them back")
    loaded = f", loaded {_moment(info.first_batch)} to {_moment(info.last_batch)}"
    yield plain(
        f"schema {info.schema_version}; {count(info.batches)} batches"
        f"{loaded if info.batches else ''}; {count(info.quarantine)} records in quarantine"
    )
    for d in info.deployments:
        yield from _deployment(d)


def _deployment(d: DeploymentInfo) -> Iterator[Cell]:
    raw = f", raw rows from {_moment(d.first)} to {_moment(d.last)}" if d.n_raw else ""
    gone = f", {count(d.n_raw)} of them with their raw row" if d.n_raw != d.n else ""
    yield plain(f"{name(d.name)} ({d.task}): {count(d.n)} predictions{gone}{raw}")
    if d.unbuilt:
        text = f"{name(d.name)}: {count(d.unbuilt)} hours wait for a rebuild of their rollups"
        yield plain(text, Tone.WARN)
    for gap in d.gaps:
        what = f"{name(gap.what)} before {gap.before:%Y-%m-%d}"
        yield plain(f"{name(d.name)}: {what}: {count(gap.n)} rows deleted (retention)")


def _moment(when: datetime | None) -> str:
    return "" if when is None else f"{when:%Y-%m-%d %H:%M}"


def _size(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"
