"""Outlier carving as a detector: train a model version, score tiles with it.

In: tiles with edges and pseudo-labels; later any tile with edges. Out: a model version's files, and a
score table. An encoder trained on pseudo-labels maps points to a plane; HDBSCAN finds the families of
its outlier seeds; pure families are carried to all points in their reach (study B, seed 000,
"Latent-Space Outlier Carving"). Each region is scored by the encoder and the families that never saw a
seed of it, which the study did not do. All is frozen with the version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.carving_data import Seeds, Tile, gather_seeds
from bedsieve.detectors.carving_families import cluster, measure
from bedsieve.detectors.carving_model import FAMILIES, SEEDS, family_row
from bedsieve.detectors.carving_settings import CarvingSettings
from bedsieve.detectors.manifest import hashes, package_versions, refuse_trained, write_manifest
from bedsieve.files import sha256_of, write_json, write_parquet

DETECTOR = "carving"
_PACKAGES = ("hdbscan", "numba", "numpy", "polars", "safetensors", "scikit-learn", "scipy", "torch")


def train_carving(
    tiles: Sequence[Tile],
    out_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    version: str = "v1",
) -> pl.DataFrame:
    """Train every fold, find its families and write a model version.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo``, ``edges``, ``labels``; in any order.
    out_dir : path-like
        Gets encoder_A.safetensors, encoder_B.safetensors, …, scaler.json, folds.json, seeds.parquet,
        families.parquet, curves.parquet and, last, manifest.json.
    settings : mapping, optional
        What differs from `CarvingSettings`.
    version : str
        Name of the model version.

    Returns
    -------
    DataFrame
        The families, as in families.parquet.

    Raises
    ------
    BedsieveError
        If the version is trained already, or there are too few labels.
    """
    from bedsieve.detectors.carving_training import train_encoder

    out_dir = Path(out_dir)
    refuse_trained(out_dir)
    tiles = sorted(tiles, key=lambda tile: str(tile["points"]))
    chosen = CarvingSettings.from_mapping(settings or {})
    seeds = gather_seeds(tiles, chosen)
    families, members, curves, names = [], [], [], []
    for fold in range(seeds.folds.count):
        encoder, curve = train_encoder(seeds, chosen, fold)
        latent, _ = encoder.encode(seeds.x)
        rows, table = _families(seeds, fold, latent, chosen)
        families += rows
        members.append(table)
        curves += curve
        names.append(f"encoder_{seeds.folds.name(fold)}.safetensors")
        encoder.save(out_dir / names[-1])
    found = pl.DataFrame(families, schema=FAMILIES, orient="row")
    _say(found)
    write_parquet(found, out_dir / "families.parquet")
    write_parquet(pl.concat(members), out_dir / "seeds.parquet")
    write_parquet(pl.DataFrame(curves), out_dir / "curves.parquet")
    write_json(seeds.scaler.to_mapping(), out_dir / "scaler.json")
    write_json(seeds.folds.to_mapping(), out_dir / "folds.json")
    names += ["families.parquet", "seeds.parquet", "curves.parquet", "scaler.json", "folds.json"]
    write_manifest(
        out_dir / "manifest.json",
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        inputs=hashes(tile[k] for tile in tiles for k in ("points", "halo", "edges", "labels")),
        files={name: sha256_of(out_dir / name) for name in names},
        packages=package_versions(_PACKAGES),
        seed=chosen.seed,
    )
    return found


def _families(
    seeds: Seeds, fold: int, latent: npt.NDArray[np.float32], settings: CarvingSettings
) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Rows of the families table of a fold, and the seeds that they rest on with their places."""
    trained = seeds.region != seeds.folds.scored_by(fold)
    outlier, inlier = trained & seeds.outlier, trained & ~seeds.outlier
    family, core = cluster(latent[outlier], settings)
    found = measure(latent[outlier], family, core, latent[inlier], settings)
    unseen = [latent[~trained & kind] for kind in (seeds.outlier, ~seeds.outlier)]
    letter = seeds.folds.name(fold)
    rows = [family_row(letter, one, *unseen) for one in found]
    every = np.full(trained.size, -1, np.int16)
    every[outlier] = family
    distance = np.full(trained.size, np.nan)
    distance[outlier] = core
    table = pl.DataFrame(
        {
            "fold": [letter] * int(trained.sum()),
            "point_id": seeds.point_id[trained],
            "outlier": seeds.outlier[trained],
            "family": every[trained],
            "latent_0": latent[trained, 0],
            "latent_1": latent[trained, 1],
            "core_distance": distance[trained].astype(np.float32),
        },
        schema_overrides=SEEDS,
    )
    return rows, table.with_columns(pl.col("core_distance").fill_nan(None))


def _say(families: pl.DataFrame) -> None:
    for (fold,), own in families.group_by(["fold"], maintain_order=True):
        kept = own.filter("kept")
        print(
            f"carving: fold {fold} has {own.height} families, {kept.height} of them pure enough, with "
            f"{kept['outliers'].sum()} outlier seeds.",
            flush=True,
        )
