"""Three laws that an ice thickness should obey, each an evidence in [0, 1] that it does not.

In: points in track order, pairs of points where lines meet, surface slope. Out: an evidence a point
and law: 0 obeyed, 1 broken beyond doubt, NaN where the law can't be judged. The laws are Study B's
("Glaciological Physics Engine", seed 000: along-track variance, spatio-temporal intersections with
modern data preferred, basal shear stress). It gives no figures: every limit below is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ICE_DENSITY = 917.0
"""kg m⁻³ (Study B)."""
GRAVITY = 9.81
"""m s⁻² (Study B)."""


@dataclass(frozen=True)
class LawLimits:
    """Where each law starts to be broken, and why there. All are ours.

    An evidence rises linearly from 0 at the first value of a range to 1 at the second; a law counts
    as broken from 0.5, the middle.

    Parameters
    ----------
    rate : (float, float)
        |ΔH|/d along the track, m/m. The middle is 45°: beyond it an echo seen from above comes from
        the side, and the hyperbola of a point reflector is never steeper.
    rate_noise : float
        m. With `relative_noise`, η = max(rate_noise, relative_noise H) as in the pseudo-labels; 2η
        of a step may be noise of the two picks.
    relative_noise : float
        Share of the thickness that wave speed, firn and picking leave uncertain: 1 %.
    rate_gap : float
        m. Longer steps are not judged: between two so distant points the bed is unknown.
    crossing : (float, float)
        |mis-tie| in standard deviations of its uncertainty. Broken at 4: a year-by-year guess of the
        uncertainty is not good enough for 3.
    base_sigma : float
        m. Uncertainty of a modern pick besides `relative_noise`.
    modern_year : float
        Surveys from here on have dual-frequency GPS and coherent radar; older ones less and less.
    sigma_growth : float
        m per year of age before `modern_year`. 1.5 adds 50 m for 1970, when echoes were read off
        film and positions dead-reckoned.
    unknown_year : float
        Taken where no date is known: undated data is mostly old.
    thickness_change : float
        m per year between two epochs that the ice itself may have changed; 1 is dynamic thinning of
        the fast margins.
    bed_slope : float
        m/m. Times the distance of the two points, the part of a mis-tie that is terrain.
    shear_high : (float, float)
        Pa. Driving stresses averaged over several thicknesses stay below 200 kPa nearly everywhere;
        the slope used here is local, so broken at 450 kPa only.
    shear_low : (float, float)
        Pa; evidence is 1 up to the first value and 0 from the second. (0, 0) turns it off: shelves,
        lakes and divides have no stress, so no lower limit holds.
    weights : (float, float, float)
        Of rate, crossing, shear in the combined evidence. A crossing is an independent measurement;
        a step also accuses its good side; the slope is a model's.
    """

    rate: tuple[float, float] = (0.5, 1.5)
    rate_noise: float = 15.0
    relative_noise: float = 0.01
    rate_gap: float = 1000.0
    crossing: tuple[float, float] = (2.0, 6.0)
    base_sigma: float = 15.0
    modern_year: float = 2005.0
    sigma_growth: float = 1.5
    unknown_year: float = 1985.0
    thickness_change: float = 1.0
    bed_slope: float = 0.3
    shear_high: tuple[float, float] = (300e3, 600e3)
    shear_low: tuple[float, float] = (0.0, 0.0)
    weights: tuple[float, float, float] = (0.8, 1.0, 0.5)


def ramp(value: npt.NDArray[Any], limits: tuple[float, float]) -> Floats:
    """0 up to the first limit, 1 from the second, linear between; NaN stays NaN."""
    low, high = limits
    return np.clip((np.asarray(value, np.float64) - low) / (high - low), 0.0, 1.0)


def rate_of_change(
    line: npt.NDArray[np.int64],
    track_seq: npt.NDArray[np.uint32],
    east: Floats,
    north: Floats,
    thickness: Floats,
    limits: LawLimits,
) -> Floats:
    """Evidence of an impossible jump of the thickness along the flight.

    Parameters
    ----------
    line : (n,) int64 array
        Flight of each point.
    track_seq : (n,) uint32 array
        Order along the flight; of chained surveys it is not that of the file.
    east, north, thickness : (n,) float64 arrays
        m.
    limits : LawLimits
        See there.

    Returns
    -------
    (n,) float64 array
        Of the steeper of the steps to the point before and after; NaN where both are missing or
        longer than ``limits.rate_gap``. Both ends of a jump are accused: it takes another law, or
        the reconstruction, to tell which is bad.
    """
    order = np.argsort(track_seq, kind="stable")
    order = order[np.argsort(line[order], kind="stable")]
    ice = thickness[order]
    distance = np.hypot(np.diff(east[order]), np.diff(north[order]))
    judged = (np.diff(line[order]) == 0) & (distance <= limits.rate_gap)
    eta = np.maximum(limits.rate_noise, limits.relative_noise * np.maximum(ice[1:], ice[:-1]))
    jump = np.maximum(np.abs(np.diff(ice)) - 2 * eta, 0.0)
    rate = np.where(judged, jump / np.maximum(distance, 1.0), np.nan)
    steeper = np.full(ice.size, np.nan)
    steeper[1:] = rate
    steeper[:-1] = np.fmax(steeper[:-1], rate)
    out = np.empty(ice.size)
    out[order] = ramp(steeper, limits.rate)
    return out


def thickness_sigma(year: Floats, thickness: Floats, limits: LawLimits) -> Floats:
    """Standard deviation (m) of a measured thickness, growing with the age of its survey."""
    known = np.where(np.isfinite(year), year, limits.unknown_year)
    epoch = limits.base_sigma + limits.sigma_growth * np.maximum(limits.modern_year - known, 0.0)
    return np.hypot(epoch, limits.relative_noise * np.abs(thickness))


@dataclass(frozen=True)
class Meetings:
    """Pairs of measurements of different flights at one place: double hits and crossings.

    Parameters
    ----------
    a, b : (m,) int64 arrays
        Index of each point among the points judged; −1 where it is not one of them.
    h_a, h_b : (m,) float64 arrays
        Thicknesses compared, m.
    year_a, year_b : (m,) float64 arrays
        NaN where unknown.
    distance : (m,) float64 array
        Between the two places, m; 0 at an exact crossing.
    """

    a: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]
    h_a: Floats
    h_b: Floats
    year_a: Floats
    year_b: Floats
    distance: Floats


def crossing_disagreement(n: int, meetings: Meetings, limits: LawLimits) -> Floats:
    """Evidence that a point disagrees with the other flights that pass it.

    A pair's mis-tie is measured in its own standard deviations (both picks by their age, ice change
    between the epochs, terrain over the distance). The older, less certain side takes the larger
    share of the blame: 2 σ²/(σ_a² + σ_b²) of the evidence, at most all of it. Over a point's pairs
    the mean is weighted by 1/σ² of the other side, so modern data is trusted more, and one bad
    flight among several good ones does not condemn a point.

    Parameters
    ----------
    n : int
        Number of points judged.
    meetings : Meetings
        Pairs that touch them.
    limits : LawLimits
        See there.

    Returns
    -------
    (n,) float64 array
        NaN where no other flight passes.
    """
    sigma_a = thickness_sigma(meetings.year_a, meetings.h_a, limits)
    sigma_b = thickness_sigma(meetings.year_b, meetings.h_b, limits)
    years = np.abs(meetings.year_a - meetings.year_b)
    change = limits.thickness_change * np.where(np.isfinite(years), years, 0.0)
    terrain = limits.bed_slope * meetings.distance
    sigma = np.sqrt(sigma_a**2 + sigma_b**2 + change**2 + terrain**2)
    broken = ramp(np.abs(meetings.h_a - meetings.h_b) / sigma, limits.crossing)
    both = sigma_a**2 + sigma_b**2
    blame = np.zeros(n)
    weight = np.zeros(n)
    for point, own, other in ((meetings.a, sigma_a, sigma_b), (meetings.b, sigma_b, sigma_a)):
        judged = (point >= 0) & np.isfinite(broken)
        trust = 1.0 / other[judged] ** 2
        share = np.minimum(2 * own[judged] ** 2 / both[judged], 1.0)
        blame += np.bincount(point[judged], trust * share * broken[judged], minlength=n)
        weight += np.bincount(point[judged], trust, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.where(weight > 0, blame / weight, np.nan)


def basal_shear_stress(thickness: Floats, slope: Floats) -> Floats:
    """ρ g H sin(arctan slope), in Pa.

    Parameters
    ----------
    thickness : (n,) float64 array
        m.
    slope : (n,) float64 array
        Gradient magnitude of the surface, m/m.
    """
    sine = slope / np.sqrt(1.0 + slope**2)
    return np.asarray(ICE_DENSITY * GRAVITY * thickness * sine)


def shear_outside_range(thickness: Floats, slope: Floats, limits: LawLimits) -> Floats:
    """Evidence of a basal shear stress that ice does not hold; NaN without a surface slope."""
    stress = basal_shear_stress(thickness, slope)
    evidence = ramp(stress, limits.shear_high)
    if limits.shear_low[1] > limits.shear_low[0]:
        evidence = np.maximum(evidence, 1.0 - ramp(stress, limits.shear_low))
    return evidence


def combined(
    rate: npt.NDArray[Any],
    crossing: npt.NDArray[Any],
    shear: npt.NDArray[Any],
    limits: LawLimits,
) -> Floats:
    """1 − Π(1 − weight · evidence): any law suffices, several add up; NaN where none is judged."""
    obeyed = np.ones(len(rate))
    judged = np.zeros(len(rate), bool)
    for evidence, weight in zip((rate, crossing, shear), limits.weights, strict=True):
        known = np.isfinite(evidence)
        obeyed *= 1.0 - weight * np.where(known, evidence, 0.0)
        judged |= known
    return np.where(judged, 1.0 - obeyed, np.nan)


def any_broken(
    rate: npt.NDArray[Any], crossing: npt.NDArray[Any], shear: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    """Whether at least one law is broken, that is its evidence is at least 0.5."""
    stack = np.stack([np.asarray(e, np.float64) for e in (rate, crossing, shear)])
    return np.asarray((np.nan_to_num(stack, nan=0.0) >= 0.5).any(axis=0))
