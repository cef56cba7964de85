"""A threshold that keeps its promise elsewhere: false-discovery rate at a chosen level.

In: how many points of each label, and how many of all, score how high. Out: the lowest threshold whose
estimated false-discovery rate is within the level. Study B's fixed threshold did not transfer between
regions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

TELLING = (0.5, 0.95)
"""Recalls of the outlier labels between which the share of bad points is looked for (ours)."""
SHARE = (1e-5, 0.5)
"""The estimated share of bad points is kept within these bounds."""


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
