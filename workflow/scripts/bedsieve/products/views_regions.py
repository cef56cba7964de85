"""Two regions to compare a detector between, and the bins of each variable.

In: the places of the outlier labels; how many points have which value. Out: centres and edges. Study B cuts
its outlier seeds in two by k-means and compares its scores between the halves (seed 000, section A.3.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BINS_OF_VARIABLE = 12
_ROUNDS = 100


def two_centres(places: Floats) -> Floats:
    """Centres of two regions by k-means, the western one first.

    Parameters
    ----------
    places : (n, 2) float64
        East and north (m).

    Returns
    -------
    (k, 2) float64
        Two centres; one where all places are the same, none without places.

    Notes
    -----
    Starts from the two ends of the main axis, so that nothing is random.
    """
    if len(np.unique(places, axis=0)) < 2:
        return places[:1].copy()
    middle = places - places.mean(axis=0)
    axis = np.linalg.eigh(middle.T @ middle)[1][:, -1]
    along = middle @ axis
    centres = places[[along.argmin(), along.argmax()]]
    for _ in range(_ROUNDS):
        side = region_of(centres, places)
        moved = np.stack([places[side == k].mean(axis=0) for k in (0, 1)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres[np.lexsort(centres.T[::-1])]


def region_of(centres: Floats, places: Floats) -> NDArray[np.int64]:
    """Nearest centre of each place, shape (n,); 0 where there is one region or none."""
    if len(centres) < 2:
        return np.zeros(len(places), np.int64)
    distance = np.stack([((places - centre) ** 2).sum(axis=1) for centre in centres])
    return np.asarray(distance.argmin(axis=0))


def bin_edges(steps: Counts, points: Counts) -> Counts:
    """Inner edges of bins that hold about as many points each.

    Parameters
    ----------
    steps : (n,) int64
        Steps of a variable that hold points, ascending.
    points : (n,) int64
        How many points each holds.

    Returns
    -------
    (at most 11,) int64
        Steps that start a bin; none where there is one step or no point.
    """
    if len(steps) == 0:
        return steps
    levels = np.arange(1, BINS_OF_VARIABLE) / BINS_OF_VARIABLE
    place = np.searchsorted(np.cumsum(points), levels * points.sum(), side="right")
    edges = np.unique(steps[place])
    return np.asarray(edges[edges > steps[0]])
