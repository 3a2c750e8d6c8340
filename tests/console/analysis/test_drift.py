"""The drift snapshot from hand-made rollups: verdicts, the other side, and what is hostile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.contract import Deployment
from console.analysis.against import REFERENCE, Against, Side
from console.analysis.ask import Ask, Step, naive
from console.analysis.distances import DriftState
from console.analysis.drift import DriftFrames, DriftRow, DriftSnapshot, Role, drift
from console.analysis.estimate import State
from console.analysis.findings import Severity
from console.analysis.multiplicity import benjamini_hochberg
from console.views.drift import document, view

START, END = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 15, tzinfo=UTC)
FEATURES = ("a", "b", "c", "d")
KIND = 4  # the number of the categorical feature
DEPLOYMENT = Deployment.model_validate(
    {
        "name": "d",
        "task": "binary",
        "predictions": {"path": "p.parquet"},
        "id": "id",
        "timestamp": "ts",
        "score": "s",
        "prediction": "p",
        "features": {"numeric": list(FEATURES), "categorical": ["kind"]},
    }
)
EDGES = [float(i) for i in range(1, 10)]
EVEN = [100] * 10
Cells = dict[int, int]


def ask(against: Against = REFERENCE, end: datetime = END) -> Ask:
    return Ask(DEPLOYMENT, START, end, end, Step.DAY, against=against)


def cells(counts: Sequence[int], missing: int = 0) -> Cells:
    found = {i: n for i, n in enumerate(counts) if n}
    return {-1: missing, **found} if missing else found


def rollup(
    parts: dict[tuple[str, int], Cells], starts: Sequence[datetime] = (START,), **more: Any
) -> pl.DataFrame:
    """The same counts in each step, values in the middle of their bins."""
    rows = [
        (naive(start), version, feature, number, n, (number + 0.5) * n, (number + 0.5) ** 2 * n)
        + ((number + 0.25, number + 0.75) if number >= 0 else (None, None))
        for start in starts
        for (version, feature), held in parts.items()
        for number, n in sorted(held.items())
    ]
    schema = {
        "start": pl.Datetime("us"), "version": pl.String, "feature": pl.Int16, "bin": pl.Int16,
        "n": pl.Int64, "value_sum": pl.Float64, "value_sq": pl.Float64,
        "value_min": pl.Float64, "value_max": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row", **more)


def bins() -> pl.DataFrame:
    numeric = [
        (f, i, None if i == 9 else EDGES[i], None) for f in (-1, 0, 1, 2, 3) for i in range(10)
    ]
    named = [(KIND, i, None, x) for i, x in enumerate("xyz")]
    named += [(-2, i, None, x) for i, x in enumerate("01")]
    return pl.DataFrame(
        sorted(numeric + named, key=lambda row: row[:2]),
        schema={"feature": pl.Int16, "bin": pl.Int16, "upper": pl.Float64, "category": pl.String},
        orient="row",
    )


def profile(version: str = "v1", features: Sequence[int] = (-1, 0, 1, 2, 3)) -> pl.DataFrame:
    return pl.DataFrame(
        [(version, f, 1000, 0.25, 9.75, 5.0, 2.87, EDGES) for f in features],
        schema={
            "version": pl.String, "feature": pl.Int16, "n": pl.Int64, "lowest": pl.Float64,
            "highest": pl.Float64, "mean": pl.Float64, "sigma": pl.Float64,
            "deciles": pl.List(pl.Float64),
        },
        orient="row",
    )  # fmt: skip


REFERENCE_ROWS: dict[tuple[str, int], Cells] = {
    **{("v1", f): cells(EVEN) for f in (-1, 0, 1, 2, 3)},
    ("v1", KIND): cells([500, 300, 200]),
    ("v1", -2): cells([600, 400]),
}


def taken(
    window: dict[tuple[str, int], Cells],
    reference: dict[tuple[str, int], Cells] | None = None,
    of: Ask | None = None,
    **more: Any,
) -> DriftSnapshot:
    known = REFERENCE_ROWS if reference is None else reference
    frames = DriftFrames(
        rollup(window, more.pop("starts", (START,))),
        bins(),
        rollup(known).select("version", "feature", "bin", "n"),
        profile() if known else profile(features=()),
        **more,
    )
    snapshot = drift(of or ask(), frames)
    document(snapshot)
    view(snapshot)
    return snapshot


def row(snapshot: DriftSnapshot, feature: str, version: str = "v1") -> DriftRow:
    (found,) = [r for r in snapshot.rows if (r.version, r.feature) == (version, feature)]
    return found


def quiet(seed: int, n: int) -> dict[tuple[str, int], Cells]:
    """n rows of each feature from the distribution of the reference."""
    rng = np.random.default_rng(seed)
    return {
        key: cells(rng.multinomial(n, np.array(list(held.values())) / sum(held.values())).tolist())
        for key, held in REFERENCE_ROWS.items()
    }


MOVED = cells([10, 10, 20, 30, 50, 80, 120, 180, 250, 250])


def test_drifted_needs_noise_correction_and_size() -> None:
    snapshot = taken({**quiet(1, 1000), ("v1", 0): MOVED, ("v1", 1): cells([800] * 5 + [1200] * 5)})
    moved, small, still = (row(snapshot, f) for f in "abc")
    assert moved.state is DriftState.DRIFTED
    assert small.state is DriftState.SMALL
    assert still.state is DriftState.OK
    assert moved.metrics["smd"].value == pytest.approx(0.9, abs=0.3)
    p = [r.p_value for r in snapshot.rows]
    assert all(x is not None for x in p)
    adjusted = benjamini_hochberg([x for x in p if x is not None])
    assert [r.p_adjusted for r in snapshot.rows] == pytest.approx(adjusted)


@pytest.mark.parametrize("n", [50, 200, 2000])
def test_a_version_without_drift_has_no_drifted_feature(n: int) -> None:
    """Seven columns, 80 windows: with 5 % each, 24 windows would have one."""
    known, edges, of = rollup(REFERENCE_ROWS), bins(), profile()
    known = known.select("version", "feature", "bin", "n")
    frames = (DriftFrames(rollup(quiet(seed, n)), edges, known, of) for seed in range(80))
    found = [{r.state for r in drift(ask(), frame).rows} for frame in frames]
    assert sum(not states <= {DriftState.OK} for states in found) <= 4


def test_the_share_of_drifted_columns_is_told_by_role() -> None:
    window = {**quiet(2, 1000), ("v1", 0): MOVED, ("v1", 1): MOVED, ("v1", 2): cells([3], 2)}
    snapshot = taken(window)
    shares = {s.role: (s.n, s.n_judged, s.n_drifted) for s in snapshot.shares}
    assert shares == {Role.INPUT: (5, 4, 2), Role.OUTPUT: (2, 2, 0)}
    (finding,) = [f for f in snapshot.findings if "drifted" in f.text]
    assert "2 of 4 features (50%), but not score and prediction" in finding.text
    record = document(snapshot)["share_drifted"]
    assert [r["share"] for r in record] == [0.5, 0.0]


def test_a_score_that_moves_alone_says_where_to_look() -> None:
    (finding,) = taken({**quiet(3, 1000), ("v1", -1): MOVED}).findings
    assert "none of 5 features, so the model has changed" in finding.text
    together = taken({**quiet(3, 1000), ("v1", -1): MOVED, ("v1", 0): MOVED})
    assert "changed" not in together.findings[0].text


def test_a_finding_names_what_dominates() -> None:
    gone = cells([8] * 10, missing=920)
    snapshot = taken({**quiet(4, 1000), ("v1", 0): gone, ("v1", KIND): {0: 100, -3: 900}})
    text = " / ".join(f.text for f in snapshot.findings)
    assert "a 9.0" in text or "missing)" in text
    assert "(100% missing)" in text
    assert "% unseen)" in text
    for r in snapshot.rows:
        assert r.causes is not None
        parts = (r.causes.missing, r.causes.unseen, r.causes.shape)
        assert sum(parts) == pytest.approx(r.metrics["psi"].value)


# -- since when -----------------------------------------------------------------------------------

DAYS = [START + timedelta(days=i) for i in range(14)]


def steps(first: Cells, then: Cells, change: int) -> pl.DataFrame:
    return pl.concat(
        [
            rollup({("v1", 0): first}, DAYS[:change]),
            rollup({("v1", 0): then}, DAYS[change:]),
        ]
    )


def since(frame: pl.DataFrame) -> DriftRow:
    known = rollup(REFERENCE_ROWS).select("version", "feature", "bin", "n")
    return row(drift(ask(), DriftFrames(frame, bins(), known, profile())), "a")


def test_drift_is_dated_by_the_first_step_that_stays_above() -> None:
    assert since(steps(cells([20] * 10), MOVED, 6)).since == DAYS[6]
    assert since(steps(MOVED, MOVED, 6)).since == DAYS[0]
    over = since(steps(MOVED, cells([20] * 10), 6))
    assert over.state is DriftState.DRIFTED
    assert over.since is None


def test_steps_with_few_rows_are_put_together() -> None:
    """11 rows a day: a single day cannot tell, ten together can."""
    few = cells([0, 0, 0, 0, 0, 1, 1, 2, 3, 4])
    assert since(steps(few, few, 6)).since == DAYS[0]


# -- the other side -------------------------------------------------------------------------------


def test_another_window_takes_the_place_of_the_reference() -> None:
    """Both weeks differ from the reference, not from each other."""
    window = {**quiet(5, 1000), ("v1", 0): MOVED}
    week = Against(Side.WEEK)
    against = taken(window, of=ask(week), other=rollup(window))
    assert row(against, "a").state is DriftState.OK
    assert row(against, "a").metrics["psi"].value == 0
    assert row(against, "a").metrics["smd"].value == pytest.approx(0)
    assert row(taken(window), "a").state is DriftState.DRIFTED
    moved = taken(window, of=ask(week), other=rollup(quiet(5, 1000)))
    (finding,) = moved.findings
    assert "drifted from the same hours of the week before" in finding.text
    assert finding.severity is Severity.WARNING
    record = document(moved)["against"]
    assert record["side"] == "week"
    assert record["window"]["start"] == "2024-04-17T00:00:00Z"
    assert any("against the same hours of the week before" in n.text for n in view(moved).notes)


def test_another_version_is_compared_and_not_with_itself() -> None:
    window = {(v, f): held for v in ("v1", "v2") for (_, f), held in quiet(6, 800).items()}
    window["v2", -1] = MOVED
    other = {key: held for key, held in window.items() if key[0] == "v1"}
    found = taken(window, of=ask(Against(Side.VERSION, version="v1")), other=rollup(other))
    assert {r.version for r in found.rows} == {"v2"}
    assert row(found, "score", "v2").state is DriftState.DRIFTED
    assert "so the models differ, their rows do not" in found.findings[0].text


def test_a_version_without_rows_on_the_other_side_cannot_be_told() -> None:
    window = {(v, 0): MOVED for v in ("v1", "v2")}
    before = {("v1", 0): MOVED}
    found = taken(window, of=ask(Against(Side.BEFORE)), other=rollup(before))
    assert found.without == ("v2",)
    assert row(found, "a", "v2").state is DriftState.CANNOT_TELL
    shown = view(found)
    assert any("v2: no rows to compare with in the window before" in n.text for n in shown.notes)
    notes = next(d for key, d in shown.details if key == "v2/a").notes
    assert notes[0].text == "cannot tell: no rows in the window before"
    empty = taken(window, of=ask(Against(Side.BEFORE)), other=rollup({}))
    assert "none in the window before: drift cannot be told" in view(empty).headline[0].text


def test_what_was_so_the_week_before_is_not_new() -> None:
    window = {**quiet(7, 1000), ("v1", 0): MOVED, ("v1", 1): MOVED}
    before = {**quiet(8, 1000), ("v1", 0): MOVED}
    found = taken(window, week=rollup(before))
    standing, new = row(found, "a"), row(found, "b")
    assert standing.week is not None
    assert standing.week.state is DriftState.OK
    assert new.week is not None
    assert new.week.state is DriftState.DRIFTED
    assert row(found, "c").week is None  # only what has drifted is looked at again
    details = {key: [n.text for n in d.notes] for key, d in view(found).details}
    assert any(text.startswith("not new: no change") for text in details["v1/a"])
    assert any(text.startswith("new: it also differs") for text in details["v1/b"])


# -- hostile --------------------------------------------------------------------------------------


def test_without_a_reference_only_rates_are_known() -> None:
    found = taken({("v1", 0): cells([5] * 10, 50), ("v1", KIND): {0: 40}}, reference={})
    assert not found.has_reference
    for r in found.rows:
        assert r.state is DriftState.CANNOT_TELL
        assert r.p_value is r.p_adjusted is r.causes is r.noise_q95 is None
        assert r.metrics["unseen_rate"].state is State.CANNOT_TELL
    assert row(found, "a").metrics["null_rate"].value == 0.5


@pytest.mark.parametrize(
    "held",
    [
        {0: 1},
        {-1: 1},
        {-1: 500},
        {-2: 500},
        {0: 0},
        {9: 500},
        {4: 10**12},
        {-1: 0, 3: 0},
    ],
)
def test_one_row_no_value_and_one_value_are_sentences(held: Cells) -> None:
    found = taken({("v1", 0): held, ("v1", -1): {3: 40}})
    r = row(found, "a")
    assert r.n == sum(held.values())
    assert_finite(found)
    if r.n == 0:
        assert r.state is DriftState.CANNOT_TELL
    elif r.n < 30:
        assert r.state is DriftState.TOO_FEW
    else:
        assert r.state is DriftState.DRIFTED


def test_a_constant_that_stays_is_no_drift() -> None:
    known = {("v1", 0): {0: 900}}
    found = taken({("v1", 0): {0: 80}}, reference=known)
    assert row(found, "a").state is DriftState.OK
    assert row(found, "a").metrics["psi"].value == 0


def test_huge_values_leave_the_mean_untold() -> None:
    frame = rollup({("v1", 0): MOVED}).with_columns(value_max=pl.lit(1e308))
    known = rollup(REFERENCE_ROWS).select("version", "feature", "bin", "n")
    found = drift(ask(), DriftFrames(frame, bins(), known, profile()))
    assert row(found, "a").metrics["smd"].state is State.CANNOT_TELL
    assert_finite(found)


def test_a_bin_that_was_emptied_again_leaves_no_trace() -> None:
    """A corrected row is taken out of its bin; the bin's ends and a rounding error stay there."""
    frame = pl.concat([rollup({("v1", 0): MOVED}), rollup({("v1", 0): {-3: 0}})])
    ghost = pl.col("n") == 0
    frame = frame.with_columns(
        value_min=pl.when(ghost).then(-50.0).otherwise("value_min"),
        value_sum=pl.when(ghost).then(1e12).otherwise("value_sum"),
    )
    known = rollup(REFERENCE_ROWS).select("version", "feature", "bin", "n")
    found, clean = (
        row(drift(ask(), DriftFrames(f, bins(), known, profile())), "a")
        for f in (frame, rollup({("v1", 0): MOVED}))
    )
    assert (found.lowest, found.metrics["smd"]) == (clean.lowest, clean.metrics["smd"])


def test_no_rows_at_all() -> None:
    found = taken({})
    assert (found.rows, found.shares, found.findings) == ((), (), ())
    assert "nothing can be told" in view(found).headline[0].text


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["v1", "v2"]), st.sampled_from([-2, -1, 0, 1, KIND])),
        st.dictionaries(st.integers(-3, 12), st.sampled_from([0, 1, 40, 10**9]), max_size=4),
        max_size=5,
    ),
    st.dictionaries(
        st.tuples(st.sampled_from(["v1", "v2", ""]), st.sampled_from([-1, 0, KIND])),
        st.dictionaries(st.integers(-3, 10), st.integers(0, 50), min_size=1, max_size=4),
        max_size=4,
    ),
    st.booleans(),
)
def test_any_counts_give_numbers_or_states(
    window: dict[tuple[str, int], Cells], other: dict[tuple[str, int], Cells], windows: bool
) -> None:
    if windows:
        found = taken(window, of=ask(Against(Side.BEFORE)), other=rollup(other))
    else:
        found = taken(window, reference=other, week=rollup(window))
    assert_finite(found)


def assert_finite(found: DriftSnapshot) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, float):
            assert math.isfinite(value)
        elif isinstance(value, dict):
            for held in value.values():
                walk(held)
        elif isinstance(value, list):
            for held in value:
                walk(held)

    walk(document(found))
