"""The seeds that carving learns from: points with a pseudo-label, their inputs and their regions.

In: tiles (points, halo, edges, labels). Out: one table of seeds in the order of their point ids, so that
neither the order of tiles nor their size matters. Only labelled rows are ever held: some 700,000 of
Bedmap's 75 million points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors import node_features
from bedsieve.detectors.carving_features import TileInputs
from bedsieve.detectors.carving_settings import CarvingSettings
from bedsieve.detectors.gnn_folds import Folds, find_folds
from bedsieve.errors import BedsieveError
from bedsieve.progress import Progress

Tile = Mapping[str, str | Path]
_PLACE = ("point_id", "survey_no", "east", "north")


@dataclass(frozen=True)
class Seeds:
    """Labelled points, in the order of their ids.

    Parameters
    ----------
    point_id : uint64 ndarray (n,)
    outlier : bool ndarray (n,)
    region : int8 ndarray (n,)
    x : float32 ndarray (n, inputs)
        Scaled inputs.
    folds : Folds
    scaler : node_features.Scaler
        Of the 14 physical inputs; contrasts have no scale.
    """

    point_id: npt.NDArray[np.uint64]
    outlier: npt.NDArray[np.bool_]
    region: npt.NDArray[np.int8]
    x: npt.NDArray[np.float32]
    folds: Folds
    scaler: node_features.Scaler


def gather_seeds(tiles: Sequence[Tile], settings: CarvingSettings) -> Seeds:
    """Collect the seeds of all tiles and scale their inputs.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo``, ``edges`` and ``labels``.
    settings : CarvingSettings

    Raises
    ------
    BedsieveError
        If a region has too few labels to form a family.
    """
    progress = Progress("carving: gathering seeds", len(tiles), "tiles")
    parts, inputs = [], []
    for tile in tiles:
        part, x = _labelled(tile, settings.contrasts)
        parts.append(part)
        inputs.append(x)
        progress.advance(1)
    frame = pl.concat(parts)
    order = np.argsort(frame["point_id"].to_numpy())
    frame, x = frame[order], np.concatenate(inputs)[order]
    outliers = frame.filter(pl.col("label") == 1)
    _check(outliers.height, frame.height, settings, "there are")
    folds = find_folds(outliers, settings, settings.seed)
    region, outlier = folds.region_of(frame), frame["label"].to_numpy() == 1
    for number in range(folds.count):
        own = region == number
        found = int(outlier[own].sum()), int(own.sum())
        _check(*found, settings, f"region {folds.name(number)} has")
    scaler = node_features.fit_scaler(x[:, : node_features.INPUTS], np.zeros(0))
    if scaler.absent:
        print(f"carving: no seed has {', '.join(scaler.absent)}; left out.", flush=True)
    scale(x, scaler)
    return Seeds(frame["point_id"].to_numpy(), outlier, region, x, folds, scaler)


def scale(x: npt.NDArray[np.float32], scaler: node_features.Scaler) -> npt.NDArray[np.float32]:
    """Scale the physical inputs in place; returns `x`."""
    scaler.apply(x[:, : node_features.INPUTS])
    return x


def _labelled(tile: Tile, contrasts: bool) -> tuple[pl.DataFrame, npt.NDArray[np.float32]]:
    labels = pl.read_parquet(tile["labels"], columns=["point_id", "label"]).drop_nulls()
    points = pl.read_parquet(tile["points"], columns=list(_PLACE)).with_row_index("row")
    found = points.join(labels, on="point_id", how="inner").sort("row")
    inputs = TileInputs(tile["points"], tile["halo"], tile["edges"], contrasts)
    return found.drop("row"), inputs.of_rows(found["row"].to_numpy().astype(np.int64))


def _check(outliers: int, labelled: int, settings: CarvingSettings, where: str) -> None:
    fewest = 2 * settings.smallest_family
    if outliers < fewest or labelled - outliers < fewest:
        raise BedsieveError(
            f"carving: {where} {outliers} outlier and {labelled - outliers} inlier labels, fewer than "
            f"{fewest} of each. Leave carving out of the ensemble's members, lower "
            "detectors.carving.smallest_family, or score with a model version trained elsewhere."
        )
