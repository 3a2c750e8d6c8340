"""The named queries of a store: their parameters, and the rollups that they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = ["QUERIES", "STEPS", "Param", "Query"]

Param = str | int | float | datetime | None

STEPS: Mapping[str, str] = {
    **{s: f"date_trunc('{s}', bucket)" for s in ("hour", "day", "week", "month")},
    "all": "CAST($start AS TIMESTAMP)",
}
"""Steps of a series, as SQL; weeks start on Monday; all in UTC."""


@dataclass(frozen=True, slots=True)
class Query:
    """A named query: its parameters, and the rollup tables it reads (they follow `as_of`).

    rollups: "outcome" stands for the table of the deployment's task.
    optional: parameters that may be left out or None, which then limit nothing.
    """

    name: str
    params: tuple[str, ...] = ()
    rollups: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    of_deployment: bool = True

    @property
    def lasting(self) -> bool:
        """Whether only a new reference or new bins change the answer."""
        return self.name.startswith("reference_") or self.name == "bins"


_WINDOW = ("start", "end", "as_of")

QUERIES: Mapping[str, Query] = {
    q.name: q
    for q in (
        Query("deployments", of_deployment=False),
        Query("extent", ("end",)),
        Query("binary", (*_WINDOW, "step", "first", "last"), ("rollup_binary",)),
        Query("multiclass", (*_WINDOW, "step", "first", "last"), ("rollup_multiclass",)),
        Query("class_score", (*_WINDOW, "step"), ("rollup_class_score",)),
        Query("regression", (*_WINDOW, "step", "first", "last"), ("rollup_regression",)),
        Query("totals", (*_WINDOW, "step", "first", "last"), ("outcome",)),
        Query("conditions", (*_WINDOW, "step", "first", "last"), ("rollup_condition",)),
        Query("errors", _WINDOW, ("rollup_error",)),
        Query("features", (*_WINDOW, "step", "first", "last"), ("rollup_feature",)),
        Query("volume", (*_WINDOW, "step"), ("rollup_volume",)),
        Query("latency", _WINDOW, ("rollup_latency",)),
        Query("delay", (*_WINDOW, "step"), ("rollup_delay",)),
        Query("versions", ("deployment", "end"), ("rollup_volume",)),
        Query("reference_binary", ("first", "last")),
        Query("reference_multiclass", ("first", "last")),
        Query("reference_regression", ("first", "last")),
        Query("reference_totals", ("first", "last")),
        Query("reference_class_score"),
        Query("reference_conditions", ("first", "last")),
        Query("reference_features"),
        Query("reference_profile"),
        Query("bins", ("deployment",)),
        Query("retained", ("deployment",)),
        Query("unknown_hours", (*_WINDOW, "sealed", "labels")),
        Query("sources", ("deployment",), optional=("as_of",)),
        Query("quarantine", ("deployment",), optional=("as_of", "start")),
        Query(
            "quarantine_records",
            ("deployment", "most", "longest"),
            optional=("as_of", "reason", "kind"),
        ),
        Query("schema_changes", ("deployment",), optional=("as_of",)),
        Query("failed_checks", ("deployment", "start", "end"), optional=("since", "as_of")),
        Query("batch_totals", ("deployment",), optional=("since", "as_of")),
        Query("source_states", ("deployment",)),
        Query("waiting_labels", optional=("as_of",)),
        Query("halves", optional=("as_of",)),
        Query(
            "rows",
            ("start", "end", "as_of", "kind", "subject", "segments", "most"),
            optional=("version", "value", "value2"),
        ),
        Query("row_labels", ("id", "ts", "as_of")),
        Query("agreement", (*_WINDOW, "compared", "listed"), optional=("version",)),
        Query("agreement_numbers", (*_WINDOW, "compared", "listed"), optional=("version",)),
        Query("disagreements", (*_WINDOW, "most", "voices"), optional=("version", "threshold")),
        Query("change_events", ("deployment", *_WINDOW, "most")),
        Query("split_readings", ("deployment", "start", "end"), of_deployment=False),
        Query("split_series", ("deployment", "start", "end", "seconds"), of_deployment=False),
        Query("metrics", ("deployment", "start", "end")),
        Query("latency_series", (*_WINDOW, "step"), ("rollup_latency",)),
        Query("system_metrics", ("deployment", "start", "end", "first", "most")),
        Query(
            "system_series",
            ("deployment", "start", "end", "step", "first", "most"),
            optional=("metric",),
        ),
        Query("system_breaches", ("deployment", "start", "end", "limits")),
    )
}
