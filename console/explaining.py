"""Why a figure on the screen changed: from a pane, a row and a column to a page.

A page is a `View`: headline, table, then each of `details` as a section in order, then notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from console.analysis.against import Against, Side
from console.analysis.ask import Ask, SegmentAsk
from console.analysis.explain import ExplainSnapshot, UnknownFigureError, Verdict
from console.analysis.figures import HEADLINE, Group
from console.analysis.performance import slice_of
from console.analysis.subgroups import segment_name
from console.analysis.system_rows import Origin
from console.feed import Explain
from console.snapshots import Taker
from console.views.explain import view
from console.views.model import Cell, Table, Tone, View
from console.views.performance import title_of
from console.views.system import row_key
from console.views.words import name

__all__ = ["explained", "explanation", "target_of"]

_TITLES = {
    "prec": "precision",
    "acc": "accuracy",
    "AUC": "roc_auc",
    "logloss": "log_loss",
    "cost/1000": "cost",
    "labelled": "coverage",
    "errors": "error_rate",
}
"""Column titles that are not the figure's own name."""


def explanation(taker: Taker, ask: Ask, figure: str, *, chosen: bool) -> ExplainSnapshot:
    """The snapshot for the command. chosen: whether the user said what to compare with.

    Else it is the window before where that has labels, and the reference where it has not. Raises
    UnknownFigureError.
    """
    if chosen:
        return taker.explain(ask, figure)
    before = taker.explain(replace(ask, against=Against(Side.BEFORE)), figure)
    if before.verdict is not Verdict.CANNOT_TELL or before.value.value is None:
        return before
    reference = taker.explain(replace(ask, against=Against(Side.REFERENCE)), figure)
    return before if reference.verdict is Verdict.CANNOT_TELL else reference


def explained(taker: Taker, ask: Ask, explain: Explain) -> View:
    """The page that explains one figure, or one that says in a sentence why it cannot."""
    found = target_of(taker, ask, explain)
    if isinstance(found, str):
        return _sentence(found)
    asked, figure = found
    # the panes compare with the reference unless the user chose something else
    reference = asked.against.side is Side.REFERENCE
    try:
        snapshot = taker.explain(asked, figure)
        if (
            reference
            and snapshot.verdict is Verdict.CANNOT_TELL
            and snapshot.value.value is not None
        ):
            before = taker.explain(replace(asked, against=Against(Side.BEFORE)), figure)
            if before.verdict is not Verdict.CANNOT_TELL:
                snapshot = before
    except UnknownFigureError as error:
        return _sentence(str(error))
    return view(snapshot)


def _sentence(text: str) -> View:
    return View("Explain", (Cell(text, Tone.UNKNOWN),), Table((), (), ""))


_Target = tuple[Ask, str] | str
"""What to explain, or why nothing can be."""


def target_of(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    """The slice and the figure that a place on the screen is about, or why it is about none."""
    find = _PANES.get(explain.pane)
    if find is None:
        return f"{explain.pane} has no figure that can be split; choose one of performance"
    return find(taker, ask, explain)


def _figure_of(ask: Ask, column: str) -> str:
    """The figure of a column; the headline where the column is none."""
    known = _TITLES.get(column, column.lower())
    plain = ("version", "n", "95% interval", "segment", "share", "deployment")
    return HEADLINE[ask.deployment.task] if known in plain else known


def _performance(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    for f in taker.performance(ask).whole:
        key = name(" ".join(v for v in slice_of(f) if v), 60)
        if explain.row != key and not explain.row.startswith(f"{key}/"):
            continue
        beside = explain.row[len(key) + 1 :]
        of = replace(ask, version=f.group.version, segment=_slice(ask, f.group))
        if beside == "reference":
            of = replace(of, against=Against(Side.REFERENCE))
        elif beside:
            return f"{beside} is no version of its own; choose the row of the version above it"
        return of, _figure_of(ask, explain.column)
    return f"{explain.row} has no predictions in this window any more"


def _slice(ask: Ask, group: Group) -> SegmentAsk | None:
    """The row's own segment value as an ask."""
    if not group.segment:
        return None
    names = segment_name(ask.deployment, group.segment)
    return SegmentAsk(names, (group.value, group.value2)[: len(names)])


def _subgroups(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    for r in taker.subgroups(ask).rows:
        version = r.figures.group.version
        if f"{version}/{r.segment}={r.value}" == explain.row:
            names, values = zip(*r.values, strict=True)
            of = replace(ask, version=version, segment=SegmentAsk(names, values))
            return of, _figure_of(ask, explain.column.removesuffix(" gap"))
    return f"{explain.row} has no predictions in this window any more"


def _overview(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    deployment, _, version = explain.row.partition("/")
    d = taker.deployments.get(deployment)
    if d is None:
        return f"there is no deployment {deployment}"
    of = replace(ask, deployment=d, version=version or None, segment=None)
    return of, HEADLINE[d.task]


def _traffic(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    del taker
    if explain.column != "errors":
        return "only its errors can be split; the traffic's share and latency are the router's"
    return replace(ask, version=explain.row, segment=None), "error_rate"


def _system(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    """The log's failed requests, and the headline figure that stands beside a metric."""
    headline = HEADLINE[ask.deployment.task]
    for row in taker.system(ask).rows:
        if row_key(row) != explain.row:
            continue
        of = replace(ask, version=row.version or ask.version, segment=None)
        if explain.column == title_of(headline):
            return of, headline
        if row.origin is Origin.LOG and row.metric == "error_rate":
            return of, "error_rate"
        return "only the log's error rate can be split; a gauge has no rows behind it"
    return f"{explain.row} is not in this window any more"


def _by_version(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    """A distribution is no sum over groups; what moved with a figure is on the figure's page."""
    del taker
    version = explain.row.partition("/")[0]
    return replace(ask, version=version, segment=None), HEADLINE[ask.deployment.task]


def _versions(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    """The difference of the row: its version against the one that all are compared with."""
    found = taker.versions(ask)
    for row in found.rows:
        for c in row.comparisons:
            if explain.row != f"{row.version}/{c.metric}":
                continue
            if row.fallback:
                return "the fallback answered the same rows; its difference has no slices"
            against = Against(Side.VERSION, version=found.against)
            return replace(ask, version=row.version, segment=None, against=against), c.metric
    return f"{explain.row} has no predictions in this window any more"


def _data(taker: Taker, ask: Ask, explain: Explain) -> _Target:
    del taker
    if explain.row not in ("coverage", "labels"):
        return "of the data only label coverage can be split; choose its row"
    return ask, "coverage"


_PANES: dict[str, Callable[[Taker, Ask, Explain], _Target]] = {
    "performance": _performance,
    "subgroups": _subgroups,
    "overview": _overview,
    "traffic": _traffic,
    "system": _system,
    "drift": _by_version,
    "versions": _versions,
    "data": _data,
}
