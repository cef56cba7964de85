"""A tile's points and edges as arrays for graph networks.

In: points.parquet, halo.parquet and edges.arrow of a tile. Out: the columns asked for of core and halo
below one another, and the edge table, checked to belong to them and to reach far enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.errors import InputError
from bedsieve.graph.edges import Edges, read_edges


def tile_frame(
    points: str | Path, halo: str | Path, columns: Sequence[str]
) -> tuple[pl.DataFrame, int]:
    """Core and halo below one another, with those of `columns` that they have; and the core's size."""
    parts = []
    for path in (points, halo):
        present = set(pl.read_parquet_schema(path))
        parts.append(pl.read_parquet(path, columns=[c for c in columns if c in present]))
    return pl.concat(parts), parts[0].height


def tile_edges(path: str | Path, nodes: int, core: int, layers: int) -> Edges:
    """The edge table of a tile, mapped into memory.

    Parameters
    ----------
    path : path-like
    nodes, core : int
        Points of the tile and its halo, and of the tile alone.
    layers : int
        Layers of the network that looks along the edges.

    Raises
    ------
    InputError
        If the table does not belong to these points, or serves fewer hops than there are layers.
    """
    edges = read_edges(path)
    if edges.n_core != core or edges.neighbour.max(initial=-1) >= nodes:
        problem = f"was made for other points than the {nodes} beside it"
        raise InputError(path, problem, "Delete it and run again, so that it is rebuilt")
    if edges.hops < layers:
        problem = f"serves {edges.hops} hops, but the network looks {layers} far"
        raise InputError(path, problem, f"Set graph.hops to {layers} or more")
    return edges


def reached(
    neighbour: npt.NDArray[np.int32], seeds: npt.NDArray[np.int64], hops: int, nodes: int
) -> npt.NDArray[np.bool_]:
    """Which nodes stand within so many hops of the seeds.

    Parameters
    ----------
    neighbour : int32 ndarray (rows, k)
        -1 for an empty slot.
    seeds : int64 ndarray
        Nodes to start from.
    hops, nodes : int

    Returns
    -------
    bool ndarray (nodes,)
    """
    found = np.zeros(nodes + 1, np.bool_)
    found[seeds] = True
    frontier = seeds
    for _ in range(hops):
        before = found.copy()
        # Empty slots are -1 and mark the spare last place.
        found[neighbour[frontier]] = True
        found[-1] = False
        frontier = np.flatnonzero(found & ~before)
    return found[:-1]


def renumbered(
    neighbour: npt.NDArray[np.int32], kept: npt.NDArray[np.int64], nodes: int
) -> npt.NDArray[np.int32]:
    """The neighbour table of the nodes kept, in their own numbers.

    Parameters
    ----------
    neighbour : int32 ndarray (rows, k)
        Of the first of `nodes` nodes.
    kept : int64 ndarray
        Nodes to keep, rising.
    nodes : int

    Returns
    -------
    int32 ndarray (kept.size, k)
        -1 where a neighbour is not kept. A node beyond the table is an end that nothing looks past, so
        its row is empty.
    """
    place = np.full(nodes + 1, -1, np.int32)
    place[kept] = np.arange(kept.size, dtype=np.int32)
    inside = kept[kept < len(neighbour)]
    found = np.full((kept.size, neighbour.shape[1]), -1, np.int32)
    found[: inside.size] = place[neighbour[inside]]
    return found
