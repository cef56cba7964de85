"""Points gathered on a grid of pixels, so that any number of them can be drawn.

Goes in: the points of each tile with their scores. Comes out: for each tile a table of the pixels that hold
points, and for a picture of all tiles their sum. Pixels are powers of two of a metre wide, counted from the origin of
the map, so that those of a picture are whole blocks of a tile's: a survey makes only its own tiles be gathered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.products.bins import ENSEMBLE
from bedsieve.products.tile_points import score_column

PIXELS = 1500
"""Most pixels along the longer side of a picture, and of what a tile's points fill."""

MARGIN = 0.04
LEAST_ASPECT = 0.5
LEAST_SPAN = 100.0

Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Canvas:
    """A grid of square pixels over a region: lower left corner and pixel size (m), width and height (px)."""

    east: float
    north: float
    pixel: float
    width: int
    height: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge (m)."""
        return (
            self.east,
            self.east + self.width * self.pixel,
            self.north,
            self.north + self.height * self.pixel,
        )


@dataclass
class Grids:
    """What the pixels hold, rows from south to north.

    Attributes
    ----------
    points, thickness, flagged : (h, w) float64
        Number of points; sum of their ice thickness (m); number flagged.
    score_sum, scored : dict of str to (h, w) float64
        Sum of the scores and number of points scored, by detector; the ensemble's under ``ensemble``.
    """

    canvas: Canvas
    points: Grid
    thickness: Grid
    flagged: Grid
    score_sum: dict[str, Grid]
    scored: dict[str, Grid]


def tile_pixels(frame: pl.DataFrame, members: Sequence[str]) -> pl.DataFrame:
    """The pixels of a tile that hold points.

    Parameters
    ----------
    frame : DataFrame
        Of `tile_points.read_points`.
    members : sequence of str
        The detectors of the ensemble.

    Returns
    -------
    DataFrame
        A row a pixel: pixel (m, the same in each row), column, row (from the origin of the map), points, thickness_m
        (sum), flagged, and of each detector and the ensemble sum_{detector} and n_{detector} (points scored).
    """
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    span = max(float(np.ptp(east)), float(np.ptp(north))) if frame.height else 0.0
    pixel = 2.0 ** np.floor(np.log2(max(span, LEAST_SPAN) / PIXELS))
    column, row = (np.floor(values / pixel).astype(np.int64) for values in (east, north))
    keys, place = np.unique((row << 32) + (column + 2**31), return_inverse=True)

    def added(values: pl.Series | None = None) -> NDArray[np.float64]:
        weights = None if values is None else values.cast(pl.Float64).fill_null(0.0).to_numpy()
        return np.bincount(place, weights, len(keys)).astype(np.float64)

    table = {
        "pixel": np.full(len(keys), pixel),
        "column": ((keys & (2**32 - 1)) - 2**31).astype(np.int32),
        "row": (keys >> 32).astype(np.int32),
        "points": added(),
        "thickness_m": added(frame["ice_thickness"]),
        "flagged": added(frame["flag"]),
    }
    for name in (*members, ENSEMBLE):
        score = frame[score_column(name)]
        table |= {f"sum_{name}": added(score), f"n_{name}": added(score.is_not_null())}
    return pl.DataFrame(table)


def bounds(tiles: Sequence[str | Path]) -> NDArray[np.float64] | None:
    """West, south, east and north end (m) of the pixels in the tiles' pixels.parquet; None without any."""
    pixel = pl.col("pixel")
    ends = pl.concat(
        pl.scan_parquet(path).select(
            west=(pl.col("column") * pixel).min(),
            south=(pl.col("row") * pixel).min(),
            east=((pl.col("column") + 1) * pixel).max(),
            north=((pl.col("row") + 1) * pixel).max(),
        )
        for path in tiles
    )
    every = ends.collect().drop_nulls().to_numpy()
    if not len(every):
        return None
    return np.concatenate([every[:, :2].min(axis=0), every[:, 2:].max(axis=0)])


def fit_canvas(ends: NDArray[np.float64], pixels: int = PIXELS) -> Canvas:
    """A canvas around points, of pixels of a power of two of a metre and at most `pixels` along its longer side.

    Parameters
    ----------
    ends : (4,) float64
        West, south, east and north end (m).
    pixels : int
    """
    span = ends[2:] - ends[:2]
    longer = max(float(span.max()), LEAST_SPAN) * (1 + 2 * MARGIN)
    sides = np.maximum(span * (1 + 2 * MARGIN), LEAST_ASPECT * longer)
    # One pixel is kept for the corner, which is moved to a whole number of pixels.
    pixel = 2.0 ** np.ceil(np.log2(longer / (pixels - 1)))
    width, height = np.ceil(sides / pixel).astype(int) + 1
    corner = np.floor(((ends[:2] + ends[2:] - sides) / 2) / pixel) * pixel
    return Canvas(float(corner[0]), float(corner[1]), float(pixel), int(width), int(height))


def rasterise(tiles: Sequence[str | Path], canvas: Canvas, members: Sequence[str]) -> Grids:
    """Add the pixels of all tiles up on a canvas, one tile in memory at a time.

    Parameters
    ----------
    tiles : sequence of path-like
        Each tile's pixels.parquet, as `tile_pixels` gives it.
    canvas : Canvas
        Must hold all pixels, and its own be no smaller.
    members : sequence of str
        The detectors of the ensemble.
    """
    shape = canvas.height, canvas.width
    names = (*members, ENSEMBLE)
    sums = [f"{kind}_{name}" for kind in ("sum", "n") for name in names]
    total = {name: np.zeros(shape) for name in ("points", "thickness_m", "flagged", *sums)}
    for path in sorted(map(str, tiles)):
        frame = pl.read_parquet(path)
        # Both sizes are powers of two: the sum of a pixel's centre is exact.
        size = frame["pixel"].to_numpy()
        column = ((frame["column"].to_numpy() + 0.5) * size - canvas.east) // canvas.pixel
        row = ((frame["row"].to_numpy() + 0.5) * size - canvas.north) // canvas.pixel
        for name, grid in total.items():
            np.add.at(grid, (row.astype(np.int64), column.astype(np.int64)), frame[name].to_numpy())
    return Grids(
        canvas,
        total["points"],
        total["thickness_m"],
        total["flagged"],
        {name: total[f"sum_{name}"] for name in names},
        {name: total[f"n_{name}"] for name in names},
    )
