"""Points like Bedmap's at any size, for benchmarks and for a rehearsal of the whole of Bedmap.

In: a number of points and a seed, or lines of a `TrackPlan`. Out: points along flight lines, as arrays.
`scale_files` writes them survey by survey, so that no more than a part is ever in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedsieve.kernels import in_threads
from bedsieve.simulate.scale_kernels import fill_lines, terrain_waves
from bedsieve.simulate.scale_plan import TrackPlan, plan_tracks


def track_points(n: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Points along flight lines as arrays, survey by survey and line by line.

    Parameters
    ----------
    n : int
        Number of points.
    seed : int
        Seed of everything drawn.

    Returns
    -------
    dict of str to array (n,)
        ``east``, ``north`` (m, EPSG:3031), ``ice_thickness``, ``surface_alt`` (m), ``ith_bm`` (m,
        float32, a smoothed thickness), ``atd`` (m along the line), ``survey_no`` (uint32), ``row``
        (uint32), ``track_id`` (int32) and ``point_id`` (uint64).
    """
    plan = plan_tracks(n, seed=seed)
    points = fill(plan, 0, len(plan.points), seed)
    number = np.repeat(plan.survey, plan.points)
    counts = np.bincount(plan.survey, weights=plan.points).astype(np.int64)
    row = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    points["survey_no"] = (number + 1).astype(np.uint32)
    points["row"] = row.astype(np.uint32)
    points["track_id"] = np.repeat(plan.track_id, plan.points).astype(np.int32)
    points["point_id"] = (number + 1).astype(np.uint64) * np.uint64(2**32) + row.astype(np.uint64)
    return points


def fill(plan: TrackPlan, first: int, stop: int, seed: int) -> dict[str, NDArray[Any]]:
    """The points of the lines `first` to `stop` of a plan, as `track_points` gives them, without ids."""
    part = plan.lines(first, stop)
    offsets = np.concatenate([[0], np.cumsum(part.points)])
    n = int(offsets[-1])
    east, north, thickness, surface, along = np.empty((5, n))
    smooth = np.empty(n, np.float32)
    tracks = (part.x0, part.y0, part.heading, part.curvature, part.start, part.direction)
    flown = (part.lateral, part.spacing, part.bias, terrain_waves(seed))
    columns = (east, north, thickness, surface, smooth, along)
    in_threads(
        fill_lines, (first, seed, plan.radius, offsets, *tracks, *flown, *columns), stop - first
    )
    return {
        "east": east,
        "north": north,
        "ice_thickness": thickness,
        "surface_alt": surface,
        "ith_bm": smooth,
        "atd": along,
    }
