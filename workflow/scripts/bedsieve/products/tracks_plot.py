"""The profile figure: thickness along the worst track sections, with flagged points marked and the reason.

Goes in: sections of tracks. Comes out: a PNG with a panel each, thickness growing downwards as in a radargram.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bedsieve.products.cartography import BACKGROUND, FAINT, FLAGGED, INK, save
from bedsieve.products.track_sections import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = "#2171b5"


def draw_sections(sections: Sequence[Section], region: str, out: str | Path) -> None:
    """Draw track sections, two a row.

    Parameters
    ----------
    sections : sequence of Section
        The worst first; none at all gives a figure that says so.
    region : str
        What the figure is of.
    out : path-like
        The PNG to write, at most 1 MB.
    """
    from matplotlib.figure import Figure

    rows = max((len(sections) + 1) // 2, 1)
    height = 1.1 + 2.75 * rows
    figure = Figure(figsize=(11.5, height), dpi=120, facecolor="white")
    title = f"{region}: the track sections that stand out most"
    figure.text(0.065, 1 - 0.36 / height, title, size=14, weight="bold", color=INK)
    if not sections:
        figure.text(0.065, 0.4, "No point is flagged.", size=11, color=INK)
        save(figure, out)
        return
    grid = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(
        left=0.065,
        right=0.985,
        top=1 - 1.15 / height,
        bottom=0.55 / height,
        wspace=0.16,
        hspace=0.62,
    )
    for place, axes in enumerate(grid.flat):
        if place < len(sections):
            _panel(axes, sections[place])
        else:
            axes.set_axis_off()
    save(figure, out)


def _panel(axes: Axes, section: Section) -> None:
    km = section.distance / 1000
    far = km.max() >= 2 if len(km) else False
    x, unit = (km, "km") if far else (section.distance, "m")
    axes.plot(x, section.ice_thickness, color="#9ecae1", linewidth=0.8, zorder=1)
    good = ~section.flagged
    axes.scatter(x[good], section.ice_thickness[good], s=5, color=LINE, linewidth=0, zorder=2)
    bad = section.flagged
    axes.scatter(
        x[bad], section.ice_thickness[bad], s=20, color=FLAGGED, edgecolor="white", linewidth=0.4,
        zorder=3,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set_facecolor(BACKGROUND)
    axes.grid(color="white", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_xlabel(f"distance along the track ({unit})", size=8.5, color=INK, labelpad=2)
    axes.set_ylabel("ice thickness (m)", size=8.5, color=INK)
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.6)
    span = f"rows {section.first_row + 1} to {section.last_row + 1}"
    if section.first_row == section.last_row:
        span = f"row {section.first_row + 1}"
    survey = textwrap.shorten(section.survey, 40, placeholder="…")
    head = f"{survey}, track {section.track_id}, {span}: {int(bad.sum())} flagged"
    reason = textwrap.shorten(section.reason, 90, placeholder=" …")
    axes.text(0, 1.17, head, transform=axes.transAxes, size=8.5, weight="bold", color=INK)
    axes.text(0, 1.05, reason, transform=axes.transAxes, size=7.3, color="#52606d")
