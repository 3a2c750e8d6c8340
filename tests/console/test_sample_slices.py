"""Subgroups, traffic and label coverage of the shipped sample against polars on the raw rows."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sample_rows import known_at, labels, of, predictions, rows
from sample_store import LOADED, Sample
from sklearn import metrics as sk

from console.analysis.ask import Step
from console.analysis.estimate import State
from console.analysis.subgroups import SubgroupRow, SubgroupsSnapshot

COLUMN = {"origin": "origin", "carrier": "carrier", "departure": "departure"}
CROSSES = [",".join(pair) for pair in itertools.combinations(COLUMN, 2)]
JUNE = ("2013-06-01", "2013-07-01")
Z = 1.959963984540054
NEW_YORK_MIDNIGHT = timedelta(hours=6)
"""The routing changed at midnight in New York; a flight of that day is predicted 2 h before."""


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def wilson(k: float, n: float) -> tuple[float, float]:
    middle = (k + Z * Z / 2) / (n + Z * Z)
    half = Z / (n + Z * Z) * math.sqrt(k * (n - k) / n + Z * Z / 4)
    return middle - half, middle + half


def newcombe(k1: float, n1: float, k2: float, n2: float) -> tuple[float, float]:
    (l1, u1), (l2, u2) = wilson(k1, n1), wilson(k2, n2)
    p1, p2 = k1 / n1, k2 / n2
    down, up = math.hypot(p1 - l1, u2 - p2), math.hypot(u1 - p1, p2 - l2)
    return p1 - p2 - down, p1 - p2 + up


def june(sample: Sample, segment: str | None = None, **more: str) -> SubgroupsSnapshot:
    return sample.taker.subgroups(sample.ask(*JUNE, segment=segment, step=Step.ALL, **more))


def raw_of(row: SubgroupRow) -> pl.DataFrame:
    raw = of(6, row.figures.group.version)
    for name, value in row.values:
        raw = raw.filter(pl.col(COLUMN[name]) == value)
    return raw


def check_counts(row: SubgroupRow) -> None:
    raw = raw_of(row)
    known = raw.drop_nulls("late")
    y, said = known["late"], known["late_predicted"]
    c = row.figures.confusion
    assert c is not None
    assert (row.figures.n, row.figures.n_labelled) == (raw.height, known.height), row.value
    cells = [(y & said).sum(), (~y & said).sum(), (y & ~said).sum(), (~y & ~said).sum()]
    assert [c.tp, c.fp, c.fn, c.tn] == cells, row.value
    recall = row.figures.metrics["recall"]
    if y.sum():
        assert recall.value == pytest.approx(sk.recall_score(y, said), abs=1e-12)
        assert recall.n == y.sum()
    else:
        assert recall.value is None
        assert recall.state in (State.CANNOT_TELL, State.NO_LABELS)


def test_every_segment_value_has_its_own_rows(sample: Sample) -> None:
    snapshot = june(sample)
    for row in snapshot.rows:
        check_counts(row)
    found = {(r.figures.group.version, r.segment, r.value) for r in snapshot.rows}
    expected = {
        (version, name, value)
        for version in ("v1", "v2")
        for name, column in COLUMN.items()
        for value in of(6, version)[column].unique()
    }
    assert found == expected
    assert len(found) == len(snapshot.rows)


@pytest.mark.parametrize("cross", CROSSES)
def test_every_cross_has_its_own_rows(sample: Sample, cross: str) -> None:
    snapshot = june(sample, cross)
    for row in snapshot.rows:
        check_counts(row)
    columns = [COLUMN[name] for name in cross.split(",")]
    expected = sum(of(6, v).select(columns).unique().height for v in ("v1", "v2"))
    assert len(snapshot.rows) == expected


@pytest.mark.parametrize("segment", ["origin", *CROSSES])
def test_the_parts_of_a_segment_are_the_whole(sample: Sample, segment: str) -> None:
    snapshot = june(sample, segment)
    for whole in snapshot.whole:
        mine = [r for r in snapshot.rows if r.figures.group.version == whole.group.version]
        assert sum(r.figures.n for r in mine) == whole.n == of(6, whole.group.version).height
        assert sum(r.share for r in mine) == pytest.approx(1.0)
        total = mine[0].figures.confusion
        for r in mine[1:]:
            assert total is not None
            assert r.figures.confusion is not None
            total += r.figures.confusion
        assert total == whole.confusion


def test_a_value_or_a_half_given_cross_keeps_its_rows_only(sample: Sample) -> None:
    every = june(sample, "origin,carrier").rows
    assert [r.value for r in june(sample, "origin=EWR", version="v2").rows] == ["EWR"]
    half = june(sample, "carrier,origin=EWR").rows
    assert half == tuple(r for r in every if dict(r.values)["origin"] == "EWR")
    (one,) = june(sample, "carrier=UA,origin=EWR", version="v1").rows
    assert one.values == (("origin", "EWR"), ("carrier", "UA"))


def test_gaps_are_part_minus_whole_with_their_interval(sample: Sample) -> None:
    snapshot = june(sample)
    wholes = {f.group.version: f for f in snapshot.whole}
    for row in snapshot.rows:
        part, whole = row.figures.confusion, wholes[row.figures.group.version].confusion
        assert part is not None
        assert whole is not None
        for name, (k, n), (total_k, total_n) in (
            ("recall", (part.tp, part.tp + part.fn), (whole.tp, whole.tp + whole.fn)),
            ("precision", (part.tp, part.tp + part.fp), (whole.tp, whole.tp + whole.fp)),
            ("accuracy", (part.tp + part.tn, part.n), (whole.tp + whole.tn, whole.n)),
            ("fpr", (part.fp, part.fp + part.tn), (whole.fp, whole.fp + whole.tn)),
        ):
            gap = row.gaps[name]
            if n == 0:
                assert gap.value is None
                continue
            # the part is in the whole: p - P is the difference to the rest, scaled
            low, high = newcombe(k, n, total_k - k, total_n - n)
            outside = 1 - n / total_n
            assert gap.value == pytest.approx(k / n - total_k / total_n, abs=1e-12)
            assert gap.low == pytest.approx(outside * low, abs=1e-9)
            assert gap.high == pytest.approx(outside * high, abs=1e-9)
        f1 = row.figures.metrics["f1"].value
        if f1 is not None:
            total = wholes[row.figures.group.version].metrics["f1"].value
            assert total is not None
            assert row.gaps["f1"].value == pytest.approx(f1 - total, abs=1e-12)


def test_subgroups_come_surely_worst_first(sample: Sample) -> None:
    rows_ = june(sample).rows
    ends = [
        row.gaps["f1"].high
        for row in rows_
        if row.gaps["f1"].high is not None and row.gaps["f1"].state is not State.TOO_FEW
    ]
    assert ends == sorted(ends)
    assert all(row.gaps["f1"].state is not State.OK for row in rows_[len(ends) :])


def test_regression_subgroups_equal_an_independent_computation(sample: Sample) -> None:
    ask = sample.ask(*JUNE, "flight-delay", step=Step.ALL)
    snapshot = sample.taker.subgroups(ask)
    wholes = {f.group.version: f.metrics["mae"].value for f in snapshot.whole}
    assert len(snapshot.rows) > 30
    for row in snapshot.rows:
        known = raw_of(row).drop_nulls("delay_minutes")
        if known.is_empty():
            continue
        mae = sk.mean_absolute_error(known["delay_minutes"], known["delay_predicted"])
        assert row.figures.metrics["mae"].value == pytest.approx(mae, rel=1e-9)
        whole = wholes[row.figures.group.version]
        assert whole is not None
        if known.height == 1:  # no interval of one row, so no gap
            assert row.gaps["mae"].state is State.CANNOT_TELL
            continue
        assert row.gaps["mae"].value == pytest.approx(mae - whole, rel=1e-9, abs=1e-9)


# -- traffic -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "every"), [(Step.DAY, "1d"), (Step.MONTH, "1mo"), (Step.WEEK, "1w")]
)
def test_traffic_counts_every_prediction_of_its_step(
    sample: Sample, step: Step, every: str
) -> None:
    start, end = utc(2013, 5, 1), utc(2013, 8, 1)
    snapshot = sample.taker.traffic(sample.ask("2013-05-01", "2013-08-01", step=step))
    expected = (
        predictions()
        .filter(pl.col("timestamp").is_between(start, end, closed="left"))
        .group_by(pl.col("timestamp").dt.truncate(every).alias("start"), "version")
        .len()
    )
    totals = dict(expected.group_by("start").agg(pl.col("len").sum()).iter_rows())
    counts = {(s, v): n for s, v, n in expected.iter_rows()}
    assert {(r.start, r.version): r.n for r in snapshot.series} == counts
    for r in snapshot.series:
        assert r.metrics["share"].value == r.n / totals[r.start]
        assert r.n_error == 0
    assert {r.version: r.n for r in snapshot.whole} == {
        v: sum(n for (_, of_version), n in counts.items() if of_version == v) for v in ("v1", "v2")
    }


def test_the_split_changed_when_the_routing_was_changed(sample: Sample) -> None:
    snapshot = sample.taker.traffic(sample.ask("2013-02-01", "2014-01-01", step=Step.DAY))
    days = [utc(2013, 5, 6), utc(2013, 6, 3), utc(2013, 7, 1)]
    of_v2 = [c for c in snapshot.changes if c.version == "v2" and c.after > c.before]
    for day, share in zip(days, (0.1, 0.5, 0.9), strict=True):
        near = [c for c in of_v2 if timedelta(0) <= c.at - day <= timedelta(days=1)]
        assert near, day
        assert near[-1].after == pytest.approx(share, abs=0.12)


def test_first_and_last_seen_are_the_first_and_last_prediction(sample: Sample) -> None:
    snapshot = sample.taker.traffic(sample.ask(*JUNE))
    seen = (
        predictions()
        .group_by("version")
        .agg(pl.col("timestamp").min().alias("first"), pl.col("timestamp").max().alias("last"))
    )
    expected = {v: (first, last) for v, first, last in seen.iter_rows()}
    for version, first, last in snapshot.seen:
        low, high = expected[version]
        # kept in buckets of five minutes
        assert timedelta(0) <= low - first < timedelta(minutes=5)
        assert timedelta(0) <= high - last < timedelta(minutes=5)


# -- labels --------------------------------------------------------------------------------------


def test_label_coverage_by_day_is_exact(sample: Sample) -> None:
    snapshot = sample.taker.data(sample.ask("2013-02-01", "2013-03-01", step=Step.DAY))
    february = rows().filter(pl.col("month") == 2)
    expected = february.group_by(pl.col("timestamp").dt.truncate("1d").alias("day")).agg(
        n=pl.len(), known=pl.col("late").count()
    )
    by_day = {day: (n, known) for day, n, known in expected.iter_rows()}
    assert {c.start: c.n for c in snapshot.coverage} == {d: n for d, (n, _) in by_day.items()}
    for c in snapshot.coverage:
        n, known = by_day[c.start]
        assert c.coverage.value == known / n
    assert snapshot.n == february.height
    assert snapshot.covered.value == february["late"].count() / february.height
    assert snapshot.last_label == labels()["received_at"].max()


def test_label_coverage_of_the_past_counts_labels_that_had_come(sample: Sample) -> None:
    at = utc(2013, 2, 12, 14)
    ask = sample.ask("2013-02-11", "2013-02-12T14:00", step=Step.HOUR, as_of=at)
    snapshot = sample.taker.data(ask)
    then = known_at(at).filter(pl.col("timestamp") >= utc(2013, 2, 11))
    assert snapshot.n == then.height
    assert snapshot.covered.value == then["late"].count() / then.height
    hours = then.group_by(pl.col("timestamp").dt.truncate("1h").alias("hour")).agg(
        pl.len().alias("n"), pl.col("late").count()
    )
    assert {(c.start, c.n, c.coverage.value) for c in snapshot.coverage} == {
        (hour, n, known / n) for hour, n, known in hours.iter_rows()
    }


@pytest.mark.parametrize(
    ("start", "as_of", "first", "until"),
    [
        # what is before the window, up to 56 days of it
        ("2013-02-20", "2014-01-02", utc(2013, 2, 1), utc(2013, 2, 20)),
        ("2013-06-01", "2013-06-08", utc(2013, 4, 6), utc(2013, 6, 1)),
        ("2013-12-25", "2014-01-01", utc(2013, 10, 30), utc(2013, 12, 25)),
        # where nothing is before it, all that had the time: the 99 % delay and a day
        ("2013-02-01", "2013-02-13", utc(2013, 2, 1), utc(2013, 2, 12)),
    ],
)
def test_usual_labels_are_those_of_the_days_before_the_window(
    sample: Sample, start: str, as_of: str, first: datetime, until: datetime
) -> None:
    at = datetime.fromisoformat(as_of).replace(tzinfo=UTC)
    snapshot = sample.taker.data(sample.ask(start, as_of, step=Step.ALL, as_of=at))
    before = known_at(at).filter(pl.col("timestamp").is_between(first, until, closed="left"))
    delays = (before["received_at"] - before["timestamp"]).dt.total_seconds().drop_nulls()
    for name, q in (("delay_p50", 0.5), ("delay_p90", 0.9), ("delay_p99", 0.99)):
        exact, shown = delays.quantile(q, "higher"), snapshot.delays[name]
        assert exact is not None
        assert shown.value is not None
        assert 1 + exact <= 1 + shown.value <= (1 + exact) * math.exp(1 / 8) * (1 + 1e-9)
        assert shown.n == len(delays)
    assert snapshot.maturity.usual == pytest.approx(len(delays) / before.height, abs=1e-12)


def test_the_newest_rows_give_the_age(sample: Sample) -> None:
    snapshot = sample.taker.data(sample.ask(*JUNE))
    newest = predictions()["timestamp"].max()
    assert snapshot.last_prediction == newest
    assert snapshot.age == LOADED - newest
