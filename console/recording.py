"""What a bundle asks beforehand, so that whoever opens it can look around; and what it hides."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath

import polars as pl

from collectors.contract import Deployment, Task
from collectors.errors import CollectorError
from collectors.reader import Param
from collectors.row_kinds import row_kinds
from collectors.store.layout import Layout
from console.analysis.against import Against, Side
from console.analysis.ask import Ask, RowsAsk, SegmentAsk, Step
from console.analysis.explain import UnknownFigureError
from console.bundle import Key
from console.panes import PANES, take
from console.snapshots import Taker
from console.windows import FAR

__all__ = ["ROWS", "ask_everything", "hidden"]

ROWS = "rows"
REDACTED = "(redacted)"
_MOST_CROSSES = 10


def ask_everything(taker: Taker, ask: Ask, screen: Ask, *, rows: int) -> Iterator[str]:
    """Ask for all that is looked at in a window; yields what it does.

    screen: the window as a screen asks for it. rows: how many raw ones per kind.
    """
    for query in ("versions", "extent"):
        taker.fixed(ask, query, end=FAR)
    asks = list(_variants(taker, ask))
    if screen.key != ask.key:  # the screen's window ends at its clock
        asks += _variants(taker, screen)
    for i, of in enumerate(asks):
        yield f"asking {i + 1} of {len(asks)}"
        for pane in PANES.values():
            if pane.name == ROWS or (of.segment is not None and not pane.by_segment):
                continue
            with suppress(*((CollectorError,) if i else ())):  # what cannot be told is left out
                take(pane.name, taker, of)
    yield "asking why figures changed"
    figures = dict.fromkeys(m for f in taker.performance(ask).whole for m in f.metrics)
    versions = [None, *(f.group.version for f in taker.performance(ask).whole)]
    for version in dict.fromkeys(versions):
        for side in (Side.REFERENCE, Side.BEFORE):
            for figure in figures:
                with suppress(UnknownFigureError, CollectorError):
                    taker.explain(replace(ask, version=version, against=Against(side)), figure)
    if rows:
        yield "taking raw rows"
        for of in {a.key: a for a in (ask, screen)}.values():
            _take_rows(taker, of, tuple(dict.fromkeys(versions)), rows)


def _take_rows(taker: Taker, ask: Ask, versions: Sequence[str | None], rows: int) -> None:
    """Raw rows of every kind, of each version and of all."""
    d = ask.deployment
    kinds = row_kinds(binary=d.task is Task.BINARY)
    asked = [RowsAsk(kind, "", most) for kind in kinds for most in {rows, RowsAsk().most}]
    for version in versions:
        for of in asked:
            taker.rows(replace(ask, version=version, rows=of))
    for feature in d.features:
        taker.rows(replace(ask, rows=RowsAsk.outside(feature.name, rows)))


def _variants(taker: Taker, ask: Ask) -> Iterator[Ask]:
    """The window by every segment, in other steps, and against other windows and versions."""
    yield ask
    whole = replace(ask, version=None)
    yield whole
    d = ask.deployment
    if d.timed:
        for step in (Step.HOUR, Step.DAY, Step.WEEK, Step.ALL):
            yield replace(ask, step=step)
        yield replace(ask, against=Against(Side.BEFORE))
        yield replace(ask, against=Against(Side.WEEK))
    for f in taker.performance(whole).whole:
        version = f.group.version
        if version != ask.version:
            yield replace(ask, against=Against(Side.VERSION, version=version))
    for segment in d.segments:
        yield replace(ask, segment=SegmentAsk((segment.name,), (None,)))
    for one, other in d.segment_crosses[:_MOST_CROSSES]:
        names = (d.segments[one].name, d.segments[other].name)
        yield replace(ask, segment=SegmentAsk(names, (None, None)))


def hidden(
    answers: Mapping[Key, pl.DataFrame],
    d: Deployment,
    *,
    rows: bool,
    redacted: Sequence[str],
    keep_ids: bool,
) -> dict[Key, pl.DataFrame]:
    """Answers without what must not leave: folders, contents of bad records, columns, ids.

    Ids become a keyed hash, whose key is not kept: equal ids stay equal within the bundle only.
    """
    key = secrets.token_bytes(32)
    columns = set(_physical(d, redacted))
    found: dict[Key, pl.DataFrame] = {}
    for (name, deployment, params), answer in answers.items():
        frame, asked = answer, params
        if "source" in frame.columns:
            frame = frame.with_columns(_mapped(frame, "source", _file_name))
        if name == "quarantine_records" and not rows:
            frame = frame.with_columns(pl.lit("").alias("content"))
        if name == ROWS:
            frame = frame.with_columns(
                pl.lit(REDACTED).alias(c) for c in frame.columns if c in columns
            )
        if not keep_ids and name in (ROWS, "row_labels"):
            if "id" in frame.columns:
                frame = frame.with_columns(_mapped(frame, "id", lambda v: _hashed(key, v)))
            asked = tuple((k, _hashed(key, v) if k == "id" else v) for k, v in params)
        found[name, deployment, asked] = frame
    return found


def _mapped(frame: pl.DataFrame, column: str, change: object) -> pl.Series:
    values = frame[column].to_list()
    mapped = [change(v) if v is not None and callable(change) else v for v in values]
    return pl.Series(column, mapped, dtype=pl.String)


def _file_name(path: Param) -> str:
    return PurePath(str(path)).name


def _hashed(key: bytes, value: Param) -> str:
    """An id's hash; a row's place in its request stays."""
    request, mark, place = str(value).rpartition("#")
    if not mark or not place.isdecimal():
        request, mark, place = str(value), "", ""
    return hmac.digest(key, request.encode("utf-8", "replace"), hashlib.sha256).hex()[:16] + (
        mark + place
    )


def _physical(d: Deployment, names: Iterable[str]) -> Iterator[str]:
    """The store's columns of logged features and segments."""
    wanted = set(names)
    for column in Layout(d).columns:
        if column.source in wanted:
            yield column.name
