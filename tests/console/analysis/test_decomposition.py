"""The split of a change: exact for any counts, sure only where rows carry it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.decomposition import Groups, Split, Sums, decompose
from console.analysis.explain import ExplainFrames, Verdict, explain
from console.analysis.explain_sums import SideFrames, grouped
from console.analysis.ratios import Ratio, UnknownFigureError, nearest, ratio_of
from console.analysis.slices import LEAST_ROWS, standing_out

START, END = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
COSTS = {"true_positive": -2, "false_positive": 1, "false_negative": 5, "error": 3, "over": 2}
SEGMENTS = ("a", "b")


def deployment(task: str) -> Deployment:
    return Deployment.model_validate(
        {
            "name": "m",
            "task": task,
            "predictions": "x.csv",
            "score": "score" if task == "binary" else "",
            "prediction": "said",
            "class_scores": {c: c for c in "xyz"} if task == "multiclass" else {},
            "segments": list(SEGMENTS),
            "features": {"numeric": ["f", "g"]},
            "costs": COSTS,
        }
    )


def ask_of(task: str) -> Ask:
    return Ask(deployment(task), START, END, END, Step.DAY)


# -- rows, and what the store makes of them --------------------------------------------------------

ROW = {
    "version": st.sampled_from(["v1", "v2"]),
    "a": st.sampled_from(["p", "q", "r"]),
    "b": st.sampled_from(["s", "t"]),
    "f": st.sampled_from(["", "", "missing", "outside"]),
    "said": st.integers(0, 2),
    "y": st.one_of(st.none(), st.integers(0, 2)),
    "e": st.floats(-1e6, 1e6, allow_subnormal=False),
}
ROWS = st.lists(st.fixed_dictionaries(ROW), min_size=1, max_size=40)


def cuts(row: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(0, "", ""), (1, row["a"], ""), (2, row["b"], ""), (3, row["a"], row["b"])]


SCHEMAS: dict[str, dict[str, Any]] = {
    "binary": {
        "predicted": pl.Int8, "n": pl.Int64, "n_labelled": pl.Int64, "n_positive": pl.Int64,
        "labelled_score_sum": pl.Float64, "labelled_score_sq": pl.Float64,
        "positive_score_sum": pl.Float64, "log_loss_sum": pl.Float64, "n_scored": pl.Int64,
    },
    "multiclass": {
        "predicted": pl.String, "actual": pl.String, "n": pl.Int64, "n_scored": pl.Int64,
        "log_loss_sum": pl.Float64, "brier_sum": pl.Float64,
    },
    "regression": {
        "n": pl.Int64, "n_labelled": pl.Int64, "e_sum": pl.Float64, "e_abs": pl.Float64,
        "e_sq": pl.Float64, "e_quad": pl.Float64, "ape_sum": pl.Float64, "ape_sq": pl.Float64,
        "n_ape": pl.Int64,
    },
}  # fmt: skip


def cells(task: str, row: dict[str, Any]) -> dict[str, Any]:
    known = row["y"] is not None
    if task == "binary":
        y, said, s = (row["y"] or 0) % 2, row["said"] % 2, 0.1 + 0.3 * row["said"]
        loss = -float(np.log(s if y else 1 - s))
        sums = (s, s * s, s * y, loss) if known else (0.0, 0.0, 0.0, 0.0)
        names = ("labelled_score_sum", "labelled_score_sq", "positive_score_sum", "log_loss_sum")
        counts = {"n": 1, "n_labelled": int(known), "n_positive": int(known and y)}
        return {
            "predicted": said,
            **counts,
            **dict(zip(names, sums, strict=True)),
            "n_scored": int(known),
        }
    if task == "multiclass":
        y, said = "xyz"[row["y"] or 0], "xyz"[row["said"]]
        loss = 0.2 if y == said else 1.5
        return {
            "predicted": said,
            "actual": y if known else None,
            "n": 1,
            "n_scored": int(known),
            "log_loss_sum": loss * known,
            "brier_sum": loss / 2 * known,
        }
    e = row["e"] * known
    ape = abs(e) / 10
    return {
        "n": 1, "n_labelled": int(known), "e_sum": e, "e_abs": abs(e), "e_sq": e**2,
        "e_quad": e**4, "ape_sum": ape, "ape_sq": ape**2, "n_ape": int(known),
    }  # fmt: skip


KEYS = {"version": pl.String, "segment": pl.Int16, "value": pl.String, "value2": pl.String}


def side(task: str, rows: list[dict[str, Any]], *, merged: bool = True) -> SideFrames:
    """Totals and conditions of rows, as the store's queries give them."""
    totals, conditions = [], []
    for row in rows:
        held = cells(task, row)
        for segment, value, value2 in cuts(row):
            place = dict(zip(KEYS, (row["version"], segment, value, value2), strict=True))
            totals.append({**place, **held})
        if row["f"]:
            place = dict(zip(KEYS, (row["version"], 0, row["f"], ""), strict=True))
            conditions.append({**place, **held})
    schema = {**KEYS, **SCHEMAS[task]}
    keys = [*KEYS, *(k for k in ("predicted", "actual") if k in schema)]

    def frame(found: list[dict[str, Any]]) -> pl.DataFrame:
        made = pl.DataFrame(found, schema=schema)
        return made.group_by(keys).agg(pl.all().sum()) if merged else made

    return SideFrames(frame(totals), None, frame(conditions))


FIGURES = {
    "binary": (
        *("f1", "precision", "recall", "accuracy", "balanced_accuracy", "specificity"),
        *("fpr", "fnr", "log_loss", "brier", "cost", "coverage"),
    ),
    "multiclass": (
        *("f1", "precision", "recall", "balanced_accuracy", "accuracy", "log_loss"),
        *("brier", "cost", "coverage"),
    ),
    "regression": ("mae", "rmse", "mse", "mape", "bias", "cost", "coverage"),
}


@pytest.mark.parametrize("task", list(FIGURES))
@settings(max_examples=60, deadline=None)
@given(now=ROWS, before=ROWS, data=st.data())
def test_the_parts_of_every_dimension_add_up_to_the_change(
    task: str, now: list[dict[str, Any]], before: list[dict[str, Any]], data: st.DataObject
) -> None:
    figure = data.draw(st.sampled_from(FIGURES[task]))
    found = explain(ask_of(task), figure, ExplainFrames(side(task, now), side(task, before)))
    if found.verdict is Verdict.CANNOT_TELL:
        assert found.reason
        return
    change = found.change.value
    assert change is not None
    assert found.value.value is not None
    assert found.other.value is not None
    # squares of errors of 1e-140 lose their digits: below 1e-200 nothing is told apart
    size = max(abs(found.value.value), abs(found.other.value), 1e-191)
    assert change == pytest.approx(found.value.value - found.other.value, abs=1e-12 * size)
    names = {d.name for d in found.dimensions}
    assert names >= {"version", "a", "b", "a,b"}
    largest = max(size, *(abs(p.mix) for d in found.dimensions for p in d.parts))
    for d in found.dimensions:
        total = sum(p.mix + p.within for p in d.parts)
        assert total == pytest.approx(change, abs=1e-9 * largest), d.name
        assert sum(p.n for p in d.parts) == sum(p.n for p in found.dimensions[0].parts)
        both = (d.mix.value or 0.0) + (d.within.value or 0.0)
        assert both == pytest.approx(change, abs=1e-9 * largest)
        assert sum(p.excess.value or 0.0 for p in d.parts) == pytest.approx(0, abs=1e-9 * largest)


@pytest.mark.parametrize("task", list(FIGURES))
@settings(max_examples=25, deadline=None)
@given(now=ROWS, before=ROWS)
def test_merged_rows_and_single_ones_give_the_same(
    task: str, now: list[dict[str, Any]], before: list[dict[str, Any]]
) -> None:
    for figure in ("coverage", FIGURES[task][0]):
        made = [
            explain(
                ask_of(task),
                figure,
                ExplainFrames(side(task, now, merged=m), side(task, before, merged=m)),
            )
            for m in (True, False)
        ]
        assert made[0].verdict is made[1].verdict
        for one, two in zip(made[0].dimensions, made[1].dimensions, strict=True):
            assert one.mix.value == pytest.approx(two.mix.value, rel=1e-9, abs=1e-9)
            assert {p.values for p in one.parts} == {p.values for p in two.parts}


@settings(max_examples=40, deadline=None)
@given(now=ROWS, before=ROWS)
def test_the_way_back_is_the_negative(
    now: list[dict[str, Any]], before: list[dict[str, Any]]
) -> None:
    there = explain(
        ask_of("binary"), "f1", ExplainFrames(side("binary", now), side("binary", before))
    )
    back = explain(
        ask_of("binary"), "f1", ExplainFrames(side("binary", before), side("binary", now))
    )
    if there.change.value is None or back.change.value is None:
        assert there.verdict is back.verdict is Verdict.CANNOT_TELL
        return
    assert back.change.value == pytest.approx(-there.change.value, abs=1e-12)
    for one, two in zip(there.dimensions, back.dimensions, strict=True):
        theirs = {p.values: p for p in two.parts}
        for p in one.parts:
            assert theirs[p.values].mix == pytest.approx(-p.mix, abs=1e-12)
            assert theirs[p.values].within == pytest.approx(-p.within, abs=1e-12)


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    rows = [
        {"version": "v1", "a": "p", "b": "s", "f": "", "said": int(s), "y": int(y), "e": 0.0}
        for s, y in zip(rng.integers(0, 3, 200), rng.integers(0, 3, 200), strict=True)
    ]
    y = np.array([r["y"] for r in rows])
    said = np.array([r["said"] for r in rows])
    frames = ExplainFrames(side("multiclass", rows), side("multiclass", rows[:120]))
    record = {
        "f1": sk.f1_score(y, said, average="macro"),
        "precision": sk.precision_score(y, said, average="macro"),
        "recall": sk.recall_score(y, said, average="macro"),
        "accuracy": sk.accuracy_score(y, said),
    }
    for figure, value in record.items():
        assert explain(ask_of("multiclass"), figure, frames).value.value == pytest.approx(value)
    binary = ExplainFrames(side("binary", rows), side("binary", rows[:120]))
    y, said = y % 2, said % 2
    record = {
        "f1": sk.f1_score(y, said),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "fpr": 1 - sk.recall_score(y, said, pos_label=0),
        "log_loss": sk.log_loss(y, [0.1 + 0.3 * r["said"] for r in rows]),
        "brier": sk.brier_score_loss(y, [0.1 + 0.3 * r["said"] for r in rows]),
    }
    for figure, value in record.items():
        assert explain(ask_of("binary"), figure, binary).value.value == pytest.approx(value)


# -- by hand -------------------------------------------------------------------------------------


def groups(a: NDArray[np.float64], b: NDArray[np.float64]) -> Groups:
    """One dimension of shares: hits and rows of each group on both sides, (groups, 2)."""

    def sums(t: NDArray[np.float64]) -> Sums:
        x, d = t[:, 0][None, :], t[:, 1][None, :]
        return Sums(x, d, x, x, d)

    whole = [sums(t.sum(axis=0, keepdims=True)) for t in (a, b)]
    return Groups(sums(a), sums(b), *whole, np.zeros(len(a), np.int64), 1)


def split_of(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> Split:
    found = decompose(Ratio("accuracy"), groups(np.array(a, float), np.array(b, float)))
    assert found is not None
    return found


def test_a_shift_between_unchanged_groups_is_all_mix() -> None:
    found = split_of([(90, 100), (30, 300)], [(270, 300), (10, 100)])
    assert found.change == pytest.approx(0.3 - 0.7)
    assert found.within == pytest.approx([0, 0], abs=1e-15)
    # (w_A - w_B)(m - mean of both wholes): -.5 (.9 - .5), .5 (.1 - .5)
    assert found.mix == pytest.approx([-0.2, -0.2])


def test_a_fall_inside_one_group_is_within_it() -> None:
    found = split_of([(90, 100), (30, 100)], [(90, 100), (90, 100)])
    assert found.within == pytest.approx([0, -0.3])
    assert found.mix == pytest.approx([0, 0])
    # its share of the fall is half of .3
    assert found.excess == pytest.approx([0.15, -0.15])


def test_a_group_that_is_new_is_all_mix() -> None:
    found = split_of([(90, 100), (0, 100)], [(180, 200), (0, 0)])
    assert found.within == pytest.approx([0, 0])
    assert found.contribution == pytest.approx([0.5 * 0.9 - 0.9 + 0.5 * 0.675, -0.5 * 0.675])
    assert np.isnan(found.group_other[1])


@dataclass(frozen=True)
class Drawn:
    """Shares of groups and the chance of a hit in each."""

    shares: tuple[float, ...]
    hits: tuple[float, ...]

    def rows(self, rng: np.random.Generator, n: float) -> NDArray[np.float64]:
        size = rng.poisson(n * np.array(self.shares))
        return np.stack([rng.binomial(size, self.hits), size], axis=1).astype(np.float64)


@pytest.mark.parametrize(("n", "m"), [(500, 500), (500, 5000), (5000, 5000)])
def test_intervals_hold_the_true_split(n: float, m: float) -> None:
    """Nominal 95 %, one group at a time; 400 draws have a standard error of 1.1 points."""
    now = Drawn((0.5, 0.3, 0.15, 0.05), (0.8, 0.5, 0.2, 0.6))
    before = Drawn((0.4, 0.3, 0.2, 0.1), (0.8, 0.7, 0.3, 0.6))
    large = 1e9
    true = split_of(
        [
            (round(large * w * p), round(large * w))
            for w, p in zip(now.shares, now.hits, strict=True)
        ],
        [
            (round(large * w * p), round(large * w))
            for w, p in zip(before.shares, before.hits, strict=True)
        ],
    )
    rng = np.random.default_rng(11)
    held = {name: np.zeros(4) for name in ("contribution", "excess")}
    sums = np.zeros(3)
    draws = 400
    for _ in range(draws):
        found = decompose(Ratio("accuracy"), groups(now.rows(rng, n), before.rows(rng, m)))
        assert found is not None
        for name, error in (
            ("contribution", found.contribution_error),
            ("excess", found.excess_error),
        ):
            held[name] += np.abs(getattr(found, name) - getattr(true, name)) <= 1.96 * error
        sums += [
            abs(found.mix_by_dimension[0] - true.mix.sum()) <= 1.96 * found.mix_error[0],
            abs(found.within_by_dimension[0] - true.within.sum()) <= 1.96 * found.within_error[0],
            abs(found.change - true.change) <= 1.96 * found.change_error,
        ]
    for name, covered in held.items():
        assert (covered / draws > 0.92).all(), (name, covered / draws)
    assert (sums / draws > 0.92).all(), sums / draws
    assert (sums / draws < 0.98).all(), sums / draws


# -- what stands out -----------------------------------------------------------------------------


def noise_rows(rng: np.random.Generator, n: int, sizes: tuple[int, ...]) -> list[NDArray[np.int64]]:
    return [
        rng.choice(k, n, p=(1 / np.arange(1, k + 1)) / (1 / np.arange(1, k + 1)).sum())
        for k in sizes
    ]


def false_alarms(kind: str, n: int, m: int, draws: int, seed: int) -> float:
    """Share of comparisons of noise with noise in which any of 83 groups stands out."""
    rng = np.random.default_rng(seed)
    sizes = (3, 16, 6, 40, 18)
    looked = sum(sizes)
    z = NormalDist().inv_cdf(1 - 0.025 / looked)
    number = np.repeat(np.arange(len(sizes)), sizes)
    cried = 0
    for _ in range(draws):
        tables, wholes, counts = [], [], []
        for mean in (n, m):
            size = int(rng.poisson(mean))
            if kind == "share":
                x = (rng.random(size) < 0.3).astype(float)
            else:  # losses with a heavy tail
                x = rng.lognormal(0, 1.2, size)
            moments = np.stack([x, np.ones(size), x * x, x, np.ones(size)])
            made = []
            for labels, k in zip(noise_rows(rng, size, sizes), sizes, strict=True):
                made.append(np.stack([np.bincount(labels, row, k) for row in moments]))
            table = np.concatenate(made, axis=1)
            tables.append(Sums(*(row[None, :] for row in table)))
            wholes.append(Sums(*(row[None, :] for row in moments.sum(axis=1, keepdims=True))))
            counts.append(table[1])
        found = decompose(Ratio("mae"), Groups(*tables, *wholes, number, len(sizes)))
        assert found is not None
        enough = np.maximum(*counts) >= LEAST_ROWS
        sure = (np.abs(found.excess) > z * found.excess_error) & (found.excess_error > 0)
        cried += bool((sure & enough).any())
    return cried / draws


@pytest.mark.parametrize(("n", "m"), [(400, 400), (800, 8000)])
def test_pure_noise_seldom_stands_out(n: int, m: int) -> None:
    """At most 5 %; 150 draws have a standard error of 1.8 points."""
    assert false_alarms("share", n, m, 150, 3) <= 0.05 + 2 * 0.018


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["share", "loss"])
@pytest.mark.parametrize(("n", "m"), [(300, 300), (1000, 20_000), (5000, 5000)])
def test_pure_noise_stands_out_in_at_most_one_comparison_of_twenty(
    kind: str, n: int, m: int
) -> None:
    assert false_alarms(kind, n, m, 600, 7) <= 0.05 + 2 * 0.009


def planted(bad: str) -> ExplainFrames:
    """3,000 rows a side; all of a=p, b=s is wrong now, 1 row in 6."""

    def rows(now: bool) -> list[dict[str, Any]]:
        made = []
        places = itertools.cycle(itertools.product("pqr", "st"))
        for i, (a, b) in zip(range(3000), places, strict=False):
            right = i % 10 > 2
            if now and a == "p" and (b == "s" or bad == "a=p"):
                right = i % 10 > 7
            y = i // 6 % 2
            made.append(
                {"version": "v1", "a": a, "b": b, "f": "missing" if a == "p" else "",
                 "said": y if right else 1 - y, "y": y, "e": 0.0}
            )  # fmt: skip
        return made

    return ExplainFrames(side("binary", rows(now=True)), side("binary", rows(now=False)))


def test_a_cross_that_fails_is_named_and_not_its_parents() -> None:
    found = explain(ask_of("binary"), "accuracy", planted("cross"))
    assert found.verdict is Verdict.SLICES
    assert [dict(one.values) for one in found.slices] == [{"a": "p", "b": "s"}]
    first = found.slices[0]
    assert found.change.value is not None
    assert first.contribution / found.change.value == pytest.approx(1, abs=0.05)
    assert first.rows == pytest.approx(1 / 6, abs=0.01)


def test_a_parent_that_fails_is_named_once_with_its_other_names() -> None:
    found = explain(ask_of("binary"), "accuracy", planted("a=p"))
    assert [dict(one.values) for one in found.slices] == [{"a": "p"}]
    # the feature f is missing in exactly these rows
    assert [dict(v) for v in found.slices[0].also] == [{"f": "missing"}]
    assert any("carries" in f.text and "a=p" in f.text for f in found.findings)


def test_a_fall_everywhere_is_spread() -> None:
    def rows(hit: int) -> list[dict[str, Any]]:
        places = itertools.cycle(itertools.product("pqr", "st"))
        return [
            {"version": "v1", "a": a, "b": b, "f": "", "said": y if i // 6 % 10 < hit else 1 - y,
             "y": y, "e": 0.0}
            for i, (a, b) in zip(range(2400), places, strict=False)
            for y in (i // 60 % 2,)
        ]  # fmt: skip

    found = explain(
        ask_of("binary"),
        "accuracy",
        ExplainFrames(side("binary", rows(5)), side("binary", rows(8))),
    )
    assert found.verdict is Verdict.SPREAD
    assert found.slices == ()
    text = " ".join(f.text for f in found.findings)
    assert "spread" in text
    assert "within segments" in text


def test_the_same_rows_on_both_sides_have_not_changed() -> None:
    frames = planted("cross")
    found = explain(ask_of("binary"), "accuracy", ExplainFrames(frames.now, frames.now))
    assert found.verdict is Verdict.NO_CHANGE
    assert found.change.value == 0
    assert found.slices == ()


# -- what cannot be told ---------------------------------------------------------------------------


def some(**of: object) -> list[dict[str, Any]]:
    row = {"version": "v1", "a": "p", "b": "s", "f": "", "said": 0, "y": 0, "e": 1.0, **of}
    return [dict(row) for _ in range(40)]


@pytest.mark.parametrize(
    ("figure", "now", "before", "reason"),
    [
        ("f1", [], some(), "no predictions in this window"),
        ("accuracy", some(), [], "no predictions in the reference"),
        ("f1", some(y=None), some(), "no labels in this window"),
        ("recall", some(y=1), some(y=0), "no label is positive"),
        ("precision", some(said=1), some(), "nothing was predicted positive"),
        ("f1", some(), some(), "nothing is positive"),
        ("balanced_accuracy", some(), some(), "one class only"),
    ],
)
def test_what_cannot_be_split_has_a_reason(
    figure: str, now: list[dict[str, Any]], before: list[dict[str, Any]], reason: str
) -> None:
    frames = ExplainFrames(side("binary", now), side("binary", before))
    found = explain(ask_of("binary"), figure, frames)
    assert found.verdict is Verdict.CANNOT_TELL
    assert reason in found.reason
    assert found.findings[-1].text.endswith(found.reason)
    assert found.change.value is None


def test_one_row_a_side_is_no_sure_change() -> None:
    frames = ExplainFrames(side("binary", some()[:1]), side("binary", some(said=1)[:1]))
    found = explain(ask_of("binary"), "accuracy", frames)
    assert found.verdict is Verdict.NO_CHANGE
    assert found.change.value == 1
    assert found.slices == ()


@pytest.mark.parametrize("e", [1e308, float("inf"), float("nan"), 1e150])
@pytest.mark.parametrize("figure", ["mae", "rmse", "mse", "bias"])
def test_values_beyond_computing_are_a_sentence(figure: str, e: float) -> None:
    rows = some()
    now = side("regression", rows)
    broken = now.totals.with_columns(
        e_sum=pl.lit(e), e_abs=pl.lit(e), e_sq=pl.lit(e) * e, e_quad=pl.lit(e) * e * e * e
    )
    found = explain(
        ask_of("regression"), figure, ExplainFrames(SideFrames(broken), side("regression", rows))
    )
    for estimate in (found.value, found.other, found.change):
        assert estimate.value is None or np.isfinite(estimate.value)
    if found.change.value is None:
        assert found.reason
    else:
        assert found.change.low is not None
        assert np.isfinite(found.change.low)


def test_classes_of_one_side_only_are_explained_by_accuracy() -> None:
    now, before = some(y=2, said=1) + some(y=1, said=1), some(y=1, said=1) + some(y=0, said=0)
    frames = ExplainFrames(side("multiclass", now), side("multiclass", before))
    found = explain(ask_of("multiclass"), "f1", frames)
    assert found.figure == "accuracy"
    assert "other classes" in found.note


def test_what_is_no_sum_is_explained_by_what_is_nearest() -> None:
    binary = deployment("binary")
    assert nearest(binary, "roc_auc")[0] == "log_loss"
    assert "roc_auc is no sum" in nearest(binary, "ROC_AUC")[1]
    assert nearest(deployment("regression"), "r2")[0] == "mse"
    with pytest.raises(UnknownFigureError, match=r"no figure 'mae'; there is f1, "):
        nearest(binary, "mae")
    with pytest.raises(UnknownFigureError, match="has no costs"):
        nearest(binary.model_copy(update={"costs": None}), "cost")


def test_standing_out_needs_rows() -> None:
    """Nine rows that all fail are not judged."""
    frames = ExplainFrames(
        side("binary", some(said=0) * 20 + some(a="q", said=1)[:9]),
        side("binary", some(said=0) * 20 + some(a="q", said=0)[:9]),
    )
    ask = ask_of("binary")
    ratio = ratio_of(ask.deployment, "accuracy")
    sides = grouped(ask, ratio, frames.now, frames.other)
    found = decompose(ratio, sides.sums)
    assert found is not None
    assert standing_out(sides, found, 0.0) == ()
