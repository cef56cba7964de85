"""Scores of a tile by the physics PCA: reconstruction and laws, each visible, then combined.

In: a tile's points, halo and crossovers, and a frozen model version. Out: a score table with the
evidence of each part. The halo gives the points just outside the tile: the next point of a flight
and the dates of the lines met, so that a tile's border changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors import physics_laws
from bedsieve.detectors.pca import GridModel, PointsFile, feature_matrix
from bedsieve.detectors.pca_model import load_model
from bedsieve.files import write_parquet
from bedsieve.graph.lines import LINE

Floats32 = npt.NDArray[np.float32]

_GEOMETRY = (
    *("point_id", "survey_no", "track_id", "track_seq"),
    *("east", "north", "ice_thickness", "year"),
)
_CROSSOVERS = (
    *("point_id_a", "point_id_b", "end_id_a", "end_id_b", "fraction_a", "fraction_b"),
    *("h_a", "h_b", "distance", "self_crossing"),
)
RECONSTRUCTION_SHARE = 0.5
"""Of the score; the laws have the rest. So only a point that both accuse passes 0.5 (ours)."""
NO_EVIDENCE = "no_evidence"
"""Code of a point that has too few features for the components and that no law can judge."""


def score_tile(
    points_path: str | Path,
    halo_path: str | Path,
    crossovers_paths: Sequence[str | Path],
    model_dir: str | Path,
    out_path: str | Path,
    *,
    tile: str | None = None,
) -> None:
    """Score a tile's points and write its table.

    Parameters
    ----------
    points_path, halo_path : path-like
        The tile's artefacts.
    crossovers_paths : sequence of path-like
        All crossovers of the tile's points: those that it owns, and those beyond it.
    model_dir : path-like
        ``results/models/{version}/pca``.
    out_path : path-like
        Score table: point_id, score, code, recon_mse (standardised units squared), recon_z,
        law_rate, law_crossing, law_shear (evidence in [0, 1], null where it can't be judged),
        verified, pooled (components are not of this grid's own points alone), model (own,
        neighbours or pooled). In the order of the points.
    tile : str, optional
        Name of the tile; by default that of the points' folder.

    Raises
    ------
    InputError
        If the model is not trained or was changed since.
    """
    model = load_model(model_dir)
    tile = tile or Path(points_path).parent.name
    grid, source = model.of_tile(tile)
    if source != "own":
        print(f"physics PCA: {tile} borrows its components ({source})", file=sys.stderr)
    errors, slope = _reconstruct(points_path, grid)
    points = pl.read_parquet(points_path, columns=list(_GEOMETRY))
    halo = pl.read_parquet(halo_path, columns=list(_GEOMETRY))
    crossovers = pl.read_parquet(
        [Path(path) for path in crossovers_paths], columns=list(_CROSSOVERS)
    )
    laws = _laws(points, halo, crossovers, slope, model.laws)
    z = grid.robust_z(errors)
    table = pl.DataFrame(
        {
            "point_id": points.get_column("point_id"),
            "score": combine(model.unit_score(z), *laws, model.laws),
            "recon_mse": errors,
            "recon_z": z,
            "law_rate": laws[0],
            "law_crossing": laws[1],
            "law_shear": laws[2],
            "verified": (z >= np.float32(model.z_verified)) & physics_laws.any_broken(*laws),
        }
    ).with_columns(
        pl.when(pl.col("score").is_nan()).then(pl.lit(NO_EVIDENCE)).alias("code"),
        pl.col("recon_mse", "recon_z", "law_rate", "law_crossing", "law_shear").fill_nan(None),
        pl.lit(source != "own").alias("pooled"),
        pl.lit(source).alias("model"),
    )
    first = ["point_id", "score", "code"]
    write_parquet(table.select(*first, pl.exclude(first)), out_path)


def combine(
    reconstruction: Floats32,
    rate: Floats32,
    crossing: Floats32,
    shear: Floats32,
    limits: physics_laws.LawLimits,
) -> Floats32:
    """Score of each point in [0, 1] from the reconstruction's score and the laws' evidence.

    score = ½ reconstruction + ½ laws, with laws = 1 − Π(1 − weight · evidence). What can't be
    judged counts as 0: a point is accused by evidence only; NaN where nothing can be. A product would hide the points that
    one half alone sees; a maximum would let half a case pass as a whole one.
    """
    laws = physics_laws.combined(rate, crossing, shear, limits)
    nothing = np.isnan(reconstruction) & np.isnan(laws)
    score = RECONSTRUCTION_SHARE * np.nan_to_num(reconstruction, nan=0.0)
    score = score + (1 - RECONSTRUCTION_SHARE) * np.nan_to_num(laws, nan=0.0)
    return np.where(nothing, np.nan, score).astype(np.float32)


def _reconstruct(path: str | Path, grid: GridModel) -> tuple[Floats32, npt.NDArray[np.float64]]:
    """Reconstruction errors and the surface slope of every point, a million rows at a time."""
    points = PointsFile(path)
    errors = np.empty(points.rows, np.float32)
    slope = np.full(points.rows, np.nan)
    for rows, part in points.chunks():
        errors[rows] = grid.errors(feature_matrix(part))
        if "s" in part.columns:
            slope[rows] = part.get_column("s").to_numpy()
    return errors, slope


def _laws(
    points: pl.DataFrame,
    halo: pl.DataFrame,
    crossovers: pl.DataFrame,
    slope: npt.NDArray[np.float64],
    limits: physics_laws.LawLimits,
) -> tuple[Floats32, Floats32, Floats32]:
    around = pl.concat([points, halo])
    rate = physics_laws.rate_of_change(
        around.select(LINE)["line"].to_numpy(),
        around.get_column("track_seq").to_numpy(),
        around.get_column("east").to_numpy(),
        around.get_column("north").to_numpy(),
        around.get_column("ice_thickness").to_numpy(),
        limits,
    )[: points.height]
    meetings = _meetings(crossovers, around, points.height)
    crossing = physics_laws.crossing_disagreement(points.height, meetings, limits)
    thickness = points.get_column("ice_thickness").to_numpy()
    shear = physics_laws.shear_outside_range(thickness, slope, limits)
    return rate.astype(np.float32), crossing.astype(np.float32), shear.astype(np.float32)


def _meetings(crossovers: pl.DataFrame, around: pl.DataFrame, core: int) -> physics_laws.Meetings:
    ids = around.get_column("point_id").to_numpy()
    order = np.argsort(ids, kind="stable")
    year = around.get_column("year").cast(pl.Float64).to_numpy()
    # A line that meets itself is no other flight. Sums over a point's pairs depend, in the last digit,
    # on their order, and that of the tables on the tile.
    crossovers = crossovers.filter(~pl.col("self_crossing")).sort(
        "point_id_a", "point_id_b", "end_id_a"
    )
    side: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = {}
    for name in ("a", "b"):
        # At a crossing the point judged is the nearer end of the segment crossed.
        end_is_nearer = pl.col(f"fraction_{name}").fill_null(0.0) > 0.5
        nearer = pl.when(end_is_nearer).then(f"end_id_{name}").otherwise(f"point_id_{name}")
        wanted = crossovers.select(nearer).to_series().to_numpy()
        at = np.searchsorted(ids, wanted, sorter=order)
        index = order[np.minimum(at, ids.size - 1)]
        known = ids[index] == wanted
        of_core = np.where(known & (index < core), index, -1)
        side[name] = (of_core, np.where(known, year[index], np.nan))
    return physics_laws.Meetings(
        side["a"][0],
        side["b"][0],
        crossovers.get_column("h_a").to_numpy(),
        crossovers.get_column("h_b").to_numpy(),
        side["a"][1],
        side["b"][1],
        crossovers.get_column("distance").to_numpy(),
    )
