"""The documented JSON of every pane, as data, and a small checker of it.

A schema is a type, a tuple of schemas (any of them), a set (one of its members), a list of one
schema (a list of such), a `Maps` (every key and value), or a dict (exactly these keys, in this
order; a key that ends in "?" may be left out).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["AGREEMENT", "PANE_SCHEMAS", "Maps", "check"]


@dataclass(frozen=True)
class Maps:
    """A mapping of any names to one schema."""

    value: Any


class Stamp:
    """ISO 8601 in UTC with a Z."""


STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
NUMBER = (float, int)
MAYBE = (float, int, None)
STATES = {"ok", "too_few", "no_labels", "no_rows", "provisional", "stale", "cannot_tell"}
WITHOUT_VALUE = {"no_labels", "no_rows", "cannot_tell"}

ESTIMATE = {
    "value": MAYBE, "low": MAYBE, "high": MAYBE, "n": int, "state": STATES,
    "interval?": {"fixed", "peek_safe"}, "bin_error?": NUMBER, "detectable?": NUMBER,
}  # fmt: skip
METRICS = Maps(ESTIMATE)
FINDINGS = [{"severity": {"note", "warning", "bad"}, "pane": str, "text": str}]
WINDOW = {"start": Stamp, "end": Stamp}
VERDICTS = {"better", "worse", "no_worse", "cannot_tell"}
DRIFT_STATES = {"ok", "drifted", "small", "too_few", "cannot_tell"}
TASK = {"binary", "multiclass", "regression"}
STEP = {"hour", "day", "week", "month", "all"}

FIGURES = {
    "version": str, "segment": (str, None), "value": (str, None), "start": Stamp, "end": Stamp,
    "n": int, "n_labelled": int, "metrics": METRICS,
    "tp?": int, "fp?": int, "fn?": int, "tn?": int,
    "classes?": Maps(METRICS), "baselines?": Maps(METRICS),
}  # fmt: skip


def of(pane: str, row: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "pane": {pane}, "deployment": str, "task": TASK, "window": WINDOW, "as_of": Stamp,
        "step": STEP, "rows": [row], "findings": FINDINGS, **more,
    }  # fmt: skip


OVERVIEW_ROW = {
    "deployment": str, "task": TASK, "version": str, "segment": None, "value": None,
    "start": Stamp, "end": Stamp, "n": int, "n_labelled": int, "share": NUMBER,
    "metrics": METRICS, "headline": {"f1", "mae"}, "reference": MAYBE, "findings": FINDINGS,
}  # fmt: skip
OVERVIEW = of("overview", OVERVIEW_ROW)
OVERVIEW["deployment"] = None
OVERVIEW["findings"] = [{"deployment": str, **FINDINGS[0]}]
OVERVIEW["deployments"] = [{"deployment": str, "n": int, "age_seconds": MAYBE, "judged": bool}]
del OVERVIEW["task"]

ERRORS: dict[str, Any] = {"error_quantiles?": Maps(METRICS)}
BESIDE = [{"version": str, "n": int, "metrics": METRICS}]

ONSET = {
    "version": str, "segment": (str, None), "value": (str, None), "metric": str,
    "shape": {"none", "step", "ramp", "spike", "seasonal"}, "state": STATES,
    "start": (Stamp, None), "end": (Stamp, None), "earliest": (Stamp, None),
    "latest": (Stamp, None), "before": MAYBE, "after": MAYBE, "size": ESTIMATE, "n_rows": int,
    "pattern": (str, None), "changes": [Stamp], "sure": bool, "words": str,
    "cusum": ({"value": NUMBER, "threshold": NUMBER, "since": (Stamp, None), "rises": bool}, None),
}  # fmt: skip

LABELS = {"coverage": MAYBE, "expected": MAYBE, "usual": MAYBE, "final": (bool, None)}
CELLS = {"tp": NUMBER, "fp": NUMBER, "fn": NUMBER, "tn": NUMBER}
PERFORMANCE = {
    **FIGURES, "labels": LABELS, "estimated?": METRICS, "estimated_labelled?": METRICS,
    "estimated_cells?": CELLS, "estimated_reason?": (str, None),
}  # fmt: skip
DIVERGENCE = {
    "version": str, "value": (str, None),
    "verdict": {
        "as_promised", "concept_drift", "covariate_shift", "shift_and_drift",
        "better_than_promised", "cannot_tell",
    },
    "text": str, "metric?": str, "realised?": ESTIMATE, "promised?": ESTIMATE,
}  # fmt: skip
SELECTION = {
    "version": str, "value": (str, None), "n_labelled": int, "n_unlabelled": int, "what": str,
    "labelled": MAYBE, "unlabelled": MAYBE, "difference": NUMBER, "sure": bool, "large": bool,
}  # fmt: skip
AGAINST = {
    "side": {"before", "week", "version", "known", "span"}, "words": str,
    "rows": [
        {"version": str, "value": (str, None), "n": int, "n_labelled": int, "metrics": METRICS}
    ],
}  # fmt: skip

AT_THRESHOLD = {
    "version": str, "segment": (str, None), "value": (str, None), "threshold": NUMBER, "n": int,
    "n_labelled": int, "n_uncertain": int, "metrics": METRICS, "tp": int, "fp": int, "fn": int,
    "tn": int, "now": MAYBE, "configured": MAYBE, "n_disagreeing": int,
    "settings": [
        {
            "threshold": NUMBER, "what": str, "selection_rate": NUMBER, "precision": MAYBE,
            "recall": MAYBE, "f1": MAYBE, "fpr": MAYBE, "cost": MAYBE,
        }
    ],
}  # fmt: skip
SUBGROUP = {
    **FIGURES, "values": Maps(str), "gaps": METRICS, "shrunken": METRICS,
    "calibration_gap?": ESTIMATE,
    "disparity?": {
        "against": str, "four_fifths": {"below", "within", "above", "cannot_tell"},
        "selection_rate": ESTIMATE, "recall": ESTIMATE, "fpr": ESTIMATE, "precision": ESTIMATE,
    },
    "change?": METRICS,
}  # fmt: skip
WORST_SLICE = {
    "version": str, "values": Maps(str), "metric": {"f1", "accuracy", "mae"}, "value": NUMBER,
    "whole": NUMBER, "gap": ESTIMATE, "n": int, "share": NUMBER, "n_looked_at": int,
    "parents": [{"values": Maps(str), "value": NUMBER}],
}  # fmt: skip

PANE_SCHEMAS: dict[str, Any] = {
    "overview": OVERVIEW,
    "performance": of(
        "performance",
        PERFORMANCE,
        reference=BESIDE,
        window_before=BESIDE,
        divergence=[DIVERGENCE],
        selection=[SELECTION],
        **{"against?": AGAINST},
        **ERRORS,
        **{"at_threshold?": [AT_THRESHOLD]},
        onsets=[ONSET],
    ),
    "drift": of(
        "drift",
        {
            "version": str, "segment": None, "value": None, "feature": str,
            "kind": {"numeric", "categorical"}, "role": {"input", "output"},
            "start": Stamp, "end": Stamp, "n": int, "n_reference": int,
            "metrics": Maps({**ESTIMATE, "noise?": NUMBER, "q95?": NUMBER}),
            "noise_floor": MAYBE, "noise_q95": MAYBE, "p_value": MAYBE, "p_adjusted": MAYBE,
            "state": DRIFT_STATES, "since": (Stamp, None),
            "causes": ({"missing": NUMBER, "unseen": NUMBER, "shape": NUMBER}, None),
            "week_before": ({"n": int, "psi": MAYBE, "q95": MAYBE, "state": DRIFT_STATES}, None),
            "distribution": {"labels": [str], "reference": [MAYBE], "current": [MAYBE]},
        },
        against={
            "side": {"reference", "before", "week", "version", "known", "span"},
            "words": str, "window": (WINDOW, None), "version": (str, None), "as_of": (Stamp, None),
        },
        share_drifted=[
            {
                "version": str, "role": {"input", "output"}, "n": int, "n_judged": int,
                "n_drifted": int, "share": MAYBE,
            }
        ],
    ),
    "subgroups": of(
        "subgroups",
        SUBGROUP,
        whole=BESIDE,
        worst_slices=[WORST_SLICE],
    ),
    "traffic": of(
        "traffic",
        {
            "version": str, "segment": None, "value": None, "start": Stamp, "end": Stamp,
            "n": int, "n_error": int, "metrics": METRICS,
        },
        changes=[{"version": str, "at": Stamp, "from": NUMBER, "to": NUMBER}],
        recorded_changes=[{"at": Stamp, "kind": str, "subject": str, "detail": str}],
        n_recorded_changes=int,
        **{
            "split?": [
                {
                    "start": Stamp, "replica": str, "arm": (str, None), "configured": MAYBE,
                    "n": (int, None), "n_error": (int, None), "n_readings": int, "n_problem": int,
                    "problem": (str, None),
                }
            ]
        },
    ),
    "system": of(
        "system",
        {
            "version": (str, None), "segment": None, "value": None, "metric": str,
            "source": {"log", "samples", "both"}, "start": Stamp, "end": Stamp, "n": int,
            "metrics": METRICS,
        },
        limits=[
            {
                "metric": str, "version": (str, None), "source": (str, None), "above": MAYBE,
                "below": MAYBE, "state": {"broken", "was_broken", "unsure", "no_samples", "kept"},
                "breach": (
                    None,
                    {
                        "since": Stamp, "until": (Stamp, None), "first_since": Stamp,
                        "newest": Stamp, "n_times": int, "n_beyond": int, "seconds": NUMBER,
                        "worst": NUMBER,
                    },
                ),
            }
        ],
        headline=str,
        headlines=[{"version": str, "start": Stamp, "end": Stamp, "figure": ESTIMATE}],
        n_left_out=int,
    ),
    "data": of(
        "data",
        {
            "version": None, "segment": None, "value": None, "start": Stamp, "end": Stamp,
            "n": int, "n_labelled": int, "metrics": METRICS,
        },
        last_prediction=(Stamp, None),
        last_label=(Stamp, None),
        age_seconds=MAYBE,
        label_coverage=ESTIMATE,
        usual_label_coverage=MAYBE,
        label_delay_seconds=Maps(NUMBER),
        waiting_labels=int,
        requests_without_response=int,
        responses_without_request=int,
        failing_sources=[
            {
                "kind": str, "source": str, "problem": str, "since": Stamp, "n_failures": int,
                "last_ok": (Stamp, None), "next_try": (Stamp, None),
            }
        ],
        sources=[
            {
                "kind": {"predictions", "labels", "reference"}, "source": str, "n_read": int,
                "n_new": int, "n_duplicate": int, "n_waiting": int, "n_quarantined": int,
            }
        ],
        quarantine=[
            {
                "kind": str, "reason": str, "n": int, "n_recent": int, "source": str,
                "position": int,
            }
        ],
        quarantine_records=[
            {
                "kind": str, "reason": str, "detail": str, "source": str, "position": int,
                "content": str,
            }
        ],
        schema_changes=[{"kind": str, "column": str, "change": str, "n": int}],
        null_rates=[{"version": str, "feature": str, "rate": ESTIMATE, "reference": MAYBE}],
        retained=[{"what": str, "before": Stamp, "n": int}],
        checks=[
            {
                "rule": str, "subject": str, "action": {"flag", "quarantine"}, "allowed": str,
                "state": {"ok", "failing", "cannot_tell"}, "n": int, "n_failed": int,
                "share": ESTIMATE, "hours": int, "since": (Stamp, None), "age_seconds": MAYBE,
            }
        ],
        failed_batches=[{"source": str, "n": int, "n_failed": int, "at": Stamp}],
        flagged=[{"start": Stamp, "end": Stamp}],
    ),
    "versions": of(
        "versions",
        {
            "version": str, "segment": None, "value": None, "start": Stamp, "end": Stamp,
            "n": int, "n_labelled": int, "fallback": bool, "against": str, "verdict": VERDICTS,
            "more_rows": (int, None), "more_days": MAYBE, "metrics": METRICS,
            "against_metrics": METRICS, "differences": Maps({**ESTIMATE, "verdict": VERDICTS}),
        },
        against=(str, None),
        metric=str,
        margin=MAYBE,
        sample_ratio=(
            None,
            {
                "since": (Stamp, None), "n": Maps(int), "planned": Maps(NUMBER), "others": int,
                "log_bayes_factor": MAYBE, "mismatch": (bool, None),
            },
        ),
        **{"pairs?": [
            {
                "version": str, "against": str, "n": int, "metric": str, "difference": ESTIMATE,
                "both_right": int, "only_version": int, "only_against": int, "neither": int,
                "p_value": float,
            }
        ]},
    ),
    "rows": of(
        "rows",
        {
            "id": str, "time": Stamp, "version": str, "score": MAYBE,
            "prediction": (str, float, int, None), "label": (str, float, int, None),
            "label_received": (Stamp, None), "error": (str, None), "error_size": MAYBE,
            "latency_ms": MAYBE, "cost": MAYBE, "features": Maps((str, float, int, None)),
            "outside": [str], "source": str,
        },
        kind=str,
        feature=(str, None),
        n_found=int,
    ),
}  # fmt: skip


ANSWER = (str, float, int, None)
AGREEMENT = of(
    "agreement",
    {
        "id": str, "time": (Stamp, None), "version": str, "score": MAYBE, "prediction": ANSWER,
        "label": ANSWER, "distance": MAYBE, "spread": MAYBE, "n_labellers": int, "said": str,
        "statements": [{"labeller": str, "value": ANSWER, "received": Stamp}],
    },
    known={"yes", "no_labeller", "no_labels", "not_shared"},
    n_labelled=int,
    n_shared=int,
    n_disagree=int,
    n_found=int,
    labels_since=(Stamp, None),
    overall=METRICS,
    n_labellers=int,
    n_compared=int,
    labellers=[{"labeller": str, "n": int, "n_shared": int}],
    pairs=[{"labellers": [str], "n": int, "metrics": METRICS}],
)  # fmt: skip
"""Not among the panes: it is there where labels say who gave them."""


def check(value: Any, schema: Any, place: str = "") -> None:
    """Raises AssertionError with the place of the first difference."""
    if isinstance(schema, dict):
        assert isinstance(value, dict), place
        names = [key.removesuffix("?") for key in schema]
        asked = [n for n, key in zip(names, schema, strict=True) if n in value or key == n]
        assert list(value) == asked, f"{place}: {list(value)}"
        for name, key in zip(names, schema, strict=True):
            if name in value:
                check(value[name], schema[key], f"{place}.{name}")
        if schema is ESTIMATE:
            _figure(value, place)
    elif isinstance(schema, list):
        assert isinstance(value, list), place
        for i, one in enumerate(value):
            check(one, schema[0], f"{place}[{i}]")
    elif isinstance(schema, Maps):
        assert isinstance(value, dict), place
        for name, one in value.items():
            check(one, schema.value, f"{place}.{name}")
    elif isinstance(schema, set):
        assert value in schema, f"{place}: {value!r}"
    elif schema is Stamp:
        assert isinstance(value, str), place
        assert STAMP.fullmatch(value), f"{place}: {value!r}"
    elif isinstance(schema, tuple):
        _any_of(value, schema, place)
    else:
        assert _fits(value, schema), f"{place}: {value!r}"


def _any_of(value: Any, schemas: tuple[Any, ...], place: str) -> None:
    """One of some simple schemas, or of an object."""
    nested = next((one for one in schemas if isinstance(one, dict)), None)
    if nested is not None and isinstance(value, dict):
        check(value, nested, place)
        return
    fits = any(_fits(value, one) for one in schemas if not isinstance(one, dict))
    assert fits, f"{place}: {value!r}"


def _fits(value: Any, schema: Any) -> bool:
    if schema is None:
        return value is None
    if schema is Stamp:
        return isinstance(value, str) and STAMP.fullmatch(value) is not None
    if isinstance(value, bool):
        return schema is bool
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, schema)


def _figure(e: dict[str, Any], place: str) -> None:
    """A figure has a value or a state that says why not, and lies in its interval."""
    assert e["n"] >= 0, place
    assert (e["value"] is None) == (e["state"] in WITHOUT_VALUE), f"{place}: {e}"
    assert (e["low"] is None) == (e["high"] is None), f"{place}: {e}"
    if e["low"] is not None and e["value"] is not None:
        assert e["low"] <= e["value"] + 1e-12, f"{place}: {e}"
        assert e["value"] <= e["high"] + 1e-12, f"{place}: {e}"
    assert e.get("bin_error", 0) >= 0, place
