"""Agreement beyond chance, from sums: Cohen's and Fleiss' kappa, and the intraclass correlation.

Intervals are asymptotic, 95 %: no resampling, so the same sums give the same ends. Rows are those
of the queries `agreement` and `agreement_numbers`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import figure, normal_quantile, wilson

__all__ = [
    "cohen_kappa",
    "fleiss_kappa",
    "intraclass_correlation",
    "mean_share",
    "pooled_kappa",
]

Row = Mapping[str, Any]

_Z = normal_quantile(0.975)
_NOTHING = 1e-12  # room for agreement beyond chance that is but rounding
_FEWEST = 10  # predictions below which Fisher's z says nothing


def cohen_kappa(row: Row) -> Estimate:
    """Kappa of two labellers; equal to scikit-learn's `cohen_kappa_score`.

    Interval: the variance of Fleiss, Cohen & Everitt 1969 (Psychol. Bull. 72:323). With p_ij the
    shares of the confusion matrix, p_o = sum p_ii, p_e = sum p_i. p_.i:
    n (1 - p_e)^4 var = (1 - p_e)^2 p_o - 2 (1 - p_e)(1 - p_o) sum p_ii (p_i. + p_.i)
    + (1 - p_o)^2 sum p_ij (p_.i + p_j.)^2 - (p_o p_e - 2 p_e + p_o)^2,
    their equation with its square multiplied out. For its ends see `_beyond_chance`.

    row: n predictions that both labelled, n_same; marginals, marginals_same, marginals_sq: sums
    over them of n (p_.i + p_j.), of those that agree, of its square.
    """
    n = float(row["n"])
    agree = row["n_same"] / n
    chance = row["marginals"] / (2 * n * n)
    same, squares = row["marginals_same"] / n**2, row["marginals_sq"] / n**3
    room, rest = 1 - chance, 1 - agree
    spread = (
        room * room * agree
        - 2 * room * rest * same
        + rest * rest * squares
        - (agree * chance - 2 * chance + agree) ** 2
    )
    return _beyond_chance(n, agree, chance, spread / n)


def pooled_kappa(row: Row) -> Estimate:
    """Cohen's kappa over all pairs: agreement and agreement by chance are means over the pairs,
    weighted by how many predictions they share (De Vries et al. 2008, Field Methods 20:272).

    Its variance is that of a ratio of sums over predictions (delta method), so that pairs of one
    prediction may depend on each other; with a single pair it is the one of `cohen_kappa`.

    CANNOT_TELL where no two of the people that are compared share a prediction.

    row: n predictions; sums over them of m (pairs), u (pairs that agree), v (by how much they move
    agreement by chance), and of squares and products of these.
    """
    if not row["n"]:
        return missing(State.CANNOT_TELL)
    total = row["m"]
    agree, chance = row["u"] / total, row["v"] / total
    room, rest = 1 - chance, 1 - agree
    # of each prediction: room (u - agree m) - rest (v - chance m), which add up to nothing
    back = chance * rest - agree * room
    spread = (
        room * room * row["uu"]
        + rest * rest * row["vv"]
        + back * back * row["mm"]
        - 2 * room * rest * row["uv"]
        + 2 * room * back * row["um"]
        - 2 * rest * back * row["vm"]
    )
    return _beyond_chance(float(row["n"]), agree, chance, spread / total**2)


def fleiss_kappa(row: Row) -> Estimate:
    """Fleiss' kappa (1971) of predictions that two people or more labelled each.

    With equally many labels each this is Fleiss' figure. The variance is that of the linearised
    figure over predictions (Gwet 2021, Educ. Psychol. Meas. 81:781); unlike Fleiss' own it does
    not suppose that nobody agrees.

    row: n predictions; sums over them of u, the share of its pairs that agree, and of
    v = sum_k pi_k r_k / r, where r_k of its r labels say k and pi_k is the mean of r_k / r; of
    their squares and product.
    """
    n = float(row["n"])
    agree, chance = row["u"] / n, row["v"] / n
    room, rest = 1 - chance, 1 - agree
    var_u, var_v = row["uu"] / n - agree * agree, row["vv"] / n - chance * chance
    both = row["uv"] / n - agree * chance
    spread = room * room * var_u + 4 * rest * rest * var_v - 4 * room * rest * both
    return _beyond_chance(n, agree, chance, spread / n)


def _beyond_chance(n: float, agree: float, chance: float, spread: float) -> Estimate:
    """Kappa from observed agreement and agreement by chance, both 0..1, on n predictions.

    spread: variance of kappa times (1 - chance)^4. The interval is kappa +- 1.96 standard errors
    within -1..1; where all agree that would have no width, and Wilson's limit of the agreement
    gives the lower end. CANNOT_TELL where all give the same answer: chance agrees as much.
    """
    room = 1 - chance
    if room < _NOTHING:
        return missing(State.CANNOT_TELL, int(n))
    value = (agree - chance) / room
    half = _Z * math.sqrt(max(spread, 0.0)) / room**2
    low, high = max(value - half, -1.0), min(value + half, 1.0)
    if 1 - agree < _NOTHING:
        low = min(low, (wilson(n, n)[0] - chance) / room)
    return figure(value, (low, high), int(n))


def mean_share(total: float, squares: float, n: int) -> Estimate:
    """A mean of n shares, 0..1: Wilson's interval at the count that has the mean's variance.

    Of shares that are 0 or 1 it is the usual interval of a proportion.
    """
    value = total / n
    variance = max(squares / n - value * value, 0.0) / n
    effective = value * (1 - value) / variance if variance > _NOTHING / n else float(n)
    return figure(value, wilson(value * effective, effective), n)


def intraclass_correlation(row: Row) -> Estimate:
    """ICC(1), one way, random effects: the share of the labels' variance that is between
    predictions (Shrout & Fleiss 1979, Psychol. Bull. 86:420); where predictions have different
    numbers of labels, k is the one of the analysis of variance (Donner 1986).

    Interval: Fisher's z, ln((1 + (k - 1) r) / (1 - r)) / 2 with variance k / (2 (k - 1)(n - 2)).
    It takes labels as normal; it is left out below 10 predictions.

    row: n predictions; m, mm: sums of labels per prediction and of its square; within,
    between_items: sums of squares.
    """
    n, total = int(row["n"]), row["m"]
    sums = (total, row["mm"], row["within"], row["between_items"])
    if n < 2 or total <= n or not all(math.isfinite(x) for x in sums):
        return missing(State.CANNOT_TELL, n)
    k = (total - row["mm"] / total) / (n - 1)
    between, within = row["between_items"] / (n - 1), row["within"] / (total - n)
    whole = between + (k - 1) * within
    if not whole > 0:
        return missing(State.CANNOT_TELL, n)
    value = (between - within) / whole
    if n < _FEWEST or not -1 / (k - 1) < value < 1:
        return figure(value, None, n)
    z = math.log((1 + (k - 1) * value) / (1 - value)) / 2
    half = _Z * math.sqrt(k / (2 * (k - 1) * (n - 2)))
    low, high = (
        (x - 1) / (x + k - 1) for x in (math.exp(2 * (z - half)), math.exp(2 * (z + half)))
    )
    return figure(value, (low, high), n)
