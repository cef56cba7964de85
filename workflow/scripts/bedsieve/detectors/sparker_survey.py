"""A survey's scorecard: does it hold what the reference does not, how sure is that, where and what?

In: a survey's residuals, and the frozen reference. Out, in three steps that are jobs of their own:
a sample with its pool, toys in batches, and the fit with its verdict, its kernels and a score a
point. All randomness comes from the seed and the survey's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bedsieve.detectors import sparker_residuals as residuals
from bedsieve.detectors.sparker_describe import describe
from bedsieve.detectors.sparker_fit import Fits, SparkerSettings, first_width
from bedsieve.detectors.sparker_kernels import Floats, Kernels
from bedsieve.detectors.sparker_reference import Sample, load_reference, sample
from bedsieve.detectors.sparker_test import inspect, toys, verdict
from bedsieve.errors import BedsieveError
from bedsieve.files import write_json, write_parquet

SHORT_TRACK, FEW_POINTS = "short_track", "few_points"
NO_KERNELS = Kernels(np.empty(0), np.empty((0, len(residuals.FEATURES))), 1.0)


@dataclass(frozen=True)
class ScorecardSettings:
    """The configuration's section `detectors.sparker`.

    Parameters
    ----------
    inspected, reference : int
        Points of a survey, and of the reference, that a fit sees.
    toys, batches : int
        Toys of a survey, and the jobs that share them.
    fit : SparkerSettings
    """

    inspected: int
    reference: int
    toys: int
    batches: int
    fit: SparkerSettings

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> ScorecardSettings:
        """From the configuration's section."""
        own = {name: section[name] for name in ("inspected", "reference", "toys", "batches")}
        rest = {name: value for name, value in section.items() if name not in own}
        return cls(**own, fit=SparkerSettings(**rest))


def write_sample(
    residual_paths: Sequence[str | Path],
    model_dir: str | Path,
    out_path: str | Path,
    *,
    survey_no: int,
    settings: ScorecardSettings,
    seed: int,
) -> None:
    """Draw the survey's sample and pool: point_id, inspected (else of the pool) and the features."""
    drawn = sample(
        residuals.of_survey(residual_paths, survey_no),
        load_reference(model_dir),
        inspected=settings.inspected,
        n_reference=settings.reference,
        seed=seed,
    )
    X = np.concatenate([drawn.data, drawn.pool])
    table = pl.DataFrame(
        {
            "point_id": np.concatenate([drawn.data_ids, drawn.pool_ids]),
            "inspected": np.arange(len(X)) < len(drawn.data),
            **{name: X[:, at] for at, name in enumerate(residuals.FEATURES)},
        }
    )
    write_parquet(table, out_path)


def read_sample(path: str | Path) -> Sample:
    """Read what `write_sample` wrote."""
    table = pl.read_parquet(path)
    parts = []
    for part in (table.filter("inspected"), table.filter(~pl.col("inspected"))):
        parts.append((part.select(residuals.FEATURES).to_numpy(), part["point_id"].to_numpy()))
    (data, data_ids), (pool, pool_ids) = parts
    return Sample(data, pool, data_ids, pool_ids)


def write_toys(
    sample_path: str | Path,
    out_path: str | Path,
    *,
    batch: int,
    settings: ScorecardSettings,
    seed: int,
) -> None:
    """Make the toys of a batch: every `batches`-th, from number `batch` on. One row a toy.

    Of a survey on which no kernel can be fitted t is NaN.
    """
    drawn = read_sample(sample_path)
    numbers = range(batch, settings.toys, settings.batches)
    t = np.full((len(numbers), settings.fit.checkpoints), np.nan)
    if drawn.suffices(settings.fit.kernels):
        t = toys(
            drawn.pool,
            len(drawn.data),
            len(drawn.reference),
            _first_width(drawn.pool),
            settings.fit,
            seed=seed,
            numbers=numbers,
        )
    columns = {f"t_{mark}": t[:, mark] for mark in range(t.shape[1])}
    write_parquet(pl.DataFrame({"toy": list(numbers), **columns}), out_path)


def write_scorecard(
    sample_path: str | Path,
    toy_paths: Sequence[str | Path],
    residual_paths: Sequence[str | Path],
    *,
    card_path: str | Path,
    kernels_path: str | Path,
    scores_path: str | Path,
    survey: str,
    survey_no: int,
    tile_size: float,
    settings: ScorecardSettings,
    seed: int,
) -> None:
    """Fit the survey, compare it with its toys, and say where and what its surplus is.

    Parameters
    ----------
    sample_path, toy_paths, residual_paths : path-like, or sequences of them
    card_path : path-like
        JSON: survey, survey_no, points, judged, inspected, reference, toys, p_value and excess (null
        where no kernel was fitted: see `point_scores`), surplus_share.
    kernels_path : path-like
        A row a kernel: `describe`.
    scores_path : path-like
        A row a point: `point_scores`.

    Raises
    ------
    BedsieveError
        If the toys are not those of the sample.
    """
    drawn = read_sample(sample_path)
    made = pl.concat(pl.read_parquet(path) for path in toy_paths).sort("toy")
    if made["toy"].to_list() != list(range(settings.toys)):
        raise BedsieveError(f"{toy_paths[0]}: not all of {settings.toys} toys are there.")
    fitted = fit_sample(drawn, settings, seed)
    told = verdict(fitted.t[0], made.drop("toy").to_numpy()) if fitted else None
    kernels = fitted.kernels[0] if fitted else NO_KERNELS
    table = residuals.of_survey(residual_paths, survey_no)
    standard = residuals.standards(table)
    X = residuals.matrix(table, standard)
    found = describe(kernels, drawn.data, drawn.reference, table, X, standard, tile_size)
    write_parquet(found.insert_column(0, pl.lit(survey).alias("survey")), kernels_path)
    write_parquet(point_scores(kernels, table["point_id"], X), scores_path)
    card = {
        "survey": survey,
        "survey_no": survey_no,
        "points": table.height,
        "judged": int(np.isfinite(X[:, 0]).sum()),
        "inspected": len(drawn.data),
        "reference": len(drawn.reference),
        "toys": settings.toys,
        "p_value": told and told.p_value,
        "excess": told and told.excess,
        "surplus_share": float(found["surplus_share"].clip(0).sum()),
    }
    write_json(card, card_path)


def fit_sample(drawn: Sample, settings: ScorecardSettings, seed: int) -> Fits | None:
    """Fit the inspected points against the reference; None where they do not suffice."""
    if not drawn.suffices(settings.fit.kernels):
        return None
    return inspect(drawn.data, drawn.reference, _first_width(drawn.pool), settings.fit, seed)


def _first_width(pool: Floats) -> float:
    """First width; where (next to) no seed is beyond the usual, a unit of the logarithmic scale."""
    return first_width(pool, alike=1.0)


def point_scores(kernels: Kernels, point_id: pl.Series, X: Floats) -> pl.DataFrame:
    """Score points with features X (n, 3).

    Returns
    -------
    DataFrame
        point_id; score = max(f, 0) (f32; at most 1, as amplitudes are); code where it is NaN:
        ``short_track`` (no residual along the track) or ``few_points`` (no kernel was fitted: fewer
        points to inspect than kernels, or no seed like the survey); feature (null where the score is 0).
    """
    if kernels.amplitude.size == 0:
        return pl.DataFrame({"point_id": point_id}).with_columns(
            score=pl.lit(float("nan"), pl.Float32),
            code=pl.lit(FEW_POINTS),
            feature=pl.lit(None, pl.String),
        )
    missing = np.isnan(X[:, 0])
    terms = kernels.terms(np.nan_to_num(X))
    score = np.where(missing, np.nan, np.clip(terms.sum(axis=1), 0, 1))
    named = [residuals.FEATURES[i] for i in np.abs(kernels.centre).argmax(axis=1)]
    feature = np.array(named)[terms.argmax(axis=1)]
    return pl.DataFrame(
        {
            "point_id": point_id,
            "score": pl.Series(score, dtype=pl.Float32),
            "missing": missing,
            "feature": feature,
        }
    ).select(
        "point_id",
        "score",
        code=pl.when("missing").then(pl.lit(SHORT_TRACK)),
        feature=pl.when(pl.col("score") > 0).then("feature"),
    )
