"""What every map has around its data: axes in km, graticule, tile outlines, scale bar, colour bar, title.

Goes in: a canvas and what to call the map. Comes out: a figure whose map axes have one screen pixel a canvas
pixel, so that nothing is resampled. Colours are chosen to be told apart with any colour vision, on light grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from bedsieve.files import replacing
from bedsieve.products.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
BACKGROUND, INK, FAINT = "#eceef0", "#1f2933", "#aab4be"
FLAGGED, NONE = "#d1410c", "#d3e0ea"
THICKNESS = ["#c6dbef", "#6baed6", "#2171b5", "#08306b", "#020b1f"]
# Placed for a square-root scale: a score of 0.1 stays pale, 0.3 is amber, 0.5 orange, 0.7 red.
SCORE = [
    (0.0, "#bcc7d2"),
    (0.32, "#d8cdb8"),
    (0.55, "#e8ae5c"),
    (0.71, "#dd6e22"),
    (0.84, "#a8321a"),
    (1.0, "#4a0010"),
]
COVERAGE = "viridis"

_LEFT, _RIGHT, _BOTTOM, _TOP = 95, 150, 75, 85
_KEY = 52
"""Height (px) that a colour bar leaves free beside the map's foot, for the key."""
_LARGEST_PNG = 1_000_000


def colours(steps: Sequence[str] | Sequence[tuple[float, str]]) -> Any:
    """A colour map through the given colours, evenly spaced or each with its place from 0 to 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("", steps)


def map_axes(canvas: Canvas, title: str, subtitle: str) -> tuple[Figure, Axes]:
    """A figure with the axes of a map, in km."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    width = canvas.width + _LEFT + _RIGHT
    height = canvas.height + _BOTTOM + _TOP
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    place = (_LEFT / width, _BOTTOM / height, canvas.width / width, canvas.height / height)
    axes = figure.add_axes(place, facecolor=BACKGROUND)
    west, east, south, north = (edge / 1000 for edge in canvas.extent)
    axes.set(xlim=(west, east), ylim=(south, north), xlabel="easting (km)", ylabel="northing (km)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.label.set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.8)
    figure.text(place[0], 1 - 34 / height, title, size=14, weight="bold", color=INK)
    figure.text(place[0], 1 - 64 / height, subtitle, size=9.5, color="#52606d")
    return figure, axes


def draw_grid(axes: Axes, canvas: Canvas, grid: NDArray[Any], **options: Any) -> Any:
    """Draw a grid of the canvas, one screen pixel a value."""
    west, east, south, north = (edge / 1000 for edge in canvas.extent)
    extent = (west, east, south, north)
    return axes.imshow(
        grid, origin="lower", extent=extent, interpolation="nearest", aspect="equal", **options
    )


def colour_bar(figure: Figure, axes: Axes, image: Any, label: str, **options: Any) -> Any:
    """A colour bar to the right of the map, as high as the map up to a limit, and clear of the key."""
    box = axes.get_position()
    high = figure.get_figheight() * DPI
    height = min(box.height - _KEY / high, 560 / high)
    left = box.x1 + 22 / (figure.get_figwidth() * DPI)
    place = figure.add_axes((left, box.y1 - height, 16 / (figure.get_figwidth() * DPI), height))
    bar = figure.colorbar(image, cax=place, **options)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=9, length=3)
    bar.set_label(label, color=INK, size=10)
    return bar


def scale_bar(axes: Axes, canvas: Canvas, occupied: NDArray[np.bool_]) -> None:
    """A bar of a round length, in the lower corner that holds the fewer points."""
    from matplotlib.patches import Rectangle

    px = canvas.pixel / 1000
    length = round_below(canvas.width * px / 5)
    wide, high = round(length / px) + 44, 60
    left_hand = occupied[:high, :wide].sum() <= occupied[:high, -wide:].sum()
    west, east, south, _ = (edge / 1000 for edge in canvas.extent)
    left = west + 22 * px if left_hand else east - 22 * px - length
    bottom = south + 22 * px
    box = (left - 8 * px, bottom - 8 * px)
    white: dict[str, Any] = {"facecolor": "white", "alpha": 0.85, "linewidth": 0, "zorder": 8}
    axes.add_patch(Rectangle(box, length + 16 * px, 36 * px, **white))
    for k, shade in enumerate((INK, "white")):
        edge: dict[str, Any] = {"facecolor": shade, "edgecolor": INK, "linewidth": 0.8, "zorder": 9}
        axes.add_patch(Rectangle((left + k * length / 2, bottom), length / 2, 5 * px, **edge))
    text = f"{length:,g} km" if length >= 1 else f"{1000 * length:g} m"
    axes.text(left + length / 2, bottom + 8 * px, text, ha="center", size=8.5, color=INK, zorder=9)


def key(figure: Figure, axes: Axes, label: str, colour: str) -> None:
    """A dot and what it stands for, to the right of the map's foot."""
    from matplotlib.lines import Line2D

    mark = Line2D([], [], marker="o", linestyle="", color=colour, markersize=6)
    box = axes.get_position()
    place = (box.x1 + 10 / (figure.get_figwidth() * DPI), box.y0)
    figure.legend(
        [mark], [label], loc="lower left", bbox_to_anchor=place, frameon=False, fontsize=9.5
    )


def round_below(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step * power for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)))


def tile_outlines(axes: Axes, tiles: Iterable[tuple[int, int]], size: float) -> None:
    """Light outlines of tiles, given their numbers along east and north and their side (m)."""
    from matplotlib.patches import Rectangle

    side = size / 1000
    for x, y in tiles:
        outline = Rectangle((x * side, y * side), side, side, fill=False, edgecolor="white")
        outline.set(linewidth=1.2, zorder=1)
        axes.add_patch(outline)


def graticule(axes: Axes, canvas: Canvas, crs: str) -> None:
    """Meridians and parallels with their labels where they leave the map."""
    west, east, south, north = canvas.extent
    system = CRS.from_user_input(crs)
    to_degrees = Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    edge_x, edge_y = np.linspace(west, east, 60), np.linspace(south, north, 60)
    lon, lat = to_degrees.transform(*np.meshgrid(edge_x, edge_y))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return
    low, high = float(lat.min()), float(lat.max())
    pole = np.ptp(lon) > 300
    lat_step = degrees_step((high - low) / 4)
    lon_step = 30.0 if pole else degrees_step(float(np.ptp(lon)) / 4)
    first, last = (-180.0, 179.0) if pole else (float(lon.min()), float(lon.max()))
    back = Transformer.from_crs(system.geodetic_crs, system, always_xy=True)
    # A line is labelled at its last end; around a pole that must be the end away from it.
    ends = (high, low) if low + high > 0 else (low, high)
    for value in np.arange(np.ceil(first / lon_step), np.floor(last / lon_step) + 1) * lon_step:
        along = np.linspace(*ends, 400)
        _line(axes, canvas, back.transform(np.full(400, value), along), _degrees(value, "EW"))
    for value in np.arange(np.ceil(low / lat_step), np.floor(high / lat_step) + 1) * lat_step:
        around = np.linspace(first, 180.0 if pole else last, 721)
        _line(axes, canvas, back.transform(around, np.full(721, value)), _degrees(value, "NS"))


def degrees_step(span: float) -> float:
    """A round step in degrees near `span`."""
    steps = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30])
    return float(steps[np.abs(np.log(steps / span)).argmin()])


def _degrees(value: float, signs: str) -> str:
    value = round(value, 6)
    if abs(value) == 180 or value == 0:
        return f"{abs(value):g}°"
    return f"{abs(value):g}°{signs[0] if value > 0 else signs[1]}"


def _line(axes: Axes, canvas: Canvas, path: tuple[NDArray[Any], NDArray[Any]], label: str) -> None:
    west, east, south, north = canvas.extent
    x, y = (np.asarray(values) for values in path)
    margin = 26 * canvas.pixel
    inside = (x > west + margin) & (x < east - margin) & (y > south + margin) & (y < north - margin)
    axes.plot(x / 1000, y / 1000, color=FAINT, linewidth=0.6, zorder=1.5)
    if inside.any():
        at = int(np.flatnonzero(inside)[-1])
        axes.text(
            x[at] / 1000, y[at] / 1000, label, size=7.5, color="#66727f", ha="center", va="center",
            zorder=1.6, bbox={"facecolor": BACKGROUND, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip


def save(figure: Figure, out: str | Path) -> None:
    """Write a figure as PNG of at most 1 MB, with fewer colours where it would be larger."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    with replacing(out) as part:
        if buffer.tell() <= _LARGEST_PNG:
            part.write_bytes(buffer.getvalue())
        else:
            picture = Image.open(buffer).convert("RGB")
            picture.quantize(256, dither=Image.Dither.NONE).save(part, optimize=True)
