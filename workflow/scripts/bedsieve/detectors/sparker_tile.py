"""SparKer on a tile alone: each survey's points there are fitted as if they were the survey.

In: a tile's points and the tables that residuals are made of, and the frozen reference. Out: the score
table. A usual run fits whole surveys; this is for the evaluation, whose errors lie in one tile. A survey
with few points there is fitted on few, so its rare errors are harder to see than in the whole survey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bedsieve.detectors import sparker_residuals as residuals
from bedsieve.detectors.sparker_jobs import survey_seed
from bedsieve.detectors.sparker_reference import load_reference, sample
from bedsieve.detectors.sparker_survey import (
    NO_KERNELS,
    ScorecardSettings,
    fit_sample,
    point_scores,
)
from bedsieve.files import write_parquet


def score_tile(
    points_path: str | Path,
    along_track_path: str | Path,
    segments_path: str | Path,
    crossovers_paths: Sequence[str | Path],
    model_dir: str | Path,
    out_path: str | Path,
    section: Mapping[str, Any],
    *,
    seed: int = 0,
) -> None:
    """Score a tile's points, survey by survey.

    Parameters
    ----------
    points_path, along_track_path, segments_path, crossovers_paths : path-like, the last several
        As `sparker_residuals.write_residuals` takes them.
    model_dir : path-like
        The frozen reference.
    out_path : path-like
        `sparker_survey.point_scores`, in the order of the points.
    section : mapping
        The configuration's `detectors.sparker`.
    seed : int
        The configuration's `models.seed`; a survey's sample and fit have their own, as in a usual run.

    Raises
    ------
    InputError
        If the reference is not trained or was changed since.
    """
    settings, reference = ScorecardSettings.from_config(section), load_reference(model_dir)
    table = residuals.residual_table(
        points_path, [along_track_path], segments_path, crossovers_paths
    )
    parts = []
    for number in table["survey_no"].unique().sort():
        own = table.filter(pl.col("survey_no") == number)
        its_seed = survey_seed(int(number), seed)
        drawn = sample(
            own,
            reference,
            inspected=settings.inspected,
            n_reference=settings.reference,
            seed=its_seed,
        )
        fitted = fit_sample(drawn, settings, its_seed)
        kernels = fitted.kernels[0] if fitted else NO_KERNELS
        X = residuals.matrix(own, residuals.standards(own))
        parts.append(point_scores(kernels, own["point_id"], X))
    scores = table.select("point_id").join(
        pl.concat(parts), on="point_id", how="left", maintain_order="left"
    )
    write_parquet(scores, out_path)
