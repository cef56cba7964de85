"""What the ensemble can learn from pseudo-labels: ranks, probabilities and weights.

In: scores of labelled points, each class weighted to the share that it has among all points, since
pseudo-labels overstate the bad ones. Out: a few numbers or knots of a curve that can be frozen as JSON.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

BINS = 2**16
"""Bins of the reference distributions of scores, even from 0 to 1."""
RIDGE = 1e-4
"""Pull of the logistic weights towards 0, a point's loss being 1 on average (ours)."""
LEAST_WEIGHT = 1e-3
"""Of the largest weight: a member that adds nothing still speaks where no other can (ours)."""


def bin_of(score: NDArray[np.floating]) -> Counts:
    """Bin of each score from 0 to 1."""
    return np.minimum((score.astype(np.float64) * BINS).astype(np.int64), BINS - 1)


def rank_knots(counts: Counts) -> Floats:
    """Share of all points that score below each edge of the bins, shape (BINS + 1,).

    Raises
    ------
    ValueError
        If nothing was counted.
    """
    total = int(counts.sum())
    if total == 0:
        raise ValueError("no score was counted")
    return np.concatenate([[0.0], np.cumsum(counts) / total])


def rank_at(knots: Floats, score: NDArray[np.floating]) -> Floats:
    """Rank of scores from 0 to 1 in a frozen distribution; NaN stays NaN.

    Within a bin it rises linearly. A bin that holds no point of the reference is a plateau.
    """
    place = score.astype(np.float64) * BINS
    return np.asarray(np.interp(place, np.arange(BINS + 1), knots))


def isotonic_knots(score: Floats, outlier: Bools, weight: Floats) -> tuple[Floats, Floats]:
    """Rising curve of the probability of being bad, by pooling adjacent violators.

    Parameters
    ----------
    score : (n,) float64
        From 0 to 1, without NaN.
    outlier : (n,) bool
    weight : (n,) float64

    Returns
    -------
    x, y : (k,) float64
        Mean score and share of outliers (by weight) of each pool, both strictly rising; to be joined by lines.

    Notes
    -----
    Zadrozny and Elkan (2002). Scores are binned first, so the cost does not grow with the points.
    """
    place = bin_of(score)
    mass = np.bincount(place, weight, BINS)
    bad = np.bincount(place, weight * outlier, BINS)
    centre = np.bincount(place, weight * score, BINS)
    pools: list[tuple[float, float, float]] = []
    for k in np.flatnonzero(mass > 0):
        pool = (float(mass[k]), float(bad[k]), float(centre[k]))
        while pools and pools[-1][1] * pool[0] >= pool[1] * pools[-1][0]:
            before = pools.pop()
            pool = (pool[0] + before[0], pool[1] + before[1], pool[2] + before[2])
        pools.append(pool)
    masses, bads, centres = np.array(pools).T
    return centres / masses, bads / masses


def nonnegative_logistic(inputs: Floats, outlier: Bools, weight: Floats) -> Floats:
    """Weights of the members in a logistic regression that may not turn any of them round.

    Parameters
    ----------
    inputs : (n, m) float64
        Scores, ranks or probabilities; NaN where a member has none, taken as its mean.
    outlier : (n,) bool
    weight : (n,) float64

    Returns
    -------
    (m,) float64
        Scaled to sum to 1, none below a thousandth of the largest; all equal where nothing was learnt.
    """
    from scipy.optimize import minimize

    known = ~np.isnan(inputs)
    share = weight / weight.sum()
    mass = (known * share[:, None]).sum(axis=0)
    total = (np.where(known, inputs, 0.0) * share[:, None]).sum(axis=0)
    mean = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
    X = np.column_stack([np.where(known, inputs, mean) - mean, np.ones(len(inputs))])
    sign = np.where(outlier, 1.0, -1.0)
    ridge = np.append(np.full(inputs.shape[1], RIDGE), 0.0)

    def loss(w: Floats) -> tuple[float, Floats]:
        margin = sign * (X @ w)
        slope = -sign * share / (1 + np.exp(np.clip(margin, -500, 500)))
        value = float(share @ np.logaddexp(0.0, -margin) + 0.5 * ridge @ w**2)
        return value, X.T @ slope + ridge * w

    bounds = [(0.0, None)] * inputs.shape[1] + [(None, None)]
    start = np.append(np.ones(inputs.shape[1]), 0.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    if found.max() <= 0:
        found = np.ones_like(found)
    found = np.maximum(found, LEAST_WEIGHT * found.max())
    return np.asarray(found / found.sum())


def class_weights(outlier: Bools, share: float) -> Floats:
    """Weights that give the labelled points a chosen share of bad ones, mean 1."""
    bad = float(outlier.mean())
    return np.asarray(np.where(outlier, share / max(bad, 1e-12), (1 - share) / max(1 - bad, 1e-12)))
