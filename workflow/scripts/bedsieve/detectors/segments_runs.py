"""Runs of bad points, each with its place, offset and a named cause.

In: a survey's points in the order flown, with the odds of each and what is expected there. Out: one row
a run. The causes are those that a glaciologist would look for: each has a test of its own, the most
specific first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_FEET = (0.3048, 1 / 0.3048)
_UNIT_TOLERANCE = 0.05  # share of the factor (ours)
_LAYER = 0.2  # share of the thickness from which an offset is a layer, not a calibration (ours)
_SPLIT_M, _SPLIT_SHARE = 60.0, 0.35  # a change of offset that makes two runs of one (ours)
_SIDE = 12  # honest points on each side that stand for the run's surroundings
_WHOLE = 0.9  # share of a track that makes a run the whole line
_SPIKE = 2  # points at most
CAUSES = (
    "displaced positions",
    "flat line",
    "swapped columns",
    "unit slip (feet)",
    "spike",
    "biased line",
    "wrong layer",
    "biased sector",
)


@dataclass(frozen=True)
class Along:
    """Points of a survey, track by track in the order flown.

    Attributes
    ----------
    row, track : ndarray of int64, shape (n,)
    east, north, thickness, surface, bed, expected : ndarray of float64, shape (n,)
        m; NaN where missing. `bed` is NaN where it was reconstructed from the thickness.
    log_odds, offset, flat : ndarray of float64, shape (n,)
        From `segments_chain.posterior`.
    displaced : ndarray of bool, shape (n,)
        From `segments_steps.displaced_runs`.
    """

    row: Ints
    track: Ints
    east: Floats
    north: Floats
    thickness: Floats
    surface: Floats
    bed: Floats
    expected: Floats
    log_odds: Floats
    offset: Floats
    flat: Floats
    displaced: Bools


def run_spans(points: Along) -> list[tuple[int, int]]:
    """First and one past the last place of each run: points more likely bad than not, of one offset."""
    bad = points.log_odds > 0
    if not bad.any():
        return []
    size = np.abs(points.offset)
    change = np.abs(np.diff(points.offset, prepend=points.offset[:1]))
    before = np.concatenate([size[:1], size[:-1]])
    cut = change > np.maximum(_SPLIT_M, _SPLIT_SHARE * np.maximum(size, before))
    cut |= np.diff(points.track, prepend=points.track[:1]) != 0
    cut |= np.diff(points.displaced.astype(np.int8), prepend=0) != 0
    begins = bad & (cut | ~np.concatenate([[False], bad[:-1]]))
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(bad))
    return [
        (int(a), int(a + np.argmin(bad[a:b])) if not bad[a:b].all() else int(b))
        for a, b in zip(starts, ends, strict=True)
    ]


def describe_runs(points: Along) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """One row a run, and the run of each point.

    Parameters
    ----------
    points : Along

    Returns
    -------
    runs : DataFrame
        run_id (u32, counted from 0 along the survey), track_id, first_row, last_row (data rows of
        the survey), n, length_m, offset_m (median thickness beyond what is expected), ratio (median
        thickness over expected), cause (one of `CAUSES`), log_odds (median).
    run_of : ndarray of int64, shape (n,)
        run_id of each point, -1 outside runs.
    """
    run_of = np.full(len(points.row), -1, np.int64)
    track_begin = np.searchsorted(points.track, points.track, side="left")
    track_end = np.searchsorted(points.track, points.track, side="right")
    rows = []
    for number, (a, b) in enumerate(run_spans(points)):
        run_of[a:b] = number
        before, after = _surroundings(points, a, b, int(track_begin[a]), int(track_end[a]))
        expected = _expected(points, a, b, before, after)
        delta = points.thickness[a:b] - expected
        offset = np.nanmedian(delta) if np.isfinite(delta).any() else np.median(points.offset[a:b])
        ratio = points.thickness[a:b] / np.maximum(expected, 1.0)
        rows.append(
            {
                "run_id": number,
                "track_id": int(points.track[a]),
                "first_row": int(points.row[a]),
                "last_row": int(points.row[b - 1]),
                "n": b - a,
                "length_m": float(
                    np.hypot(np.diff(points.east[a:b]), np.diff(points.north[a:b])).sum()
                ),
                "offset_m": float(offset),
                "ratio": float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else None,
                "cause": _cause(
                    points, a, b, expected, before, after, int(track_end[a] - track_begin[a])
                ),
                "log_odds": float(np.median(points.log_odds[a:b])),
            }
        )
    return pl.DataFrame(rows, schema=_SCHEMA), run_of


_SCHEMA = {
    "run_id": pl.UInt32,
    "track_id": pl.Int32,
    "first_row": pl.UInt32,
    "last_row": pl.UInt32,
    "n": pl.UInt32,
    "length_m": pl.Float64,
    "offset_m": pl.Float64,
    "ratio": pl.Float64,
    "cause": pl.String,
    "log_odds": pl.Float64,
}


def _surroundings(points: Along, a: int, b: int, begin: int, end: int) -> tuple[Ints, Ints]:
    """Honest points of the track just before and just after a run."""
    before = np.arange(max(begin, a - 3 * _SIDE), a)
    after = np.arange(b, min(end, b + 3 * _SIDE))
    return (
        before[points.log_odds[before] <= 0][-_SIDE:],
        after[points.log_odds[after] <= 0][:_SIDE],
    )


def _expected(points: Along, a: int, b: int, before: Ints, after: Ints) -> Floats:
    """Thickness expected in a run: from other lines, else between the run's surroundings."""
    expected = points.expected[a:b].copy()
    missing = np.isnan(expected)
    if missing.any():
        ends = [np.median(points.thickness[side]) for side in (before, after) if len(side)]
        if ends:
            expected[missing] = np.linspace(ends[0], ends[-1], b - a)[missing]
    return expected


def _cause(
    points: Along, a: int, b: int, expected: Floats, before: Ints, after: Ints, on_track: int
) -> str:
    thickness = points.thickness[a:b]
    if points.displaced[a:b].mean() > 0.5:
        return "displaced positions"
    if points.flat[a:b].mean() > 0.5:
        return "flat line"
    ratio = thickness / np.maximum(expected, 1.0)
    middle = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 1.0
    around = np.concatenate([before, after])
    for column in (points.surface, points.bed):
        if _swapped(column, thickness, expected, slice(a, b), around):
            return "swapped columns"
    if any(abs(middle / factor - 1) < _UNIT_TOLERANCE for factor in _FEET):
        return "unit slip (feet)"
    if b - a <= _SPIKE:
        return "spike"
    if b - a >= _WHOLE * on_track:
        return "biased line"
    return "wrong layer" if abs(middle - 1) >= _LAYER else "biased sector"


def _swapped(column: Floats, thickness: Floats, expected: Floats, run: slice, around: Ints) -> bool:
    """Whether thickness and a column hold each other's values: both fit better the other way round."""
    inside = np.abs(column[run] - expected)
    beside = column[around]
    beside = beside[np.isfinite(beside)]
    if not (np.isfinite(inside).any() and len(beside)):
        return False
    off = float(np.nanmedian(np.abs(thickness - expected)))
    astray = float(np.median(np.abs(thickness - np.median(beside))))
    return bool(np.nanmedian(inside) < 0.3 * off and astray < 0.3 * off)
