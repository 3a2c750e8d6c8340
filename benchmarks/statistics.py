"""How often the console's statistics are right, by simulation: `python -m benchmarks.statistics`.

Prints Markdown tables for docs/statistics.md. Each table is one function in `TABLES`; names on the
command line choose some of them. Draws are seeded, so that a table comes out the same each time.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks import alarms, drift_alarms, ramps
from console.analysis.binary import Confusion, ScoreBins, binary_metrics
from console.analysis.comparison import Verdict, compare
from console.analysis.estimate import Estimate
from console.analysis.intervals import wilson
from console.analysis.multiclass import MulticlassSums, multiclass_metrics
from console.analysis.paired import right_difference
from console.analysis.regression import RegressionSums, regression_metrics
from console.analysis.sample_ratio import ALPHA
from console.analysis.sequences import boundary, peek_safe

__all__ = [
    "TABLES",
    "classifier_draw",
    "classifier_truth",
    "coverage",
    "markdown",
    "population",
    "regression_draw",
    "wilson_coverage",
]

SIZES = (50, 200, 1000)
RUNS = 4_000
LOOKS = 20_000

FloatArray = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Mapping[str, Estimate]]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its first column to the left and all others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "--:|" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def coverage(
    draw: Draw, truth: Mapping[str, float], n: int, runs: int = RUNS, seed: int = 0
) -> dict[str, float]:
    """Share of draws whose interval holds the truth, by figure; of those that have an interval."""
    rng = np.random.default_rng((seed, n))
    held, drawn = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(runs):
        made = draw(rng, n)
        for name, value in truth.items():
            e = made[name]
            if e.low is not None and e.high is not None:
                drawn[name] += 1
                held[name] += e.low <= value <= e.high
    return {name: held[name] / drawn[name] if drawn[name] else math.nan for name in truth}


def _percent(share: float) -> str:
    """In per cent; bold where a 95 % interval is not within 93.5 to 96.5."""
    text = f"{100 * share:.1f}"
    return text if 0.935 <= float(text) / 100 <= 0.965 else f"**{text}**"


def _coverage_rows(
    draw: Draw, truth: Mapping[str, float], runs: int = RUNS, note: str = ""
) -> list[tuple[str, ...]]:
    found = [coverage(draw, truth, n, runs) for n in SIZES]
    return [
        (f"{name}{note}", f"{value:.3f}", *(_percent(one[name]) for one in found))
        for name, value in truth.items()
    ]


# -- a classifier whose truth is known -----------------------------------------------------------

_SCORES = (np.arange(100) + 0.5) / 100


def population(a: float, b: float, tilt: float) -> tuple[FloatArray, FloatArray]:
    """Share of rows in each of 100 scores, beta(a, b), and the chance of yes at each."""
    weight = _SCORES ** (a - 1) * (1 - _SCORES) ** (b - 1)
    odds = (_SCORES / (1 - _SCORES)) ** tilt
    return weight / weight.sum(), odds / (1 + odds)


def _classifier(positive: FloatArray, negative: FloatArray) -> dict[str, Estimate]:
    total = positive + negative
    clipped = np.log(_SCORES), np.log1p(-_SCORES)
    bins = ScoreBins(
        total.astype(np.int64),
        total.astype(np.int64),
        positive.astype(np.int64),
        total * _SCORES,
        total * _SCORES**2,
        positive * _SCORES,
        -(positive * clipped[0] + negative * clipped[1]),
    )
    yes = _SCORES > 0.4
    counts = (positive[yes], negative[yes], positive[~yes], negative[~yes])
    return binary_metrics(Confusion(*(int(c.sum()) for c in counts)), bins)


def classifier_draw(weight: FloatArray, chance: FloatArray) -> Draw:
    """Draws of every figure from a population of 100 scores."""
    cells = np.concatenate([weight * chance, weight * (1 - chance)])

    def draw(rng: np.random.Generator, n: int) -> dict[str, Estimate]:
        counts = rng.multinomial(n, cells / cells.sum()).astype(np.float64)
        return _classifier(counts[:100], counts[100:])

    return draw


def classifier_truth(weight: FloatArray, chance: FloatArray) -> dict[str, float]:
    """The figures of the whole population."""
    many = 1e13
    made = _classifier(np.round(weight * chance * many), np.round(weight * (1 - chance) * many))
    return {name: e.value for name, e in made.items() if e.value is not None}


def classifiers() -> str:
    """Coverage of every figure of a binary classifier."""
    rows = []
    for note, shape in ((", 30 % yes", (1.5, 3.0, 1.2)), (", 5 % yes", (0.7, 9.0, 1.0))):
        of = population(*shape)
        rows += _coverage_rows(classifier_draw(*of), classifier_truth(*of), 2_000, note)
    return markdown(("figure", "truth", *(f"n = {n}" for n in SIZES)), rows)


def _multiclass_draw(cells: FloatArray) -> Draw:
    names = tuple(f"c{i}" for i in range(len(cells)))

    def draw(rng: np.random.Generator, n: int) -> Mapping[str, Estimate]:
        counts = rng.multinomial(n, cells.ravel()).reshape(cells.shape)
        return multiclass_metrics(MulticlassSums(counts, names)).overall

    return draw


def multiclass() -> str:
    """Coverage of shares over four classes."""
    cells = np.array([[30, 4, 2, 1], [5, 20, 3, 1], [2, 3, 15, 2], [1, 2, 3, 6]]) / 100.0
    names = ("accuracy", "precision", "recall", "f1", "specificity")
    draw = _multiclass_draw(cells)
    many = MulticlassSums(np.round(cells * 1e9).astype(np.int64), tuple("abcd"))
    whole = multiclass_metrics(many).overall
    truth = {name: whole[name].value or 0.0 for name in names}
    rows = _coverage_rows(draw, truth, 1_000, ", 4 classes")
    return markdown(("figure", "truth", *(f"n = {n}" for n in SIZES)), rows)


# -- a regression --------------------------------------------------------------------------------


def _regression(y: FloatArray, e: FloatArray) -> dict[str, Estimate]:
    ape = np.abs(e / y)
    sums = (y.sum(), (y**2).sum(), e.sum(), np.abs(e).sum(), (e**2).sum(), (e**4).sum())
    ratios = float(ape.sum()), float((ape**2).sum())
    return regression_metrics(RegressionSums(len(y), *map(float, sums), *ratios, len(y)))


_ERRORS: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    ", normal errors": lambda rng, n: rng.normal(0.3, 1.0, n),
    ", skewed errors": lambda rng, n: rng.exponential(1.0, n) - 0.7,
    ", heavy tails (t, 5 df)": lambda rng, n: rng.standard_t(5, n),
}


def regression_draw(errors: Callable[[np.random.Generator, int], FloatArray]) -> Draw:
    """Draws of every figure of a regression, labels gamma(9) and errors as given."""
    return lambda rng, n: _regression(rng.gamma(9.0, 1.0, n), errors(rng, n))


def regressions() -> str:
    """Coverage of every figure of a regression."""
    rows = []
    for note, errors in _ERRORS.items():
        draw = regression_draw(errors)
        truth = {k: e.value or 0.0 for k, e in draw(np.random.default_rng(99), 4_000_000).items()}
        rows += _coverage_rows(draw, truth, note=note)
    return markdown(("figure", "truth", *(f"n = {n}" for n in SIZES)), rows)


# -- shares and differences ----------------------------------------------------------------------


def shares() -> str:
    """Exact coverage of Wilson's interval, averaged near the share, and simulated differences."""
    rows = []
    for p in (0.02, 0.1, 0.3, 0.5):
        found = [wilson_coverage(n, p) for n in SIZES]
        rows.append((f"share of {p}", f"{p}", *(_percent(c) for c in found)))
    for p, q in ((0.3, 0.3), (0.1, 0.2), (0.02, 0.05)):

        def draw(
            rng: np.random.Generator, n: int, p: float = p, q: float = q
        ) -> dict[str, Estimate]:
            return {"gap": _gap(rng, n, p, q)}

        found = [coverage(draw, {"gap": p - q}, n)["gap"] for n in SIZES]
        name = f"difference of {p} and {q}, n rows each"
        rows.append((name, f"{p - q:.2f}", *(_percent(c) for c in found)))

    def pair(rng: np.random.Generator, n: int) -> dict[str, Estimate]:
        _, first, second, _ = rng.multinomial(n, (0.6, 0.15, 0.08, 0.17))
        return {"gap": right_difference(int(first), int(second), n, watched=False)}

    found = [coverage(pair, {"gap": 0.07}, n)["gap"] for n in SIZES]
    rows.append(("difference on the same rows", "0.07", *(_percent(c) for c in found)))
    return markdown(("figure", "truth", *(f"n = {n}" for n in SIZES)), rows)


def _gap(rng: np.random.Generator, n: int, p: float, q: float) -> Estimate:
    def share(rate: float) -> Estimate:
        k = int(rng.binomial(n, rate))
        return Estimate(k / n, *wilson(k, n), n)

    return compare("accuracy", share(p), share(q), watched=False).difference


def wilson_coverage(n: int, p: float) -> float:
    """The chance that k rows of n give an interval that holds p, over shares near p.

    At one exact share it jumps about, as k is a whole number: .02 either way is averaged.
    """
    total = 0.0
    near = np.linspace(0.8 * p, 1.2 * p, 41)
    ends = np.array([wilson(k, n) for k in range(n + 1)])
    log_factorial = np.cumsum(np.log(np.maximum(np.arange(n + 1), 1)))
    k = np.arange(n + 1)
    ways = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    for share in near:
        chance = np.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
        total += float(chance[(ends[:, 0] <= share) & (share <= ends[:, 1])].sum())
    return total / len(near)


# -- looking again and again ---------------------------------------------------------------------


def peeking() -> str:
    """Runs of 20,000 rows in which the truth was outside at some look, from 30 rows on."""
    rows = []
    n = np.arange(1, LOOKS + 1)
    width = np.array([boundary(int(m)) for m in n])
    for p in (0.5, 0.1, 0.01):
        rows.append((f"share of {p}", *_peeked_share(n, p, 2_000)))
    for name, truth, draw in _MEANS:
        rows.append((name, *_peeked_mean(n, width, truth, draw, 1_000)))
    rows.append(("difference of two shares of 0.2", *_peeked_gap(1_000)))
    return markdown(("figure", "sequence misses %", "interval for one look misses %"), rows)


_MEANS: tuple[tuple[str, float, Callable[[np.random.Generator, int], FloatArray]], ...] = (
    ("mean of normal values", 0.0, lambda rng, n: rng.normal(size=n)),
    ("mean of exponential values", 1.0, lambda rng, n: rng.exponential(size=n)),
    ("mean of lognormal values", math.exp(0.5), lambda rng, n: rng.lognormal(size=n)),
)


def _peeked_share(n: NDArray[np.int64], p: float, runs: int) -> tuple[str, str]:
    rng = np.random.default_rng(int(1000 * p))
    grid = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, LOOKS + 1) - 0.5))])
    factorial = np.cumsum(np.log(n))  # ln n!; the Beta(1/2, 1/2) mixture is a product of these
    ever = once = 0
    for _ in range(runs):
        k = np.cumsum(rng.random(LOOKS) < p)
        mixture = grid[k] + grid[n - k] - factorial
        evidence = mixture - k * math.log(p) - (n - k) * math.log1p(-p)
        ever += bool((evidence[29:] > -math.log(ALPHA)).any())
        score = np.abs(k - n * p) / np.sqrt(n * p * (1 - p))
        once += bool((score[29:] > 1.959964).any())
    return f"{100 * ever / runs:.1f}", f"{100 * once / runs:.1f}"


def _peeked_mean(
    n: NDArray[np.int64],
    width: FloatArray,
    truth: float,
    draw: Callable[[np.random.Generator, int], FloatArray],
    runs: int,
) -> tuple[str, str]:
    rng = np.random.default_rng(8)
    ever = once = 0
    for _ in range(runs):
        x = draw(rng, LOOKS)
        mean = np.cumsum(x) / n
        variance = np.maximum(np.cumsum(x * x) / n - mean**2, 1e-300) * n / np.maximum(n - 1, 1)
        off = np.abs(mean - truth) / np.sqrt(variance / n)
        ever += bool((off > width)[29:].any())
        once += bool((off > 1.959964)[29:].any())
    return f"{100 * ever / runs:.1f}", f"{100 * once / runs:.1f}"


def _peeked_gap(runs: int) -> tuple[str, str]:
    rng = np.random.default_rng(9)
    n = np.arange(1, LOOKS // 2 + 1)
    width = np.array([boundary(int(2 * m)) for m in n])
    ever = once = 0
    for _ in range(runs):
        a, b = (np.cumsum(rng.random(len(n)) < 0.2) for _ in range(2))
        p, q = (a + 1) / (n + 2), (b + 1) / (n + 2)
        off = np.abs(a - b) / n / np.sqrt((p * (1 - p) + q * (1 - q)) / n)
        ever += bool((off > width)[29:].any())
        once += bool((off > 1.959964)[29:].any())
    return f"{100 * ever / runs:.1f}", f"{100 * once / runs:.1f}"


def peeking_figures() -> str:
    """Runs of 10,000 rows in which a classifier's figure was outside at one of 60 looks."""
    weight, chance = population(1.5, 3.0, 1.2)
    truth = classifier_truth(weight, chance)
    cells = np.concatenate([weight * chance, weight * (1 - chance)])
    looks = np.unique(np.geomspace(50, 10_000, 60).astype(np.int64))
    rng, runs = np.random.default_rng(21), 300
    ever, once = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(runs):
        counts = np.zeros(len(cells))
        missed: tuple[set[str], set[str]] = (set(), set())
        for n, before in zip(looks, (0, *looks[:-1]), strict=True):
            counts = counts + rng.multinomial(n - before, cells / cells.sum())
            fixed = _classifier(counts[:100], counts[100:])
            for kind, made in zip(missed, (peek_safe(fixed), fixed), strict=True):
                kind.update(name for name, value in truth.items() if _outside(made[name], value))
        for found, kind in zip((ever, once), missed, strict=True):
            for name in kind:
                found[name] += 1
    rows = [
        (name, *(f"{100 * found[name] / runs:.1f}" for found in (ever, once))) for name in truth
    ]
    return markdown(("figure", "sequence misses %", "interval for one look misses %"), rows)


def _outside(e: Estimate, value: float) -> bool:
    return e.low is not None and e.high is not None and not e.low <= value <= e.high


def verdicts() -> str:
    """What the verdict on two versions of 1,000 and 5,000 rows each is, by their true gap."""
    rows = []
    for gap in (-0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1):
        for n in (1_000, 5_000):
            rng = np.random.default_rng((17, n, round(1000 * gap) + 500))
            counts = dict.fromkeys(Verdict, 0)
            for _ in range(1_000):
                k, m = rng.binomial(n, (0.6 + gap, 0.6))
                mine, other = (Estimate(x / n, *wilson(int(x), n), n) for x in (k, m))
                made = compare("accuracy", mine, other, watched=True, margin=0.03)
                counts[made.verdict] += 1
            rows.append((f"{gap:+.2f}", f"{n:,}", *(f"{counts[v] / 10:.1f}" for v in Verdict)))
    return markdown(("true difference", "rows each", *(v.value for v in Verdict)), rows)


def false_alarms() -> str:
    """How often findings come where there is nothing."""
    return markdown(("on nothing, % of windows", "few", "more", "many"), alarms.noise())


def found() -> str:
    """How often what is there is found."""
    sizes = tuple(f"n = {n:,}" for n in alarms.SIZES)
    return markdown(("found, % of windows", *sizes), alarms.power())


def series() -> str:
    """How often a change of a daily series is found, and where."""
    days = tuple(f"{n} days" for n in alarms.DAYS)
    return markdown(("found, % of series", *days), alarms.series_power())


def drift() -> str:
    """Windows without drift whose distance is above its 95 % point."""
    return markdown(*drift_alarms.alarms())


def drift_ordered() -> str:
    """The same of figures that need an order."""
    return markdown(*drift_alarms.ordered())


def false_rollbacks() -> str:
    """How often a whole ramp of a version that is no worse is rolled back."""
    return markdown(*ramps.false_rollbacks())


def ramp_errors() -> str:
    """How many requests it takes until more errors are sure."""
    return markdown(*ramps.until_found())


TABLES: dict[str, Callable[[], str]] = {
    "shares": shares,
    "classifiers": classifiers,
    "multiclass": multiclass,
    "regressions": regressions,
    "peeking": peeking,
    "peeking_figures": peeking_figures,
    "verdicts": verdicts,
    "drift": drift,
    "drift_ordered": drift_ordered,
    "false_alarms": false_alarms,
    "found": found,
    "series": series,
    "false_rollbacks": false_rollbacks,
    "ramp_errors": ramp_errors,
}
"""Name -> what makes the table, in the order of docs/statistics.md."""


def main(names: Sequence[str]) -> None:
    """Print the chosen tables, or all."""
    for name in names or TABLES:
        sys.stdout.write(f"### {name}\n\n{TABLES[name]()}\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
