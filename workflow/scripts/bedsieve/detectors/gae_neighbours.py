"""How a point stands among its nearest neighbours, which says who is clean and how steep it is.

In: positions, thicknesses and the neighbour table of a tile. Out: for each core point how far its
thickness is from the median of its neighbours, how far they are, and the median slope towards them.
All in float64 from the points themselves, so that a tile's border changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from bedsieve.kernels import in_threads

Floats = npt.NDArray[np.float64]

_LEAST_DISTANCE = 1.0  # m, as in the edge table's gradient


class Surroundings(NamedTuple):
    """A point among its neighbours, one number a point.

    Attributes
    ----------
    difference : float64 ndarray (n,)
        |H − median H of the neighbours|, m; NaN without neighbours.
    distance : float64 ndarray (n,)
        Mean distance to the neighbours, m; infinite without any.
    gradient : float64 ndarray (n,)
        Median of |ΔH| / max(d, 1 m) over the neighbours; 0 without any.
    """

    difference: Floats
    distance: Floats
    gradient: Floats


def surroundings(points: pl.DataFrame, neighbour: npt.NDArray[np.int32], n: int) -> Surroundings:
    """How the first n points stand among their neighbours.

    Parameters
    ----------
    points : polars.DataFrame
        east, north, ice_thickness (m) of all that may be neighbours.
    neighbour : int32 ndarray (rows, k)
        Rows of `points`; -1 for an empty slot.
    n : int

    Notes
    -----
    Study B, seed 000: "abs_diff = |ice_thickness − median(neighbours)|"; its gradient is taken from
    design methods.md section 4, gae.
    """
    east, north, thickness = (points[c].to_numpy() for c in ("east", "north", "ice_thickness"))
    found = Surroundings(np.empty(n), np.empty(n), np.empty(n))
    in_threads(_surroundings, (east, north, thickness, neighbour[:n], *found), n)
    return found


@njit(cache=True, nogil=True)
def _surroundings(  # type: ignore[no-untyped-def]
    east, north, thickness, neighbour, difference, distance, gradient, first, last
):
    k = neighbour.shape[1]
    others, slopes = np.empty(k), np.empty(k)
    for i in range(first, last):
        count, total = 0, 0.0
        for s in range(k):
            j = neighbour[i, s]
            if j < 0:
                continue
            d = np.hypot(east[j] - east[i], north[j] - north[i])
            others[count] = thickness[j]
            slopes[count] = abs(thickness[j] - thickness[i]) / max(d, _LEAST_DISTANCE)
            total += d
            count += 1
        if count == 0:
            difference[i], distance[i], gradient[i] = np.nan, np.inf, 0.0
            continue
        difference[i] = abs(thickness[i] - np.median(others[:count]))
        distance[i] = total / count
        gradient[i] = np.median(slopes[:count])
