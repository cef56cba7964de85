"""What the graph autoencoder trains on: as many points of each terrain type, and all that they can see.

In: tiles (points, halo, edges). Out: one compact graph with scaled features, the training nodes and
which of them are clean. Who is drawn depends on point ids and the seed alone, so that neither the order
of tiles nor their size matters. Three passes, one tile in memory at a time: who is clean and what the
scale is; how many points each stratum has; the graph around those drawn, which grows on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.disk_array import DiskArray
from bedsieve.detectors.gae_features import RobustScale, Values, fit_scale, raw_features
from bedsieve.detectors.gae_model import Tile, TileNodes, graph_of, read_tile
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.gae_strata import Caps, Centres, Draws, find_strata, stratum_of
from bedsieve.detectors.gnn_folds import hashed
from bedsieve.detectors.nets.sampling import Graph
from bedsieve.detectors.tile_graph import reached, renumbered
from bedsieve.errors import BedsieveError
from bedsieve.progress import Progress

_SALT_SAMPLE, _SALT_NODES = 21, 22


@dataclass(frozen=True)
class TrainingData:
    """Training nodes and their surroundings.

    Parameters
    ----------
    graph : Graph
        Features scaled; NaN where missing. Its arrays are mapped from disk.
    seeds : int64 ndarray (m,)
        Training nodes, rows of the graph in the order of space.
    clean : bool ndarray (m,)
        Which of them the loss counts.
    nodes : polars.DataFrame
        point_id, stratum, clean of the training nodes, by point_id.
    scale : RobustScale
    centres : float64 ndarray (strata, features)
    limit : float
        Points that differ more than this (m) from the median of their neighbours are not clean.
    """

    graph: Graph
    seeds: npt.NDArray[np.int64]
    clean: npt.NDArray[np.bool_]
    nodes: pl.DataFrame
    scale: RobustScale
    centres: Centres
    limit: float

    def digest(self) -> str:
        """Fingerprint of the data, so that a checkpoint of other data is not taken up."""
        sha = hashlib.sha256()
        for array in (self.graph.x, self.graph.neighbour, self.seeds, self.clean):
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()


def gather(
    tiles: Sequence[Tile], settings: GaeSettings, seed: int, scratch: str | Path | None = None
) -> TrainingData:
    """Draw training nodes over all tiles, and take out the graph around them.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo`` and ``edges``.
    settings : GaeSettings
    seed : int
    scratch : path-like, optional
        Folder for the graph's arrays, about 60 bytes a node; see `DiskArray`.

    Raises
    ------
    BedsieveError
        If no point has a neighbour.
    InputError
        If the edges of a tile serve too few hops or neighbours.
    """
    tiles = sorted(tiles, key=lambda tile: str(tile["points"]))
    progress = Progress("gae: gathering", 3 * len(tiles), "tile passes")
    sample, limit = _census(tiles, settings, seed, progress)
    scale = fit_scale(sample, settings.features)
    if scale.absent:
        print(f"gae: no point has {', '.join(scale.absent)}; left out.", flush=True)
    among = [settings.features.index(n) for n in settings.strata_features or settings.features]
    centres = find_strata(scale.apply(sample)[:, among], settings.strata, seed)
    caps = Caps(len(centres), settings.cap)
    for tile in tiles:
        nodes = read_tile(tile, settings)
        core = nodes.points[: nodes.core]
        x = scale.apply(raw_features(core, settings.features))
        caps.add(stratum_of(x[:, among], centres), _draw(core, seed, _SALT_NODES))
        progress.advance(1)
    limits = caps.limits()
    joined = _Joined(scratch)
    for tile in tiles:
        joined.add(_part(read_tile(tile, settings), settings, scale, centres, limits, limit, seed))
        progress.advance(1)
    data = joined.data(scale, centres, limit)
    print(
        f"gae: {data.seeds.size} training nodes of {len(centres)} strata from {caps.size.sum()} "
        f"points, {int(data.clean.sum())} of them within {limit:.1f} m of their neighbours.",
        flush=True,
    )
    return data


def _draw(points: pl.DataFrame, seed: int, salt: int) -> Draws:
    return hashed(points["point_id"].to_numpy(), seed * 64 + salt)


def _census(
    tiles: Sequence[Tile], settings: GaeSettings, seed: int, progress: Progress
) -> tuple[Values, float]:
    """Raw features of a sample of clean points, and the difference (m) up to which points are clean."""
    differences: list[npt.NDArray[np.float32]] = []
    draws, X = np.empty(0, np.uint64), np.empty((0, len(settings.features)), np.float32)
    difference = np.empty(0, np.float32)
    for tile in tiles:
        nodes = read_tile(tile, settings)
        core = nodes.points[: nodes.core]
        differences.append(nodes.surroundings().difference.astype(np.float32))
        draws = np.concatenate([draws, _draw(core, seed, _SALT_SAMPLE)])
        X = np.concatenate([X, raw_features(core, settings.features)])
        difference = np.concatenate([difference, differences[-1]])
        kept = np.sort(np.argsort(draws)[: settings.sample])
        draws, X, difference = draws[kept], X[kept], difference[kept]
        progress.advance(1)
    known = np.concatenate(differences)
    known = known[np.isfinite(known)]
    if known.size == 0:
        raise BedsieveError(
            "gae: no point has a neighbour, so there is nothing to learn. Leave gae out of the "
            "ensemble's members, or enlarge graph.max_neighbour_distance."
        )
    limit = float(np.quantile(known, 1 - settings.worst))
    # By draw, so that the order of tiles does not matter to the strata either.
    order = np.argsort(draws)
    clean = difference[order] <= np.float32(limit)
    return X[order][clean], limit


@dataclass(frozen=True)
class _Part:
    x: Values
    neighbour: npt.NDArray[np.int32]
    seeds: npt.NDArray[np.int64]
    clean: npt.NDArray[np.bool_]
    point_id: npt.NDArray[np.uint64]
    stratum: npt.NDArray[np.int16]


def _part(
    nodes: TileNodes,
    settings: GaeSettings,
    scale: RobustScale,
    centres: Centres,
    limits: Draws,
    limit: float,
    seed: int,
) -> _Part:
    """The training nodes of a tile and all that they can reach, in the tile's order of space."""
    core = nodes.points[: nodes.core]
    x = scale.apply(raw_features(nodes.points, settings.features))
    among = [settings.features.index(n) for n in settings.strata_features or settings.features]
    stratum = stratum_of(x[: nodes.core, among], centres)
    seeds = np.flatnonzero(_draw(core, seed, _SALT_NODES) <= limits[stratum])
    kept = np.flatnonzero(reached(nodes.neighbour, seeds, settings.hops, len(x)))
    clean = nodes.surroundings().difference.astype(np.float32) <= np.float32(limit)
    return _Part(
        x[kept],
        renumbered(nodes.neighbour, kept, len(x)),
        np.searchsorted(kept, seeds),
        clean[seeds],
        core["point_id"].to_numpy()[seeds],
        stratum[seeds],
    )


class _Joined:
    """Parts below one another: the graph on disk, the training nodes in memory."""

    def __init__(self, folder: str | Path | None) -> None:
        self.x, self.neighbour = DiskArray(folder), DiskArray(folder)
        self.seeds: list[npt.NDArray[np.int64]] = []
        self.tables: list[pl.DataFrame] = []
        self.nodes = 0

    def add(self, part: _Part) -> None:
        """Append a tile's part, its nodes numbered on."""
        part.neighbour[part.neighbour >= 0] += np.int32(self.nodes)
        self.x.append(part.x)
        self.neighbour.append(part.neighbour)
        self.seeds.append(part.seeds + self.nodes)
        columns = {"point_id": part.point_id, "stratum": part.stratum, "clean": part.clean}
        self.tables.append(pl.DataFrame(columns))
        self.nodes += len(part.x)

    def data(self, scale: RobustScale, centres: Centres, limit: float) -> TrainingData:
        """All parts as one graph."""
        nodes = pl.concat(self.tables)
        return TrainingData(
            graph_of(self.x.mapped(), self.neighbour.mapped()),
            np.concatenate(self.seeds),
            nodes["clean"].to_numpy(),
            nodes.sort("point_id"),
            scale,
            centres,
            limit,
        )
