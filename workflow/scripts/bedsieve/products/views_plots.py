"""The views of the scores as pictures.

In: the counts of `views_count` and their tables. Out: figures with a panel each detector, region or variable, in
the colours of the maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bedsieve.products.bins import ABOVE, ENSEMBLE, VARIABLES
from bedsieve.products.cartography import BACKGROUND, DPI, FAINT, FLAGGED, INK
from bedsieve.products.views_count import Views
from bedsieve.products.views_tables import (
    REGIONS,
    confusion,
    counts_above,
    logit_histograms,
    rates,
    reference,
    roc,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREY = "#2171b5", "#8795a1"
LEAST_LABELLED = 0.1
"""Of the mean number of labelled points in a bin: below it their share of outliers is not drawn."""
LABEL_COLOURS = {"none": GREY, "inlier": BLUE, "outlier": FLAGGED}
LABEL_WORDS = {"none": "no label", "inlier": "inlier label", "outlier": "outlier label"}
NAMES = {
    "ice_thickness": "ice thickness",
    "bed_elev": "bed elevation",
    "z": "surface elevation",
    "s": "surface slope",
    "v": "ice speed",
    "smb": "surface mass balance",
    "temp": "air temperature",
    "year": "year",
}


def _panels(
    title: str, n: int, columns: int = 3, height: float = 2.9, width: float = 3.85
) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(columns, max(n, 1))
    rows = max(-(-n // columns), 1)
    inches = 0.9 + height * rows
    figure = Figure(figsize=(max(width * columns, 7.7), inches), dpi=DPI, facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.09, right=0.98, top=1 - 0.95 / inches, bottom=0.55 / inches, wspace=0.3, hspace=0.55
    )
    figure.text(0.02, 1 - 0.38 / inches, title, size=14, weight="bold", color=INK)
    axes = list(grid.flat)
    for spare in axes[n:]:
        spare.set_axis_off()
    for one in axes[:n]:
        one.set_facecolor(BACKGROUND)
        one.grid(color="white", linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(colors=INK, labelsize=8)
        for spine in one.spines.values():
            spine.set(color=FAINT, linewidth=0.6)
    return figure, axes[:n]


def _head(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    axes.set_title(title, size=9, weight="bold", color=INK, loc="left")
    axes.set_xlabel(x, size=8.5, color=INK)
    axes.set_ylabel(y, size=8.5, color=INK)


def _nothing(title: str, words: str) -> Figure:
    figure, (axes,) = _panels(title, 1)
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", transform=axes.transAxes, color=INK)
    return figure


def draw_logits(views: Views, title: str) -> Figure:
    """Logit histograms of each detector, by label, each label's points being 1 in all."""
    table = logit_histograms(views)
    figure, panels = _panels(title, len(views.detectors))
    for axes, detector in zip(panels, views.detectors, strict=True):
        for label, colour in LABEL_COLOURS.items():
            part = table.filter(detector=detector, label=label).group_by("logit").agg(
                pl.col("points").sum()
            ).sort("logit")  # fmt: skip
            if part.height:
                share = part["points"] / part["points"].sum()
                axes.step(
                    part["logit"] + 0.1, share, where="mid", color=colour, label=LABEL_WORDS[label]
                )
        for threshold in ABOVE:
            axes.axvline(np.log(threshold / (1 - threshold)), color=FAINT, linewidth=0.8, ls=":")
        axes.set_yscale("log")
        _head(axes, detector, "logit of the score", "share of the points")
    panels[0].legend(fontsize=7.5, frameon=False)
    return figure


def draw_roc(views: Views, title: str) -> Figure:
    """ROC against the pseudo-labels, a panel a region."""
    both = [r for r in range(len(views.centres)) if views.logits[:, r, :2].sum(axis=(0, 2)).all()]
    if not both:
        return _nothing(title, "There are no pseudo-labels of both kinds.")
    table = confusion(views)
    figure, panels = _panels(title, len(both), columns=2, height=3.9)
    colours = _detector_colours(views.detectors)
    for axes, r in zip(panels, both, strict=True):
        for d, detector in enumerate(views.detectors):
            area = table.filter(detector=detector, region=REGIONS[r])["auc"][0]
            name = f"{detector} {area:.3f}" if area is not None else detector
            axes.plot(*roc(*views.logits[d, r, :2]), label=name, **colours[detector])
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
        labels = views.logits[-1, r, :2].sum(axis=1)
        head = f"region {REGIONS[r]}: {labels[1]:,} outliers, {labels[0]:,} inliers"
        _head(axes, head, "false-positive rate", "recall")
        axes.legend(fontsize=7.5, frameon=False, title="area under the curve", title_fontsize=7.5)
    return figure


def draw_confusion(views: Views, title: str) -> Figure:
    """Confusion matrices at 0.5, a row a region, a column a detector."""
    table = confusion(views).filter(threshold=ABOVE[0])
    regions = table["region"].unique(maintain_order=True).to_list()
    if not regions:
        return _nothing(title, "There are no pseudo-labels of both kinds.")
    n = len(views.detectors)
    figure, panels = _panels(title, n * len(regions), columns=n, height=2.6, width=2.5)
    places = ((region, detector) for region in regions for detector in views.detectors)
    for axes, (region, detector) in zip(panels, places, strict=True):
        row = table.filter(detector=detector, region=region).row(0, named=True)
        counts = np.array(
            [
                [row["true_positive"], row["false_negative"]],
                [row["false_positive"], row["true_negative"]],
            ]
        )
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
        axes.grid(visible=False)
        for (y, x), count in np.ndenumerate(counts):
            text = f"{count:,}\n{100 * share[y, x]:.1f} %"
            axes.text(x, y, text, ha="center", va="center", size=8, color=INK)
        axes.set_xticks([0, 1], [f"≥ {ABOVE[0]:g}", "below"])
        axes.set_yticks([0, 1], ["outlier", "inlier"], rotation=90, va="center")
        _head(axes, f"{detector}, {region}")
    return figure


def draw_counts(views: Views, title: str) -> Figure:
    """How many points score at least 0.5, 0.7 and 0.9."""
    table = counts_above(views).filter(region="all")
    most = int(table["points"].to_numpy().max())
    figure, panels = _panels(title, len(ABOVE), height=1.3 + 0.28 * len(views.detectors))
    for axes, threshold in zip(panels, ABOVE, strict=True):
        part = table.filter(at_least=threshold)
        colour = [FLAGGED if name == ENSEMBLE else BLUE for name in part["detector"]]
        points = part["points"].to_numpy()
        axes.barh(part["detector"].to_list(), np.maximum(points, 0.8), color=colour, height=0.65)
        axes.set_xscale("log")
        axes.set_xlim(0.8, 12 * max(most, 10))
        for y, count in enumerate(points):
            axes.text(max(count, 0.8) * 1.15, y, f"{count:,}", va="center", size=8, color=INK)
        axes.invert_yaxis()
        _head(axes, f"score ≥ {threshold:g}", "points")
    return figure


def draw_reference(views: Views, title: str) -> Figure:
    """Difference from the reference grid by score: median and 90th percentile, a panel a detector."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    table = reference(views).filter(pl.col("points") > 0)
    figure, panels = _panels(title, len(views.detectors))
    for axes, detector in zip(panels, views.detectors, strict=True):
        part = table.filter(detector=detector)
        names = [f"{a:g}–{b:g}" for a, b in part.select("from", "to").iter_rows()]
        axes.plot(names, part["p90"], color=FLAGGED, marker="o", markersize=3, label="90 % below")
        axes.plot(names, part["median"], color=BLUE, marker="o", markersize=3, label="median")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize=6.5)
        _head(axes, detector, "score", "|thickness − grid| (m)")
    panels[0].legend(fontsize=7.5, frameon=False)
    return figure


def draw_rates(views: Views, title: str) -> Figure:
    """Share of flagged points and of outlier labels by bin of each variable."""
    table = rates(views)
    names = list(views.edges)
    if not names:
        return _nothing(title, "No variable varies.")
    figure, panels = _panels(title, len(names))
    for axes, name in zip(panels, names, strict=True):
        part = table.filter(variable=name)
        mean = float(part["labelled"].to_numpy().mean())
        for column, colour, words in (
            ("share_flagged", FLAGGED, "flagged, of all points"),
            ("share_outlier", BLUE, "outlier labels, of the labelled"),
        ):
            percent = 100 * part[column].cast(pl.Float64)
            if column == "share_outlier":
                percent = percent.set(part["labelled"] < LEAST_LABELLED * mean, None)
            axes.plot(
                list(range(part.height)),
                percent,
                color=colour,
                marker="o",
                markersize=3,
                label=words,
            )
        unit, _ = VARIABLES[name]
        _head(axes, NAMES[name], NAMES[name] + (f" ({unit})" if unit else ""), "%")
        axes.set_ylim(bottom=0)
        shown = range(1, part.height, 3)
        axes.set_xticks([k - 0.5 for k in shown], [_number(part["from"][k]) for k in shown])
    panels[0].legend(fontsize=7.5, frameon=False)
    return figure


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _detector_colours(detectors: list[str]) -> dict[str, dict[str, Any]]:
    from matplotlib import colormaps

    shades = colormaps["tab10"]
    styles: dict[str, dict[str, Any]] = {
        name: {"color": shades(k % 10), "linewidth": 1.2} for k, name in enumerate(detectors)
    }
    styles[ENSEMBLE] = {"color": INK, "linewidth": 2.2}
    return styles
