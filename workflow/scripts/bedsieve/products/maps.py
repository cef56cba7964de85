"""The maps of a run: thickness with flagged points, scores, where they crowd, coverage, one a detector.

Goes in: the pixels of the tiles. Comes out: PNG files of at most 1 MB. Extent and pixel size follow
the data, from a glacier of 5 km to the continent; single tracks are drawn thicker so that they can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bedsieve.products.canvas import Grid, Grids, bounds, fit_canvas, rasterise
from bedsieve.products.cartography import (
    COVERAGE,
    FLAGGED,
    NONE,
    SCORE,
    THICKNESS,
    colour_bar,
    colours,
    draw_grid,
    graticule,
    key,
    map_axes,
    save,
    scale_bar,
    tile_outlines,
)
from bedsieve.tile_names import TILE_NAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 12
"""Side (px) of the cells in which the share of flagged points is taken."""


@dataclass(frozen=True)
class MapOptions:
    """What maps say beside the data: region, CRS, threshold of a flag and side of a tile (m)."""

    region: str
    crs: str
    threshold: float
    tile_size: float


def map_names(members: Sequence[str]) -> list[str]:
    """File names of the maps of an ensemble with these members."""
    fixed = ["thickness.png", "score.png", "score_density.png", "coverage.png"]
    return fixed + [f"detector_{member}.png" for member in members]


def write_maps(
    tiles: Sequence[str | Path], folder: str | Path, members: Sequence[str], options: MapOptions
) -> Grids | None:
    """Draw all maps.

    Parameters
    ----------
    tiles : sequence of path-like
        Each tile's pixels.parquet; the folder of a tile bears its name.
    folder : path-like
        Where the files named by `map_names` go.
    members : sequence of str
        The detectors of the ensemble.
    options : MapOptions

    Returns
    -------
    Grids or None
        What was drawn; None where there is no point at all, and the maps say so.
    """
    folder = Path(folder)
    ends = bounds(tiles)
    if ends is None:
        for name in map_names(members):
            save(_empty(name, options), folder / name)
        return None
    grids = rasterise(tiles, fit_canvas(ends), members)
    draw = _Atlas(grids, options, _tile_numbers(tiles))
    save(draw.thickness(), folder / "thickness.png")
    save(draw.score("ensemble", "Ensemble score"), folder / "score.png")
    save(draw.density(), folder / "score_density.png")
    save(draw.coverage(), folder / "coverage.png")
    for member in members:
        save(draw.score(member, f"Score of {member}"), folder / f"detector_{member}.png")
    return grids


def _tile_numbers(tiles: Sequence[str | Path]) -> list[tuple[int, int]]:
    found = (TILE_NAME.fullmatch(Path(pixels).parent.name) for pixels in tiles)
    return [(int(match[1]), int(match[2])) for match in found if match]


def _empty(name: str, options: MapOptions) -> Figure:
    canvas = fit_canvas(np.array([0.0, 0.0, 1000.0, 1000.0]))
    title = f"{options.region}: {Path(name).stem.replace('_', ' ')}"
    figure, axes = map_axes(canvas, title, "no points")
    axes.set_axis_off()
    axes.text(0.5, 0.5, "There is no point to draw.", transform=axes.transAxes, ha="center")
    return figure


def spread_radius(occupied: NDArray[np.bool_]) -> int:
    """By how many pixels to spread points so that a sparse picture can be seen.

    Parameters
    ----------
    occupied : (h, w) bool
        Pixels that hold a point. Below 1.5 % of them points are spread by 2 pixels, below 12 % by one.
    """
    share = float(occupied.mean())
    return 2 if share < 0.015 else 1 if share < 0.12 else 0


def disc(radius: int) -> NDArray[np.bool_]:
    """A filled disc, (2 r + 1, 2 r + 1)."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius + 1)


def spread_mean(total: Grid, count: Grid, radius: int) -> Grid:
    """Mean of all points within `radius` pixels; NaN where there are none.

    Parameters
    ----------
    total, count : (h, w) float64
        Sum and number of the values in each pixel.
    radius : int
    """
    from scipy.ndimage import convolve

    if radius:
        shape = disc(radius).astype(np.float64)
        total = convolve(total, shape, mode="constant")
        count = np.rint(convolve(count, shape, mode="constant"))
    mean: Grid = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def cell_share(part: Grid, whole: Grid, cell: int) -> Grid:
    """Share of the points in cells of `cell` × `cell` pixels, NaN in cells without any.

    Parameters
    ----------
    part, whole : (h, w) float64
        Number of points counted and of all points in each pixel.
    cell : int
    """
    height, width = whole.shape
    rows, columns = np.arange(height) // cell, np.arange(width) // cell

    def blocks(grid: Grid) -> Grid:
        by_row = np.add.reduceat(grid, np.arange(0, height, cell), axis=0)
        summed: Grid = np.add.reduceat(by_row, np.arange(0, width, cell), axis=1)
        return summed

    count = blocks(whole)
    share = np.divide(blocks(part), count, out=np.full(count.shape, np.nan), where=count > 0)
    full: Grid = share[np.ix_(rows, columns)]
    return full


class _Atlas:
    """Draws the maps of one run, all on the same canvas."""

    def __init__(self, grids: Grids, options: MapOptions, tiles: list[tuple[int, int]]) -> None:
        self.grids, self.options, self.tiles = grids, options, tiles
        self.radius = spread_radius(grids.points > 0)

    def thickness(self) -> Figure:
        grids = self.grids
        n, flagged = int(grids.points.sum()), int(grids.flagged.sum())
        share = f"{100 * flagged / n:.2g} %"
        figure, axes = self._map(
            "Ice thickness and flagged points",
            f"{n:,} points, {flagged:,} flagged ({share}), from a score of "
            f"{self.options.threshold:g} on",
        )
        mean = spread_mean(grids.thickness, grids.points, self.radius)
        top = float(np.nanpercentile(mean, 99.5))
        image = draw_grid(
            axes, grids.canvas, mean, cmap=colours(THICKNESS), vmin=0, vmax=top, zorder=2
        )
        colour_bar(figure, axes, image, "ice thickness (m)", extend="max")
        self._flagged(axes)
        key(figure, axes, "flagged", FLAGGED)
        return figure

    def score(self, name: str, title: str) -> Figure:
        from matplotlib.colors import PowerNorm

        grids = self.grids
        scored, points = int(grids.scored[name].sum()), int(grids.points.sum())
        figure, axes = self._map(
            title, f"mean of the points in a pixel; {scored:,} of {points:,} points have a score"
        )
        mean = spread_mean(grids.score_sum[name], grids.scored[name], self.radius)
        norm = PowerNorm(0.5, vmin=0, vmax=1)
        image = draw_grid(axes, grids.canvas, mean, cmap=colours(SCORE), norm=norm, zorder=2)
        colour_bar(figure, axes, image, "mean score", ticks=[0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1])
        return figure

    def density(self) -> Figure:
        from matplotlib.colors import LogNorm

        grids = self.grids
        side = CELL * grids.canvas.pixel
        size = f"{side / 1000:.3g} km" if side >= 1000 else f"{side:.0f} m"
        figure, axes = self._map(
            "Where flagged points crowd",
            f"share of the scored points that are flagged, in cells of {size}",
        )
        share = 100 * cell_share(grids.flagged, grids.scored["ensemble"], CELL)
        # On a logarithmic scale 0 would be drawn as missing.
        share = np.where(share == 0, 1e-9, share)
        colour = colours(SCORE).with_extremes(under=NONE)
        image = draw_grid(axes, grids.canvas, share, cmap=colour, norm=LogNorm(0.1, 100), zorder=2)
        bar = colour_bar(figure, axes, image, "share of points flagged")
        bar.set_ticks([0.1, 1, 10, 100], labels=["0.1 %", "1 %", "10 %", "100 %"])
        key(figure, axes, "none", NONE)
        return figure

    def coverage(self) -> Figure:
        from matplotlib.colors import LogNorm
        from scipy.ndimage import grey_dilation

        grids = self.grids
        pixel = grids.canvas.pixel
        size = f"{pixel / 1000:.3g} km" if pixel >= 1000 else f"{pixel:.3g} m"
        n = int(grids.points.sum())
        figure, axes = self._map("Coverage", f"{n:,} points; a pixel is {size} wide")
        points = grids.points
        if self.radius:
            points = grey_dilation(points, footprint=disc(self.radius), mode="constant")
        points = np.where(points > 0, points, np.nan)
        norm = LogNorm(1, max(float(np.nanmax(points)), 10.0))
        image = draw_grid(axes, grids.canvas, points, cmap=COVERAGE, norm=norm, zorder=2)
        bar = colour_bar(figure, axes, image, "points a pixel")
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        return figure

    def _map(self, title: str, subtitle: str) -> tuple[Figure, Axes]:
        canvas = self.grids.canvas
        figure, axes = map_axes(canvas, f"{self.options.region}: {title}", subtitle)
        tile_outlines(axes, self.tiles, self.options.tile_size)
        graticule(axes, canvas, self.options.crs)
        scale_bar(axes, canvas, self.grids.points > 0)
        west, east, south, north = (edge / 1000 for edge in canvas.extent)
        axes.set(xlim=(west, east), ylim=(south, north))
        return figure, axes

    def _flagged(self, axes: Axes) -> None:
        from matplotlib.colors import ListedColormap
        from scipy.ndimage import binary_dilation

        flagged = self.grids.flagged > 0
        # Few points get large marks on white; where there are many, marks must not hide the map.
        share = float(flagged.mean())
        marks = ((3, "white"), (2, FLAGGED)) if share < 0.001 else ((int(share < 0.01), FLAGGED),)
        for radius, shade in marks:
            grown = binary_dilation(flagged, disc(radius)) if radius else flagged
            layer = np.where(grown, 1.0, np.nan)
            draw_grid(axes, self.grids.canvas, layer, cmap=ListedColormap([shade]), zorder=3)
