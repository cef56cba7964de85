"""The table of survey scorecards, with what testing many surveys at once costs.

In: one scorecard and one table of kernels a survey. Out: a row a survey, and a row a kernel. With
hundreds of surveys some small p-values are chance: beside each stands its false-discovery rate, by
Benjamini and Hochberg, and by Benjamini and Yekutieli, whose form holds however the surveys depend
on one another (they share a reference).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

COLUMNS = [
    "survey", "points", "judged", "inspected", "reference", "toys", "p_value", "fdr_bh", "fdr_by",
    "excess", "surplus_share", "feature", "tile", "east", "north",
]  # fmt: skip


def scorecards(card_paths: Sequence[str | Path], kernels: pl.DataFrame) -> pl.DataFrame:
    """One row a survey, the most suspicious first.

    Parameters
    ----------
    card_paths : sequence of path-like
        `sparker_survey.write_scorecard`'s JSON files.
    kernels : DataFrame
        Their tables of kernels, one below the other.

    Returns
    -------
    DataFrame
        `COLUMNS`: fdr_bh and fdr_by are adjusted p-values; feature, tile, east and north (m) are
        those of the kernel with the largest surplus, null where a fit has none. Surveys that are too
        small for a p-value come last.
    """
    from scipy.stats import false_discovery_control

    rows = [json.loads(Path(path).read_text()) for path in card_paths]
    cards = pl.DataFrame(rows, infer_schema_length=None)
    told = cards["p_value"].is_not_null()
    p = cards["p_value"].filter(told).cast(pl.Float64).to_numpy()
    adjusted = cards.filter(told).select(
        "survey",
        fdr_bh=np.asarray(false_discovery_control(p, method="bh") if p.size else p),
        fdr_by=np.asarray(false_discovery_control(p, method="by") if p.size else p),
    )
    strongest = kernels.sort("surplus_share", descending=True).unique("survey", keep="first")
    return (
        cards.join(adjusted, "survey", "left")
        .join(strongest.select("survey", "feature", "tile", "east", "north"), "survey", "left")
        .sort(["p_value", "excess"], descending=[False, True], nulls_last=True)
        .select(COLUMNS)
    )
