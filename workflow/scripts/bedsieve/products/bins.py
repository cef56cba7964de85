"""Bins that points are counted in: bands and logits of scores, sizes of residuals, steps of variables.

In: values of points. Out: the number of each one's bin. No bin depends on the data, so what tiles count
one by one can be added up. The bands are Study B's (seed 000, "Along-track outliers").
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

Counts = NDArray[np.int64]

ENSEMBLE = "ensemble"
RESIDUAL_OF = "along_track"
"""The detector whose table holds the residual along the track."""
BANDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
ABOVE = (0.5, 0.7, 0.9)
"""Thresholds that points are counted above; each is the edge of a band."""
LABELS = ("inlier", "outlier", "none")
LOGIT = 8.0
"""Logits are counted from minus to plus this; scores beyond count at the ends."""
LOGIT_BINS = 1600
REFERENCE = "ith_bm"
"""The column of the reference grid."""

VARIABLES = {
    "ice_thickness": ("m", 1),
    "bed_elev": ("m", 1),
    "z": ("m", 1),
    "s": ("", 100_000),
    "v": ("m/yr", 10),
    "smb": ("kg m⁻² yr⁻¹", 1),
    "temp": ("K", 100),
    "year": ("", 1),
}
"""Variables that the flagged share is given for: their units, and the steps that a unit is cut in."""

_LEAST_RESIDUAL, _RESIDUALS_A_DECADE = 1e-4, 1000
RESIDUAL_BINS = 9 * _RESIDUALS_A_DECADE + 1
_LEAST_DIFFERENCE, _DIFFERENCES_A_DECADE = 0.1, 200
DIFFERENCE_BINS = 6 * _DIFFERENCES_A_DECADE
_FURTHEST_STEP = 2.0**53


def band_of(scores: NDArray[np.float32]) -> Counts:
    """Band of each score: a band holds its lower edge, the last one also its upper edge."""
    inner = np.array(BANDS[1:-1], dtype=np.float32)
    return np.searchsorted(inner, scores, side="right").astype(np.int64)


def logit_bin(score: NDArray[np.float32]) -> Counts:
    """Bin of the logit of each score."""
    with np.errstate(divide="ignore"):
        logit = np.log(score.astype(np.float64)) - np.log1p(-score.astype(np.float64))
    place = np.clip((logit + LOGIT) / (2 * LOGIT) * LOGIT_BINS, 0, LOGIT_BINS - 1)
    return place.astype(np.int64)


def residual_bin(residual: NDArray[np.float32]) -> Counts:
    """Logarithmic bin of the size of each residual (m), good to 0.3 %; -1 where it is NaN."""
    unknown = np.isnan(residual)
    size = np.abs(np.where(unknown, 0, residual)).astype(np.float64)
    decades = np.log10(np.maximum(size, _LEAST_RESIDUAL) / _LEAST_RESIDUAL)
    bins = np.minimum((decades * _RESIDUALS_A_DECADE).astype(np.int64), RESIDUAL_BINS - 1)
    return np.where(unknown, -1, bins)


def residual_at(place: Counts) -> NDArray[np.float64]:
    """Residual (m) in the middle of each bin; 0 for the lowest."""
    middle = _LEAST_RESIDUAL * 10 ** ((place + 0.5) / _RESIDUALS_A_DECADE)
    return np.where(place == 0, 0.0, middle)


def difference_bin(difference: pl.Series) -> Counts:
    """Logarithmic bin of the size of each difference (m); -1 where it is unknown."""
    size = np.abs(difference.fill_null(float("nan")).to_numpy())
    known = np.isfinite(size)
    place = np.full(len(size), -1)
    decades = np.log10(np.maximum(size[known], _LEAST_DIFFERENCE) / _LEAST_DIFFERENCE)
    bins = (decades * _DIFFERENCES_A_DECADE).astype(np.int64)
    place[known] = np.minimum(bins, DIFFERENCE_BINS - 1)
    return place


def difference_at(place: int) -> float:
    """Difference (m) in the middle of a bin."""
    return float(_LEAST_DIFFERENCE * 10 ** ((place + 0.5) / _DIFFERENCES_A_DECADE))


def step_of(name: str, values: NDArray[np.float64]) -> Counts:
    """Step that each finite value of a variable lies in: from step / n up to (step + 1) / n, n steps a unit."""
    steps = np.floor(values * VARIABLES[name][1])
    return np.clip(steps, -_FURTHEST_STEP, _FURTHEST_STEP).astype(np.int64)


def edge_of(name: str, steps: Counts) -> NDArray[np.float64]:
    """Lower edge of steps of a variable, in its unit."""
    return steps / VARIABLES[name][1]
