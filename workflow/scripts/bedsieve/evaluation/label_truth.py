"""How right the pseudo-labels are where the truth is known: by region and by kind of error.

In: the labels and points of a finished run on simulated surveys, and what was wrong with each row. Out: a table, a
row a region and kind. ``python -m bedsieve.evaluation.label_truth results/demo`` prints it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from bedsieve.detectors.gnn_folds import find_folds
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.errors import BedsieveError, InputError

GOOD = "good"
COLUMNS = ["region", "kind", "points", "inliers", "outliers"]


def label_truth(points: pl.DataFrame, labels: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Count labels against the truth.

    Parameters
    ----------
    points : DataFrame
        point_id, survey_no, east, north of all points.
    labels : DataFrame
        point_id, label (0 inlier, 1 outlier, null where double hits disagree).
    truth : DataFrame
        point_id, kind (of error; null where the point is right).

    Returns
    -------
    DataFrame
        region (``A``, ``B``: the two that study B's models are trained on, cut by k-means of the outlier
        labels, or ``all``), kind (``good`` or of error), points, inliers, outliers (numbers).
    """
    outliers = points.join(labels.filter(pl.col("label") == 1), on="point_id", how="semi")
    folds = find_folds(outliers, GnnSettings(), seed=0)
    regions = [folds.name(region) for region in folds.region_of(points)]
    known = (
        points.select("point_id", region=pl.Series(regions, dtype=pl.String))
        .join(labels.select("point_id", "label"), on="point_id", how="left")
        .join(truth.select("point_id", "kind"), on="point_id", how="left")
        .with_columns(pl.col("kind").fill_null(GOOD))
    )
    both = pl.concat([known, known.with_columns(region=pl.lit("all"))])
    return (
        both.group_by("region", "kind")
        .agg(
            points=pl.len(),
            inliers=(pl.col("label") == 0).sum(),
            outliers=(pl.col("label") == 1).sum(),
        )
        .select(COLUMNS)
        .sort(pl.col("region") != "all", "region", pl.col("kind") != GOOD, "kind")
    )


def summary(table: pl.DataFrame) -> pl.DataFrame:
    """Shares by region: labels, bad ones among all points and among inliers, precision of outliers."""
    bad = pl.col("kind") != GOOD
    return table.group_by("region", maintain_order=True).agg(
        inliers=pl.col("inliers").sum(),
        outliers=pl.col("outliers").sum(),
        bad_share=pl.col("points").filter(bad).sum() / pl.col("points").sum(),
        bad_share_of_inliers=pl.col("inliers").filter(bad).sum() / pl.col("inliers").sum(),
        outlier_precision=pl.col("outliers").filter(bad).sum() / pl.col("outliers").sum(),
    )


def truth_of_run(results: Path) -> pl.DataFrame:
    """What is wrong with each point of a finished run on simulated surveys.

    Returns
    -------
    DataFrame
        point_id and the columns of the truth, kind (of error; null where the point is right) among them.

    Raises
    ------
    InputError
        If the run has no truth.
    """
    truth = results / "simulate" / "truth.parquet"
    if not truth.exists():
        raise InputError(truth, "is missing: only simulated surveys have a truth", "Run the demo")
    rows = pl.concat(
        pl.read_parquet(path, columns=["point_id", "survey", "row"])
        for path in sorted((results / "surveys").glob("*.parquet"))
        if not path.name.endswith(".dropped.parquet")
    )
    return rows.join(pl.read_parquet(truth), on=["survey", "row"])


def of_run(results: Path) -> pl.DataFrame:
    """The table of a finished run on simulated surveys.

    Raises
    ------
    InputError
        If the run has no truth or no labels.
    """
    truth, tiles = truth_of_run(results), results / "tiles"
    if not list(tiles.glob("*/labels.parquet")):
        raise InputError(tiles, "holds no labels", "Run the workflow to its end")
    return label_truth(
        pl.read_parquet(
            tiles / "*" / "points.parquet", columns=["point_id", "survey_no", "east", "north"]
        ),
        pl.read_parquet(tiles / "*" / "labels.parquet", columns=["point_id", "label"]),
        truth,
    )


def main(arguments: list[str]) -> int:
    """Print both tables; returns the exit status."""
    if len(arguments) != 1:
        print("Name the results folder: results/demo, say.", file=sys.stderr)
        return 2
    try:
        table = of_run(Path(arguments[0]))
    except BedsieveError as error:
        print(f"bedsieve: {error}", file=sys.stderr)
        return 1
    with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        print(table)
        print(summary(table))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
