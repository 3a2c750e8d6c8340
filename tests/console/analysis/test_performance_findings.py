"""A model is called worse only where figures are settled, rest on labels, and lie apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors.contract import Deployment
from console.analysis.estimate import Estimate, State
from console.analysis.figures import Figures, Group
from console.analysis.findings import Finding, Severity
from console.analysis.performance_findings import judge

CLASSIFIER = Deployment.model_validate(
    {
        "name": "d", "task": "binary", "score": "p", "predictions": {"path": "p"},
        "champion": "v1",
    }
)  # fmt: skip
REGRESSION = Deployment.model_validate(
    {"name": "d", "task": "regression", "prediction": "p", "predictions": {"path": "p"}}
)


def figure(
    value: float | None,
    half: float = 0.05,
    *,
    n: int = 1000,
    version: str = "v2",
    state: State = State.OK,
    metric: str = "f1",
    segment: str = "",
) -> Figures:
    low, high = (None, None) if value is None else (value - half, value + half)
    e = Estimate(value, low, high, n, state)
    beside = {name: Estimate(0.5, 0.4, 0.6, n) for name in ("recall", "roc_auc")}
    group = Group(None, version, int(bool(segment)), segment, "")
    return Figures(group, n, n, {**beside, metric: e})


def with_fallback(f: Figures, value: float, half: float, n: int, metric: str = "f1") -> Figures:
    accuracy = Estimate(0.7, 0.6, 0.8, n)
    beside = {"accuracy": accuracy, metric: Estimate(value, value - half, value + half, n // 3)}
    return replace(f, baselines={"fallback": beside})


def found(f: Figures, reference: Figures | None = None) -> tuple[list[Finding], int]:
    return judge(CLASSIFIER, "f1", [(f, reference)])


def test_intervals_that_lie_apart_are_a_finding() -> None:
    (one,), judged = found(figure(0.4), figure(0.6))
    assert one.text == "v2: f1 0.4 where its reference has 0.6"
    assert (one.severity, judged) == (Severity.BAD, 1)
    (one,), _ = found(figure(0.5, 0.01), figure(0.6, 0.01))
    assert one.severity is Severity.WARNING


def test_intervals_that_touch_are_none_though_the_value_is_outside_the_other() -> None:
    findings, judged = found(figure(0.5, 0.06), figure(0.6, 0.05))
    assert (findings, judged) == ([], 1)


def test_a_dead_model_is_bad_with_its_recall_and_its_auc() -> None:
    (one,), _ = found(figure(0.1), figure(0.6))
    assert one.severity is Severity.BAD
    assert one.text.endswith("(recall 0.5, AUC 0.5)")


def test_better_than_the_reference_is_no_finding() -> None:
    assert found(figure(0.9), figure(0.5)) == ([], 1)


@pytest.mark.parametrize(
    ("now", "was"),
    [
        (figure(0.1, n=99), figure(0.6)),
        (figure(0.1), figure(0.6, n=99)),
        (figure(0.1, state=State.PROVISIONAL), figure(0.6)),
        (figure(0.1, state=State.TOO_FEW), figure(0.6)),
        (figure(0.1), figure(0.6, state=State.TOO_FEW)),
        (figure(None, state=State.NO_LABELS), figure(0.6)),
        (figure(0.1), figure(None, state=State.NO_LABELS)),
        (figure(0.1), None),
    ],
)
def test_what_cannot_be_compared_is_not_judged(now: Figures, was: Figures | None) -> None:
    assert found(now, was) == ([], 0)


def test_a_comparison_without_an_interval_is_none() -> None:
    bare = figure(0.6)
    bare = replace(bare, metrics={**bare.metrics, "f1": Estimate(0.6, None, None, 1000)})
    assert found(figure(0.1), bare) == ([], 0)


def test_a_better_fallback_is_bad_once_intervals_lie_apart() -> None:
    (one,), judged = found(with_fallback(figure(0.4), 0.6, 0.05, 1000))
    assert (one.severity, judged) == (Severity.BAD, 1)
    assert one.text == "v2: the fallback is better, f1 0.6 against 0.4"
    assert found(with_fallback(figure(0.4), 0.48, 0.05, 1000)) == ([], 1)


def test_a_fallback_that_answered_for_some_rows_only_is_not_compared() -> None:
    assert found(with_fallback(figure(0.4), 0.6, 0.05, 899)) == ([], 0)
    assert found(with_fallback(figure(0.4), 0.6, 0.05, 900))[1] == 1


def test_a_version_that_beats_the_champion_is_a_warning() -> None:
    pairs = [(figure(0.4, version="v1"), None), (figure(0.6), None)]
    (one,), _ = judge(CLASSIFIER, "f1", pairs)
    assert one.text == "v2 beats the champion v1: f1 0.6 against 0.4"
    assert one.severity is Severity.WARNING
    overlapping = [(figure(0.4, version="v1"), None), (figure(0.49), None)]
    assert judge(CLASSIFIER, "f1", overlapping)[0] == []
    few = [(figure(0.4, version="v1"), None), (figure(0.6, n=99), None)]
    assert judge(CLASSIFIER, "f1", few)[0] == []


def test_the_champion_is_compared_within_its_segment_value() -> None:
    pairs = [
        (figure(0.4, version="v1", segment="EWR"), None),
        (figure(0.6, segment="JFK"), None),
        (figure(0.7, version="v1", segment="JFK"), None),
    ]
    assert judge(CLASSIFIER, "f1", pairs)[0] == []
    (one,), _ = judge(CLASSIFIER, "f1", [*pairs, (figure(0.6, segment="EWR"), None)])
    assert one.text.startswith("v2 EWR beats the champion v1")


def test_a_loss_is_worse_when_it_is_larger() -> None:
    def of(value: float) -> Figures:
        return figure(value, 0.5, metric="mae")

    (one,), _ = judge(REGRESSION, "mae", [(of(8.0), of(5.0))])
    assert one.text == "v2: mae 8 where its reference has 5"
    assert judge(REGRESSION, "mae", [(of(5.0), of(8.0))]) == ([], 1)
    assert judge(REGRESSION, "mae", [(of(6.0), of(5.2))]) == ([], 1)  # intervals touch
