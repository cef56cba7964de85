"""Put errors of eight known kinds into good tracks, and say which points they changed.

In: thickness, surface, bed and position of points along tracks, a mix of errors and a random generator.
Out: the same arrays with errors, and for each bad point the kind, the event and by how much it is wrong.
The demo's truth is made so, and the evaluation puts the same kinds into a user's own tracks.

The kinds, each an event on a run of consecutive points of one track:

========== ============================================================================================
spike      a single point far off
burst      a wrong layer picked for a while: an internal layer (too thin) or an echo from below (too thick)
sector     a long run that is offset as a whole
line_bias  a whole track that is offset
displaced  positions that belong to another place
unit_slip  feet read as metres, or the reverse
flat_line  one value repeated, the bed having been lost
column_swap thickness and surface (or bed) in each other's columns
========== ============================================================================================

The bed follows the thickness wherever it is given (bed = surface − thickness), except for the swap,
where the disagreement of the columns is the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedsieve.simulate.error_kinds import CHANGES, Change, Run, ThicknessAt
from bedsieve.simulate.error_mix import KINDS, ErrorMix

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_TRIES = 60
_MARGIN = 3


@dataclass
class Injected:
    """Tracks with errors, and the truth about them.

    Attributes
    ----------
    ice_thickness, surface, bed, east, north : float64 (n,)
        As given, changed where a point is bad; NaN stays NaN.
    kind : int8 (n,)
        Index into `KINDS`, -1 for an honest point.
    event : int32 (n,)
        Event of a bad point, counted from 0, else -1.
    delta_m : float64 (n,)
        Recorded thickness minus the honest one at the recorded position (m); 0 for honest points.
    left_out : tuple of str
        Kinds of the mix that no track could hold.
    """

    ice_thickness: Floats
    surface: Floats
    bed: Floats
    east: Floats
    north: Floats
    kind: NDArray[np.int8]
    event: NDArray[np.int32]
    delta_m: Floats
    left_out: tuple[str, ...] = ()


def inject(
    ice_thickness: ArrayLike,
    east: ArrayLike,
    north: ArrayLike,
    line: ArrayLike,
    *,
    rng: np.random.Generator,
    mix: ErrorMix | None = None,
    surface: ArrayLike | None = None,
    bed: ArrayLike | None = None,
    thickness_at: ThicknessAt | None = None,
) -> Injected:
    """Inject errors into tracks; the arrays given are left as they are.

    Parameters
    ----------
    ice_thickness : array-like (n,)
        Thickness (m); points without one (NaN) are never touched.
    east, north : array-like (n,)
        Positions (m).
    line : array-like of int (n,)
        Track of each point (survey and track together); points of a track are in the order flown, but
        need not be adjacent.
    rng : numpy Generator
        Source of everything drawn.
    mix : ErrorMix, optional
        How much of what; the default mix if not given.
    surface, bed : array-like (n,), optional
        Altitudes (m), NaN where missing.
    thickness_at : callable, optional
        True thickness (m) at any position. With it, displaced runs get other positions. Without it (real
        tracks) the same mistake is made along the track: points carry the thickness, and the surface, of
        points some way on, as with a wrong clock, since what lies beside a track is unknown.

    Returns
    -------
    Injected

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    mix = mix or ErrorMix()
    thickness = np.array(ice_thickness, np.float64)
    missing = np.full(len(thickness), np.nan)
    state = Injected(
        ice_thickness=thickness,
        surface=missing.copy() if surface is None else np.array(surface, np.float64),
        bed=missing.copy() if bed is None else np.array(bed, np.float64),
        east=np.array(east, np.float64),
        north=np.array(north, np.float64),
        kind=np.full(len(thickness), -1, np.int8),
        event=np.full(len(thickness), -1, np.int32),
        delta_m=np.zeros(len(thickness)),
    )
    sizes = {len(a) for a in (state.surface, state.bed, state.east, state.north, np.asarray(line))}
    if sizes != {len(thickness)}:
        raise ValueError(
            "thickness, positions, altitudes and lines must have one value per point each"
        )
    tracks = _Tracks(state, np.asarray(line, np.int64))
    left_out = []
    events = 0
    # Longest first: a whole line is hard to find once spikes lie everywhere.
    for kind in ("line_bias", "sector", "displaced", "flat_line", "burst", "unit_slip",
                 "column_swap", "spike"):  # fmt: skip
        placed = _place(kind, state, tracks, mix, rng, events, thickness_at)
        events += placed
        if not placed and mix.share.get(kind, 0.0) * mix.prevalence > 0 and len(thickness):
            left_out.append(kind)
    state.left_out = tuple(kind for kind in KINDS if kind in left_out)
    return state


class _Tracks:
    """The points with a thickness, track by track in the order flown, and which are still honest."""

    def __init__(self, state: Injected, line: Ints) -> None:
        usable = np.flatnonzero(np.isfinite(state.ice_thickness))
        self.order: Ints = usable[np.argsort(line[usable], kind="stable")]
        starts = np.flatnonzero(np.diff(line[self.order], prepend=line[self.order][:1] - 1) != 0)
        self.starts = starts if len(self.order) else np.zeros(0, np.int64)
        self.lengths: Ints = np.diff(np.append(self.starts, len(self.order)))
        self.taken = np.zeros(len(self.order), np.bool_)

    def run(self, length: int, rng: np.random.Generator) -> tuple[int, int] | None:
        """A free run of `length` points somewhere (every place as likely), or None."""
        room = self.lengths - length + 1
        room = np.where(room > 0, room, 0)
        total = int(room.sum())
        if total == 0:
            return None
        ends = np.cumsum(room)
        for _ in range(_TRIES):
            place = int(rng.integers(total))
            track = int(np.searchsorted(ends, place, side="right"))
            first = int(self.starts[track] + place - (ends[track] - room[track]))
            if not self._near(track, first, first + length).any():
                return first, first + length
        return None

    def whole(self, budget: float, rng: np.random.Generator) -> tuple[int, int] | None:
        """An untouched whole track of 20 to `budget` points, or None."""
        fits = np.flatnonzero((self.lengths >= 20) & (self.lengths <= budget))
        for track in rng.permutation(fits):
            first, stop = int(self.starts[track]), int(self.starts[track] + self.lengths[track])
            if not self.taken[first:stop].any():
                return first, stop
        return None

    def _near(self, track: int, first: int, stop: int) -> NDArray[np.bool_]:
        begin = int(self.starts[track])
        end = begin + int(self.lengths[track])
        return self.taken[max(begin, first - _MARGIN) : min(end, stop + _MARGIN)]

    def cut(self, state: Injected, span: tuple[int, int]) -> Run:
        """The values of a run and of the track that holds it."""
        number = int(np.searchsorted(self.starts, span[0], side="right")) - 1
        begin = int(self.starts[number])
        track = self.order[begin : begin + int(self.lengths[number])]
        run = self.order[span[0] : span[1]]
        steps = np.hypot(np.diff(state.east[track]), np.diff(state.north[track]))
        return Run(
            thickness=state.ice_thickness[run],
            surface=state.surface[run],
            bed=state.bed[run],
            east=state.east[run],
            north=state.north[run],
            track_thickness=state.ice_thickness[track],
            track_surface=state.surface[track],
            track_along=np.concatenate([[0.0], np.cumsum(steps)]),
            start=span[0] - begin,
        )


def _place(
    kind: str,
    state: Injected,
    tracks: _Tracks,
    mix: ErrorMix,
    rng: np.random.Generator,
    first_event: int,
    thickness_at: ThicknessAt | None,
) -> int:
    """Place events of one kind until its quota is met; returns their number."""
    quota = mix.prevalence * mix.share.get(kind, 0.0) * len(tracks.order)
    if quota <= 0:
        return 0
    low, high = mix.length[kind]
    done, events, failures = 0, 0, 0
    while (done + low / 2 <= quota or events == 0) and failures < _TRIES:
        if kind == "line_bias":
            # At least one line, but never most of a small data set.
            budget = quota if events else max(quota, min(400.0, len(tracks.order) / 40))
            span = tracks.whole(1.25 * budget - done, rng)
        else:
            # Runs of all scales are as likely: log-uniform. The last one keeps to the quota.
            length = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
            length = max(low, min(length, round(quota - done)))
            span = tracks.run(length, rng)
        if span is None:
            failures += 1
            continue
        run = tracks.order[span[0] : span[1]]
        change = CHANGES[kind](tracks.cut(state, span), mix, rng, thickness_at)
        if change is None:
            failures += 1
            continue
        failures = 0
        _apply(change, state, run)
        tracks.taken[span[0] : span[1]] = True
        state.kind[run] = KINDS.index(kind)
        state.event[run] = first_event + events
        state.delta_m[run] = change.thickness - change.honest
        done += len(run)
        events += 1
    return events


def _apply(change: Change, state: Injected, run: Ints) -> None:
    before = state.ice_thickness[run]
    state.ice_thickness[run] = change.thickness
    if change.surface is not None:
        state.surface[run] = change.surface
    if change.east is not None and change.north is not None:
        state.east[run], state.north[run] = change.east, change.north
    if change.bed is not None:
        state.bed[run] = change.bed
        return
    surface, bed = state.surface[run], state.bed[run]
    moved = np.where(
        np.isfinite(surface), surface - change.thickness, bed + before - change.thickness
    )
    state.bed[run] = np.where(np.isfinite(bed), moved, bed)
