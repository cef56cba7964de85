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
from bedsieve.detectors.sparker_fit import Rows, SparkerSettings, first_width
from bedsieve.detectors.sparker_kernels import Floats, Kernels
from bedsieve.detectors.sparker_reference import Sample, load_reference, sample
from bedsieve.detectors.sparker_test import inspect, toys, verdict
from bedsieve.errors import BedsieveError
from bedsieve.files import write_json, write_parquet
from bedsieve.tile_names import tile_name

SHORT_TRACK = "short_track"
_LIVE = 0.05  # amplitude from which a kernel counts
_REACH = 2.0  # widths within which a point belongs to its nearest kernel


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
    """Make the toys of a batch: every `batches`-th, from number `batch` on. One row a toy."""
    drawn = read_sample(sample_path)
    numbers = range(batch, settings.toys, settings.batches)
    t = toys(
        drawn.pool,
        len(drawn.data),
        len(drawn.pool) - len(drawn.data),
        _width(drawn.pool),
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
        JSON: survey, survey_no, points, judged, inspected, reference, toys, p_value, excess,
        surplus_share.
    kernels_path : path-like
        A row a kernel: `describe`.
    scores_path : path-like
        A row a point: point_id, score = max(f, 0) (f32; at most 1, as amplitudes are; NaN with code
        ``short_track`` where there is no residual along the track), code, feature (null where the
        score is 0).

    Raises
    ------
    BedsieveError
        If the toys are not those of the sample.
    """
    drawn = read_sample(sample_path)
    made = pl.concat(pl.read_parquet(path) for path in toy_paths).sort("toy")
    if made["toy"].to_list() != list(range(settings.toys)):
        raise BedsieveError(f"{toy_paths[0]}: not all of {settings.toys} toys are there.")
    reference = drawn.pool[: len(drawn.pool) - len(drawn.data)]
    fitted = inspect(drawn.data, reference, _width(drawn.pool), settings.fit, seed)
    told = verdict(fitted.t[0], made.drop("toy").to_numpy())
    kernels = fitted.kernels[0]
    table = residuals.of_survey(residual_paths, survey_no)
    standard = residuals.standards(table)
    X = residuals.matrix(table, standard)
    found = describe(kernels, drawn.data, reference, table, X, standard, tile_size)
    write_parquet(found.insert_column(0, pl.lit(survey).alias("survey")), kernels_path)
    write_parquet(_scores(kernels, table["point_id"], X), scores_path)
    card = {
        "survey": survey,
        "survey_no": survey_no,
        "points": table.height,
        "judged": int(np.isfinite(X[:, 0]).sum()),
        "inspected": len(drawn.data),
        "reference": len(reference),
        "toys": settings.toys,
        "p_value": told.p_value,
        "excess": told.excess,
        "surplus_share": float(found["surplus_share"].clip(0).sum()),
    }
    write_json(card, card_path)


def describe(
    kernels: Kernels,
    data: Floats,
    reference: Floats,
    table: pl.DataFrame,
    X: Floats,
    standard: Mapping[str, tuple[float, float]],
    tile_size: float,
) -> pl.DataFrame:
    """What each kernel that counts stands for.

    Returns
    -------
    DataFrame
        kernel; amplitude; track, neighbour (in standard errors) and crossing (m) at its centre, as
        in the residuals' table; feature (the one farthest from the usual); surplus_share (share of
        the inspected points within its reach, less that of the reference); points (of the survey
        within reach); tile (where most of them lie), east, north (their median there, m). The
        largest surplus first.
    """
    live = np.flatnonzero(np.abs(kernels.amplitude) > _LIVE)
    mine = _nearest(kernels, live, np.nan_to_num(X))
    mine[np.isnan(X[:, 0])] = -1
    shares = [
        np.bincount(own[own >= 0], minlength=len(kernels.amplitude)) / len(own)
        for own in (_nearest(kernels, live, part) for part in (data, reference))
    ]
    rows = []
    for number in live:
        centre = kernels.centre[number]
        inside = table.filter(pl.Series(mine == number))
        rows.append(
            {
                "kernel": int(number),
                "amplitude": float(kernels.amplitude[number]),
                **residuals.back(centre, standard),
                "feature": residuals.FEATURES[int(np.abs(centre).argmax())],
                "surplus_share": float(shares[0][number] - shares[1][number]),
                "points": inside.height,
                **_place(inside, tile_size),
            }
        )
    schema = {
        "kernel": pl.Int64, "amplitude": pl.Float64,
        **dict.fromkeys(residuals.FEATURES, pl.Float64),
        "feature": pl.String, "surplus_share": pl.Float64, "points": pl.Int64,
        "tile": pl.String, "east": pl.Float64, "north": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema).sort("surplus_share", descending=True)


def _width(pool: Floats) -> float:
    """First width; where no seed is beyond the usual, a unit of the logarithmic scale."""
    return first_width(pool) if (pool != pool[0]).any() else 1.0


def _nearest(kernels: Kernels, live: Rows, X: Floats) -> Rows:
    """The counting kernel that is nearest to each point, -1 where none is within reach."""
    if live.size == 0:
        return np.full(len(X), -1)
    squared = np.stack([((X - kernels.centre[number]) ** 2).sum(axis=1) for number in live])
    within = squared.min(axis=0) <= (_REACH * kernels.width) ** 2
    return np.where(within, live[squared.argmin(axis=0)], -1)


def _place(inside: pl.DataFrame, tile_size: float) -> dict[str, Any]:
    if inside.height == 0:
        return {"tile": None, "east": None, "north": None}
    index = inside.select(
        ix=(pl.col("east") / tile_size).floor().cast(pl.Int64),
        iy=(pl.col("north") / tile_size).floor().cast(pl.Int64),
    )
    ix, iy, _ = index.group_by("ix", "iy").len().sort("len", "ix", "iy", descending=True).row(0)
    there = inside.filter((index["ix"] == ix) & (index["iy"] == iy))
    east, north = there.select(pl.col("east").median(), pl.col("north").median()).row(0)
    return {"tile": tile_name(ix, iy), "east": east, "north": north}


def _scores(kernels: Kernels, point_id: pl.Series, X: Floats) -> pl.DataFrame:
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
