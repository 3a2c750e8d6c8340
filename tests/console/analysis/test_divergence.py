"""Promise against outcome: the kind of change is named only where it is sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_estimated import BINARY, rollup

from console.analysis.divergence import Divergence, Verdict, diverge
from console.analysis.estimate import Estimate, State
from console.analysis.estimated import Estimated, Maps, estimated, maps_of
from console.analysis.figures import Figures, Group, figures
from console.analysis.findings import Severity

GROUP = Group(None, "v2", 0, "", "")


def e(value: float, half: float = 0.02, state: State = State.OK, n: int = 1000) -> Estimate:
    return Estimate(value, value - half, value + half, n, state)


def labels(f1: Estimate, loss: float = 0.5, n: int = 1000) -> Figures:
    return Figures(GROUP, n, n, {"f1": f1, "log_loss": e(loss)})


def promise(f1: float, loss: float = 0.5, n: int = 1000) -> Estimated:
    found = {"f1": e(f1), "log_loss": e(loss)}
    return Estimated(found, found, n_labelled=n)


def verdict(f: Figures, p: Estimated | None, reference: Figures | None = None) -> Divergence:
    return diverge(f, p, reference, "f1", 1.0)


REFERENCE = labels(e(0.6))


@pytest.mark.parametrize(
    ("now", "promised", "expected"),
    [
        (0.6, 0.6, Verdict.AS_PROMISED),
        (0.5, 0.6, Verdict.CONCEPT_DRIFT),
        (0.5, 0.5, Verdict.COVARIATE_SHIFT),
        (0.3, 0.5, Verdict.BOTH),
        (0.7, 0.6, Verdict.BETTER),
        (0.57, 0.6, Verdict.AS_PROMISED),  # within three standard errors
        (0.55, 0.58, Verdict.AS_PROMISED),  # and the promise within the reference's interval
    ],
)
def test_the_kind_of_change(now: float, promised: float, expected: Verdict) -> None:
    found = verdict(labels(e(now)), promise(promised), REFERENCE)
    assert found.verdict is expected
    assert (found.finding is None) == (expected in (Verdict.AS_PROMISED, Verdict.BETTER))
    if found.finding is not None:
        assert found.finding.text == f"v2: {found.text}"


def test_log_loss_sees_what_the_headline_does_not() -> None:
    """Twice the positives that were promised leave F1 where it was."""
    found = verdict(labels(e(0.6), loss=0.9), promise(0.6, loss=0.5), REFERENCE)
    assert (found.verdict, found.metric) == (Verdict.CONCEPT_DRIFT, "log_loss")
    assert found.finding is not None
    assert found.finding.severity is Severity.BAD
    assert "log loss 0.9, promised 0.5" in found.text


def test_a_small_gap_is_no_finding_however_many_rows() -> None:
    near = Estimate(0.58, 0.579, 0.581, 10**7)
    sure = Estimate(0.6, 0.599, 0.601, 10**7)
    found = Estimated({"f1": sure}, {"f1": sure}, n_labelled=1000)
    now = Figures(GROUP, 1000, 1000, {"f1": near})
    assert verdict(now, found, None).verdict is Verdict.AS_PROMISED


def test_without_a_reference_figure_only_the_promise_is_judged() -> None:
    assert verdict(labels(e(0.4)), promise(0.6)).verdict is Verdict.CONCEPT_DRIFT
    assert verdict(labels(e(0.4)), promise(0.4)).verdict is Verdict.AS_PROMISED


@pytest.mark.parametrize(
    ("f", "p", "why"),
    [
        (labels(e(0.1)), None, "there is no estimate"),
        (labels(e(0.1)), Estimated({}, {}, reason="no scores are logged"), "no scores are logged"),
        (replace(labels(e(0.1)), n_labelled=0), promise(0.6), "no labels have come"),
        (labels(e(0.1, state=State.PROVISIONAL)), promise(0.6), "still due"),
        (labels(e(0.1, state=State.TOO_FEW)), promise(0.6), "too few"),
        (labels(e(0.1), n=99), promise(0.6), "99 labelled rows are too few"),
        (labels(e(0.1)), promise(0.6, n=899), "899 of 1,000 labelled rows have a score"),
        (labels(Estimate(None, None, None, 1000)), promise(0.6), "there is no f1"),
    ],
)
def test_what_cannot_be_told_says_why(f: Figures, p: Estimated | None, why: str) -> None:
    found = verdict(f, p, REFERENCE)
    assert (found.verdict, found.finding) == (Verdict.CANNOT_TELL, None)
    assert found.text.startswith("cannot tell: ")
    assert why in found.text


def world(
    rng: np.random.Generator, maps: Maps, n: int, shift: float, drift: float
) -> tuple[Figures, Estimated]:
    """shift moves the scores towards the middle, drift turns labels against them."""
    score = rng.beta(0.5 + shift, 0.5 + shift, n)
    p = np.clip(score + drift, 0, 1)
    y = (rng.random(n) < p).astype(float)
    frame = rollup(score, y)
    sq = {"labelled_score_sq": 0.0, "positive_score_sum": 0.0, "log_loss_sum": 0.0}
    zero = {f"fallback_{k}": 0 for k in ("tp", "fp", "fn", "tn")}
    (f,) = figures(BINARY, frame.with_columns(**sq, **zero))
    loss = -np.log(np.clip(np.where(y == 1, score, 1 - score), 1e-9, 1))
    mean, half = float(loss.mean()), 1.96 * float(loss.std()) / n**0.5
    f = replace(f, metrics={**f.metrics, "log_loss": Estimate(mean, mean - half, mean + half, n)})
    (found,) = estimated(BINARY, frame, maps).values()
    return f, found


def share(seed: int, shift: float, drift: float, expected: set[Verdict]) -> float:
    rng = np.random.default_rng(seed)
    ref = rng.beta(0.5, 0.5, 20_000)
    maps = maps_of(BINARY, rollup(ref, (rng.random(20_000) < ref).astype(float)))
    reference = labels(e(0.82, 0.005))
    runs, hits = 50, 0
    for _ in range(runs):
        f, found = world(rng, maps, 1_500, shift, drift)
        hits += verdict(f, found, reference).verdict in expected
    return hits / runs


def test_simulated_worlds_get_their_name() -> None:
    """1,500 labelled rows; the reference's F1 is about .82."""
    crying = {Verdict.CONCEPT_DRIFT, Verdict.BOTH}
    assert share(1, 0.0, 0.0, crying) <= 0.02
    assert share(2, 2.0, 0.0, crying) <= 0.02
    assert share(3, 2.0, 0.0, {Verdict.COVARIATE_SHIFT}) >= 0.95
    assert share(4, 0.0, 0.15, crying) >= 0.9
    assert share(5, 2.0, -0.15, {Verdict.BOTH}) >= 0.75
