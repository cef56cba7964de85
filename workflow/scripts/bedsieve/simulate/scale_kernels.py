"""Fill planned flight lines with points: positions, ice thickness, surface and cheap covariates.

In: the arrays of a `scale_plan.TrackPlan`. Out: arrays of points, line after line. Each line draws from
a generator of its own, seeded by its number, so that neither threads nor chunks change a digit of it.
The terrain is a sum of plane waves, since no grid of a continent would resolve what a line sees.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

WAVES = 14
_SMOOTH_WAVES = 9  # what a gridded product resolves of them
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# EPSG:3031: WGS 84, true scale at 71 degrees south.
_A, _E2 = 6_378_137.0, 0.0066943799901413165
_E = math.sqrt(_E2)
_PHI = math.radians(71.0)
_M_C = math.cos(_PHI) / math.sqrt(1 - _E2 * math.sin(_PHI) ** 2)
_T_C = math.tan(math.pi / 4 - _PHI / 2) / (
    (1 - _E * math.sin(_PHI)) / (1 + _E * math.sin(_PHI))
) ** (_E / 2)
_RHO_SCALE = _T_C / (_A * _M_C)
# Snyder's series in multiple angles (3-5), as a polynomial in the cosine of the double angle.
_S2 = _E2 / 2 + 5 * _E2**2 / 24 + _E2**3 / 12 + 13 * _E2**4 / 360
_S4 = 7 * _E2**2 / 48 + 29 * _E2**3 / 240 + 811 * _E2**4 / 11520
_S6 = 7 * _E2**3 / 120 + 81 * _E2**4 / 1120
_S8 = 4279 * _E2**4 / 161280
_TO_LAT = (_S2 - _S6, 2 * _S4 - 4 * _S8, 4 * _S6, 8 * _S8)


def terrain_waves(seed: int) -> NDArray[np.float64]:
    """Plane waves of the bed: (WAVES, 4) of wave numbers in x and y (1/m), phase and amplitude (m)."""
    rng = np.random.default_rng([seed, 2])
    wavelength = np.geomspace(700_000.0, 3_500.0, WAVES)
    angle = rng.uniform(0, 2 * np.pi, WAVES)
    amplitude = 420.0 * (wavelength / wavelength[0]) ** 0.55
    k = 2 * np.pi / wavelength
    return np.column_stack(
        [k * np.cos(angle), k * np.sin(angle), rng.uniform(0, 2 * np.pi, WAVES), amplitude]
    )


@njit(cache=True, nogil=True, inline="always")
def _mix(state: np.uint64) -> np.uint64:
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def _uniform(bits: np.uint64) -> float:
    return float(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True, inline="always")
def _bell(bits: np.uint64) -> float:
    # Four 16-bit uniforms: mean 0, standard deviation 1, and no logarithm to pay for.
    mask = np.uint64(0xFFFF)
    total = (
        float(bits & mask)
        + float((bits >> np.uint64(16)) & mask)
        + float((bits >> np.uint64(32)) & mask)
        + float(bits >> np.uint64(48))
    )
    return (total / 65536.0 - 2.0) * math.sqrt(3.0)


@njit(cache=True, nogil=True)
def bed_and_surface(
    x: float, y: float, radius: float, waves: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Bed, the bed as a gridded product would show it, and the surface (m) at a place (m).

    `radius` is the continent's (m); its surface is a dome.
    """
    bed = -100.0
    smooth = bed
    for w in range(WAVES):
        part = waves[w, 3] * math.sin(waves[w, 0] * x + waves[w, 1] * y + waves[w, 2])
        bed += part
        if w < _SMOOTH_WAVES:
            smooth += part
    r2 = (x * x + y * y) / (radius * radius)
    surface = 60.0 + 3_500.0 * math.sqrt(max(1.0 - r2, 0.0))
    return min(bed, surface - 15.0), min(smooth, surface - 15.0), surface


@njit(cache=True, nogil=True)
def fill_lines(
    first_line: int,
    seed: int,
    radius: float,
    offsets: NDArray[np.int64],
    x0: NDArray[np.float64],
    y0: NDArray[np.float64],
    heading: NDArray[np.float64],
    curvature: NDArray[np.float64],
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    lateral: NDArray[np.float64],
    spacing: NDArray[np.float64],
    bias: NDArray[np.float64],
    waves: NDArray[np.float64],
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    thickness: NDArray[np.float64],
    surface: NDArray[np.float64],
    smooth: NDArray[np.float32],
    along: NDArray[np.float64],
    begin: int,
    end: int,
) -> None:
    """Write the points of the lines [begin, end) into the six arrays before, at ``offsets[line]`` and after.

    `first_line` is the number of the first of these lines in the whole plan (it seeds them); `along` is
    the distance flown (m); the other arguments are the columns of a `TrackPlan`.
    """
    for line in range(begin, end):
        state = _mix(np.uint64(seed) * _GOLDEN + np.uint64(first_line + line + 1))
        wave_phase = 2 * math.pi * _uniform(state)
        s = start[line]
        flown = 0.0
        drift = 0.0
        wrong = 0.0
        wrong_left = 0
        for i in range(offsets[line], offsets[line + 1]):
            state += _GOLDEN
            bits = _mix(state)
            u = _uniform(bits)
            step = spacing[line] * (0.8 + 0.4 * u)
            if u < 0.0012:  # the radar is blind for a while
                step += min(4_000.0, -1_500.0 * math.log(max(u / 0.0012, 1e-9)))
            if i > offsets[line]:
                s += direction[line] * step
                flown += step
            across = lateral[line] + 5.0 * math.sin(s / 3_000.0 + wave_phase)
            theta = heading[line] + curvature[line] * s
            # The chord of the arc: exact for any curvature, and for none.
            half = 0.5 * curvature[line] * s
            chord = s * (1.0 - half * half / 6.0 if abs(half) < 1e-4 else math.sin(half) / half)
            middle = heading[line] + half
            east[i] = x0[line] + chord * math.cos(middle) - across * math.sin(theta)
            north[i] = y0[line] + chord * math.sin(middle) + across * math.cos(theta)
            bed, gridded, top = bed_and_surface(east[i], north[i], radius, waves)
            noise = _bell(_mix(bits + _GOLDEN))
            drift = 0.98 * drift + 0.2 * noise
            honest = max(top - bed, 15.0)
            if wrong_left > 0:
                wrong_left -= 1
            else:
                wrong = 0.0
                if u > 0.9998:  # a run of a wrong layer, or a single spike
                    wrong = (0.15 + 0.5 * _uniform(_mix(bits + np.uint64(7)))) * honest
                    wrong *= -1.0 if bits & np.uint64(1) else 1.0
                    wrong_left = int(_uniform(_mix(bits + np.uint64(9))) * 90.0)
            value = honest + bias[line] + 0.006 * honest * drift + 3.0 * noise + wrong
            # Centimetres, as files have them.
            thickness[i] = math.floor(max(value, 1.0) * 100.0 + 0.5) / 100.0
            surface[i] = math.floor(top * 100.0 + 0.5) / 100.0
            smooth[i] = max(top - gridded, 0.0)
            along[i] = flown


@njit(cache=True, nogil=True)
def to_lon_lat(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    begin: int,
    end: int,
) -> None:
    """EPSG:3031 metres to degrees of WGS 84 (Snyder 1987, eqs 3-5, 7-9, 20-16, 21-39), to 1e-9 degrees."""
    for i in range(begin, end):
        rho = math.hypot(east[i], north[i])
        t2 = (rho * _RHO_SCALE) ** 2
        # Sine and cosine of the conformal latitude chi = pi/2 - 2 atan(t), doubled.
        sin_chi, cos_chi = (1 - t2) / (1 + t2), 2 * math.sqrt(t2) / (1 + t2)
        s2, c2 = 2 * sin_chi * cos_chi, cos_chi * cos_chi - sin_chi * sin_chi
        chi = math.atan2(sin_chi, cos_chi)
        phi = chi + s2 * (_TO_LAT[0] + c2 * (_TO_LAT[1] + c2 * (_TO_LAT[2] + c2 * _TO_LAT[3])))
        lat[i] = -math.degrees(phi)
        lon[i] = math.degrees(math.atan2(east[i], north[i])) if rho > 0 else 0.0


@njit(cache=True, nogil=True)
def fill_grids(
    corner: float,
    step: float,
    radius: float,
    waves: NDArray[np.float64],
    out: NDArray[np.float32],
    begin: int,
    end: int,
) -> None:
    """Write vx, vy (m/yr), the gridded thickness and the surface (m), smb (kg/m²/yr) and temperature (K).

    `out` is (6, n, n), rows along y; node (i, j) lies at (corner + j step, corner + i step).
    """
    for i in range(begin, end):
        y = corner + i * step
        for j in range(out.shape[2]):
            x = corner + j * step
            r = math.hypot(x, y) + 1.0
            _, smooth, surface = bed_and_surface(x, y, radius, waves)
            stream = 0.5 + 0.5 * math.sin(x / 60_000.0) * math.cos(y / 75_000.0)
            speed = 4.0 + 1_500.0 * stream**6 * (r / radius) ** 2
            out[0, i, j] = speed * x / r
            out[1, i, j] = speed * y / r
            out[2, i, j] = max(surface - smooth, 0.0)
            out[3, i, j] = surface
            out[4, i, j] = 30.0 + 900.0 * math.exp(-surface / 900.0)
            out[5, i, j] = 262.0 - 0.0098 * surface
