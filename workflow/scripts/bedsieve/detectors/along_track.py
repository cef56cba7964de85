"""The along_track detector: a thickness against its eight nearest along the same track.

In: ice thickness and line of each point of a survey, points of a line in the order of flight. Out:
a score in [0, 1], with the residual and the scale it comes from. It is scored by survey, not by
tile, since a tile's border cuts tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bedsieve.detectors.base import Detector
from bedsieve.errors import BedsieveError
from bedsieve.files import SURVEY_ROWS, write_parquet
from bedsieve.graph.lines import LINE
from bedsieve.kernels import in_threads

FLOOR = 100.0
SHORT_TRACK = "short_track"
MIN_NEIGHBOURS = 4  # fewer do not give quartiles that mean anything
_BLOCK = 1 << 14


class AlongTrackScore(TypedDict):
    """Columns of the score, each of shape (n,)."""

    score: NDArray[np.float32]
    residual: NDArray[np.float32]
    scale: NDArray[np.float32]
    code: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def _order(a, b):  # type: ignore[no-untyped-def]
    return (a, b) if a < b else (b, a)


@njit(cache=True, nogil=True)
def _interior(h, score, residual, scale, floor, first, last):  # type: ignore[no-untyped-def]
    """Points with four neighbours on either side, as if all were one line: branch-free, so SIMD.

    The eight values are sorted by a network of 19 comparators (Knuth, TAOCP vol. 3, 5.3.4).
    """
    n = h.size
    for block in range(first, last):
        for i in range(max(block * _BLOCK, 4), min((block + 1) * _BLOCK, n - 4)):
            a, b, c, d = h[i - 4], h[i - 3], h[i - 2], h[i - 1]
            e, f, g, p = h[i + 1], h[i + 2], h[i + 3], h[i + 4]
            a, c = _order(a, c)
            b, d = _order(b, d)
            e, g = _order(e, g)
            f, p = _order(f, p)
            a, e = _order(a, e)
            b, f = _order(b, f)
            c, g = _order(c, g)
            d, p = _order(d, p)
            a, b = _order(a, b)
            c, d = _order(c, d)
            e, f = _order(e, f)
            g, p = _order(g, p)
            c, e = _order(c, e)
            d, f = _order(d, f)
            b, e = _order(b, e)
            d, g = _order(d, g)
            b, c = _order(b, c)
            d, e = _order(d, e)
            f, g = _order(f, g)
            # Ranks 1.75 and 5.25 of 0…7, as numpy interpolates them.
            iqr = (f + (g - f) * 0.25) - (c - (c - b) * 0.25)
            r = h[i] - 0.5 * (d + e)
            width = max(iqr, floor)
            residual[i] = r
            scale[i] = width
            score[i] = abs(r) / width
        for i in range(max(block * _BLOCK, 4), min((block + 1) * _BLOCK, n - 4)):
            score[i] = np.tanh(score[i])


@njit(cache=True, nogil=True)
def _quantile(values, count, at):  # type: ignore[no-untyped-def]
    """numpy's linear percentile of sorted values."""
    rank = at * (count - 1)
    low = int(rank)
    t = rank - low
    a, b = values[low], values[min(low + 1, count - 1)]
    return a + (b - a) * t if t < 0.5 else b - (b - a) * (1.0 - t)


@njit(cache=True, nogil=True)
def _ends(h, starts, score, residual, scale, code, floor, first, last):  # type: ignore[no-untyped-def]
    """First and last four points of each line: the eight nearest that the line has."""
    values = np.empty(8)
    for line in range(first, last):
        start, end = starts[line], starts[line + 1]
        for i in range(start, end):
            if start + 4 <= i < end - 4:
                continue
            low = max(min(i - 4, end - 9), start)
            count = 0
            for j in range(low, min(low + 9, end)):
                if j == i:
                    continue
                at = count
                while at > 0 and values[at - 1] > h[j]:
                    values[at] = values[at - 1]
                    at -= 1
                values[at] = h[j]
                count += 1
            if count < MIN_NEIGHBOURS:
                score[i] = residual[i] = scale[i] = np.nan
                code[i] = True
                continue
            iqr = _quantile(values, count, 0.75) - _quantile(values, count, 0.25)
            r = h[i] - _quantile(values, count, 0.5)
            residual[i] = r
            scale[i] = max(iqr, floor)
            score[i] = np.tanh(abs(r) / max(iqr, floor))


def along_track(
    ice_thickness: NDArray[np.float64], line: NDArray[np.int64], floor: float = FLOOR
) -> AlongTrackScore:
    """Score points against the eight nearest along their track, by index.

    Four before and four after; the nearest eight at the ends of a line. A line of 5 to 8 points
    gives what it has; below that (fewer than four neighbours) nothing can be judged.

    Parameters
    ----------
    ice_thickness : ndarray of float64, shape (n,)
        H, m; finite.
    line : ndarray of int64, shape (n,)
        Line of each point; points of a line stand in the order of flight, lines may interleave.
    floor : float
        Least scale, m. Without it white noise would score 0.5 and more on half of all points.

    Returns
    -------
    dict
        score = tanh(|residual| / scale) in [0, 1]; residual = H - median of the neighbours, m;
        scale = max(IQR of the neighbours, floor), m; all float32 and NaN where code is true;
        code = true for a point of a line too short to judge (`SHORT_TRACK`).

    Raises
    ------
    BedsieveError
        If floor is not positive.

    Notes
    -----
    Study B; design methods.md section 4. Percentiles are numpy's linear ones. Memory: the 13 bytes
    a point of the result.
    """
    if not floor > 0:
        raise BedsieveError(f"The floor of along_track must be positive, not {floor} m.")
    h, line = np.ascontiguousarray(ice_thickness, np.float64), np.ascontiguousarray(line)
    starts = _line_starts(line)
    order = None
    if np.unique(line[starts[:-1]]).size < starts.size - 1:
        order = np.argsort(line, kind="stable")
        h, starts = h[order], _line_starts(line[order])
    n = h.size
    score, residual, scale = (np.empty(n, np.float32) for _ in range(3))
    code = np.zeros(n, bool)
    found = (score, residual, scale)
    in_threads(_interior, (h, *found, float(floor)), -(-n // _BLOCK))
    in_threads(_ends, (h, starts, *found, code, float(floor)), starts.size - 1)
    if order is not None:
        for column in (score, residual, scale, code):
            column[order] = column.copy()
    return {"score": score, "residual": residual, "scale": scale, "code": code}


def _line_starts(line: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of one line starts, and the end."""
    if line.size == 0:
        return np.zeros(1, np.int64)
    return np.concatenate(([0], np.flatnonzero(line[1:] != line[:-1]) + 1, [line.size]))


def score_survey(points_path: str | Path, out_path: str | Path, floor: float = FLOOR) -> None:
    """Write the along_track score table of a harmonised survey, row for row.

    Columns: point_id, score, code (null or ``short_track``), residual (m), scale (m).
    """
    columns = ["point_id", "track_id", "track_seq", "ice_thickness"]
    points = pl.read_parquet(points_path, columns=columns)
    chained = not points["track_seq"].is_sorted()
    if chained:
        points = points.sort("track_seq")
    table = _score_table(points, points["track_id"].cast(pl.Int64).to_numpy(), floor)
    write_parquet(table.sort("point_id") if chained else table, out_path, SURVEY_ROWS)


def score_tracks(paths: Sequence[str | Path], out_path: str | Path, floor: float = FLOOR) -> None:
    """Write the along_track score table of the pieces of tracks that some points tables hold together.

    Parameters
    ----------
    paths : sequence of path-like
        Tables of points of any surveys, such as a tile's own and its halo's.
    out_path : path-like
        Score table with the columns of `score_survey`, by line and along it.
    floor : float
        Least scale, m.
    """
    columns = ["point_id", "survey_no", "track_id", "track_seq", "ice_thickness"]
    points = pl.concat(pl.read_parquet(path, columns=columns) for path in paths)
    points = points.sort("survey_no", "track_id", "track_seq")
    write_parquet(_score_table(points, points.select(LINE)["line"].to_numpy(), floor), out_path)


def _score_table(points: pl.DataFrame, line: NDArray[np.int64], floor: float) -> pl.DataFrame:
    result = along_track(points["ice_thickness"].to_numpy(), line, floor)
    table = pl.DataFrame({"point_id": points["point_id"], **result}).select(
        "point_id", "score", "code", "residual", "scale"
    )
    code = pl.when(pl.col("code")).then(pl.lit(SHORT_TRACK)).otherwise(None).cast(pl.String)
    return table.with_columns(code.alias("code"))


class AlongTrack(Detector):
    """along_track as an estimator.

    X has the columns ice thickness (m), line, and optionally the position along the line (any
    increasing number); without the third column rows of a line stand in the order of flight. It
    learns nothing but the threshold. Points of lines too short to judge score NaN and are labelled 0.

    Parameters
    ----------
    floor : float
        Least scale, m.
    contamination : float
        Share of the training points above the threshold.
    random_state : int, optional
        Not used: the detector is deterministic.
    """

    def __init__(
        self,
        floor: float = FLOOR,
        contamination: float = 0.01,
        random_state: int | None = None,
    ) -> None:
        self.floor = floor
        self.contamination = contamination
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float64], y: ArrayLike | None) -> None:
        """Nothing to learn."""

    def _score(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if X.shape[1] not in (2, 3):
            raise BedsieveError("X needs the columns ice thickness, line and, if any, position.")
        h, line = X[:, 0], X[:, 1].astype(np.int64)
        if X.shape[1] == 2:
            return along_track(h, line, self.floor)["score"].astype(np.float64)
        order = np.lexsort((X[:, 2], line))
        score = np.empty(h.size)
        score[order] = along_track(h[order], line[order], self.floor)["score"]
        return score
