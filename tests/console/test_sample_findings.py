"""What a user is to find in the shipped sample (SAMPLE_DATA.md), found and put first."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sample_rows import predictions
from sample_store import Sample
from scipy.stats import norm

from console.analysis.ask import Step
from console.analysis.findings import Finding, Severity
from console.times import parse_moment

DAY_BEFORE_LAST = "2013-12-31"


def texts(findings: tuple[Finding, ...], severity: Severity | None = None) -> list[str]:
    return [f.text for f in findings if severity in (None, f.severity)]


def one(findings: tuple[Finding, ...], pattern: str) -> Finding:
    """The single finding that says so."""
    (found,) = [f for f in findings if re.search(pattern, f.text)]
    return found


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\.?\d*", text)]


def test_july_shows_the_dead_champion(sample: Sample) -> None:
    snapshot = sample.taker.performance(sample.ask("2013-07-01", "2013-08-01"))
    first = snapshot.findings[0]
    assert first.severity is Severity.BAD
    assert re.match(r"v1: f1 .* where its reference has .* \(recall .*, AUC .*\)", first.text)
    recall = re.search(r"recall ([\d.]+)", first.text)
    auc = re.search(r"AUC ([\d.]+)", first.text)
    assert recall is not None
    assert auc is not None
    # accuracy hides it: that stays near its reference while recall is all but gone
    assert float(recall.group(1)) < 0.05
    assert float(auc.group(1)) == pytest.approx(0.68, abs=0.03)
    (whole,) = [f for f in snapshot.whole if f.group.version == "v1"]
    reference = snapshot.reference_of(whole)
    assert reference is not None
    was, now = reference.metrics["accuracy"].value, whole.metrics["accuracy"].value
    assert was is not None
    assert now == pytest.approx(was, abs=0.06)


@pytest.mark.parametrize("month", [5, 6, 7])
def test_the_fallback_is_better_than_the_champion(sample: Sample, month: int) -> None:
    ask = sample.ask(f"2013-{month:02d}-01", f"2013-{month + 1:02d}-01")
    found = one(sample.taker.performance(ask).findings, "the fallback is better")
    assert found.severity is Severity.BAD
    assert found.text.startswith("v1: ")
    better, worse = numbers(found.text.partition("f1")[2])
    assert better > worse


@pytest.mark.parametrize("month", [4, 8, 9])
def test_a_fallback_that_is_better_by_chance_perhaps_is_no_finding(
    sample: Sample, month: int
) -> None:
    ask = sample.ask(f"2013-{month:02d}-01", f"2013-{month + 1:02d}-01")
    snapshot = sample.taker.performance(ask)
    (f,) = [f for f in snapshot.whole if f.group.version == "v1"]
    now, beside = f.metrics["f1"], (f.baselines or {})["fallback"]["f1"]
    assert now.value is not None
    assert now.high is not None
    assert beside.value is not None
    assert beside.low is not None
    assert now.value < beside.value
    assert now.high > beside.low
    assert [x for x in texts(snapshot.findings) if "fallback" in x] == []


def test_the_fallback_has_the_higher_f1_from_april_to_october(sample: Sample) -> None:
    snapshot = sample.taker.performance(
        sample.ask("2013-02-01", "2014-01-01", step=Step.MONTH, version="v1")
    )
    better = []
    for f in snapshot.series:
        fallback, now = (f.baselines or {})["fallback"]["f1"].value, f.metrics["f1"].value
        assert fallback is not None
        assert now is not None
        assert f.group.start is not None
        if fallback > now:
            better.append(f.group.start.month)
    assert better == [4, 5, 6, 7, 8, 9, 10]


def test_the_canary_beats_the_champion_in_june(sample: Sample) -> None:
    snapshot = sample.taker.performance(sample.ask("2013-06-01", "2013-07-01"))
    found = one(snapshot.findings, "v2 beats the champion v1: f1")
    assert found.severity is Severity.WARNING
    # and accuracy alone would have said the reverse
    accuracy = [f.metrics["accuracy"].value for f in snapshot.whole]
    assert accuracy[0] is not None
    assert accuracy[1] is not None
    assert accuracy[0] > accuracy[1]


def test_the_broken_sensor_of_12_february_is_named(sample: Sample) -> None:
    ask = sample.ask("2013-02-12", "2013-02-13", as_of=None)
    for deployment in ("flight-late", "flight-delay"):
        d = sample.taker.deployments[deployment]
        found = one(sample.taker.drift(replace(ask, deployment=d)).findings, "wind_speed reaches")
        assert found.severity is Severity.BAD
        reached, ends, share = numbers(found.text.partition("reaches")[2])
        assert reached == pytest.approx(1048, abs=1)
        assert ends < 50
        assert 1 < share < 10


def test_the_blizzard_halves_label_coverage(sample: Sample) -> None:
    snapshot = sample.taker.data(sample.ask("2013-02-01", "2013-03-01", step=Step.DAY))
    found = one(snapshot.findings, r"labels of 2 day\(s\) did not come")
    assert "09 Feb" in found.text
    low = {c.start.day for c in snapshot.coverage if (c.coverage.value or 0) < 0.6}
    assert low == {8, 9}


def test_the_last_day_opens_as_an_outage_of_the_weather_feed(sample: Sample) -> None:
    snapshot = sample.taker.drift(sample.ask(DAY_BEFORE_LAST, "2014-01-01"))
    gone = [f for f in snapshot.findings if "values missing" in f.text]
    assert {f.text[:3] for f in gone} == {"v1:", "v2:"}
    assert {f.severity for f in gone} == {Severity.BAD}
    assert snapshot.findings[0] in gone
    nulls = {r.feature: r.metrics["null_rate"].value for r in snapshot.rows if r.version == "v2"}
    weather = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
    assert all((nulls[feature] or 0) > 0.9 for feature in weather)
    assert all(
        (nulls[feature] or 0) < 0.2 for feature in nulls if feature not in (*weather, "wind_gust")
    )


def test_v2_misses_delays_of_the_early_morning(sample: Sample) -> None:
    snapshot = sample.taker.subgroups(sample.ask("2013-07-01", "2014-01-01"))
    first = snapshot.rows[:3]
    (row,) = [r for r in first if r.value == "05-08 h" and r.figures.group.version == "v2"]
    assert (row.figures.metrics["recall"].value or 1) < 0.2
    assert snapshot.findings[0].text.startswith("v2: f1")
    assert "departure=05-08 h" in snapshot.findings[0].text


def test_drift_of_less_than_a_week_says_so_and_is_no_alarm(sample: Sample) -> None:
    """A few days are one draw of the weather: in July both windows lie far outside of January."""
    for end, short in (("2013-07-06", True), ("2013-07-07", True), ("2013-07-08", False)):
        snapshot = sample.taker.drift(sample.ask("2013-07-01", end, version="v1"))
        found = one(snapshot.findings, r"^v1: drifted")
        assert ("in less than a week" in found.text) is short, end
        assert found.severity is (Severity.WARNING if short else Severity.BAD), end


def test_a_subgroup_is_named_when_it_is_surely_worse_of_all_that_were_looked_at(
    sample: Sample,
) -> None:
    """The worst of many values is bad by chance, so the level is shared among them."""
    snapshot = sample.taker.subgroups(sample.ask("2013-06-01", "2013-07-01"))
    looked: dict[tuple[str, str], int] = {}
    for row in snapshot.rows:
        key = (row.figures.group.version, row.segment)
        looked[key] = looked.get(key, 0) + 1
    named = 0
    for f in snapshot.findings:
        (row,) = [
            r
            for r in snapshot.rows
            if f.text.startswith(f"{r.figures.group.version}: f1")
            and f" {' '.join(f'{k}={v}' for k, v in r.values)}," in f.text
        ]
        gap = row.gaps["f1"]
        assert gap.value is not None
        assert gap.high is not None
        many = looked[row.figures.group.version, row.segment]
        wider = norm.ppf(1 - 0.025 / many) / norm.ppf(0.975)
        assert gap.value + (gap.high - gap.value) * wider < 0
        named += 1
    assert named


def test_a_silent_hour_is_an_outage_only_where_rows_usually_come(sample: Sample) -> None:
    made = predictions()["timestamp"].dt.truncate("1h")
    known = set(made.unique())
    first = min(known) + timedelta(days=8)
    hours = [first + timedelta(hours=i) for i in range(24 * 300)]
    silent = [h for h in hours if h not in known]
    night = [h for h in silent if h - timedelta(days=7) not in known][:5]
    missed = [h for h in silent if h - timedelta(days=7) in known][:5]
    assert night
    assert missed
    for moments, severity in ((night, Severity.NOTE), (missed, Severity.BAD)):
        for h in moments:
            end = h + timedelta(hours=1)
            ask = sample.ask(f"{h:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}", as_of=end)
            found = one(sample.taker.data(ask).findings, "no predictions in this window")
            assert found.severity is severity, h


def test_temperature_has_left_its_range_and_carriers_have_not(sample: Sample) -> None:
    for month, least in (("03", 1.0), ("07", 7.5)):
        ask = sample.ask(f"2013-{month}-01", f"2013-{month}-28", version="v1")
        psi = {r.feature: r.metrics["psi"].value or 0.0 for r in sample.taker.drift(ask).rows}
        assert min(psi["temp"], psi["dewp"]) > least
        assert max(psi["carrier"], psi["origin"]) < 0.1


def test_a_quiet_window_is_not_cried_over(sample: Sample) -> None:
    """Two weeks at the start, before anything broke: nothing is bad about the model itself."""
    snapshot = sample.taker.performance(sample.ask("2013-02-13", "2013-02-27"))
    assert texts(snapshot.findings, Severity.BAD) == []
    assert sample.taker.traffic(sample.ask("2013-03-01", "2013-03-15")).findings == ()


def test_the_overview_repeats_what_the_panes_found(sample: Sample) -> None:
    ask = sample.ask("2013-07-01", "2013-08-01")
    overview = sample.taker.overview(ask)
    (row,) = [r for r in overview.rows if r.deployment == "flight-late"]
    assert set(sample.taker.performance(ask).findings) <= set(row.findings)
    assert set(sample.taker.drift(ask).findings) <= set(row.findings)
    assert [f.severity for f in row.findings] == sorted(
        (f.severity for f in row.findings), reverse=True
    )
    assert {line.version: line.n for line in row.versions} == {"v1": 983, "v2": 8971}
    assert sum(line.share for line in row.versions) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "moment", ["2013-09-21T13:30", "2013-05-26T09:30", "2013-08-05T21:20", "2013-11-06T10:20"]
)
def test_a_gap_of_twenty_minutes_is_no_outage(sample: Sample, moment: str) -> None:
    at = parse_moment(moment)
    snapshot = sample.taker.data(
        sample.ask(f"{at - timedelta(days=1):%Y-%m-%dT%H:%M}", moment, as_of=at)
    )
    assert snapshot.age is not None
    assert snapshot.age < timedelta(minutes=25)
    assert [f.text for f in snapshot.findings if "no predictions for" in f.text] == []
