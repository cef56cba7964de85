"""What carving's encoder knows of a point: its physics, and its thickness against its neighbours'.

In: a tile's points, halo and edges. Out: 14 physical inputs as the graph network has them, and six
contrasts, for any rows of the tile. Study B does not say what its encoder saw. Physics alone can't
tell a thickness that is 100 m off, so the neighbours of the edge table come in (ours); the docs give
the measurement. No place, track, time or reference grid is among the inputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from bedsieve.detectors import node_features
from bedsieve.detectors.tile_graph import tile_edges, tile_frame
from bedsieve.graph.lines import line_of
from bedsieve.labels.selection import median

Values = npt.NDArray[np.float32]

CONTRASTS = ("step", "step_other", "has_other", "step_nearest", "roughness", "sparsity")
"""Signed-log difference to the median of the neighbours, to that of the neighbours on other lines (0
if there are none), whether there are any, to the nearest of them; log median deviation of the
neighbours from their median; log mean distance."""

_HEIGHT = 15.0  # m; the least uncertainty of a thickness, as in the pseudo-labels
_LENGTH = 100.0  # m; a usual distance of points along a line
_GEOMETRY = ("survey_no", "track_id", "ice_thickness")


class TileInputs:
    """Raw inputs of a tile's points, any rows at a time.

    Parameters
    ----------
    points, halo, edges : path-like
        The tile's artefacts.
    contrasts : bool
        Whether the six contrasts are among the inputs.
    """

    def __init__(
        self, points: str | Path, halo: str | Path, edges: str | Path, contrasts: bool
    ) -> None:
        self._scan = pl.scan_parquet(points)
        present = set(self._scan.collect_schema().names())
        self._columns = [name for name in node_features.COLUMNS if name in present]
        self.rows = int(self._scan.select(pl.len()).collect().item())
        self._edges = None
        if contrasts:
            frame, core = tile_frame(points, halo, _GEOMETRY)
            self._edges = tile_edges(edges, frame.height, core, 1)
            self._line = line_of(frame["survey_no"].to_numpy(), frame["track_id"].to_numpy())
            self._thickness = frame["ice_thickness"].to_numpy()

    def of_slice(self, start: int, count: int) -> Values:
        """Inputs of `count` rows from `start`, (count, inputs)."""
        part = self._scan.slice(start, count).select(self._columns).collect()
        return self._joined(part, np.arange(start, start + part.height))

    def of_rows(self, rows: npt.NDArray[np.int64]) -> Values:
        """Inputs of chosen rows, (n, inputs)."""
        part = self._scan.select(pl.col(self._columns).gather(rows)).collect()
        return self._joined(part, rows)

    def _joined(self, part: pl.DataFrame, rows: npt.NDArray[np.int64]) -> Values:
        physics = node_features.raw_features(part)
        if self._edges is None:
            return physics
        neighbour, distance = self._edges.neighbour[rows], self._edges.log1p_dist[rows]
        seen = contrasts(self._thickness, self._line, rows, neighbour, distance.astype(np.float32))
        return np.hstack([physics, seen])


def n_inputs(contrasts: bool) -> int:
    """Inputs of the encoder."""
    return node_features.INPUTS + (len(CONTRASTS) if contrasts else 0)


def contrasts(
    thickness: npt.NDArray[np.float64],
    line: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    neighbour: npt.NDArray[np.int32],
    log1p_dist: npt.NDArray[np.float32],
) -> Values:
    """The six `CONTRASTS` of chosen points.

    Parameters
    ----------
    thickness, line : ndarray (nodes,)
        Thickness (m) and line of every point of the tile and its halo.
    rows : int64 ndarray (n,)
        Points to look at.
    neighbour : int32 ndarray (n, k)
        Their neighbours, nearest first; -1 for an empty slot.
    log1p_dist : float32 ndarray (n, k)
        ln(1 + d).

    Returns
    -------
    float32 ndarray (n, 6)
        In units of no dimension: sign(x) ln(1 + |x| / 15 m) for differences, ln(1 + d / 100 m) for the
        mean distance; all 0 for a point without neighbours.
    """
    out = np.empty((rows.size, len(CONTRASTS)), np.float32)
    _contrasts(thickness, line, rows, neighbour, log1p_dist, out)
    return out


@njit(cache=True, nogil=True)
def _signed_log(x):  # type: ignore[no-untyped-def]
    return np.copysign(np.log1p(abs(x) / _HEIGHT), x)


@njit(cache=True, nogil=True)
def _contrasts(thickness, line, rows, neighbour, log1p_dist, out):  # type: ignore[no-untyped-def]
    k = neighbour.shape[1]
    every, other = np.empty(k), np.empty(k)
    for i in range(rows.size):
        node, n, m, far = rows[i], 0, 0, 0.0
        nearest = 0.0
        for s in range(k):
            j = neighbour[i, s]
            if j < 0:
                continue
            every[n] = thickness[j]
            n += 1
            far += np.expm1(log1p_dist[i, s])
            if line[j] != line[node]:
                if m == 0:
                    nearest = thickness[node] - thickness[j]
                other[m] = thickness[j]
                m += 1
        out[i, :] = 0.0
        if n == 0:
            continue
        middle = median(every[:n])
        out[i, 0] = _signed_log(thickness[node] - middle)
        if m > 0:
            out[i, 1] = _signed_log(thickness[node] - median(other[:m]))
            out[i, 2] = 1.0
            out[i, 3] = _signed_log(nearest)
        for s in range(n):
            every[s] = abs(every[s] - middle)
        out[i, 4] = np.log1p(median(every[:n]) / _HEIGHT)
        out[i, 5] = np.log1p(far / n / _LENGTH)
