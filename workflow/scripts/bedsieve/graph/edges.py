"""The edge table of a tile: nearest neighbours with two features an edge, half precision, memory-mapped.

In: a tile's core points and its halo, Parquet tables whose rows, one below the other, are the nodes.
Out: one Arrow record batch that later stages map into memory instead of reading. Rows are the core
and as much of the halo as the hops of a graph detector need. Nothing is written unless every row is
certified: no point outside the gathered region can be nearer than the neighbours found.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError, InputError
from bedsieve.files import replacing
from bedsieve.graph.certify import reach_needed
from bedsieve.graph.knn import nearest
from bedsieve.graph.lines import LINE
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.kernels import in_threads

LOG1P_DIST_MAX = 20.0
_CHUNK = 1 << 16  # rows whose features are held in float64 at a time


class Edges(NamedTuple):
    """An edge table, one row a node; the arrays lie in the mapped file.

    Attributes
    ----------
    neighbour : ndarray of int32, shape (n, k)
        Local node index of each neighbour, nearest first; -1 for an empty slot.
    log1p_dist, log_slope : ndarray of float16, shape (n, k)
        ln(1 + d) and sign(g) ln(1 + |g|); 0 in empty slots.
    n_core, hops : int
        Rows that belong to the tile itself, and the hops that the halo rows serve.
    """

    neighbour: NDArray[np.int32]
    log1p_dist: NDArray[np.float16]
    log_slope: NDArray[np.float16]
    n_core: int
    hops: int


@njit(cache=True, nogil=True)
def _features(  # type: ignore[no-untyped-def]
    east, north, ice_thickness, neighbour, first_node, log1p_dist, log_slope, first, last
):
    for i in range(first, last):
        node = first_node + i
        for s in range(neighbour.shape[1]):
            other = neighbour[i, s]
            if other < 0:
                log1p_dist[i, s] = 0.0
                log_slope[i, s] = 0.0
                continue
            dx, dy = east[other] - east[node], north[other] - north[node]
            d = np.sqrt(dx * dx + dy * dy)
            g = (ice_thickness[other] - ice_thickness[node]) / max(d, 1.0)
            log1p_dist[i, s] = min(np.log1p(d), LOG1P_DIST_MAX)
            log_slope[i, s] = np.copysign(np.log1p(abs(g)), g)


def edge_features(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    ice_thickness: NDArray[np.float64],
    neighbour: NDArray[np.int32],
    first: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features of each edge, from positions and ice thickness only.

    Parameters
    ----------
    east, north, ice_thickness : ndarray of float64, shape (n,)
        Of all nodes, m.
    neighbour : ndarray of int32, shape (rows, k)
        Neighbours of the nodes `first`, `first` + 1, …; -1 for an empty slot.
    first : int
        Node of the first row.

    Returns
    -------
    log1p_dist : ndarray of float64, shape (rows, k)
        ln(1 + d), at most 20; d in m.
    log_slope : ndarray of float64, shape (rows, k)
        sign(g) ln(1 + |g|), g = (H_neighbour - H_node) / max(d, 1 m).

    Notes
    -----
    Study B, design methods.md section 1. Both are 0 in empty slots.
    """
    log1p_dist, log_slope = np.empty(neighbour.shape), np.empty(neighbour.shape)
    arguments = (east, north, ice_thickness, neighbour, first, log1p_dist, log_slope)
    in_threads(_features, arguments, len(neighbour))
    return log1p_dist, log_slope


def write_edges(
    points_path: str | Path,
    halo_path: str | Path,
    out_path: str | Path,
    *,
    tile: str,
    tile_size: float,
    reach: float,
    k: int = 16,
    max_neighbour_distance: float = 5000.0,
    hops: int = 3,
    min_tracks: int = 0,
) -> int:
    """Write the certified edge table of a tile and return its number of rows.

    Parameters
    ----------
    points_path, halo_path : path-like
        Core points, and the points around them sorted by `ring`.
    out_path : path-like
        Arrow IPC file to write.
    tile : str
        Name of the tile, ``x{ix}_y{iy}``.
    tile_size : float
        Its side, m.
    reach : float
        All points within this distance of the tile are in one of the two tables, m.
    k : int
        Neighbours of a node.
    max_neighbour_distance : float
        Points further away are no neighbours, m.
    hops : int
        Hops of the deepest graph detector: rows are the core and the rings below `hops`.
    min_tracks : int
        Distinct tracks that a node's neighbours are drawn from; 0 or 1 for no such wish.

    Raises
    ------
    InputError
        If a core point lies outside the tile, or the halo is not sorted by ring.
    BedsieveError
        If the table cannot be certified, naming the reach needed.
    """
    columns = ["point_id", "survey_no", "track_id", "east", "north", "ice_thickness"]
    core = pl.read_parquet(points_path, columns=columns)
    halo = pl.read_parquet(halo_path, columns=[*columns, "ring"])
    ring = halo["ring"].to_numpy()
    if (ring[1:] < ring[:-1]).any():
        raise InputError(halo_path, "the rows are not sorted by ring", "Make the tile again")
    n_rows = core.height + int(np.searchsorted(ring, hops))
    nodes = pl.concat([core, halo.select(columns)])
    east, north, thickness = (nodes[c].to_numpy() for c in ("east", "north", "ice_thickness"))
    box = TileBox.from_name(tile, tile_size)
    if not box.owns(east[: core.height], north[: core.height]).all():
        raise InputError(points_path, "a point lies outside the tile", "Make the tile again")
    line = None
    if min_tracks > 1:
        line = nodes.select(LINE)["line"].to_numpy()
    found = nearest(
        east,
        north,
        nodes["point_id"].to_numpy(),
        k,
        max_distance=max_neighbour_distance,
        n_query=n_rows,
        distances=False,
        line=line,
        min_tracks=min_tracks,
    )
    needed = reach_needed(
        box, east, north, found.row, max_neighbour_distance, further=min_tracks > 1
    )
    if needed > reach:
        raise BedsieveError(
            f"{out_path}: the nearest neighbours cannot be certified: points were gathered within "
            f"{reach:.0f} m of the tile, {np.ceil(needed):.0f} m are needed. Enlarge the tile's "
            "reach (hops x max_neighbour_distance) or lower max_neighbour_distance."
        )
    arrays = _half_features(east, north, thickness, found.row)
    metadata = {
        "k": k,
        "n_core": core.height,
        "hops": hops,
        "max_neighbour_distance": max_neighbour_distance,
    }
    _write(out_path, (found.row, *arrays), metadata)
    return n_rows


def _half_features(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    ice_thickness: NDArray[np.float64],
    neighbour: NDArray[np.int32],
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    log1p_dist = np.empty(neighbour.shape, np.float16)
    log_slope = np.empty(neighbour.shape, np.float16)
    for first in range(0, neighbour.shape[0], _CHUNK):
        rows = slice(first, first + _CHUNK)
        log1p_dist[rows], log_slope[rows] = edge_features(
            east, north, ice_thickness, neighbour[rows], first
        )
    return log1p_dist, log_slope


def _write(
    path: str | Path, arrays: tuple[NDArray[np.generic], ...], metadata: dict[str, float]
) -> None:
    k = arrays[0].shape[1]
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), k) for array in arrays
    ]
    names = ("neighbour", "log1p_dist", "log_slope")
    schema = pa.schema(
        [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)],
        metadata={name: str(value) for name, value in metadata.items()},
    )
    with (
        replacing(path) as part,
        pa.OSFile(str(part), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        writer.write_batch(pa.record_batch(columns, schema=schema))


def read_edges(path: str | Path) -> Edges:
    """Map an edge table into memory.

    Raises
    ------
    InputError
        If the file is no edge table, or was cut short.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
        batch = reader.get_batch(0)
        metadata = {key.decode(): value.decode() for key, value in batch.schema.metadata.items()}
        k = int(metadata["k"])
        arrays = [
            batch.column(name).values.to_numpy(zero_copy_only=True).reshape(-1, k)
            for name in ("neighbour", "log1p_dist", "log_slope")
        ]
    except (pa.ArrowInvalid, KeyError, AttributeError) as error:
        raise InputError(
            path, f"this is no edge table ({error})", "Delete it and make it again"
        ) from error
    return Edges(arrays[0], arrays[1], arrays[2], int(metadata["n_core"]), int(metadata["hops"]))
