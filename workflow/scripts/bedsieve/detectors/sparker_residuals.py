"""What SparKer looks at on Bedmap: how far a point is from its track, from other tracks, at crossings.

In: tables that stand already (points, along-track and segments scores, crossovers, labels). Out: one
row a point of the tile with three residuals, each over the noise expected of it, and whether the
point is an inlier seed. Raw thickness and physics are left out on purpose: inlier seeds of elsewhere
are not exchangeable with a survey in them, and every survey would stand out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.detectors.sparker_kernels import Floats
from bedsieve.files import write_parquet

FEATURES = ("track", "neighbour", "crossing")
SCHEMA = {
    "point_id": pl.UInt64, "survey_no": pl.UInt32, "east": pl.Float64, "north": pl.Float64,
    **dict.fromkeys(FEATURES, pl.Float32), "noise_m": pl.Float32, "seed": pl.Boolean,
}  # fmt: skip
"""Of `write_residuals`."""
USUAL = 4.0
"""Residuals up to so many standard deviations are one place, 0 (ours): how noise is shaped within them
differs between surveys (where lines are sparse, say), and is no error."""
_QUARTILES_OF_NORMAL = 1.349


def write_residuals(
    points_path: str | Path,
    along_track_paths: Sequence[str | Path],
    segments_path: str | Path,
    crossovers_paths: Sequence[str | Path],
    labels_path: str | Path,
    out_path: str | Path,
) -> None:
    """Write the residuals of a tile's points.

    Parameters
    ----------
    points_path, segments_path, labels_path : path-like
        The tile's artefacts.
    crossovers_paths : sequence of path-like
        All crossovers of the tile's points: those that it owns, and those beyond it.
    along_track_paths : sequence of path-like
        Scores of the surveys with points in the tile.
    out_path : path-like
        In the order of the points: point_id, survey_no, east, north (m), track (residual along the
        track over the noise of its steps), neighbour (residual against other tracks over its standard
        error), crossing (m; median mis-tie, this point's thickness minus the other's; null where no
        track is met), noise_m (m, of the track's steps), seed (inlier pseudo-label). Null where there
        is nothing to compare with.
    """
    labels = pl.scan_parquet(labels_path).select("point_id", seed=pl.col("label") == 0)
    table = residual_table(points_path, along_track_paths, segments_path, crossovers_paths)
    seeds = table.lazy().join(labels, on="point_id", how="left", maintain_order="left")
    write_parquet(seeds.with_columns(pl.col("seed").fill_null(False)).collect(), out_path)


def residual_table(
    points_path: str | Path,
    along_track_paths: Sequence[str | Path],
    segments_path: str | Path,
    crossovers_paths: Sequence[str | Path],
) -> pl.DataFrame:
    """What `write_residuals` writes, without the seeds."""
    points = pl.scan_parquet(points_path).select("point_id", "survey_no", "east", "north")
    segments = pl.scan_parquet(segments_path).select(
        "point_id",
        neighbour=pl.col("residual_m") / pl.col("sigma_m"),
        noise_m=pl.col("step_scale_m"),
    )
    along = pl.scan_parquet([Path(path) for path in along_track_paths]).select(
        "point_id", "residual"
    )
    return (
        points.join(segments, on="point_id", how="left", maintain_order="left")
        .join(along, on="point_id", how="left", maintain_order="left")
        .join(_misties(crossovers_paths), on="point_id", how="left", maintain_order="left")
        .select(
            *("point_id", "survey_no", "east", "north"),
            (pl.col("residual") / pl.col("noise_m")).cast(pl.Float32).fill_nan(None).alias("track"),
            pl.col("neighbour").cast(pl.Float32).fill_nan(None),
            pl.col("crossing").cast(pl.Float32),
            pl.col("noise_m").cast(pl.Float32),
        )
        .collect()
    )


def _misties(paths: Sequence[str | Path]) -> pl.LazyFrame:
    """Median mis-tie of each point that meets other tracks, its own thickness first."""
    met = pl.scan_parquet([Path(path) for path in paths]).filter(~pl.col("self_crossing"))
    sides = [
        met.select(point_id="point_id_a", crossing="mistie"),
        met.select(point_id="point_id_b", crossing=-pl.col("mistie")),
    ]
    return pl.concat(sides).group_by("point_id").agg(pl.col("crossing").median())


def standards(table: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """Median and robust standard deviation of each residual of one survey.

    A survey that is noisier than others, or a little thicker as a whole, is not wrong for that. A
    residual that the survey lacks has (0, 1).
    """
    found = {}
    for name in FEATURES:
        values = table[name].drop_nulls()
        q1, median, q3 = (values.quantile(q) for q in (0.25, 0.5, 0.75))
        if q1 is None or median is None or q3 is None or q3 <= q1:
            found[name] = (0.0 if median is None else float(median), 1.0)
        else:
            found[name] = (float(median), float(q3 - q1) / _QUARTILES_OF_NORMAL)
    return found


def matrix(table: pl.DataFrame, standard: Mapping[str, tuple[float, float]]) -> Floats:
    """What of each residual is beyond the usual, on a logarithmic scale; NaN where missing.

    Of a residual of z of its survey's standard deviations: sign(z) max(arcsinh |z| - arcsinh `USUAL`, 0),
    so that all that is hundreds of metres off lies within reach of a kernel. Shape (n, 3).
    """
    columns = []
    for name in FEATURES:
        middle, spread = standard[name]
        values = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        z = np.arcsinh((values - middle) / spread)
        columns.append(np.sign(z) * np.maximum(np.abs(z) - np.arcsinh(USUAL), 0))
    return np.column_stack(columns)


def back(centre: Floats, standard: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Residuals (as in the table) at a point of the feature space."""
    beyond = np.sign(centre) * np.sinh(np.abs(centre) + np.arcsinh(USUAL))
    return {
        name: standard[name][0] + standard[name][1] * float(value)
        for name, value in zip(FEATURES, beyond, strict=True)
    }


def of_survey(paths: Sequence[str | Path], survey_no: int) -> pl.DataFrame:
    """Residuals of a survey from its tiles, by point_id.

    None, with the same columns, of a survey that has no point of its own: its file has no usable one, and
    so no tile (`paths` is empty), or all of them were merged into points of other surveys.
    """
    if not paths:
        return pl.DataFrame(schema=SCHEMA)
    return (
        pl.scan_parquet([Path(path) for path in paths])
        .filter(pl.col("survey_no") == survey_no)
        .collect()
        .sort("point_id")
    )


def roughness(noise_m: pl.Series, edges: Sequence[float]) -> NDArray[np.int64]:
    """Class of each point by the noise of its track's steps; without a noise the lowest."""
    return np.searchsorted(np.asarray(edges), noise_m.fill_null(0).to_numpy())
