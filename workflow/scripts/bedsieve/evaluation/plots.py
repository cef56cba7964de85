"""The evaluation as two pictures: how good each detector is, and which kinds of error it finds.

In: the tables of `table.evaluation_table`. Out: PNG files for the report.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bedsieve.evaluation.table import ALL
from bedsieve.files import replacing
from bedsieve.simulate.error_mix import KINDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "ensemble": "#1b4f72",
    "member": "#2e86c1",
    "beside": "#76b5a0",
    "ablation": "#aab7b8",
    "baseline": "#e59866",
}
"""Colour of a detector's role."""


def draw_precision(figures: pl.DataFrame, out: str | Path) -> None:
    """Average precision over all kinds, a bar a detector with its interval, the best on top."""
    from matplotlib.figure import Figure

    table = figures.filter(pl.col("kind") == ALL, pl.col("average_precision").is_not_null())
    table = table.sort("average_precision")
    figure = Figure(figsize=(7.5, 1.2 + 0.3 * table.height), layout="constrained")
    axes = figure.subplots()
    value = table["average_precision"].to_numpy()
    low, high = (
        table[f"average_precision_{end}"].fill_null(table["average_precision"]).to_numpy()
        for end in ("low", "high")
    )
    error = np.maximum([value - low, high - value], 0.0)
    colours = [COLOURS[role] for role in table["role"]]
    axes.barh(table["detector"].to_list(), value, xerr=error, color=colours, ecolor="#444")
    axes.set_xlim(0, 1)
    axes.set_xlabel("average precision (95 % interval over tracks)")
    handles = [axes.barh([0], [0], color=colour, label=role) for role, colour in COLOURS.items()]
    axes.legend(handles=handles, loc="lower right", frameon=False)
    _save(figure, out)


def draw_kinds(figures: pl.DataFrame, out: str | Path) -> None:
    """Event recall by detector and kind of error, when no more points are flagged than are bad."""
    from matplotlib.figure import Figure

    table = figures.filter(pl.col("role") != "ablation")
    ranked = table.filter(kind=ALL).sort("event_recall", descending=True, nulls_last=True)
    detectors = ranked["detector"].to_list()
    kinds = [*KINDS, ALL]
    known = {
        (row[0], row[1]): row[2] for row in table.select("detector", "kind", "event_recall").rows()
    }
    grid = np.array([[known.get((d, k)) for k in kinds] for d in detectors], dtype=float)
    figure = Figure(figsize=(8.0, 1.4 + 0.32 * len(detectors)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], rotation=30)
    axes.set_yticks(range(len(detectors)), detectors)
    for (row, column), value in np.ndenumerate(grid):
        text = "–" if np.isnan(value) else f"{value:.2f}"
        colour = "white" if value > 0.6 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_title("Share of events found, as many points flagged as are bad", fontsize=10)
    _save(figure, out)


def _save(figure: Figure, out: str | Path) -> None:
    with replacing(out) as part:
        figure.savefig(part, format="png", dpi=130)
