"""How well each detector tells the pseudo-labels apart, region by region.

In: the tiles' points, ensembles and pseudo-labels. Out: a table, a row a detector and region, with AUC and average
precision, their intervals over tracks, and the precision at chosen recalls. The regions are the two halves of the
outlier labels (Study B, seed 000, section A.3.1: its network is trained on one and judged on the other). Detectors that
learn from labels score a point by a model that never saw its region, so for them the table is cross-region.
Pseudo-labels are not the truth: see `evaluation.label_truth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.evaluation.baselines import line_of
from bedsieve.evaluation.metrics import (
    Ranking,
    TrackBootstrap,
    area_under_roc,
    average_precision,
)
from bedsieve.products.bins import ENSEMBLE
from bedsieve.products.tile_points import TileFiles
from bedsieve.products.views_regions import region_of, two_centres
from bedsieve.products.views_tables import REGIONS
from bedsieve.progress import Progress

RECALLS = (0.25, 0.5, 0.75, 0.9)
"""Recalls at which the precision is told."""
ALL = "all"


@dataclass(frozen=True)
class Labelled:
    """The labelled points.

    Attributes
    ----------
    scores : dict of str to (n,) float64
        By detector, the ensemble last; NaN where there is none.
    outlier : (n,) bool
    line : (n,) int64
        Track of each point, unique over surveys.
    region : (n,) int64
        0 for A, 1 for B.
    """

    scores: dict[str, npt.NDArray[np.float64]]
    outlier: npt.NDArray[np.bool_]
    line: npt.NDArray[np.int64]
    region: npt.NDArray[np.int64]


def read_labelled(tiles: Sequence[TileFiles], members: Sequence[str]) -> Labelled:
    """Read the labelled points of all tiles; what has no label is not kept.

    Parameters
    ----------
    tiles : sequence of TileFiles
        Rows of points and ensembles are in the same order.
    members : sequence of str
        The detectors of the ensemble.
    """
    columns = {**{member: f"score_{member}" for member in members}, ENSEMBLE: "score"}
    parts = []
    progress = Progress("labelled points", len(tiles), "tiles")
    for tile in sorted(tiles, key=lambda tile: str(tile.points)):
        places = ["point_id", "survey_no", "track_id", "east", "north"]
        points = pl.read_parquet(tile.points, columns=places)
        scores = pl.read_parquet(tile.ensemble, columns=list(columns.values()))
        labels = pl.read_parquet(tile.labels, columns=["point_id", "label"]).drop_nulls("label")
        parts.append(points.hstack(scores).join(labels, on="point_id", maintain_order="left"))
        progress.advance(1)
    every = pl.concat(parts)
    outlier = every["label"].to_numpy() == 1
    where = every.select("east", "north").to_numpy()
    return Labelled(
        {
            name: every[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for name, column in columns.items()
        },
        outlier,
        line_of(every),
        region_of(two_centres(where[outlier]), where),
    )


def label_figures(labelled: Labelled, *, replicates: int = 200, seed: int = 0) -> pl.DataFrame:
    """AUC, average precision and precision at chosen recalls of each detector.

    Parameters
    ----------
    labelled : Labelled
    replicates, seed : int
        Of the bootstrap over tracks.

    Returns
    -------
    DataFrame
        detector, region (A, B, all), inliers, outliers (numbers of labels), share (of outliers, which is the
        average precision of a blind guess), auc, auc_low, auc_high, average_precision, …_low, …_high (95 %
        intervals), precision_25 … precision_90: precision where that share of the outliers is found. Null
        where a region lacks labels of one kind. A point without a score ranks last.
    """
    rows: list[dict[str, Any]] = []
    progress = Progress("Labels", len(labelled.scores), "detectors")
    for detector, score in labelled.scores.items():
        for number, region in enumerate((*REGIONS, ALL)):
            chosen = np.ones(len(score), bool) if region == ALL else labelled.region == number
            rows.append(
                {"detector": detector, "region": region}
                | _figures(
                    score[chosen],
                    labelled.outlier[chosen],
                    TrackBootstrap(labelled.line[chosen], replicates, seed),
                )
            )
        progress.advance(1)
    return pl.DataFrame(rows, infer_schema_length=None)


def _figures(
    score: npt.NDArray[np.float64], outlier: npt.NDArray[np.bool_], bootstrap: TrackBootstrap
) -> dict[str, Any]:
    bad, labelled = int(outlier.sum()), len(outlier)
    ranking = Ranking(score, outlier)
    figures: dict[str, Any] = {
        "inliers": labelled - bad,
        "outliers": bad,
        "share": bad / labelled if labelled else None,
    }
    for name, figure in (("auc", area_under_roc), ("average_precision", average_precision)):
        found = bootstrap.interval(partial(figure, ranking))
        values = (found.value, found.low, found.high) if 0 < bad < labelled else [np.nan] * 3
        figures |= {
            f"{name}{end}": float(value) if np.isfinite(value) else None
            for end, value in zip(("", "_low", "_high"), values, strict=True)
        }
    return figures | {
        f"precision_{round(100 * wanted)}": _precision_at(ranking, wanted) for wanted in RECALLS
    }


def _precision_at(ranking: Ranking, wanted: float) -> float | None:
    """Precision at the highest threshold that finds the wanted share of the bad points."""
    hits, flagged = ranking.counts()
    if hits.size == 0 or hits[-1] <= 0:
        return None
    at = int(np.searchsorted(hits, wanted * hits[-1] - 1e-9))
    return float(hits[at] / flagged[at])
