"""A threshold that keeps its promise elsewhere: false-discovery rate at a chosen level.

In: scores and labels of points that training did not see, and either the share of bad points where the
threshold will be used or the scores of all points there. Out: the lowest threshold whose estimated
false-discovery rate is within the level. Study B's fixed threshold did not transfer between regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.evaluation.metrics import Ranking

Counts = npt.NDArray[np.int64]

TELLING = (0.5, 0.95)
"""Recalls of the outlier labels between which the share of bad points is looked for (ours)."""
SHARE = (1e-5, 0.5)
"""The estimated share of bad points is kept within these bounds."""


@dataclass(frozen=True)
class Threshold:
    """A calibrated threshold: flag where score ≥ `value`; infinite where no threshold holds.

    Parameters
    ----------
    value : float
        The threshold.
    fdr : float
        False-discovery rate estimated there; NaN if nothing is flagged.
    recall : float
        Share of the bad calibration points at or above it.
    flagged : int
        Number of calibration points at or above it.
    """

    value: float
    fdr: float
    recall: float
    flagged: int


def fdr_threshold(
    score: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    level: float,
    *,
    prior: float | None = None,
) -> Threshold:
    """The lowest threshold whose false-discovery rate, estimated on labelled points, is ≤ `level`.

    Parameters
    ----------
    score : (n,) float array
        Of calibration points that training did not see; NaN is never flagged.
    truth : (n,) bool array
        Whether the point is bad.
    level : float
        Wanted share of good points among the flagged, in (0, 1).
    prior : float, optional
        Share of bad points where the threshold will be used. Without it that of the calibration
        points, which pseudo-labels overstate (38,881 of 685,555 in Study B against about 0.2 %).

    Returns
    -------
    Threshold
        One good point more than seen is assumed above it, as in knockoff+ (Barber and Candès 2015),
        so that a short clean head of the ranking promises nothing.

    Raises
    ------
    ValueError
        If `level` or `prior` is not in (0, 1).
    """
    for name, value in (("level", level), ("prior", prior)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}")
    known = ~np.isnan(score)
    bad = np.asarray(truth, bool)
    total_bad, total_good = int(bad.sum()), int((~bad).sum())
    nothing = Threshold(float("inf"), float("nan"), 0.0, 0)
    if total_bad == 0 or total_good == 0 or not known.any():
        return nothing
    share = total_bad / bad.size if prior is None else prior
    ranking = Ranking(np.asarray(score)[known], bad[known])
    hits, flagged = ranking.counts()
    false = (1 - share) * (flagged - hits + 1) / total_good
    true = share * hits / total_bad
    fdr = false / (false + true)
    allowed = np.flatnonzero(fdr <= level)
    if allowed.size == 0:
        return nothing
    last = int(allowed[-1])
    value = float(np.asarray(score)[known][ranking.order[ranking.ends[last]]])
    return Threshold(value, float(fdr[last]), float(hits[last] / total_bad), int(flagged[last]))


def bad_share(every: Counts, inlier: Counts, outlier: Counts) -> float:
    """Share of bad points among all, from how many points score as high as labelled outliers do.

    Parameters
    ----------
    every, inlier, outlier : (bins,) int64
        Number of all points, of inlier and of outlier labels, by bin of a rising score.

    Returns
    -------
    float
        Within 0.00001 and 0.5; the share of outliers among the labels where they score no higher.

    Notes
    -----
    Of all points the share A above a threshold is p T + (1 - p) F, with T and F the shares of bad and of
    good points above it. T is known from the outlier labels; F only from below, since inlier labels stand
    where tracks meet and are easier than other good points. So each threshold gives an upper bound
    (A - F) / (T - F) and the least is taken, as in learning from positive and unlabelled points (Scott
    2015), over thresholds with T from 0.5 to 0.95: higher ones hold few points, and only the plainest
    outliers.
    """
    a, f, t = (_above(counts) for counts in (every, inlier, outlier))
    use = (t >= TELLING[0]) & (t <= TELLING[1]) & (t > f)
    if use.any():
        share = float(((a - f)[use] / (t - f)[use]).min())
    else:
        share = float(outlier.sum() / max(outlier.sum() + inlier.sum(), 1))
    return float(np.clip(share, *SHARE))


def separation(inlier: Counts, outlier: Counts) -> float:
    """How well a score tells the labels apart: the largest T - F over all thresholds (Youden 1950)."""
    return float((_above(outlier) - _above(inlier)).max())


def fdr_threshold_of_counts(
    every: Counts, inlier: Counts, outlier: Counts, level: float, share: float
) -> float:
    """The lowest threshold whose false-discovery rate among all points is estimated as ≤ `level`.

    Parameters
    ----------
    every, inlier, outlier : (bins,) int64
        As for `bad_share`; bins even from 0 to 1.
    level : float
        Wanted share of good points among the flagged, in (0, 1).
    share : float
        Share of bad points among all.

    Returns
    -------
    float
        Lower edge of a bin; infinite where no threshold holds.

    Notes
    -----
    Two estimates, the larger counts: what the outlier labels leave of the points flagged, 1 - p T / A, and
    what the inlier labels put there, (1 - p) F / A, one more being assumed above it than seen. The latter
    alone promises too much: on the demo 0.05 became 0.47.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    if min(every.sum(), inlier.sum(), outlier.sum()) == 0:
        return float("inf")
    a, t = _above(every), _above(outlier)
    f = (np.cumsum(inlier[::-1])[::-1] + 1) / inlier.sum()
    flagged = np.where(a > 0, a, np.nan)
    fdr = np.fmax(1 - share * t / flagged, (1 - share) * f / flagged)
    allowed = np.flatnonzero(fdr <= level)
    return float(allowed[0] / every.size) if allowed.size else float("inf")


def _above(counts: Counts) -> npt.NDArray[np.float64]:
    """Share in each bin or a higher one."""
    return np.asarray(np.cumsum(counts[::-1])[::-1] / max(int(counts.sum()), 1))
