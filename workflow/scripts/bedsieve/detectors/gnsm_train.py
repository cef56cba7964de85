"""Training of a model version's `gnsm`, from tiles and surveys to frozen files.

In: points and pseudo-labels of tiles, and their surveys. Out: network, mixture, coding, bins and the scale of
the score, and last the manifest. Who is learnt from depends on point ids and the seed alone, so neither the
order of tiles nor their size matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bedsieve.detectors.gnn_folds import hashed
from bedsieve.detectors.gnn_settings import torch_device
from bedsieve.detectors.gnsm_coding import learn_coding
from bedsieve.detectors.gnsm_model import fit_gnsm
from bedsieve.detectors.gnsm_points import (
    CATEGORIES,
    NUMBERS,
    learn_table,
    read_points,
    survey_metadata,
)
from bedsieve.detectors.gnsm_points_settings import GnsmPointsSettings
from bedsieve.detectors.gnsm_scale import fit_scale
from bedsieve.detectors.manifest import hashes, package_versions, refuse_trained, write_manifest
from bedsieve.errors import BedsieveError
from bedsieve.files import sha256_of, write_json, write_parquet, write_rows
from bedsieve.progress import Progress

DETECTOR = "gnsm"
TABLE, SCALE = "table.json", "scale.json"
_PACKAGES = ("torch", "numpy", "polars", "safetensors", "scikit-learn")
_FEWEST = 100  # points to learn from (ours)
_SALT_DRAW, _SALT_PART = 31, 32
Tile = Mapping[str, str | Path]


def train_gnsm(
    tiles: Sequence[Tile],
    surveys: Sequence[str | Path],
    out_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    version: str = "v1",
    device: str = "cpu",
) -> Path:
    """Train the network, fit the mixture, fix the scale and write the version.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points`` and ``labels``.
    surveys : sequence of path-like
        Harmonised surveys of those points.
    out_dir : path-like
        ``results/models/{version}/gnsm``. Gets network.safetensors, mixture.safetensors, coding.json,
        table.json, scale.json, curves.tsv, seeds.parquet and, last, manifest.json.
    settings : mapping, optional
        What differs from `GnsmPointsSettings`.
    seed : int
    version : str
        Model version.
    device : str
        ``"cpu"``, ``"gpu"`` or ``"auto"``.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    BedsieveError
        If the version is trained already, or there are too few points to learn from.
    """
    out_dir = Path(out_dir)
    manifest = out_dir / "manifest.json"
    refuse_trained(out_dir)
    chosen, where = GnsmPointsSettings.from_mapping(settings or {}), torch_device(device)
    print(f"gnsm: training on {where}.", flush=True)
    metadata = survey_metadata(sorted(surveys, key=str))
    points = gather(tiles, chosen, seed)
    layout = learn_table(points, chosen)
    table = layout.of(points, metadata)
    held_out = pl.Series(hashed(points["point_id"].to_numpy(), seed * 64 + _SALT_PART) % 10 == 0)
    coding = learn_coding(table, CATEGORIES, NUMBERS)
    train, validation = table.filter(~held_out), table.filter(held_out)
    model, curve = fit_gnsm(train, validation, coding, chosen.method, seed, device=where)
    scale = fit_scale(model, table, chosen.upper_quantile, where)
    names = model.save(out_dir)
    write_json(layout.to_mapping(), out_dir / TABLE)
    write_json(scale.to_mapping(), out_dir / SCALE)
    seeds = points.select("point_id").with_columns(held_out.alias("held_out"))
    write_parquet(seeds, out_dir / "seeds.parquet")
    write_rows(curve, out_dir / "curves.tsv")
    names += [TABLE, SCALE, "seeds.parquet", "curves.tsv"]
    write_manifest(
        manifest,
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        inputs=hashes([*(t[kind] for t in tiles for kind in ("points", "labels")), *surveys]),
        files={name: sha256_of(out_dir / name) for name in names},
        packages=package_versions(_PACKAGES),
        seed=seed,
    )
    return manifest


def gather(tiles: Sequence[Tile], settings: GnsmPointsSettings, seed: int) -> pl.DataFrame:
    """The points to learn from, by point id: of each survey those of the lowest draws.

    Raises
    ------
    BedsieveError
        If there are too few.
    """
    progress = Progress("gnsm: gathering", len(tiles), "tiles")
    kept: list[pl.DataFrame] = []
    for tile in tiles:
        points = read_points(tile["points"])
        labels = pl.read_parquet(tile["labels"], columns=["point_id", "label"])
        label = points.join(labels, on="point_id", how="left", maintain_order="left")["label"]
        good = (label == 0).fill_null(False)
        if settings.train_on == "points":
            good = (label != 1).fill_null(True)
        draw = hashed(points["point_id"].to_numpy(), seed * 64 + _SALT_DRAW)
        own = points.with_columns(pl.Series("draw", draw)).filter(good)
        # Once more over all tiles together: a survey's share must not depend on how tiles cut it.
        kept = [_lowest(pl.concat([*kept, own]), settings.per_survey)]
        progress.advance(1)
    found = kept[0].drop("draw").sort("point_id") if kept else pl.DataFrame()
    if found.height < _FEWEST:
        raise BedsieveError(
            f"gnsm: {found.height} points to learn from are fewer than {_FEWEST}. Where there are no "
            "pseudo-labels set detectors.gnsm.train_on to points, or leave gnsm out of the members."
        )
    print(f"gnsm: learning from {found.height} {settings.train_on}.", flush=True)
    return found


def _lowest(points: pl.DataFrame, most: int) -> pl.DataFrame:
    """Of each survey the points of the lowest draws."""
    lowest = points.sort("draw").group_by("survey_no", maintain_order=True).head(most)
    return lowest.select(points.columns)
