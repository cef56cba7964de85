"""A map of a sign of trouble with the points of the highest scores upon it.

In: signs and scores of points. Out: a PNG, with sparse points spread as on the other maps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bedsieve.evaluation.lift import TOP, Signs
from bedsieve.products.bins import ENSEMBLE
from bedsieve.products.canvas import fit_canvas
from bedsieve.products.cartography import (
    FLAGGED,
    THICKNESS,
    colour_bar,
    colours,
    draw_grid,
    key,
    map_axes,
    save,
    scale_bar,
)
from bedsieve.products.maps import spread_mean, spread_radius

_PIXELS = 700
_HIGH = 0.98
"""Quantile of the sign at which the colours end."""


def draw_lift(points: Signs, sign: str, region: str, out: str | Path) -> None:
    """Draw the mean of a sign by pixel, and the highest hundredth of the ensemble's scores.

    Parameters
    ----------
    points : Signs
        At least one point.
    sign : str
        Which of its signs.
    region : str
        What the run is of.
    out : path-like
        PNG to write.
    """
    east, north, value = points.east, points.north, points.signs[sign]
    ends = np.array([east.min(), north.min(), east.max(), north.max()])
    canvas = fit_canvas(ends, _PIXELS)
    column = ((east - canvas.east) / canvas.pixel).astype(np.int64)
    row = ((north - canvas.north) / canvas.pixel).astype(np.int64)
    place = row * canvas.width + column
    known = np.isfinite(value)
    size = canvas.width * canvas.height
    count = np.bincount(place[known], minlength=size).astype(np.float64)
    total = np.bincount(place[known], value[known], minlength=size).astype(np.float64)
    shape = (canvas.height, canvas.width)
    occupied = count.reshape(shape) > 0
    grid = spread_mean(total.reshape(shape), count.reshape(shape), spread_radius(occupied))
    high = float(np.quantile(value[known], _HIGH)) if known.any() else 1.0
    figure, axes = map_axes(
        canvas, f"{region}: {sign}", "and the highest hundredth of the ensemble's scores"
    )
    image = draw_grid(axes, canvas, grid, cmap=colours(THICKNESS), vmin=0, vmax=max(high, 1.0))
    colour_bar(figure, axes, image, f"{sign} (m)", extend="max")
    score = points.scores[ENSEMBLE]
    scored = np.flatnonzero(np.isfinite(score))
    top = scored[np.argsort(-score[scored], kind="stable")[: max(1, round(TOP * len(scored)))]]
    axes.scatter(
        east[top] / 1000, north[top] / 1000, s=9, facecolor="none", edgecolor=FLAGGED, linewidth=0.7
    )
    key(figure, axes, "top 1 %", FLAGGED)
    scale_bar(axes, canvas, occupied)
    save(figure, out)
