"""A frozen model version of carving, and the scores of tiles by it.

In: a model version's files and a tile's points, halo and edges. Out: the tile's score table. Nothing
that is scored in the same run matters to a score.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.carving_data import scale
from bedsieve.detectors.carving_encoder import Encoder
from bedsieve.detectors.carving_families import Family, within
from bedsieve.detectors.carving_features import TileInputs
from bedsieve.detectors.carving_propagation import CHUNK, Propagation
from bedsieve.detectors.carving_settings import CarvingSettings
from bedsieve.detectors.gnn_folds import Folds
from bedsieve.detectors.manifest import read_manifest
from bedsieve.detectors.node_features import Scaler
from bedsieve.files import write_parquet
from bedsieve.progress import Progress

NO_FAMILY = "no_family"
"""Code of a point whose region's model keeps no family."""

FAMILIES = {
    "fold": pl.String,
    "family": pl.Int16,
    "outliers": pl.UInt32,
    "inliers_in_reach": pl.UInt32,
    "purity": pl.Float64,
    "kept": pl.Boolean,
    "reach": pl.Float64,
    "outliers_unseen": pl.UInt32,
    "inliers_unseen": pl.UInt32,
    "purity_unseen": pl.Float64,
}
"""families.parquet, a row a family: first what decides, then the seeds in reach in the region that the
fold scores. Those decide nothing; their purity says how far a family carries (null: none in reach)."""

SEEDS = {"family": pl.Int16, "core_distance": pl.Float32}
_PLACE = ("survey_no", "east", "north")


def family_row(
    fold: str,
    family: Family,
    unseen_outliers: npt.NDArray[np.float32],
    unseen_inliers: npt.NDArray[np.float32],
) -> dict[str, Any]:
    """A family's row of families.parquet."""
    bad, good = (
        int(within(family.members, family.reach, points).sum())
        for points in (unseen_outliers, unseen_inliers)
    )
    return {
        "fold": fold,
        "family": family.number,
        "outliers": family.outliers,
        "inliers_in_reach": family.inliers,
        "purity": family.purity,
        "kept": family.kept,
        "reach": family.reach,
        "outliers_unseen": bad,
        "inliers_unseen": good,
        "purity_unseen": bad / (bad + good) if bad + good else None,
    }


class CarvingModel:
    """A trained model version, checked against its manifest.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/carving``.

    Raises
    ------
    InputError
        If the model is not trained or was changed since.
    """

    def __init__(self, model_dir: str | Path) -> None:
        folder = Path(model_dir)
        manifest = read_manifest(folder / "manifest.json", "carving")
        self.settings = CarvingSettings.from_mapping(manifest["config"])
        self.scaler = Scaler.from_mapping(_json(folder / "scaler.json"))
        self.folds = Folds.from_mapping(_json(folder / "folds.json"))
        self.families = pl.read_parquet(folder / "families.parquet")
        self._seeds = pl.scan_parquet(folder / "seeds.parquet")
        self._folder = folder

    def encoder(self, fold: int) -> Encoder:
        """The encoder of a fold."""
        return Encoder.load(self._folder / f"encoder_{self.folds.name(fold)}.safetensors")

    def families_of(self, fold: int) -> list[Family]:
        """The families of a fold."""
        letter = self.folds.name(fold)
        members = (
            self._seeds.filter((pl.col("fold") == letter) & (pl.col("family") >= 0))
            .select("family", "latent_0", "latent_1")
            .collect()
        )
        return [
            Family(
                row["family"],
                members.filter(family=row["family"]).select("latent_0", "latent_1").to_numpy(),
                row["reach"],
                row["outliers"],
                row["inliers_in_reach"],
                row["kept"],
            )
            for row in self.families.filter(fold=letter).iter_rows(named=True)
        ]

    def judges(self) -> dict[int, tuple[Encoder, Propagation]]:
        """Encoder and propagation of each fold."""
        found = {}
        for fold in range(self.folds.count):
            encoder = self.encoder(fold)
            propagation = Propagation(self.families_of(fold), encoder.weights["centres"][0])
            found[fold] = encoder, propagation
        return found


def score_tile(
    points: str | Path,
    halo: str | Path,
    edges: str | Path,
    model_dir: str | Path,
    out_path: str | Path,
    chunk: int = CHUNK,
) -> None:
    """Score a tile's points, each by the model that never saw a seed of its region.

    Parameters
    ----------
    points, halo, edges : path-like
        The tile's artefacts.
    model_dir : path-like
        ``results/models/{version}/carving``.
    out_path : path-like
        Score table in the order of the points: point_id, score, code, carved (in reach of a kept
        family), fold (whose model scored it), family (null if not carved), purity (of that family),
        distance (in units of the reach; see `Judged`).
    chunk : int
        Points at a time; the result does not depend on it.

    Raises
    ------
    InputError
        If the model is not trained or was changed since, or the edges belong to other points.
    """
    model = CarvingModel(model_dir)
    judges = model.judges()
    inputs = TileInputs(points, halo, edges, model.settings.contrasts)
    place = pl.scan_parquet(points).select("point_id", *_PLACE)
    progress = Progress("carving: scoring", inputs.rows)
    parts = []
    for start in range(0, inputs.rows, chunk):
        where = place.slice(start, chunk).collect()
        fold = model.folds.scorer_of(model.folds.region_of(where))
        x = scale(inputs.of_slice(start, chunk), model.scaler)
        parts.append(_scored(where["point_id"], x, fold, model, judges))
        progress.advance(where.height)
    empty = _scored(
        pl.Series("point_id", [], pl.UInt64),
        np.empty((0, 0), np.float32),
        np.empty(0, np.int64),
        model,
        judges,
    )
    write_parquet(pl.concat([empty, *parts]), out_path)


def _scored(
    point_id: pl.Series,
    x: npt.NDArray[np.float32],
    fold: npt.NDArray[np.int64],
    model: CarvingModel,
    judges: dict[int, tuple[Encoder, Propagation]],
) -> pl.DataFrame:
    score, distance = (np.full(len(fold), np.nan, np.float32) for _ in range(2))
    family = np.full(len(fold), -1, np.int16)
    for number in np.unique(fold):
        encoder, propagation = judges[int(number)]
        own = np.flatnonzero(fold == number)
        latent, _ = encoder.encode(x[own])
        score[own], family[own], distance[own] = propagation.judge(latent)
    letters = np.array([model.folds.name(f) for f in range(model.folds.count)])
    table = pl.DataFrame(
        {
            "point_id": point_id,
            "score": score,
            "code": pl.Series([None] * len(fold), dtype=pl.String),
            "carved": family >= 0,
            "fold": pl.Series(letters[fold].tolist(), dtype=pl.String),
            "family": family,
            "distance": pl.Series(distance, dtype=pl.Float32),
        }
    )
    purity = model.families.select("fold", "family", pl.col("purity").cast(pl.Float32))
    table = table.join(purity, on=["fold", "family"], how="left", maintain_order="left")
    return table.select(
        "point_id",
        "score",
        pl.when(pl.col("score").is_nan()).then(pl.lit(NO_FAMILY)).alias("code"),
        "carved",
        "fold",
        pl.when("carved").then("family").alias("family"),
        "purity",
        pl.col("distance").fill_nan(None),
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
