"""What the sample's scores promise, what labels say, and what was known when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sample_rows import known_at, of, reference
from sample_store import Sample
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.analysis.divergence import Divergence, Verdict
from console.analysis.estimate import State
from console.analysis.figures import Figures
from console.analysis.findings import Severity
from console.analysis.performance import PerformanceSnapshot
from console.snapshots import Taker
from console.times import parse_moment
from console.views.performance import view
from console.windows import parse_against

MONTHS = [f"2013-{m:02d}-01" for m in range(1, 13)] + ["2014-01-01"]


def taker(sample: Sample) -> Taker:
    """One of its own for each picture, as the command has."""
    return Taker(sample.reader, sample.config.deployment, load_times=False)


@pytest.fixture(scope="module", name="sample")
def own_reader(sample: Sample) -> Iterator[Sample]:
    """The sample with a reader of its own: moments of the past are kept by reader, some at most."""
    with Database(sample.path, sample.config.engine(), read_only=True) as database:
        reader = InProcessReader(database)
        yield replace(sample, reader=reader)
        reader.close()


def month(sample: Sample, number: int, **more: object) -> PerformanceSnapshot:
    ask = sample.ask(MONTHS[number - 1], MONTHS[number], **more)  # type: ignore[arg-type]
    return taker(sample).performance(ask)


def whole(s: PerformanceSnapshot, version: str) -> Figures:
    (f,) = [f for f in s.whole if f.group.version == version]
    return f


def verdict(s: PerformanceSnapshot, version: str) -> Divergence:
    return s.divergence[(version, "", "")]


@pytest.mark.parametrize(
    ("number", "version"), [(2, "v1"), (4, "v1"), (7, "v1"), (7, "v2"), (9, "v2"), (12, "v2")]
)
def test_promises_are_those_of_single_rows(sample: Sample, number: int, version: str) -> None:
    """NannyML's definition on the Parquet rows, calibrated by scikit-learn."""
    s = month(sample, number)
    known = of(number, version).drop_nulls("late")
    ref = reference(version)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(
        ref["late_score"].to_numpy(), ref["late"].cast(float).to_numpy()
    )
    every = of(number, version)
    found = s.estimated[whole(s, version).group]
    for rows, got in ((every, found.metrics), (known, found.labelled)):
        p = fitted.predict(rows["late_score"].to_numpy())
        yes = rows["late_predicted"].to_numpy()
        tp, fp, fn = p[yes].sum(), (1 - p[yes]).sum(), p[~yes].sum()
        exact = {
            "f1": 2 * tp / (2 * tp + fp + fn),
            "recall": tp / (tp + fn),
            "precision": tp / (tp + fp),
            "accuracy": (tp + (1 - p[~yes]).sum()) / len(p),
        }
        for name, value in exact.items():
            # bins hold rows of several scores: the map is fitted to their means
            assert got[name].value == pytest.approx(value, abs=0.012), name


def test_july_is_shift_and_drift(sample: Sample) -> None:
    """The dead champion: its scores promise little, and labels are worse still.

    By hand on the raw rows: F1 .069 where .164 is promised and the reference has .419; 31.5 % of
    the flights are late where the scores promise 9.7 %; log loss .820, promised .292.
    """
    found = verdict(month(sample, 7), "v1")
    assert found.verdict is Verdict.BOTH
    assert found.finding is not None
    assert found.finding.severity is Severity.BAD
    assert found.finding.text.startswith("v1: covariate shift and concept drift")
    assert "31% positive, promised 10%" in found.text
    assert month(sample, 7).findings[0].text.startswith("v1: f1 ")


def test_september_is_drift_of_a_healthy_model(sample: Sample) -> None:
    """By hand: v2's F1 is .339 where .418 is promised, 12.7 % late where 22.7 % are promised."""
    found = verdict(month(sample, 9), "v2")
    assert (found.verdict, found.metric) == (Verdict.BOTH, "f1")
    assert found.finding is not None
    assert found.finding.severity is Severity.WARNING
    assert "13% positive, promised 23%" in found.text


def test_september_of_the_champion_is_covariate_shift(sample: Sample) -> None:
    """By hand: F1 .108, promised .122, and the reference has .419; log loss .376, promised .339."""
    found = verdict(month(sample, 9), "v1")
    assert found.verdict is Verdict.COVARIATE_SHIFT
    assert found.promised is not None
    assert found.promised.value == pytest.approx(0.122, abs=0.01)


def test_a_model_that_does_as_promised_is_left_alone(sample: Sample) -> None:
    assert verdict(month(sample, 6), "v2").verdict is Verdict.AS_PROMISED
    assert verdict(month(sample, 6), "v2").finding is None


def test_promises_go_on_where_labels_have_not_come(sample: Sample) -> None:
    ask = sample.ask("2013-07-06T12:00", "2013-07-08", as_of=parse_moment("2013-07-07T20:00"))
    s = taker(sample).performance(ask)
    f = whole(s, "v2")
    assert f.n_labelled < 0.75 * f.n
    promised = s.estimated[f.group].metrics["f1"]
    assert promised.state is State.OK
    assert promised.n > f.metrics["f1"].n
    assert verdict(s, "v2").verdict is Verdict.CANNOT_TELL
    assert "still due" in verdict(s, "v2").text
    # its own line on the axis of the realised figure, on past the last label
    plot = view(s).plots[0]
    lines = {x.name: x for x in plot.series}  # type: ignore[union-attr]
    realised, estimated = lines["v2"], lines["v2 estimated"]
    assert realised.x == estimated.x
    last = max(i for i, y in enumerate(realised.y) if y is not None)
    assert any(y is not None for y in estimated.y[last + 1 :])


def test_completeness_is_what_the_delay_curve_expects(sample: Sample) -> None:
    ask = sample.ask("2013-07-01", "2013-07-08", as_of=parse_moment("2013-07-07T20:00"))
    s = taker(sample).performance(ask)
    for f in s.series:
        assert f.group.start is not None
        c = s.labels_of(f, ask.step_start(f.group.start), ask.step_end(f.group.start))
        assert c.coverage is not None
        assert c.expected is not None
        assert c.usual == pytest.approx(0.965, abs=0.02)
        assert c.expected <= c.usual
        assert c.final == (f.group.start < parse_moment("2013-07-07"))
        if c.final:
            assert c.coverage == pytest.approx(c.expected, abs=0.12)
    last = [f for f in s.series if f.group.version == "v2"][-1]
    start = parse_moment("2013-07-07")
    c = s.labels_of(last, start, ask.end)
    assert c.coverage is not None
    assert c.coverage == pytest.approx(c.expected, abs=0.12)
    assert c.coverage < 0.6


def test_what_late_labels_revised(sample: Sample) -> None:
    """The same window as it was known eight hours earlier, beside now."""
    earlier, now = "2013-07-07T12:00", "2013-07-08T00:00"
    ask = sample.ask("2013-07-06", "2013-07-08", as_of=parse_moment(now))
    ask = replace(ask, against=parse_against(f"known={earlier}"))
    s = taker(sample).performance(ask)
    f = whole(s, "v2")
    old = s.compared_to(f)
    assert old is not None
    for figures, moment in ((f, now), (old, earlier)):
        raw = known_at(parse_moment(moment))
        mine = raw.filter(
            (raw["version"] == "v2") & (raw["timestamp"] >= parse_moment("2013-07-06"))
        )
        known = mine.drop_nulls("late")
        assert (figures.n, figures.n_labelled) == (mine.height, known.height)
        exact = sk.f1_score(known["late"], known["late_predicted"])
        assert figures.metrics["f1"].value == pytest.approx(exact, abs=1e-12)
    came = f.n_labelled - old.n_labelled
    (text,) = [x.text for x in s.findings if x.text.startswith(f"v2: {came:,} labels")]
    assert f"came since 2013-07-07 12:00: f1 {old.metrics['f1'].value:.3g} -> " in text
    # the two are of the same rows: no finding takes them for independent samples
    assert s.judged_by(f) is None
    rows = [row.key for row in view(s).table.rows]
    assert "v2/known 07 Jul 12:00" in rows


def test_another_side_takes_the_place_of_the_reference(sample: Sample) -> None:
    s = taker(sample).performance(
        replace(sample.ask("2013-07-01", "2013-08-01"), against=parse_against("before"))
    )
    f = whole(s, "v1")
    other = s.compared_to(f)
    assert other is not None
    before = s.before_of(f)
    assert before is not None
    assert other.metrics["f1"] == before.metrics["f1"]
    (text,) = [x.text for x in s.findings if "the window before had" in x.text]
    assert text.startswith(f"v1: f1 {f.metrics['f1'].value:.3g} where the window before had ")
    assert not any("its reference has" in x.text for x in s.findings)
    # what scores promise still rests on the reference
    assert verdict(s, "v1").verdict is Verdict.BOTH


def test_each_version_against_one(sample: Sample) -> None:
    s = taker(sample).performance(
        replace(sample.ask("2013-07-01", "2013-08-01"), against=parse_against("version=v2"))
    )
    assert s.compared_to(whole(s, "v2")) is None
    other = s.compared_to(whole(s, "v1"))
    assert other is not None
    assert other.metrics["f1"].value == whole(s, "v2").metrics["f1"].value
    assert any("where version v2 has 0.575" in x.text for x in s.findings)


def test_cancelled_flights_get_no_label_and_are_not_like_the_others(sample: Sample) -> None:
    found = month(sample, 2).selection[("v1", "", "")]
    raw = of(2, "v1")
    gone, came = raw.filter(raw["late"].is_null()), raw.drop_nulls("late")
    assert found.unlabelled == pytest.approx(gone["late_score"].mean(), abs=0.01)
    assert found.labelled == pytest.approx(came["late_score"].mean(), abs=0.005)
    spread = float(np.std(raw["late_score"].to_numpy()))
    assert found.labelled is not None
    assert found.unlabelled is not None
    assert found.difference == pytest.approx((found.unlabelled - found.labelled) / spread, rel=0.02)
    assert found.sure
    assert found.large


def test_figures_are_stale_when_the_data_pane_says_so(sample: Sample) -> None:
    """A day after the sample's end its last week is settled, and not of now."""
    at = parse_moment("2014-01-01T20:00")
    ask = sample.ask("2013-12-25T20:00", "2014-01-01T20:00", as_of=at)
    assert taker(sample).data(ask).is_stale
    s = taker(sample).performance(ask)
    assert {f.metrics["log_loss"].state for f in s.whole} == {State.STALE}
    assert s.series[0].metrics["log_loss"].state is not State.STALE
    past = taker(sample).performance(sample.ask("2013-12-01", "2013-12-20", as_of=at))
    assert {f.metrics["log_loss"].state for f in past.whole} == {State.OK}
