"""What the graph network trains on: seeds of three kinds and the part of the graph that they can see.

In: tiles (points, halo, edges, labels). Out: one compact graph with the seeds' neighbourhoods, and for
each node its group, region and use. Everything drawn here depends on point ids and the seed alone, so
that neither the order of tiles nor their size matters to who is drawn. Three passes over the tiles,
one tile in memory at a time, and the graph on disk, since that of the whole of Bedmap does not fit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors import node_features
from bedsieve.detectors.disk_array import DiskArray
from bedsieve.detectors.gnn_folds import Folds, find_folds, hashed
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.nets.losses import INLIER, OUTLIER, UNLABELLED
from bedsieve.detectors.nets.sampling import Graph
from bedsieve.detectors.tile_graph import reached, renumbered, tile_edges, tile_frame
from bedsieve.errors import BedsieveError
from bedsieve.progress import Progress

Tile = Mapping[str, str | Path]
Limits = dict[int, npt.NDArray[np.uint64]]
CONTEXT = -2  # a node that is met as a neighbour only
_PLACE = ("point_id", "survey_no", "east", "north")
_SALT_UNLABELLED, _SALT_VALIDATION = 11, 12
_SCALED = 1 << 18  # nodes scaled at a time
_FEWEST = 5  # outlier seeds a region must have, so that training and validation both get some


class TooFewLabelsError(BedsieveError):
    """There are too few pseudo-labels to learn from."""


@dataclass(frozen=True)
class TrainingData:
    """Seeds and their surroundings.

    Parameters
    ----------
    graph : Graph
        Features scaled; its arrays are mapped from disk.
    point_id : uint64 ndarray (n,)
    group : int8 ndarray (n,)
        `OUTLIER`, `INLIER`, `UNLABELLED` or `CONTEXT`.
    region : int8 ndarray (n,)
    validation : bool ndarray (n,)
        Labelled seeds that training never uses.
    folds : Folds
    scaler : node_features.Scaler
    """

    graph: Graph
    point_id: npt.NDArray[np.uint64]
    group: npt.NDArray[np.int8]
    region: npt.NDArray[np.int8]
    validation: npt.NDArray[np.bool_]
    folds: Folds
    scaler: node_features.Scaler

    def seeds_table(self) -> pl.DataFrame:
        """Who trained and who validated: point_id, region, group, use; by point_id."""
        seed = np.flatnonzero(self.group != CONTEXT)
        letters = np.array([self.folds.name(r) for r in range(self.folds.count)])
        return pl.DataFrame(
            {
                "point_id": self.point_id[seed],
                "region": letters[self.region[seed]],
                "group": self.group[seed],
                "use": np.where(self.validation[seed], "validation", "train"),
            }
        ).sort("point_id")

    def digest(self) -> str:
        """Fingerprint of the data, so that a checkpoint of other data is not taken up."""
        sha = hashlib.sha256()
        for array in (self.point_id, self.group, self.region, self.validation, self.graph.x):
            sha.update(np.ascontiguousarray(array).data)
        sha.update(np.ascontiguousarray(self.graph.neighbour).data)
        return sha.hexdigest()


def gather(
    tiles: Sequence[Tile], settings: GnnSettings, seed: int, scratch: str | Path | None = None
) -> TrainingData:
    """Choose seeds over all tiles, take out the graph around them and scale its features.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo``, ``edges`` and ``labels``.
    settings : GnnSettings
    seed : int
    scratch : path-like, optional
        Folder for the graph's arrays, about 190 bytes a node; see `DiskArray`.

    Raises
    ------
    TooFewLabelsError
        If a region has too few labels.
    InputError
        If the edges serve fewer hops than the network has layers.
    """
    tiles = sorted(tiles, key=lambda tile: str(tile["points"]))
    progress = Progress("gnn: gathering", 3 * len(tiles), "tile passes")
    found = []
    for tile in tiles:
        found.append(_labelled(tile))
        progress.advance(1)
    labelled = pl.concat(found).unique("point_id", maintain_order=True)
    outliers = labelled.filter(pl.col("label") == OUTLIER)
    if outliers.height < _FEWEST * settings.n_folds:
        raise TooFewLabelsError(f"{outliers.height} outlier labels are too few to learn from.")
    folds = find_folds(outliers, settings, seed)
    _check_regions(labelled, folds)
    limits = {
        **_validation_limits(labelled, folds, settings, seed),
        UNLABELLED: _unlabelled_limits(tiles, folds, settings, seed, progress),
    }
    joined = _Joined(scratch)
    for tile in tiles:
        joined.add(_part(tile, folds, limits, settings, seed))
        progress.advance(1)
    return _scaled(joined.data(folds))


def _labelled(tile: Tile) -> pl.DataFrame:
    labels = pl.read_parquet(tile["labels"], columns=["point_id", "label"])
    points = pl.read_parquet(tile["points"], columns=list(_PLACE))
    return points.join(labels, on="point_id", how="inner").sort("point_id")


def _check_regions(labelled: pl.DataFrame, folds: Folds) -> None:
    region, label = folds.region_of(labelled), labelled["label"].to_numpy()
    for number in range(folds.count):
        out = int(((region == number) & (label == OUTLIER)).sum())
        inn = int(((region == number) & (label == INLIER)).sum())
        if out < _FEWEST or inn < _FEWEST:
            raise TooFewLabelsError(
                f"region {folds.name(number)} has {out} outlier and {inn} inlier labels, fewer than "
                f"{_FEWEST} of each; fewer folds or another kind of folds may do."
            )


def _validation_limits(
    labelled: pl.DataFrame, folds: Folds, settings: GnnSettings, seed: int
) -> Limits:
    """Per group and region the hash up to which labels are held back: the share's lowest, at least one."""
    region, label = folds.region_of(labelled), labelled["label"].to_numpy()
    draw = hashed(labelled["point_id"].to_numpy(), _salt(seed, _SALT_VALIDATION))
    limits: Limits = {}
    for group, share in (
        (OUTLIER, settings.validation_outliers),
        (INLIER, settings.validation_inliers),
    ):
        drawn = [np.sort(draw[(label == group) & (region == r)]) for r in range(folds.count)]
        limits[group] = np.array([d[max(0, round(share * d.size) - 1)] for d in drawn], np.uint64)
    return limits


def _unlabelled_limits(
    tiles: Sequence[Tile], folds: Folds, settings: GnnSettings, seed: int, progress: Progress
) -> npt.NDArray[np.uint64]:
    """Per region the hash up to which unlabelled points are taken: the cap's lowest."""
    cap = max(1, settings.unlabelled // (folds.count - 1))
    lowest = [np.empty(0, np.uint64) for _ in range(folds.count)]
    for tile in tiles:
        points = pl.read_parquet(tile["points"], columns=list(_PLACE))
        labels = pl.read_parquet(tile["labels"], columns=["point_id"])
        points = points.join(labels, on="point_id", how="anti")
        region = folds.region_of(points)
        draw = hashed(points["point_id"].to_numpy(), _salt(seed, _SALT_UNLABELLED))
        for number in range(folds.count):
            both = np.concatenate([lowest[number], draw[region == number]])
            lowest[number] = np.partition(both, cap - 1)[:cap] if both.size > cap else both
        progress.advance(1)
    return np.array([part.max() if part.size else 0 for part in lowest], np.uint64)


@dataclass(frozen=True)
class _Part:
    x: npt.NDArray[np.float32]
    neighbour: npt.NDArray[np.int32]
    log1p_dist: npt.NDArray[np.float16]
    log_slope: npt.NDArray[np.float16]
    point_id: npt.NDArray[np.uint64]
    group: npt.NDArray[np.int8]
    region: npt.NDArray[np.int8]
    validation: npt.NDArray[np.bool_]


def _part(
    tile: Tile, folds: Folds, limits: Limits, settings: GnnSettings, seed: int
) -> _Part | None:
    """The seeds of a tile and all that they can reach, in the tile's order of space."""
    columns = [*_PLACE, *node_features.COLUMNS]
    frame, core = tile_frame(tile["points"], tile["halo"], columns)
    edges = tile_edges(tile["edges"], frame.height, core, len(settings.widths))
    point_id, region = frame["point_id"].to_numpy(), folds.region_of(frame)
    labels = pl.read_parquet(tile["labels"], columns=["point_id", "label"])
    known = frame.select("point_id").join(labels, on="point_id", how="left", maintain_order="left")[
        "label"
    ]
    group = known.fill_null(UNLABELLED).to_numpy().astype(np.int8)
    draw = hashed(point_id, _salt(seed, _SALT_UNLABELLED))
    group[(group == UNLABELLED) & (draw > limits[UNLABELLED][region])] = CONTEXT
    group[core:] = CONTEXT
    seeds = np.flatnonzero(group != CONTEXT)
    if seeds.size == 0:
        return None
    kept = np.flatnonzero(reached(edges.neighbour, seeds, len(settings.widths), frame.height))
    draw = hashed(point_id, _salt(seed, _SALT_VALIDATION))
    validation = (group == OUTLIER) & (draw <= limits[OUTLIER][region])
    validation |= (group == INLIER) & (draw <= limits[INLIER][region])
    inside = kept[kept < len(edges.neighbour)]
    neighbour = renumbered(edges.neighbour, kept, frame.height)
    distance, slope = (np.zeros(neighbour.shape, np.float16) for _ in range(2))
    distance[: inside.size] = edges.log1p_dist[inside]
    slope[: inside.size] = edges.log_slope[inside]
    return _Part(
        node_features.raw_features(frame[kept]),
        neighbour,
        distance,
        slope,
        point_id[kept],
        group[kept],
        region[kept],
        validation[kept],
    )


class _Joined:
    """Parts below one another: what is large on disk, what is asked for everywhere in memory."""

    _SMALL = ("point_id", "group", "region", "validation")

    def __init__(self, folder: str | Path | None) -> None:
        large = ("x", "neighbour", "log1p_dist", "log_slope")
        self.large = {name: DiskArray(folder) for name in large}
        self.small: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in self._SMALL}
        self.nodes = 0

    def add(self, part: _Part | None) -> None:
        """Append a tile's part, its neighbours numbered on; nothing for a tile without seeds."""
        if part is None:
            return
        part.neighbour[part.neighbour >= 0] += np.int32(self.nodes)
        for name, array in self.large.items():
            array.append(getattr(part, name))
        for name, arrays in self.small.items():
            arrays.append(getattr(part, name))
        self.nodes += part.point_id.size

    def data(self, folds: Folds) -> TrainingData:
        """All parts as one graph, features as they are."""
        x, neighbour, distance, slope = (array.mapped() for array in self.large.values())
        small = {name: np.concatenate(arrays) for name, arrays in self.small.items()}
        seed = np.flatnonzero(small["group"] != CONTEXT)
        scaler = node_features.fit_scaler(x[seed], slope[seed][neighbour[seed] >= 0])
        print(f"gnn: {seed.size:,} seeds in a graph of {self.nodes:,} nodes.", flush=True)
        graph = Graph(x, neighbour, distance, slope, scaler.g_scale)
        return TrainingData(graph, **small, folds=folds, scaler=scaler)


def _scaled(data: TrainingData) -> TrainingData:
    if data.scaler.absent:
        print(
            f"gnn: no training point has {', '.join(data.scaler.absent)}; they are left out (0).",
            flush=True,
        )
    for start in range(0, len(data.graph.x), _SCALED):
        data.scaler.apply(data.graph.x[start : start + _SCALED])
    return data


def _salt(seed: int, purpose: int) -> int:
    return seed * 64 + purpose
