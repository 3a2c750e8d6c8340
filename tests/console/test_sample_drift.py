"""Drift figures of the shipped sample against numpy and scipy on the raw Parquet rows."""

from __future__ import annotations

import math
import re
import tomllib
from functools import cache

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sample_rows import MONTHS, SAMPLE, VERSIONS, of, reference
from sample_store import Sample
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2, chi2_contingency, ks_2samp, wasserstein_distance

from console.analysis.against import Against, Side
from console.analysis.ask import Step
from console.analysis.distances import DriftState
from console.analysis.drift import DriftRow, DriftSnapshot
from console.analysis.drift_effects import Cause
from console.analysis.estimate import State
from console.analysis.findings import Severity

CONFIG = tomllib.loads((SAMPLE / "modelwatch.toml").read_text(encoding="utf-8"))
WATCHED = CONFIG["deployment"][0]["features"]
NUMERIC, CATEGORICAL = tuple(WATCHED["numeric"]), tuple(WATCHED["categorical"])
COLUMN = {"score": "late_score", "prediction": "late_predicted"}
OWN_CATEGORIES = 100
EPSILON = 1e-4
KS_DISTANCE = 0.01
KS_WIDTH = 0.13
FILLED = 50
"""Expected rows per bin from which the noise of PSI is the customary formula's."""
CASES = [(m, v) for m in MONTHS for v in VERSIONS if not of(m, v).is_empty()]
SORTED_CASES = [case for case in CASES if case[0] in (2, 5, 7, 12)]
"""Where whole samples are sorted: the first month, v2's first, the worst one, the last one."""

Numbers = NDArray[np.float64]


@cache
def numbers_of_reference(version: str, feature: str) -> Numbers:
    return reference(version)[COLUMN.get(feature, feature)].drop_nulls().to_numpy().astype(float)


@cache
def numbers(month: int, version: str, feature: str) -> Numbers:
    return of(month, version)[COLUMN.get(feature, feature)].drop_nulls().to_numpy().astype(float)


def decile_counts(values: Numbers, missing: int, of_reference: Numbers) -> Numbers:
    """Rows per reference decile, a value that fills several as a bin of its own, and missing."""
    deciles = [float(q) for q in np.quantile(of_reference, np.arange(1, 10) / 10)]
    spikes = {d for d in deciles if deciles.count(d) > 1}
    ends = sorted({*deciles, *(math.nextafter(s, -math.inf) for s in spikes)})
    counts = [0.0] * (len(ends) + 2)
    for place, n in zip(*np.unique(np.searchsorted(ends, values), return_counts=True), strict=True):
        counts[int(place)] = float(n)
    counts[-1] = missing
    return np.array(counts)


@cache
def known_categories(feature: str) -> tuple[str, ...]:
    """Categories of both references together, the most frequent first."""
    pooled = pl.concat(reference(v).select(feature) for v in VERSIONS)
    found = pooled.drop_nulls().group_by(feature).len()
    return tuple(found.sort(["len", feature], descending=[True, False])[feature])


def category_counts(values: pl.Series, feature: str) -> Numbers:
    """Rows per category, those beyond the first hundred as one, then missing, then unseen."""
    known = {name: min(i, OWN_CATEGORIES) for i, name in enumerate(known_categories(feature))}
    size = min(len(known), OWN_CATEGORIES + 1)
    counts = np.zeros(size + 2)
    for value in values:
        counts[size if value is None else known.get(value, size + 1)] += 1
    return counts


@cache
def reference_counts(version: str, feature: str) -> Numbers:
    column = reference(version)[COLUMN.get(feature, feature)]
    if feature in CATEGORICAL:
        return category_counts(column, feature)
    known = numbers_of_reference(version, feature)
    return decile_counts(known, column.null_count(), known)


def raw_counts(month: int, version: str, feature: str) -> Numbers:
    column = of(month, version)[COLUMN.get(feature, feature)]
    if feature in CATEGORICAL:
        return category_counts(column, feature)
    return decile_counts(
        numbers(month, version, feature),
        column.null_count(),
        numbers_of_reference(version, feature),
    )


def own_psi(ref: Numbers, cur: Numbers) -> float:
    r, c = (np.maximum(side / side.sum(), EPSILON) for side in (ref, cur))
    return float(np.sum((c - r) * np.log(c / r)))


def month_of(sample: Sample, month: int, deployment: str = "flight-late") -> DriftSnapshot:
    end = f"2013-{month + 1:02d}-01" if month < 12 else "2014-01-01"
    return sample.taker.drift(sample.ask(f"2013-{month:02d}-01", end, deployment, step=Step.ALL))


def rows_of(sample: Sample) -> dict[tuple[int, str, str], DriftRow]:
    return {
        (month, row.version, row.feature): row
        for month in MONTHS
        for row in month_of(sample, month).rows
    }


@pytest.fixture(scope="module")
def found(sample: Sample) -> dict[tuple[int, str, str], DriftRow]:
    return rows_of(sample)


Found = dict[tuple[int, str, str], DriftRow]


def test_every_month_version_and_feature_has_a_row(found: Found) -> None:
    subjects = {*NUMERIC, *CATEGORICAL, "score", "prediction"}
    assert set(found) == {(m, v, f) for m, v in CASES for f in subjects}
    for (month, version, _), row in found.items():
        assert row.n == of(month, version).height
        assert row.n_reference == reference(version).height


@pytest.mark.parametrize("feature", [*NUMERIC, "score", *CATEGORICAL])
def test_psi_and_jensen_shannon_equal_an_independent_computation(
    found: Found, feature: str
) -> None:
    for month, version in CASES:
        row = found[month, version, feature]
        ref, cur = reference_counts(version, feature), raw_counts(month, version, feature)
        assert row.metrics["psi"].value == pytest.approx(own_psi(ref, cur), rel=1e-9, abs=1e-12)
        js = jensenshannon(ref, cur, base=2)
        # scipy subtracts two entropies: near 0 the root of their rounding error shows
        assert row.metrics["js"].value == pytest.approx(js, rel=1e-6, abs=1e-7)
        held = ref + cur > 0
        table = np.array([ref[held], cur[held]])
        statistic = chi2_contingency(table, correction=False).statistic
        assert row.metrics["chi2"].value == pytest.approx(statistic, rel=1e-9)
        both, df = 1 / row.n + 1 / row.n_reference, int(held.sum()) - 1
        assert row.noise_floor is not None
        assert row.noise_q95 is not None
        assert row.noise["chi2"].q95 == pytest.approx(chi2.ppf(0.95, df), rel=1e-6)
        # the customary formula takes each bin as well filled
        if (ref + cur)[held].min() * row.n / (row.n + row.n_reference) >= FILLED:
            assert row.noise_floor == pytest.approx(df * both, rel=0.03)
            assert row.noise_q95 == pytest.approx(chi2.ppf(0.95, df) * both, rel=0.05)


def test_psi_of_the_prediction_is_over_its_two_classes(found: Found) -> None:
    for month, version in CASES:
        ref = reference(version)["late_predicted"].mean()
        cur = of(month, version)["late_predicted"].mean()
        assert isinstance(ref, float)
        assert isinstance(cur, float)
        expected = (cur - ref) * math.log(cur / ref) + (ref - cur) * math.log((1 - cur) / (1 - ref))
        assert found[month, version, "prediction"].metrics["psi"].value == pytest.approx(expected)


def test_the_ks_bracket_holds_the_exact_statistic(found: Found) -> None:
    for month, version in SORTED_CASES:
        for feature in (*NUMERIC, "score"):
            ref, cur = numbers_of_reference(version, feature), numbers(month, version, feature)
            ks = found[month, version, feature].metrics["ks"]
            exact = ks_2samp(ref, cur, method="asymp").statistic
            assert ks.low is not None
            assert ks.high is not None
            assert ks.low - 1e-12 <= exact <= ks.high + 1e-12, (month, version, feature)
            # what is shown is the low end: 40 bins and more keep it close
            assert ks.value == ks.low
            assert exact - ks.low <= KS_DISTANCE, (month, version, feature)
            # 93 % of precip is 0: a bin of its own, whose rows are ties
            assert ks.high - ks.low <= KS_WIDTH, (month, version, feature)


def test_wasserstein_is_within_its_bin_error(found: Found) -> None:
    for month, version in SORTED_CASES:
        for feature in (*NUMERIC, "score"):
            ref, cur = numbers_of_reference(version, feature), numbers(month, version, feature)
            moved = found[month, version, feature].metrics["wasserstein"]
            exact = wasserstein_distance(ref, cur) / max(ref.std(), 0.001)
            assert moved.value is not None
            assert moved.bin_error is not None
            assert abs(moved.value - exact) <= moved.bin_error + 1e-9, (month, version, feature)


def test_null_rates_are_exact(found: Found) -> None:
    for month, version in CASES:
        raw = of(month, version)
        for feature in (*NUMERIC, *CATEGORICAL):
            row = found[month, version, feature]
            assert row.metrics["null_rate"].value == raw[feature].null_count() / raw.height
            reference_rate = reference(version)[feature].null_count() / reference(version).height
            assert row.null_rate_reference == reference_rate


def test_unseen_rates_of_numbers_are_exact(found: Found) -> None:
    for month, version in CASES:
        raw = of(month, version)
        for feature in (*NUMERIC, "score"):
            known, values = numbers_of_reference(version, feature), numbers(month, version, feature)
            outside = int(((values < known.min()) | (values > known.max())).sum())
            row = found[month, version, feature]
            assert row.metrics["unseen_rate"].value == outside / raw.height, (month, feature)
            assert row.reference_range == (known.min(), known.max())
            if len(values):
                assert (row.lowest, row.highest) == (values.min(), values.max())


def test_unseen_rates_of_categories_are_exact(found: Found) -> None:
    """A category counts as unseen when the version's own reference does not have it."""
    for month, version in CASES:
        raw = of(month, version)
        for feature in CATEGORICAL:
            known = set(reference(version)[feature])
            outside = raw.filter(~pl.col(feature).is_in(known)).height
            rate = found[month, version, feature].metrics["unseen_rate"].value
            assert rate == outside / raw.height, (month, version, feature)


def test_the_distribution_holds_every_row_once(found: Found) -> None:
    for (_, _, feature), row in found.items():
        if len(row.distribution.labels) < 60:
            for side in (row.distribution.reference, row.distribution.current):
                assert sum(x or 0 for x in side) == pytest.approx(1.0), feature
        assert all(e.state in (State.OK, State.CANNOT_TELL) for e in row.metrics.values())


def test_the_most_drifted_come_first(sample: Sample) -> None:
    for month in (2, 7):
        drifted = [r for r in month_of(sample, month).rows if r.state is DriftState.DRIFTED]
        values = [r.metrics["psi"].value or 0.0 for r in drifted]
        assert len(values) > 3
        assert values == sorted(values, reverse=True)
        assert month_of(sample, month).rows[: len(drifted)] == tuple(drifted)


# -- what it says about the sample ---------------------------------------------------------------


def drifted_from(sample: Sample, start: str, end: str, **more: object) -> DriftSnapshot:
    return sample.taker.drift(sample.ask(start, end, **more))  # type: ignore[arg-type]


def test_july_is_temperature_and_dew_point_out_of_the_range_of_january(sample: Sample) -> None:
    found = drifted_from(sample, "2013-07-01", "2013-08-01", version="v1")
    first, second = found.rows[:2]
    assert {first.feature, second.feature} == {"temp", "dewp"}
    for row in (first, second):
        assert row.causes is not None
        main = row.causes.main
        assert main is not None
        assert main[0] is Cause.UNSEEN
        assert main[1] > 0.8
        # warmer by more than three standard deviations, and so before July already
        assert (row.metrics["smd"].low or 0.0) > 3
        assert row.since == sample.ask("2013-07-01", "2013-08-01").start
    (finding,) = [f for f in found.findings if f.text.startswith("v1: drifted")]
    assert re.search(r"; \d+ of 16 features \(\d\d%\)", finding.text)
    assert finding.severity is Severity.BAD


def test_warm_days_of_july_are_not_new(sample: Sample) -> None:
    """Against the week before, temperature has not moved; the pressure of that week has."""
    found = drifted_from(sample, "2013-07-01", "2013-07-08", version="v1")
    rows = {r.feature: r for r in found.rows}
    for feature in ("temp", "dewp"):
        week = rows[feature].week
        assert week is not None
        assert week.psi is not None
        assert week.psi < 0.3
        assert (rows[feature].metrics["psi"].value or 0) > 8
    pressure = rows["pressure"].week
    assert pressure is not None
    assert pressure.state is DriftState.DRIFTED


def test_the_day_without_weather_is_missing_values(sample: Sample) -> None:
    found = drifted_from(sample, "2013-12-31T06:00", "2013-12-31T18:00")
    rows = {r.feature: r for r in found.rows if r.version == "v2"}
    for feature in ("temp", "dewp", "humid", "visib"):
        causes = rows[feature].causes
        assert causes is not None
        assert causes.main == (Cause.MISSING, pytest.approx(1.0, abs=0.01))
        assert rows[feature].metrics["null_change"].value == pytest.approx(1, abs=0.01)
    assert any("(100% missing)" in f.text for f in found.findings)


def test_the_same_hours_of_the_week_before_are_counted_from_raw_rows(sample: Sample) -> None:
    """12 February against 5 February, origin and carrier, on the rows themselves."""
    against = Against(Side.WEEK)
    day, before = "2013-02-12", "2013-02-05"
    found = drifted_from(sample, day, "2013-02-13", version="v1", against="week")
    assert found.ask.against == against
    raw = of(2, "v1")
    for feature in ("origin", "carrier"):
        (row,) = [r for r in found.rows if r.feature == feature]
        cur, ref = (
            category_counts(
                raw.filter(pl.col("timestamp").dt.strftime("%Y-%m-%d") == when)[feature], feature
            )
            for when in (day, before)
        )
        assert (row.n, row.n_reference) == (cur.sum(), ref.sum())
        assert row.metrics["psi"].value == pytest.approx(own_psi(ref, cur))


def test_a_window_against_itself_has_not_moved(sample: Sample) -> None:
    found = drifted_from(sample, "2013-03-01", "2013-03-08", against="2013-03-01..2013-03-08")
    assert {r.state for r in found.rows} == {DriftState.OK}
    for row in found.rows:
        assert row.metrics["psi"].value == 0
        assert row.metrics["null_change"].value == 0
        assert (row.metrics["smd"].value or 0.0) == pytest.approx(0, abs=1e-12)
    assert not [f for f in found.findings if "drifted" in f.text]


def test_effect_sizes_are_those_of_the_raw_rows(found: Found) -> None:
    for month, version in SORTED_CASES:
        for feature in (*NUMERIC, "score"):
            ref, cur = numbers_of_reference(version, feature), numbers(month, version, feature)
            smd = found[month, version, feature].metrics["smd"].value
            expected = (cur.mean() - ref.mean()) / math.sqrt((cur.var() + ref.var()) / 2)
            assert smd == pytest.approx(expected, rel=1e-6, abs=1e-9), (month, version, feature)


def test_parts_of_every_psi_add_up(found: Found) -> None:
    for row in found.values():
        assert row.causes is not None
        parts = (row.causes.missing, row.causes.unseen, row.causes.shape)
        assert sum(parts) == pytest.approx(row.metrics["psi"].value, abs=1e-9)


def test_steps_add_up_to_the_window(sample: Sample) -> None:
    """The figures come from the steps of the series: any step gives the same ones."""
    span = ("2013-06-03", "2013-07-01")
    by_day, by_week = (drifted_from(sample, *span, step=s) for s in (Step.DAY, Step.WEEK))
    for one, other in zip(by_day.rows, by_week.rows, strict=True):
        assert (one.version, one.feature, one.n) == (other.version, other.feature, other.n)
        for metric, e in one.metrics.items():
            again = other.metrics[metric]
            assert e.state is again.state
            assert (e.value or 0.0) == pytest.approx(again.value or 0.0, rel=1e-9, abs=1e-12)
