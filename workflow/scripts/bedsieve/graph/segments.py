"""Track segments: the pieces between consecutive points of a line, from points in any order.

In: line, place along it and positions. Out: two arrays of rows, the start and the end of each
segment. The rows of a tile are sorted in space, so the order along a line comes from track_seq.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def track_segments(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    line: NDArray[np.int64],
    track_seq: NDArray[np.uint32],
    max_gap: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Join each point to the next of its line, unless that is more than `max_gap` away.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Projected positions, m.
    line : ndarray of int64, shape (n,)
        survey_no * 2**32 + track_id.
    track_seq : ndarray of uint32, shape (n,)
        Order of the points along their line.
    max_gap : float
        Length of the longest segment, m, inclusive. A longer one is a gap in the data.

    Returns
    -------
    start, end : ndarray of int32, shape (segments,)
        Rows of the two ends, by line and along it.

    Notes
    -----
    Of points that follow each other at the same place the first stands for all: a segment has a
    direction. A segment is only true where no point between its ends is missing from the input. For a tile and
    its halo that holds wherever a segment can cross inside the tile, because a line that leaves the
    halo and comes back does so at its outer border; only a line with a hole wider than the halo
    from which it returns to within `max_gap` of where it left would gain a segment.
    """
    order = np.lexsort((track_seq, line)).astype(np.int32)
    start, end = order[:-1], order[1:]
    moved = np.ones(order.size, bool)
    moved[1:] = (
        (line[start] != line[end]) | (east[start] != east[end]) | (north[start] != north[end])
    )
    order = order[moved]
    start, end = order[:-1], order[1:]
    length = np.hypot(east[end] - east[start], north[end] - north[start])
    joined = (line[start] == line[end]) & (length <= max_gap)
    return start[joined], end[joined]
