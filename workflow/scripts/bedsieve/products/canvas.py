"""Points gathered on a grid of pixels, so that any number of them can be drawn.

Goes in: the tiles' points and ensembles. Comes out: for each pixel how many points it holds and the sums
that means and shares are made of. Datashader rasterises a slice of a tile at a time into the same grid, so
memory holds one slice and the grid, whatever the number of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.progress import Progress

SLICE = 2**21
MARGIN = 0.04
LEAST_ASPECT = 0.5
LEAST_SPAN = 100.0

Grid = NDArray[np.float64]
Tiles = Sequence[tuple[str | Path, str | Path]]


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


def bounds(tiles: Tiles) -> NDArray[np.float64] | None:
    """West, south, east and north end (m) of all points, from the tables' statistics; None without points."""
    ends = []
    for points, _ in tiles:
        frame = pl.scan_parquet(points).select(
            west=pl.col("east").min(),
            south=pl.col("north").min(),
            east=pl.col("east").max(),
            north=pl.col("north").max(),
        )
        ends.append(frame.collect().drop_nulls().to_numpy().reshape(-1, 4))
    every = np.concatenate(ends) if ends else np.empty((0, 4))
    if not len(every):
        return None
    return np.concatenate([every[:, :2].min(axis=0), every[:, 2:].max(axis=0)])


def fit_canvas(ends: NDArray[np.float64], pixels: int = 1000) -> Canvas:
    """A canvas around points, of pixels of a round size and at most `pixels` along its longer side.

    Parameters
    ----------
    ends : (4,) float64
        West, south, east and north end (m).
    pixels : int
    """
    span = ends[2:] - ends[:2]
    longer = max(float(span.max()), LEAST_SPAN) * (1 + 2 * MARGIN)
    sides = np.maximum(span * (1 + 2 * MARGIN), LEAST_ASPECT * longer)
    pixel = round_above(longer / pixels)
    width, height = np.ceil(sides / pixel - 1e-9).astype(int)
    corner = (ends[:2] + ends[2:]) / 2 - np.array([width, height]) * pixel / 2
    return Canvas(float(corner[0]), float(corner[1]), pixel, int(width), int(height))


def round_above(value: float) -> float:
    """The smallest of 1, 1.2, 1.5 … 8 times a power of ten that is not below `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return float(min(step * power for step in steps if step * power >= value * (1 - 1e-9)))


def rasterise(tiles: Tiles, canvas: Canvas, members: Sequence[str]) -> Grids:
    """Gather all points on a canvas.

    Parameters
    ----------
    tiles : sequence of (points, ensemble)
        Paths of each tile's points.parquet and ensemble.parquet, rows in the same order.
    canvas : Canvas
        Must hold all points.
    members : sequence of str
        The detectors of the ensemble.

    Raises
    ------
    BedsieveError
        If a tile's tables have different numbers of rows.
    """
    import datashader as ds

    scores = {member: f"score_{member}" for member in members} | {"ensemble": "score"}
    reductions = {
        "points": ds.count(),
        "thickness": ds.sum("ice_thickness"),
        "flagged": ds.sum("flag"),
    }
    for name, column in scores.items():
        reductions |= {f"sum {name}": ds.sum(column), f"n {name}": ds.count(column)}
    total = {name: np.zeros((canvas.height, canvas.width)) for name in reductions}
    tiles = sorted(tiles, key=lambda tile: str(tile[0]))
    progress = Progress("rasterising", sum(_rows(points) for points, _ in tiles))
    for frame in _slices(tiles, list(scores.values())):
        window, target = _window(canvas, frame)
        result = target.points(frame.to_pandas(), "east", "north", ds.summary(**reductions))
        for name, grid in total.items():
            grid[window] += np.nan_to_num(result[name].to_numpy().astype(np.float64))
        progress.advance(frame.height)
    return Grids(
        canvas,
        total["points"],
        total["thickness"],
        total["flagged"],
        {name: total[f"sum {name}"] for name in scores},
        {name: total[f"n {name}"] for name in scores},
    )


def _window(canvas: Canvas, frame: pl.DataFrame) -> tuple[tuple[slice, slice], Any]:
    """The part of the canvas that points fall on: a tile is small, and a whole canvas takes its time."""
    import datashader as ds

    def ends(values: pl.Series, origin: float, most: int) -> tuple[int, int]:
        low, high = (np.array([values.min(), values.max()]) - origin) / canvas.pixel
        return max(int(low) - 1, 0), min(int(high) + 2, most)

    left, right = ends(frame["east"], canvas.east, canvas.width)
    lower, upper = ends(frame["north"], canvas.north, canvas.height)
    west, south = canvas.east + left * canvas.pixel, canvas.north + lower * canvas.pixel
    width, height = right - left, upper - lower
    x_range = (west, west + width * canvas.pixel)
    y_range = (south, south + height * canvas.pixel)
    return (slice(lower, upper), slice(left, right)), ds.Canvas(width, height, x_range, y_range)


def _rows(path: str | Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _slices(tiles: Tiles, scores: Sequence[str]) -> Iterator[pl.DataFrame]:
    for points, ensemble in tiles:
        rows = _rows(points)
        if _rows(ensemble) != rows:
            raise BedsieveError(
                f"{ensemble}: does not hold the points of {points}. Delete it and run again."
            )
        place = pl.scan_parquet(points).select("east", "north", "ice_thickness")
        score = pl.scan_parquet(ensemble).select(
            pl.col(scores).cast(pl.Float32), pl.col("flag").cast(pl.Float32)
        )
        for start in range(0, rows, SLICE):
            part = place.slice(start, SLICE).collect()
            yield part.hstack(score.slice(start, SLICE).collect())
