"""Cross-track evidence of a tile: what the lines of all surveys say about each point of every other.

In: a tile's points, and the halo around them. Out: per point the thickness that other lines lead to
expect, its standard deviation and their number. It is made by tile, since only a tile sees all surveys of
a place; the detector reads it along the tracks of the tile and of its window (`segments_tile`). The same
point gets the same numbers in whatever tile it lies.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from bedsieve.detectors.segments_kriging import REACH, expected_from_other_lines
from bedsieve.detectors.segments_nodes import make_nodes
from bedsieve.graph.lines import line_of

_COLUMNS = ["point_id", "survey_no", "track_id", "east", "north", "ice_thickness"]


def cross_track_table(
    points: pl.DataFrame, halo: pl.DataFrame, *, reach: float = REACH
) -> pl.DataFrame:
    """What other lines say about each point.

    Parameters
    ----------
    points, halo : DataFrame
        Points to judge, and others that help to; with the columns of a tile's points.
    reach : float
        How far (m) a point of another line may be.

    Returns
    -------
    DataFrame
        point_id, in the order of `points`; expected_m and sigma_m (f32, null where no other line is
        within reach): thickness expected from other lines and its standard deviation; lines (i16):
        their number.
    """
    both = pl.concat([points.select(_COLUMNS), halo.select(_COLUMNS)])
    east, north = both["east"].to_numpy(), both["north"].to_numpy()
    line = line_of(both["survey_no"].to_numpy(), both["track_id"].to_numpy())
    nodes = make_nodes(east, north, both["ice_thickness"].to_numpy(), line)
    core = points.height
    wanted = np.zeros(len(nodes.east), bool)
    wanted[nodes.of_point[:core]] = True
    expected, sigma, lines = expected_from_other_lines(
        east[:core], north[:core], nodes, wanted, reach
    )
    return pl.DataFrame(
        {
            "point_id": points["point_id"],
            "expected_m": pl.Series(expected, dtype=pl.Float32, nan_to_null=True),
            "sigma_m": pl.Series(sigma, dtype=pl.Float32, nan_to_null=True),
            "lines": lines,
        }
    )
