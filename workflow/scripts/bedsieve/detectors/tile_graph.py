"""A tile's points and edges as arrays for graph networks.

In: points.parquet, halo.parquet and edges.arrow of a tile. Out: the columns asked for of core and halo
below one another, and the edge table, checked to belong to them and to reach far enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
