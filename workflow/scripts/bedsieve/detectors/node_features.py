"""What the graph network knows of a point: physics only, no place, track, time or reference grid.

In: a tile's points and halo. Out: eleven features and three validity bits a point, scaled by median
and IQR/1.349 of the training points, clipped, missing values at 0 (study B, seed 000, section 3.1). The
scale is frozen with the model version, so that a point's features never depend on what else is scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

FEATURES = [
    "sl_ice",
    "bed",
    "geom_resid",
    "surf_minus_bed",
    "log_speed",
    "s",
    "z",
    "smb",
    "temp",
    "dir_x",
    "dir_y",
]
"""ln(1+H), bed, z − bed − H, z − bed, ln(1+|v|), surface slope, z, smb, temp, v/|v| (two)."""

VALIDITY = ("geom_resid", "smb", "temp")
COLUMNS = ("ice_thickness", "bed_elev", "bed_reconstructed", "z", "s", "vx", "vy", "smb", "temp")
"""Columns of a points table that the features are made of; any but the first may be absent."""

INPUTS = len(FEATURES) + len(VALIDITY)
_CLIP = 12.0
_NORMAL_IQR = 1.349
_NO_RESIDUAL = 1e-3  # m; smaller means that the bed was made from surface and thickness
_SPEED_FLOOR = 1e-6  # m/yr

Values = npt.NDArray[np.float32]


def raw_features(points: pl.DataFrame) -> Values:
    """Features before scaling.

    Parameters
    ----------
    points : polars.DataFrame
        With `COLUMNS`: m, m/yr, kg m⁻² yr⁻¹, K.

    Returns
    -------
    float32 ndarray (n, 14)
        `FEATURES`, NaN where missing, then a bit for each of `VALIDITY` (1 where present). The
        residual counts as missing where the bed was made from surface and thickness.
    """
    X = np.empty((points.height, INPUTS), np.float32)
    thickness, bed, z = (column(points, name) for name in ("ice_thickness", "bed_elev", "z"))
    X[:, 0], X[:, 1], X[:, 3] = np.log1p(thickness), bed, z - bed
    residual = z - bed - thickness
    residual[np.abs(residual) < _NO_RESIDUAL] = np.nan
    if "bed_reconstructed" in points.columns:
        residual[points["bed_reconstructed"].fill_null(True).to_numpy()] = np.nan
    X[:, 2], X[:, 6] = residual, z
    del thickness, bed, z, residual
    vx, vy = column(points, "vx"), column(points, "vy")
    speed = np.hypot(vx, vy)
    X[:, 4] = np.log1p(speed)
    X[:, 9], X[:, 10] = vx / (speed + _SPEED_FLOOR), vy / (speed + _SPEED_FLOOR)
    for place, name in ((5, "s"), (7, "smb"), (8, "temp")):
        X[:, place] = column(points, name)
    for bit, name in enumerate(VALIDITY):
        X[:, len(FEATURES) + bit] = np.isfinite(X[:, FEATURES.index(name)])
    return X


def column(points: pl.DataFrame, name: str) -> npt.NDArray[np.float64]:
    """A column of a points table as numbers of its own, shape (n,); NaN where missing or absent."""
    if name not in points.columns:
        return np.full(points.height, np.nan)
    values = points[name].cast(pl.Float64).fill_null(np.nan).to_numpy(writable=True)
    values[~np.isfinite(values)] = np.nan
    return values


@dataclass(frozen=True)
class Scaler:
    """Scale of the features and of the edges' gradients, frozen with a model version.

    Parameters
    ----------
    median, scale : tuple of float
        One for each of `FEATURES`; scale is IQR/1.349.
    g_scale : float
        IQR/1.349 of sign(g) ln(1+|g|) over the training points' edges.
    absent : tuple of str
        Features that no training point has; they are 0 everywhere.
    """

    median: tuple[float, ...]
    scale: tuple[float, ...]
    g_scale: float
    absent: tuple[str, ...] = ()

    def apply(self, X: Values) -> Values:
        """Scale `raw_features` in place, clip to ±12, put 0 where missing; returns `X`."""
        for c, (median, scale) in enumerate(zip(self.median, self.scale, strict=True)):
            column = X[:, c]
            column -= np.float32(median)
            column /= np.float32(scale)
            np.clip(column, -_CLIP, _CLIP, out=column)
            column[np.isnan(column)] = 0
            if FEATURES[c] in self.absent:
                column[:] = 0
        for bit, name in enumerate(VALIDITY):
            if name in self.absent:
                X[:, len(FEATURES) + bit] = 0
        return X

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "features": list(FEATURES),
            "median": list(self.median),
            "scale": list(self.scale),
            "g_scale": self.g_scale,
            "absent": list(self.absent),
        }

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> Scaler:
        """From what `to_mapping` gave."""
        return cls(
            tuple(document["median"]),
            tuple(document["scale"]),
            float(document["g_scale"]),
            tuple(document["absent"]),
        )


def fit_scaler(X: Values, log_slope: npt.NDArray[np.floating]) -> Scaler:
    """Scale of training points.

    Parameters
    ----------
    X : float32 ndarray (n, 14)
        `raw_features` of the training points.
    log_slope : ndarray (e,)
        sign(g) ln(1+|g|) of their edges, empty slots left out.
    """
    medians, scales, absent = [], [], []
    for c, name in enumerate(FEATURES):
        present = X[np.isfinite(X[:, c]), c].astype(np.float64)
        if present.size == 0:
            absent.append(name)
        medians.append(float(np.median(present)) if present.size else 0.0)
        scales.append(_spread(present))
    return Scaler(tuple(medians), tuple(scales), _spread(log_slope), tuple(absent))


def _spread(values: npt.NDArray[np.floating]) -> float:
    """IQR/1.349; the standard deviation where the quartiles agree, 1 where nothing varies (ours)."""
    if values.size == 0:
        return 1.0
    low, high = np.percentile(values.astype(np.float64), [25, 75])
    spread = float(high - low) / _NORMAL_IQR
    if spread <= 0:
        spread = float(values.std(dtype=np.float64))
    return spread if spread > 0 else 1.0
