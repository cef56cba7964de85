"""What the graph autoencoder rebuilds of a point: thickness and physics, no place, track or time.

In: a tile's points. Out: thickness, surface, ln slope, mass balance, temperature and ln speed, each
shifted by its median and divided by its interquartile range over clean points (study B, seed 000,
"RobustScaler: a linear shift & rescale"). Missing values stay NaN, so that the loss can leave them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gae_settings import THICKNESS
from bedsieve.detectors.node_features import column

COLUMNS = ("ice_thickness", "z", "s", "smb", "temp", "vx", "vy")
"""Columns of a points table that the features are made of; any but the first may be absent."""

_SLOPE_FLOOR = 1e-6
Values = npt.NDArray[np.float32]


def raw_features(points: pl.DataFrame, names: Sequence[str]) -> Values:
    """Features before scaling.

    Parameters
    ----------
    points : polars.DataFrame
        With `COLUMNS`: m, m, –, kg m⁻² yr⁻¹, K, m/yr.
    names : sequence of str
        `GaeSettings.features`.

    Returns
    -------
    float32 ndarray (n, len(names))
        H, z, ln max(s, 1e-6), smb, temp and ln(1 + v), or sign(v) ln(1 + |v|) of each component; NaN
        where missing.
    """
    X = np.empty((points.height, len(names)), np.float32)
    for place, name in enumerate(names):
        X[:, place] = _feature(points, name)
    return X


def _feature(points: pl.DataFrame, name: str) -> npt.NDArray[np.float64]:
    if name == "s_log":
        return np.log(np.maximum(column(points, "s"), _SLOPE_FLOOR))
    if name == "v_log":
        return np.log1p(np.hypot(column(points, "vx"), column(points, "vy")))
    if name in ("vx_log", "vy_log"):
        component = column(points, name.removesuffix("_log"))
        return np.copysign(np.log1p(np.abs(component)), component)
    return column(points, name)


@dataclass(frozen=True)
class RobustScale:
    """Shift and scale of each feature, frozen with a model version.

    Parameters
    ----------
    names : tuple of str
    median, iqr : tuple of float
        Of the clean points; iqr is 1 where the quartiles agree.
    absent : tuple of str
        Features that no clean point has; they are missing everywhere.
    """

    names: tuple[str, ...]
    median: tuple[float, ...]
    iqr: tuple[float, ...]
    absent: tuple[str, ...] = ()

    def apply(self, X: Values) -> Values:
        """Scale `raw_features` in place; returns `X`."""
        for c, name in enumerate(self.names):
            X[:, c] -= np.float32(self.median[c])
            X[:, c] /= np.float32(self.iqr[c])
            if name in self.absent:
                X[:, c] = np.nan
        return X

    def thickness(self, scaled: Values) -> npt.NDArray[np.float64]:
        """Ice thickness (m), shape (n,), from scaled features, shape (n, features)."""
        place = self.names.index(THICKNESS)
        return scaled[:, place].astype(np.float64) * self.iqr[place] + self.median[place]

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "names": list(self.names),
            "median": list(self.median),
            "iqr": list(self.iqr),
            "absent": list(self.absent),
        }

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> RobustScale:
        """From what `to_mapping` gave."""
        return cls(*(tuple(document[key]) for key in ("names", "median", "iqr", "absent")))


def fit_scale(X: Values, names: Sequence[str]) -> RobustScale:
    """Median and interquartile range of clean points.

    Parameters
    ----------
    X : float32 ndarray (n, len(names))
        `raw_features` of clean points.
    names : sequence of str
    """
    medians, ranges, absent = [], [], []
    for c, name in enumerate(names):
        present = X[np.isfinite(X[:, c]), c].astype(np.float64)
        if present.size == 0:
            absent.append(name)
            present = np.zeros(1)
        low, middle, high = np.percentile(present, [25, 50, 75])
        medians.append(float(middle))
        ranges.append(float(high - low) or 1.0)
    return RobustScale(tuple(names), tuple(medians), tuple(ranges), tuple(absent))
