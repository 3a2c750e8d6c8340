"""How far people who label the same predictions agree, and what they disagree about.

Classes: Cohen's and Fleiss' kappa, agreement beyond chance: 1 is perfect, 0 is what chance gives.
Numbers: the intraclass correlation, and the mean absolute difference of two people. Everything
comes from sums that the store made; each labeller's latest word on a prediction counts.

All figures are about the predictions that several people labelled. Where those were chosen (the
doubtful ones are shown to a second person), they say nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

from collectors.contract import Task
from console.analysis.ask import Ask, utc
from console.analysis.estimate import Estimate
from console.analysis.findings import Finding, Severity
from console.analysis.intervals import mean, proportion
from console.analysis.kappa import (
    cohen_kappa,
    fleiss_kappa,
    intraclass_correlation,
    mean_share,
    pooled_kappa,
)

__all__ = [
    "COMPARED",
    "LISTED",
    "POOR",
    "VOICES",
    "AgreementFrames",
    "AgreementSnapshot",
    "Disagreement",
    "Known",
    "Labeller",
    "Pair",
    "Statement",
    "agreement",
]

COMPARED = 20
"""Labellers who are compared in pairs: those who share most predictions; 190 pairs at most."""
LISTED = 200
"""Labellers who are listed with their counts."""
VOICES = 20
"""Labellers whose words on one prediction are listed: those who spoke last."""
POOR = 0.6
"""A kappa that is surely below it is worth a warning: under 0.6 agreement is usually taken as too
weak to rely on (McHugh 2012, Biochemia Medica 22:276)."""


class Known(StrEnum):
    """Whether agreement can be told."""

    YES = "yes"
    NO_LABELLER = "no_labeller"
    """The configuration names no column of labellers."""
    NO_LABELS = "no_labels"
    """No label of the window says who gave it."""
    NOT_SHARED = "not_shared"
    """No prediction was labelled by two people."""


@dataclass(frozen=True, slots=True)
class Labeller:
    """One person. n: predictions that they labelled; n_shared: of these, labelled by others too."""

    name: str
    n: int
    n_shared: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labellers. n: predictions that both labelled.

    metrics: agreement (share 0..1, said the same) and, of classes, kappa (Cohen); of numbers
    mean_difference (one minus other) and mean_abs_difference, in the label's unit.
    """

    one: str
    other: str
    n: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Statement:
    """Who said what, and when it was received (aware UTC)."""

    labeller: str
    value: float | str
    received: datetime


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A prediction whose labellers disagree.

    label: the latest received, which counts. distance: of the score from the threshold, or between
    the two most likely classes; spread: highest minus lowest label of a regression; None where
    there is none. statements: at most `VOICES` of n_labellers, by time.
    """

    id: str
    at: datetime
    version: str
    score: float | None
    predicted: float | str | None
    label: float | str | None
    distance: float | None
    spread: float | None
    n_labellers: int
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class AgreementFrames:
    """Answers of `agreement` (or `agreement_numbers`) and of `disagreements`.

    kept_since: raw labels before it were deleted (aware UTC); None: none was.
    """

    sums: pl.DataFrame
    disputed: pl.DataFrame
    kept_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class AgreementSnapshot:
    """n_labelled: predictions that somebody named labelled; n: that several did; n_disagree: of n.

    overall: agreement (mean share of pairs that agree on a prediction) and, of classes,
    cohen_kappa (pooled over pairs) and fleiss_kappa; of numbers icc and mean_abs_difference. pairs:
    the worst first, of n_compared labellers of n_labellers. queue: what to settle first, n_queue
    of them in all. since: where labels begin, if those of the window's first part were deleted.
    """

    ask: Ask
    known: Known
    n_labelled: int
    n: int
    n_disagree: int
    n_labellers: int
    n_compared: int
    overall: Mapping[str, Estimate]
    labellers: tuple[Labeller, ...]
    pairs: tuple[Pair, ...]
    queue: tuple[Disagreement, ...]
    n_queue: int
    findings: tuple[Finding, ...]
    since: datetime | None = None


def agreement(ask: Ask, frames: AgreementFrames | None) -> AgreementSnapshot:
    """The snapshot. Pure. frames: None where the configuration names no column of labellers."""
    parts: dict[str, list[dict[str, Any]]] = {}
    if frames is not None:
        for row in frames.sums.iter_rows(named=True):
            parts.setdefault(row["part"], []).append(row)
    whole = parts.get("overall", [{}])[0]
    people = parts.get("labeller", [])
    numbers = ask.deployment.task is Task.REGRESSION
    pairs = [_number_pair(r) if numbers else _class_pair(r) for r in parts.get("pair", [])]
    n, n_labellers = int(whole.get("n") or 0), int(people[0]["n_labellers"]) if people else 0
    queue = _queue(frames.disputed) if frames is not None else ()
    overall: Mapping[str, Estimate] = {}
    if n:
        pooled = parts.get("pooled", [{"n": 0}])[0]
        overall = _numbers(whole) if numbers else _classes(whole, pooled)
    return AgreementSnapshot(
        ask=ask,
        known=_known(frames, n, people),
        n_labelled=int(whole.get("n_labelled") or 0),
        n=n,
        n_disagree=int(whole.get("n_disagree") or 0),
        n_labellers=n_labellers,
        n_compared=len({name for p in pairs for name in (p.one, p.other)}),
        overall=overall,
        labellers=tuple(Labeller(r["one"], r["n"], r["n_shared"]) for r in people),
        pairs=tuple(sorted(pairs, key=_worst_first)),
        queue=queue,
        n_queue=int(frames.disputed["n_found"][0]) if frames is not None and queue else 0,
        findings=_findings(overall, pairs),
        since=_since(ask, frames),
    )


def _known(frames: AgreementFrames | None, n: int, people: list[dict[str, Any]]) -> Known:
    if frames is None:
        return Known.NO_LABELLER
    if n:
        return Known.YES
    return Known.NOT_SHARED if people else Known.NO_LABELS


def _since(ask: Ask, frames: AgreementFrames | None) -> datetime | None:
    since = frames.kept_since if frames is not None else None
    return since if since is not None and since > ask.start else None


def _worst_first(pair: Pair) -> tuple[float, float, str, str]:
    """Pairs of which nothing can be told stand last."""
    kappa, gap = pair.metrics.get("kappa"), pair.metrics.get("mean_abs_difference")
    if gap is not None:
        return 0 if gap.value is not None else 1, -(gap.value or 0), pair.one, pair.other
    value = kappa.value if kappa is not None else None
    return 0 if value is not None else 1, value or 0, pair.one, pair.other


def _class_pair(row: Mapping[str, Any]) -> Pair:
    metrics = {"agreement": proportion(int(row["n_same"]), row["n"]), "kappa": cohen_kappa(row)}
    return Pair(row["one"], row["other"], row["n"], metrics)


def _classes(whole: Mapping[str, Any], pooled: Mapping[str, Any]) -> dict[str, Estimate]:
    return {
        "agreement": mean_share(whole["u"], whole["uu"], whole["n"]),
        "cohen_kappa": pooled_kappa(pooled),
        "fleiss_kappa": fleiss_kappa(whole),
    }


def _number_pair(row: Mapping[str, Any]) -> Pair:
    n = row["n"]
    metrics = {
        "agreement": proportion(int(row["n_same"]), n),
        "mean_difference": mean(row["u"], row["uu"], n),
        "mean_abs_difference": mean(row["v"], row["uu"], n, floor=0.0),
    }
    return Pair(row["one"], row["other"], n, metrics)


def _numbers(row: Mapping[str, Any]) -> dict[str, Estimate]:
    n = row["n"]
    return {
        "agreement": proportion(n - row["n_disagree"], n),
        "icc": intraclass_correlation(row),
        "mean_abs_difference": mean(row["v"], row["vv"], n, floor=0.0),
    }


def _queue(frame: pl.DataFrame) -> tuple[Disagreement, ...]:
    found: dict[int, tuple[dict[str, Any], list[Statement]]] = {}
    for row in frame.iter_rows(named=True):
        said = Statement(row["labeller"], row["value"], utc(row["received"]))
        found.setdefault(row["place"], (row, []))[1].append(said)
    return tuple(
        Disagreement(
            id=row["id"],
            at=utc(row["ts"]),
            version=row["version"],
            score=row["score"],
            predicted=row["predicted"],
            label=row["label"],
            distance=row["distance"],
            spread=row["spread"],
            n_labellers=row["n_labellers"],
            statements=tuple(said),
        )
        for _, (row, said) in sorted(found.items())
    )


def _findings(overall: Mapping[str, Estimate], pairs: list[Pair]) -> tuple[Finding, ...]:
    """Whether people agree too little for their labels to be relied on."""
    kappa = overall.get("cohen_kappa")
    if kappa is not None and kappa.value is None:  # a crowd of whom hardly two meet twice
        kappa = overall.get("fleiss_kappa")
    if kappa is None or kappa.high is None or kappa.value is None or kappa.high >= POOR:
        return ()
    whom = "two labellers" if len(pairs) == 1 else "labellers"
    text = (
        f"{whom} agree with a kappa of {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f}): "
        "no figure is surer than the labels it rests on"
    )
    return (Finding(Severity.WARNING, "agreement", text, 1 - kappa.value),)
