"""Study B's table of families, with how many points each carved.

In: a carving model and the score tables of tiles. Out: a row a family; counts add up over tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl


def families_table(model_dir: str | Path, score_paths: Sequence[str | Path]) -> pl.DataFrame:
    """The families of a model version and the points in their reach.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/carving``.
    score_paths : sequence of path-like
        Carving's score tables.

    Returns
    -------
    DataFrame
        fold, family, outliers, inliers_in_reach, purity, decision (``keep``, ``drop``), reach,
        outliers_unseen, inliers_unseen, purity_unseen, points_carved; by fold, then falling purity.
    """
    families = pl.read_parquet(Path(model_dir) / "families.parquet")
    parts = [
        pl.scan_parquet(path)
        .filter("carved")
        .group_by("fold", "family")
        .agg(points_carved=pl.len().cast(pl.Int64))
        .collect()
        for path in score_paths
    ]
    schema = {"fold": pl.String, "family": pl.Int16, "points_carved": pl.Int64}
    counts = pl.concat([pl.DataFrame(schema=schema), *parts]).group_by("fold", "family").sum()
    decision = pl.when("kept").then(pl.lit("keep")).otherwise(pl.lit("drop"))
    return (
        families.join(counts, on=["fold", "family"], how="left")
        .with_columns(decision.alias("decision"), pl.col("points_carved").fill_null(0))
        .sort(["fold", "purity", "family"], descending=[False, True, False])
        .select(
            *("fold", "family", "outliers", "inliers_in_reach", "purity", "decision", "reach"),
            *("outliers_unseen", "inliers_unseen", "purity_unseen", "points_carved"),
        )
    )
