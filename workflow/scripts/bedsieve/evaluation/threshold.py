"""A threshold that keeps its promise elsewhere: false-discovery rate at a chosen level.

In: scores and truth of calibration points that training did not see, and the share of bad points
where the threshold will be used. Out: the lowest threshold whose estimated false-discovery rate is
within the level. Study B's fixed threshold did not transfer between its two regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.evaluation.metrics import Ranking


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
