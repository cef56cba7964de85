"""Ranking figures of all kinds of error at once, on many draws of tracks: one pass over the ranking a draw.

In: points in falling order of score, each with its kind and track, and how often each draw has each track. Out:
average precision, AUC and precision at the budget, by draw and kind. `metrics` says what the figures are, and the tests
hold these kernels to it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from bedsieve.kernels import in_threads


@njit(cache=True, nogil=True)
def _one_draw(kind, track, last, weight, total, figures):  # type: ignore[no-untyped-def]
    kinds = total.size
    hits, before = np.zeros(kinds), np.zeros(kinds)
    precision, area, at_budget = np.zeros(kinds), np.zeros(kinds), np.full(kinds, -1.0)
    good, good_before = 0.0, 0.0
    for i in range(kind.size):
        w = weight[track[i]]
        if kind[i] < 0:
            good += w
        else:
            hits[kind[i]] += w
            hits[kinds - 1] += w
        if not last[i]:
            continue
        for k in range(kinds):
            gained = hits[k] - before[k]
            flagged = good + hits[k]
            if gained > 0:
                precision[k] += gained * hits[k] / flagged
            area[k] += (good - good_before) * (before[k] + gained / 2)
            if at_budget[k] < 0 and flagged >= total[k] > 0:
                start = good_before + before[k]
                share = (total[k] - start) / (flagged - start)
                at_budget[k] = (before[k] + share * gained) / total[k]
            before[k] = hits[k]
        good_before = good
    for k in range(kinds):
        figures[k, 0] = precision[k] / hits[k] if hits[k] > 0 else np.nan
        figures[k, 1] = area[k] / (hits[k] * good) if hits[k] * good > 0 else np.nan
        figures[k, 2] = at_budget[k] if at_budget[k] >= 0 else np.nan


@njit(cache=True, nogil=True)
def _draws(kind, track, last, weight, total, figures, begin, end):  # type: ignore[no-untyped-def]
    for draw in range(begin, end):
        _one_draw(kind, track, last, weight[draw], total[draw], figures[draw])


def ranking_figures(
    score: npt.NDArray[np.float64],
    kind: npt.NDArray[np.int8],
    track: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float64],
    total: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Average precision, AUC and precision at the budget by draw and kind.

    Parameters
    ----------
    score : (n,) float64 array
        Higher is more anomalous; NaN ranks below every number.
    kind : (n,) int8 array
        Kind of error, 0 to kinds - 1, or -1 for an honest point.
    track : (n,) int32 array
        Row of the point's track in `weight`.
    weight : (draws, tracks) float64 array
        How often a draw has each track.
    total : (draws, kinds + 1) float64 array
        Weight of the bad points of each kind and, last, of all.

    Returns
    -------
    (draws, kinds + 1, 3) float64 array
        In the ranking of a kind the other kinds do not stand. The last row is of all kinds together.
    """
    values = np.where(np.isnan(score), -np.inf, score)
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last = np.append(falling[1:] != falling[:-1], True)[: falling.size]
    figures = np.full((*total.shape, 3), np.nan)
    in_threads(_draws, (kind[order], track[order], last, weight, total, figures), len(weight))
    return figures
