"""Linear reconstruction of a point's physics: what a grid's principal components cannot explain.

In: eight physical features a point (NaN where a covariate is missing). Out: the mean squared error
of their reconstruction from the components that hold 95 % of a grid's variance, and its robust z.
PCA because it is strict and linear, and by grid so that coast and inland are not mixed (Study B,
seed 000, "Physics-Backed PCA"). Only the discarded components are projected on: the error is the
squared length along them, which costs a third of a reconstruction.

A missing feature takes the value that fits the row best (projection to the model plane, Nelson,
Taylor and MacGregor 1996): what was not measured can't accuse. Filling in the mean would, since it
contradicts the features that the missing one is correlated with. In training, a covariance is taken
over the rows that have both features, and a feature that fewer than half of the rows have (ours)
stays out of the grid's model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.order_statistics import NORMAL_CONSISTENCY, median_and_mad
from bedsieve.detectors.pca_kernels import pair_moments, partial_row_errors, whole_row_errors

Floats = npt.NDArray[np.float64]

FEATURES = ("sl_ice", "bed", "geom_resid", "z", "s", "log_speed", "smb", "temp")
COLUMNS = ("ice_thickness", "bed_elev", "bed_reconstructed", "z", "s", "v", "smb", "temp")
"""Columns of a points table that the features are made of; any but the first may be absent."""

CHUNK = 1_000_000
"""Rows read at a time."""

_NO_SPREAD = 1e-9
_UNINFORMATIVE = 1e-9


def feature_matrix(points: pl.DataFrame) -> npt.NDArray[np.float32]:
    """The features that the components are taken of.

    Parameters
    ----------
    points : polars.DataFrame
        With `COLUMNS`, metres, m/yr, kg m⁻² yr⁻¹ and K; absent columns count as missing.

    Returns
    -------
    (n, 8) float32 array
        ``FEATURES`` in order, NaN where missing: ln(1+H), bed, z − bed − H, z, s, ln(1+speed), smb,
        temp. The residual is missing where the bed was made from the surface and H, since it then
        tests neither.
    """
    X = np.full((points.height, len(FEATURES)), np.nan, np.float32)
    thickness = _values(points, "ice_thickness")
    bed, surface = _values(points, "bed_elev"), _values(points, "z")
    X[:, 0] = np.log1p(thickness)
    X[:, 1] = bed
    X[:, 2] = surface - bed - thickness
    if "bed_reconstructed" in points.columns:
        X[points.get_column("bed_reconstructed").fill_null(True).to_numpy(), 2] = np.nan
    X[:, 3] = surface
    X[:, 4] = _values(points, "s")
    X[:, 5] = np.log1p(np.abs(_values(points, "v")))
    X[:, 6] = _values(points, "smb")
    X[:, 7] = _values(points, "temp")
    return X


class PointsFile:
    """The features in a points table, a million rows at a time.

    Parameters
    ----------
    path : path-like
        Table with any of `COLUMNS`.
    """

    def __init__(self, path: str | Path) -> None:
        self._scan = pl.scan_parquet(path)
        present = set(self._scan.collect_schema().names())
        self._columns = [name for name in COLUMNS if name in present]
        self.rows = int(self._scan.select(pl.len()).collect().item())

    def chunks(self) -> Iterator[tuple[slice, pl.DataFrame]]:
        """Rows and their `COLUMNS`, in order."""
        for start in range(0, self.rows, CHUNK):
            rows = slice(start, min(start + CHUNK, self.rows))
            yield rows, self._scan.slice(start, CHUNK).select(self._columns).collect()

    def features(self) -> npt.NDArray[np.float32]:
        """The whole feature matrix, (rows, 8)."""
        X = np.empty((self.rows, len(FEATURES)), np.float32)
        for rows, part in self.chunks():
            X[rows] = feature_matrix(part)
        return X


def _values(points: pl.DataFrame, column: str) -> Floats:
    if column not in points.columns:
        return np.full(points.height, np.nan)
    return points.get_column(column).cast(pl.Float64).to_numpy()


@dataclass(frozen=True)
class GridModel:
    """The components of one grid and the scale of their errors.

    Parameters
    ----------
    columns : (p,) int64 array
        Indices into the feature matrix that the model uses.
    centre, scale : (p,) float64 arrays
        Mean and standard deviation (ddof 0) of each feature over the rows that have it.
    discarded : (p, r) float64 array
        Loadings of the discarded components, orthonormal columns.
    median, mad : float
        Of the mean squared errors of the rows trained on.
    rows : int
        Number of rows trained on.
    """

    columns: npt.NDArray[np.int64]
    centre: Floats
    scale: Floats
    discarded: Floats
    median: float
    mad: float
    rows: int

    def errors(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Mean squared reconstruction error of each row, in standardised units squared.

        Parameters
        ----------
        X : (n, m) float array
            Features as the model was trained on; NaN where missing.

        Returns
        -------
        (n,) array of the precision of `X`
            Summed in float64 in any case. NaN where the features that a row has can be matched
            whatever they are.
        """
        out = np.empty(X.shape[0], X.dtype)
        frame = (X, self.columns, self.centre, self.scale)
        sets = np.flatnonzero(whole_row_errors(*frame, self.discarded, out))
        if sets.size:
            forms, widths = _partial_forms(self.discarded, sets)
            which = np.zeros(1 << self.columns.size, np.int64)
            which[sets] = np.arange(sets.size)
            partial_row_errors(*frame, which, forms, widths, out)
        return out

    def robust_z(self, errors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """(error − median)/(1.4826 MAD), in standard deviations of a normal distribution.

        The standard deviation would be set by the outliers themselves (Study B).
        """
        scale = np.float32(NORMAL_CONSISTENCY * self.mad)
        z: npt.NDArray[np.float32] = (errors.astype(np.float32) - np.float32(self.median)) / scale
        return z


def fit_grid(
    X: npt.NDArray[Any], variance_kept: float = 0.95, least_present: float = 0.5
) -> tuple[GridModel, npt.NDArray[Any]] | None:
    """Fit a grid's components and the scale of its errors.

    Parameters
    ----------
    X : (n, m) float array
        Features, NaN where missing. At most 16 columns.
    variance_kept : float
        Share of the variance that the retained components hold (Study B: 0.95). At least one
        component is discarded, else nothing would be tested (ours).
    least_present : float
        A feature that a smaller share of the rows has is left out.

    Returns
    -------
    (GridModel, (n,) array of the precision of `X`) or None
        The model and the errors of the rows, as ``GridModel.errors`` gives them again. None if
        fewer than two features vary, or the errors have no spread.
    """
    columns, centre, scale, correlation = _correlation(X, least_present)
    if columns.size < 2:
        return None
    discarded = _discarded_components(correlation, variance_kept)
    model = GridModel(columns, centre, scale, discarded, 0.0, 1.0, X.shape[0])
    errors = model.errors(X)
    middle, mad = median_and_mad(errors)
    if not mad > 0:
        return None
    return replace(model, median=middle, mad=mad), errors


def _correlation(
    X: npt.NDArray[Any], least_present: float
) -> tuple[npt.NDArray[np.int64], Floats, Floats, Floats]:
    """Features used, their means and standard deviations, and their pairwise correlations."""
    columns = np.arange(X.shape[1])
    shift = np.zeros(columns.size)
    for j in columns:
        head = X[: 1 << 12, j]
        head = head[np.isfinite(head)]
        shift[j] = head.mean(dtype=np.float64) if head.size else 0.0
    counts, sums, products = pair_moments(X, columns, shift)
    present = np.diag(counts)
    safe = np.maximum(present, 1.0)
    offset = np.diag(sums) / safe
    spread = np.sqrt(np.maximum(np.diag(products) / safe - offset**2, 0.0))
    tiny = _NO_SPREAD * np.maximum(np.abs(shift + offset), 1.0)
    use = (present >= least_present * X.shape[0]) & (present > 1) & (spread > tiny)
    columns = columns[use]
    counts, sums, products = (matrix[np.ix_(use, use)] for matrix in (counts, sums, products))
    offset, spread = offset[use], spread[use]
    pairs = np.maximum(counts, 1.0)
    covariance = (
        products / pairs
        - offset[:, None] * (sums.T / pairs)
        - offset[None, :] * (sums / pairs)
        + offset[:, None] * offset[None, :]
    )
    correlation = np.where(counts > 0, covariance / np.outer(spread, spread), 0.0)
    return columns, (shift[use] + offset), spread, correlation


def _discarded_components(correlation: Floats, variance_kept: float) -> Floats:
    values, vectors = np.linalg.eigh(correlation)
    # Pairwise covariances need not be positive semi-definite.
    values = np.maximum(values[::-1], 0.0)
    share = np.cumsum(values) / values.sum()
    kept = int(np.searchsorted(share, variance_kept, side="right")) + 1
    kept = min(kept, values.size - 1)
    return np.ascontiguousarray(vectors[:, ::-1][:, kept:])


def _partial_forms(
    discarded: Floats, sets: npt.NDArray[np.integer[Any]]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The error as a quadratic form of the present features, the missing ones fitted to them.

    With R the projector on the discarded components, the least error over the missing features m is
    x_o' (R_oo − R_om R_mm⁺ R_mo) x_o. One form and its number of features (0 where it vanishes) for
    each of `sets`, the bits of the present features.
    """
    bits = sets[:, None] >> np.arange(discarded.shape[0]) & 1
    has, lacks = bits.astype(float), 1.0 - bits
    projector = discarded @ discarded.T
    # Blocks padded with zeros, so that all sets are one stack: the pseudo-inverse keeps the padding.
    inner = np.linalg.pinv(
        projector * lacks[:, :, None] * lacks[:, None, :], rcond=1e-9, hermitian=True
    )
    across = projector * has[:, :, None] * lacks[:, None, :]
    forms = projector * has[:, :, None] * has[:, None, :] - across @ inner @ across.mT
    says_something = np.trace(forms, axis1=1, axis2=2) > _UNINFORMATIVE
    return forms, np.where(says_something, bits.sum(axis=1), 0)
