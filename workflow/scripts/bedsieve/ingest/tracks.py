"""Tracks: the columns of a survey's cleaned rows in, the rows that begin a new track out.

A survey file is a chain of flight lines without marks between them. Where one ends is read off
the first of these columns that shows any break at all: the trace number, the flight's name, the
clock, or else the position itself. Every rule looks at neighbouring rows only and carries one
value over from chunk to chunk, so a survey of any size can be split in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedsieve.ingest.turns import turn_breaks_in_chunks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Chunk = tuple[Rows, tuple[NDArray[Any], ...]]
# Gives the cleaned rows chunk by chunk: their row numbers, and the columns asked for.
Reader = Callable[[tuple[str, ...]], Iterator[Chunk]]
# Takes columns and what the chunk before left; gives positions of breaks and what it leaves.
Rule = Callable[[tuple[NDArray[Any], ...], Any], tuple[NDArray[np.intp], Any]]

METHODS = ("trace", "flight", "time", "spatial", "chain")


@dataclass(frozen=True)
class TrackLimits:
    """Constants of the five rules (Study B; the id's shares and the turn too).

    Attributes
    ----------
    trace_jump : float
        Largest step forward of the trace number within a track.
    id_missing, id_unique : float
        Largest share of rows without a trajectory id, and of distinct ids among those with one,
        for the ids to be believed.
    time_jump : float
        Longest silence within a track (s).
    step : float
        Longest step within a track (m).
    turn, turn_points : float, int
        Sharpest turn within a track (degrees) over so many points, where splitting on turns is
        asked for.
    """

    trace_jump: float = 500.0
    id_missing: float = 0.8
    id_unique: float = 0.1
    time_jump: float = 10_000.0
    step: float = 5_000.0
    turn: float = 60.0
    turn_points: int = 7


@dataclass(frozen=True)
class Tracks:
    """How a survey is split.

    Attributes
    ----------
    method : str
        The rule that decided: one of `METHODS`.
    starts : ndarray of int64
        Ascending rows that begin a track, other than the first row.
    """

    method: str
    starts: Rows

    def ids(self, rows: Rows) -> NDArray[np.int32]:
        """0-based track of each of `rows`."""
        return np.searchsorted(self.starts, rows, side="right").astype(np.int32)


def find_tracks(
    read: Reader, limits: TrackLimits | None = None, split_on_angle: bool = False
) -> Tracks:
    """Split a survey by the first rule that finds at least one break (Study B).

    Parameters
    ----------
    read : callable
        Gives, for a tuple of column names out of trace_number, trajectory_id, timestamp, east and
        north, the cleaned rows in file order, chunk by chunk. Missing numbers are NaN; trajectory_id
        holds one unsigned integer for each id, 0 where there is none.
    limits : TrackLimits, optional
    split_on_angle : bool
        Split at sharp turns too, whichever rule decides. Off by default: it cuts curved lines
        into pieces that then look like different tracks.

    Returns
    -------
    Tracks
    """
    limits = limits or TrackLimits()
    tracks = _by_first_rule(read, limits)
    if not split_on_angle:
        return tracks
    chunks = (
        (rows, east, north, tracks.ids(rows)) for rows, (east, north) in read(("east", "north"))
    )
    turns = turn_breaks_in_chunks(chunks, limits.turn, limits.turn_points)
    return Tracks(tracks.method, np.union1d(tracks.starts, turns).astype(np.int64))


def _by_first_rule(read: Reader, limits: TrackLimits) -> Tracks:
    rules: list[tuple[str, tuple[str, ...], Rule]] = [
        ("trace", ("trace_number",), _falls_or_jumps(limits.trace_jump)),
        ("flight", ("trajectory_id",), _changes),
        ("time", ("timestamp",), _falls_or_jumps(limits.time_jump)),
        ("spatial", ("east", "north"), _steps(limits.step)),
    ]
    for method, columns, rule in rules:
        if method == "flight" and not _ids_name_flights(read, limits):
            continue
        starts = _starts(read, columns, rule)
        if len(starts) or method == "spatial":
            break
    return Tracks(method, starts)


def _starts(read: Reader, columns: tuple[str, ...], rule: Rule) -> Rows:
    found: list[Rows] = []
    carried: Any = None
    for rows, values in read(columns):
        breaks, carried = rule(values, carried)
        found.append(rows[breaks])
    return np.concatenate([np.empty(0, np.int64), *found])


def _falls_or_jumps(limit: float) -> Rule:
    def rule(columns: tuple[NDArray[Any], ...], before: Any) -> tuple[NDArray[np.intp], Any]:
        # Gaps are bridged: a fall hidden behind missing values is still a fall.
        known = np.flatnonzero(np.isfinite(columns[0]))
        values = columns[0][known]
        if not len(values):
            return known, before
        steps = np.diff(values, prepend=values[0] if before is None else before)
        return known[(steps < 0) | (steps > limit)], values[-1]

    return rule


def _changes(columns: tuple[NDArray[Any], ...], before: Any) -> tuple[NDArray[np.intp], Any]:
    known = np.flatnonzero(columns[0])
    ids = columns[0][known]
    if not len(ids):
        return known, before
    previous = np.concatenate([ids[:1] if before is None else [before], ids[:-1]])
    return known[ids != previous], ids[-1]


def _steps(limit: float) -> Rule:
    def rule(columns: tuple[NDArray[Any], ...], before: Any) -> tuple[NDArray[np.intp], Any]:
        east, north = columns
        if not len(east):
            return np.empty(0, np.intp), before
        first = (east[0], north[0]) if before is None else before
        step = np.hypot(np.diff(east, prepend=first[0]), np.diff(north, prepend=first[1]))
        return np.flatnonzero(step > limit), (east[-1], north[-1])

    return rule


def _ids_name_flights(read: Reader, limits: TrackLimits) -> bool:
    rows = known = 0
    distinct = np.empty(0, np.uint64)
    for numbers, (ids,) in read(("trajectory_id",)):
        rows += len(numbers)
        present = ids[ids != 0]
        known += len(present)
        fresh = np.unique(present)
        if len(np.setdiff1d(fresh, distinct, assume_unique=True)):
            distinct = np.union1d(distinct, fresh)
    return (
        rows - known <= limits.id_missing * rows
        and len(distinct) > 1
        and len(distinct) <= limits.id_unique * known
    )
