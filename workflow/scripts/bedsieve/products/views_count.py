"""What the views of the scores are made of.

In: the tallies of all tiles. Out: points counted by detector, region, pseudo-label and logit of their score; by
bin of each variable; by difference from a reference grid. Which region a point lies in depends on the labels of
all tiles, so it stands in no tally: a tile whose points all lie in one region counts as its tally says, and
only the few that the border cuts are read point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.products.bins import (
    ABOVE,
    BANDS,
    DIFFERENCE_BINS,
    ENSEMBLE,
    LABELS,
    LOGIT_BINS,
    VARIABLES,
    edge_of,
)
from bedsieve.products.tallies import SCHEMAS, added, count_scores, read_tallies
from bedsieve.products.tile_points import TileFiles, read_points
from bedsieve.products.views_regions import bin_edges, region_of, two_centres

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """Counts of all points.

    Attributes
    ----------
    detectors : list of str
        The members, then the ensemble.
    centres : (k, 2) float64
        Centres of the regions (m).
    logits : (d, 2, 3, LOGIT_BINS) int64
        Points by detector, region, label and bin of the logit of their score.
    above : (d, 2, 3, 3) int64
        Points that score at least 0.5, 0.7 and 0.9.
    edges : dict of str to (b - 1,) float64
        Inner edges of the bins of each variable.
    rates : dict of str to (b, 4) int64
        Points, flagged points, labelled points and outlier labels in each bin.
    differences : (d, bands, DIFFERENCE_BINS) int64
        Points by detector, band of score and bin of the difference from the reference grid.
    """

    detectors: list[str]
    centres: Floats
    logits: Counts
    above: Counts
    edges: dict[str, Floats]
    rates: dict[str, Counts]
    differences: Counts


def count_views(
    tallies: Sequence[str | Path], tiles: Sequence[TileFiles], members: Sequence[str]
) -> Views:
    """Add up the tallies of all tiles.

    Parameters
    ----------
    tallies, tiles : sequence of path-like, of TileFiles
        The tallies of each tile, and what it was counted from.
    members : sequence of str
        The detectors of the ensemble.

    Raises
    ------
    BedsieveError
        If a tile's tables do not hold the same points.
    """
    detectors = [*members, ENSEMBLE]
    pairs = sorted(zip(tallies, tiles, strict=True), key=lambda pair: str(pair[0]))
    wanted = ("scores", "differences", "variables", "outliers", "corners")
    counted = [read_tallies(path, wanted) for path, _ in pairs]
    outliers = [pl.DataFrame(schema=SCHEMAS["outliers"]), *(each["outliers"] for each in counted)]
    centres = two_centres(pl.concat(outliers).to_numpy())
    regions: list[list[pl.DataFrame]] = [[], []]
    for (_, tile), each in zip(pairs, counted, strict=True):
        sides = np.unique(region_of(centres, each["corners"].to_numpy()))
        if len(sides) > 1:
            print(f"The border of the regions cuts {tile.points}: counting it point by point.")
            frame = read_points(tile, members)
            side = region_of(centres, frame.select("east", "north").to_numpy())
            for r, region in enumerate(regions):
                region.append(count_scores(frame.filter(pl.Series(side == r)), detectors))
        for r in sides if len(sides) == 1 else ():
            regions[r].append(each["scores"])
    scores = [added(region, "scores") for region in regions]
    edges, rates = _rates(added([each["variables"] for each in counted], "variables"))
    differences = added([each["differences"] for each in counted], "differences")
    shape = len(detectors), len(BANDS) - 1, DIFFERENCE_BINS
    return Views(
        detectors,
        centres,
        np.stack([_logits(table, detectors) for table in scores], axis=1),
        np.stack([_above(table, detectors) for table in scores], axis=1),
        edges,
        rates,
        _dense(differences, shape, detectors, ("band", "difference")),
    )


def _dense(
    table: pl.DataFrame, shape: tuple[int, ...], detectors: Sequence[str], axes: Sequence[str]
) -> Counts:
    """The points of a table as an array by detector and `axes`."""
    counts = np.zeros(shape, np.int64)
    number = table["detector"].replace_strict(
        {name: d for d, name in enumerate(detectors)}, return_dtype=pl.Int64
    )
    places = (number.to_numpy(), *(table[axis].to_numpy() for axis in axes))
    np.add.at(counts, places, table["points"].to_numpy())
    return counts


def _logits(scores: pl.DataFrame, detectors: Sequence[str]) -> Counts:
    shape = len(detectors), len(LABELS), LOGIT_BINS
    return _dense(scores, shape, detectors, ("label", "logit"))


def _above(scores: pl.DataFrame, detectors: Sequence[str]) -> Counts:
    shape = len(detectors), len(LABELS), len(BANDS) - 1
    bands = _dense(scores, shape, detectors, ("label", "band"))
    return np.stack([bands[..., BANDS.index(level) :].sum(axis=-1) for level in ABOVE], axis=-1)


def _rates(variables: pl.DataFrame) -> tuple[dict[str, Floats], dict[str, Counts]]:
    """Inner edges of the bins of each variable that varies, and what is counted in each bin."""
    edges, rates = {}, {}
    for name in VARIABLES:
        part = variables.filter(variable=name)
        steps = part["step"].to_numpy()
        inner = bin_edges(steps, part["points"].to_numpy())
        if len(inner):
            counts = part.select("points", "flagged", "labelled", "outlier_labels").to_numpy()
            bins = np.zeros((len(inner) + 1, 4), np.int64)
            np.add.at(bins, np.searchsorted(inner, steps, side="right"), counts)
            edges[name], rates[name] = edge_of(name, inner), bins
    return edges, rates
