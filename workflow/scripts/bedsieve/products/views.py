"""The study's own views of its results, on any data: tables and pictures.

In: the tiles' tallies, points, ensembles and pseudo-labels. Out: logit histograms, ROC and confusion with the
pseudo-labels in two regions, counts above 0.5, 0.7 and 0.9, flagged share by variable and, where a reference
grid is configured, the differences from it (Study B, seed 000; the grid is never an input of a detector).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bedsieve.files import replacing
from bedsieve.products import views_plots as plots
from bedsieve.products import views_tables as tables
from bedsieve.products.cartography import save
from bedsieve.products.tile_points import TileFiles
from bedsieve.products.views_count import count_views

TABLES = {
    "confusion": tables.confusion,
    "counts": tables.counts_above,
    "logits": tables.logit_histograms,
    "rates": tables.rates,
    "reference": tables.reference,
}
PLOTS = {
    "counts": (plots.draw_counts, "points above 0.5, 0.7 and 0.9"),
    "logits": (plots.draw_logits, "scores as logits"),
    "roc": (plots.draw_roc, "scores against pseudo-labels"),
    "confusion": (plots.draw_confusion, "confusion with pseudo-labels"),
    "rates": (plots.draw_rates, "where points are flagged"),
    "reference": (plots.draw_reference, "difference from the reference grid"),
}


def write_views(
    tallies: Sequence[str | Path],
    tiles: Sequence[TileFiles],
    members: Sequence[str],
    region: str,
    out: Sequence[str | Path],
) -> None:
    """Write tables and pictures.

    Parameters
    ----------
    tallies, tiles : sequence of path-like, of TileFiles
        The tallies of each tile, and what it was counted from.
    members : sequence of str
        The detectors of the ensemble.
    region : str
        What the run is of.
    out : sequence of path-like
        Files to write; the stem of the name says which view, the suffix (.tsv or .png) whether its table or
        its picture.
    """
    views = count_views(tallies, tiles, members)
    for path in map(Path, out):
        if path.suffix == ".tsv":
            _write_table(TABLES[path.stem](views), path)
        else:
            draw, title = PLOTS[path.stem]
            save(draw(views, f"{region}: {title}"), path)


def _write_table(table: pl.DataFrame, path: Path) -> None:
    with replacing(path) as part:
        table.with_columns(pl.selectors.float().round_sig_figs(6)).write_csv(part, separator="\t")
