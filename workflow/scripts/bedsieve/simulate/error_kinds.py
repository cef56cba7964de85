"""What each kind of error does to a run of points.

In: the values of a run, the whole track where the kind needs it, and the mix. Out: a `Change`, or None
where the run cannot hold an error of this kind (no surface to swap with, flat terrain to be lost in).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedsieve.simulate.error_mix import ErrorMix

Floats: TypeAlias = NDArray[np.float64]
ThicknessAt: TypeAlias = Callable[[Floats, Floats], Floats]

# A thickness must stay one that nobody drops on sight.
_THINNEST = 5.0


@dataclass(frozen=True)
class Run:
    """A run of consecutive points, and the rest of its track for those kinds that look farther.

    Attributes
    ----------
    thickness, surface, bed, east, north : float64 (m,)
        The run's values; NaN where missing.
    track_thickness, track_surface, track_along : float64 (t,)
        Thickness, surface and distance along the track (m) of all points of the track.
    start : int
        Place of the run's first point on the track.
    """

    thickness: Floats
    surface: Floats
    bed: Floats
    east: Floats
    north: Floats
    track_thickness: Floats
    track_surface: Floats
    track_along: Floats
    start: int


@dataclass(frozen=True)
class Change:
    """What a run becomes; None for what stays. `honest` is the true thickness at the new positions."""

    thickness: Floats
    honest: Floats
    surface: Floats | None = None
    bed: Floats | None = None
    east: Floats | None = None
    north: Floats | None = None


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))


def _offset(run: Run, size: float, rng: np.random.Generator) -> float:
    """`size` with either sign; thin ice can only be made thicker."""
    sign = -1.0 if rng.random() < 0.5 else 1.0
    return size if run.thickness.min() - size < _THINNEST else sign * size


def _spike(run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None) -> Change:
    size = _offset(run, _log_uniform(rng, mix.spike_m), rng)
    return Change(run.thickness + size, run.thickness)


def _burst(run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None) -> Change:
    above = rng.random() < 0.65
    factor = rng.uniform(*(mix.layer_above if above else mix.layer_below))
    # Internal layers are smoother than the bed beneath them.
    m = len(run.thickness)
    level = np.polyval(np.polyfit(np.arange(m), run.thickness, min(2, m - 1)), np.arange(m))
    ripple = np.cumsum(rng.normal(0, 1.0, m))
    layer = factor * (level if above else run.thickness) + ripple - ripple.mean()
    return Change(np.maximum(layer, _THINNEST), run.thickness)


def _sector(run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None) -> Change:
    size = _offset(run, rng.uniform(*mix.sector_m), rng)
    # A wrong calibration drifts a little: up to a fifth over the run.
    drift = np.linspace(1.0, 1.0 + rng.uniform(-0.2, 0.2), len(run.thickness))
    return Change(np.maximum(run.thickness + size * drift, _THINNEST), run.thickness)


def _line_bias(run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None) -> Change:
    size = _offset(run, rng.uniform(*mix.line_bias_m), rng)
    return Change(np.maximum(run.thickness + size, _THINNEST), run.thickness)


def _displaced(
    run: Run, mix: ErrorMix, rng: np.random.Generator, thickness_at: ThicknessAt | None
) -> Change | None:
    if thickness_at is None:
        return _displaced_along(run, mix, rng)
    distance, angle = rng.uniform(*mix.displaced_m), rng.uniform(0, 2 * np.pi)
    east = run.east + distance * np.cos(angle)
    north = run.north + distance * np.sin(angle)
    honest = thickness_at(east, north)
    change = Change(run.thickness, honest, east=east, north=north)
    return _if_it_matters(change, mix)


def _displaced_along(run: Run, mix: ErrorMix, rng: np.random.Generator) -> Change | None:
    m, t = len(run.thickness), len(run.track_thickness)
    step = (run.track_along[-1] - run.track_along[0]) / max(t - 1, 1)
    lag = round(rng.uniform(*mix.displaced_m) / max(step, 1e-3))
    lag = max(1, lag) * (-1 if rng.random() < 0.5 else 1)
    first = run.start + lag
    if first < 0 or first + m > t:
        first = run.start - lag
    if first < 0 or first + m > t:
        return None
    taken = slice(first, first + m)
    surface = run.track_surface[taken]
    surface = np.where(np.isfinite(run.surface), surface, np.nan)
    return _if_it_matters(Change(run.track_thickness[taken], run.thickness, surface=surface), mix)


def _unit_slip(run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None) -> Change:
    return Change(run.thickness * float(rng.choice(mix.unit_factors)), run.thickness)


def _flat_line(
    run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None
) -> Change | None:
    del rng  # the last good value is repeated: nothing to draw
    return _if_it_matters(Change(np.full_like(run.thickness, run.thickness[0]), run.thickness), mix)


def _column_swap(
    run: Run, mix: ErrorMix, rng: np.random.Generator, _: ThicknessAt | None
) -> Change | None:
    """Swap with the surface or, where the bed lies above the sea, with the bed."""
    choices = []
    if np.all(run.surface > _THINNEST):
        choices.append(Change(run.surface, run.thickness, surface=run.thickness, bed=run.bed))
    if np.all(run.bed > _THINNEST):
        choices.append(Change(run.bed, run.thickness, surface=run.surface, bed=run.thickness))
    if not choices:
        return None
    return _if_it_matters(choices[int(rng.integers(len(choices)))], mix)


def _if_it_matters(change: Change, mix: ErrorMix) -> Change | None:
    effect = np.median(np.abs(change.thickness - change.honest))
    return change if effect >= mix.least_effect_m else None


Maker: TypeAlias = Callable[[Run, ErrorMix, np.random.Generator, ThicknessAt | None], Change | None]

CHANGES: dict[str, Maker] = {
    "spike": _spike,
    "burst": _burst,
    "sector": _sector,
    "line_bias": _line_bias,
    "displaced": _displaced,
    "unit_slip": _unit_slip,
    "flat_line": _flat_line,
    "column_swap": _column_swap,
}
