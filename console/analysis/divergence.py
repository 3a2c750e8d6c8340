"""Realised against promised performance, on the same labelled rows: what kind of change it is.

Calibrated scores promise a performance. Labels that fall short of it contradict the scores: the
relation between inputs and labels is no longer that of the reference (concept drift). A promise
that is itself below the reference says that the rows got harder and the scores know it (covariate
shift). Scores alone cannot tell concept drift from inputs that the reference never had; the drift
pane shows those.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.analysis.estimate import Estimate, State
from console.analysis.estimated import Estimated
from console.analysis.figures import Figures, lower_is_better
from console.analysis.findings import Finding, Severity
from console.analysis.performance_findings import LEAST_LABELS, name_of, worse_by

__all__ = ["Divergence", "Verdict", "diverge"]

ERRORS = 1.5
"""A realised figure contradicts a promise from 1.5 half intervals away, about three standard
errors: a screen looks often, and a map from other rows is never quite right."""

LEAST_GAP = 0.05
"""Share of the promised figure by which the realised one must be off: with many rows the smallest
fault of the map is sure, and none of anyone's business."""

SAME_ROWS = 0.9
"""Share of the labelled rows that must have a score for the two to be of the same rows."""


class Verdict(StrEnum):
    """What became of the promise."""

    AS_PROMISED = "as_promised"
    CONCEPT_DRIFT = "concept_drift"
    COVARIATE_SHIFT = "covariate_shift"
    BOTH = "shift_and_drift"
    BETTER = "better_than_promised"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Divergence:
    """metric: the figure that decided. realised, promised: that figure on the same labelled rows;
    None where it cannot be told. text: the verdict in words, with why."""

    verdict: Verdict
    text: str
    metric: str = ""
    realised: Estimate | None = None
    promised: Estimate | None = None
    finding: Finding | None = None


def diverge(
    f: Figures, e: Estimated | None, reference: Figures | None, headline: str, share: float
) -> Divergence:
    """The verdict on one slice.

    f: realised figures over the window; e: what its scores promise; reference: the same figures on
    the slice's reference; share: of all predictions, 0..1, which weighs the finding.

    The headline figure decides; where it keeps its promise, log loss does: it is the one figure
    that no change of the threshold or of the number of positives makes up for.
    """
    reason = _why_not(f, e, headline)
    if e is None or reason:
        return Divergence(Verdict.CANNOT_TELL, f"cannot tell: {reason}")
    signs = {
        m: _sign(m, f.metrics[m], e.labelled[m]) for m in (headline, "log_loss") if _has(f, e, m)
    }
    worse = next((m for m, sign in signs.items() if sign < 0), "")
    harder = (
        reference is not None
        and reference.n_labelled >= LEAST_LABELS
        and worse_by(headline, e.labelled[headline], reference.metrics[headline]) is not None
    )
    metric = worse or headline
    now, promised = f.metrics[metric], e.labelled[metric]
    kept = f"{metric.replace('_', ' ')} {_number(now)}, promised {_number(promised)}"
    kept += _positives(f, e)
    fell = f"{headline} {_number(e.labelled[headline])} promised"
    if reference is not None:
        fell += f", reference {_number(reference.metrics[headline])}"
    if worse and harder:
        kind = Verdict.BOTH
        text = f"covariate shift and concept drift: the scores promised less ({fell}), "
        text += f"and labels are worse still ({kept})"
    elif worse:
        kind = Verdict.CONCEPT_DRIFT
        text = f"concept drift: labels are worse than the scores promised ({kept})"
    elif harder:
        kind = Verdict.COVARIATE_SHIFT
        text = f"covariate shift: the rows got harder and the scores know it ({fell})"
    elif signs[headline] > 0:
        kind, text = Verdict.BETTER, f"labels are better than the scores promised ({kept})"
    else:
        kind, text = Verdict.AS_PROMISED, f"as the scores promised ({kept})"
    finding = None
    if kind not in (Verdict.BETTER, Verdict.AS_PROMISED):
        size = _gap(now, promised) if worse else 0.0
        severity = Severity.BAD if size > 0.3 else Severity.WARNING
        weight = min(size, 1.0) * share**0.5 / 2
        finding = Finding(severity, "performance", f"{name_of(f)}: {text}", weight)
    return Divergence(kind, text, metric, now, promised, finding)


def _why_not(f: Figures, e: Estimated | None, headline: str) -> str:
    """Why promise and outcome cannot be compared; empty when they can."""
    if e is None or e.reason:
        return e.reason if e is not None else "there is no estimate"
    now = f.metrics[headline]
    reasons = {
        "no labels have come": f.n_labelled == 0,
        "labels of these rows are still due": now.state is State.PROVISIONAL,
        f"{f.n_labelled:,} labelled rows are too few": f.n_labelled < LEAST_LABELS,
        f"{headline} rests on {now.n:,} rows, too few": now.state is State.TOO_FEW,
        f"there is no {headline.replace('_', ' ')} to compare": not _has(f, e, headline),
        f"{e.n_labelled:,} of {f.n_labelled:,} labelled rows have a score": e.n_labelled
        < SAME_ROWS * f.n_labelled,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _has(f: Figures, e: Estimated, metric: str) -> bool:
    both = (f.metrics.get(metric), e.labelled.get(metric))
    return all(one is not None and one.value is not None and one.low is not None for one in both)


def _sign(metric: str, now: Estimate, promised: Estimate) -> int:
    """-1 where the realised figure is surely worse than promised, 1 better, 0 neither.

    The promise's interval is that of the realised figure itself, so it decides; the realised one's
    must leave the promise out too, which for someone who looks all the time it does at every look.
    """
    if now.value is None or promised.value is None:
        return 0
    gap = now.value - promised.value
    end = promised.high if gap > 0 else promised.low
    mine = now.low if gap > 0 else now.high
    if end is None or mine is None or _gap(now, promised) < LEAST_GAP:
        return 0
    if abs(gap) <= ERRORS * abs(end - promised.value) or (mine - promised.value) * gap <= 0:
        return 0
    return -1 if (gap > 0) == lower_is_better(metric) else 1


def _gap(now: Estimate, promised: Estimate) -> float:
    """By what share of the promise the two differ."""
    if now.value is None or promised.value is None:
        return 0.0
    return abs(now.value - promised.value) / max(abs(promised.value), 1e-9)


def _positives(f: Figures, e: Estimated) -> str:
    """How many positives came, and how many were promised."""
    if f.confusion is None or e.positive is None or e.positive.value is None or not f.confusion.n:
        return ""
    came = (f.confusion.tp + f.confusion.fn) / f.confusion.n
    return f"; {100 * came:.0f}% positive, promised {100 * e.positive.value:.0f}%"


def _number(e: Estimate) -> str:
    return "-" if e.value is None else f"{e.value:.3g}"
