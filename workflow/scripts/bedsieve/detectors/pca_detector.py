"""The physics PCA as a library detector on any feature matrix, without tiles or files.

In: X (n, at most 16 columns), NaN where a value is missing. Out: reconstruction scores in [0, 1].
The laws need tracks, crossings and a slope, so they are part of a tile's scores only (`pca_score`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.base import Detector
from bedsieve.detectors.pca import GridModel, fit_grid
from bedsieve.errors import BedsieveError


class PhysicsPCA(Detector):
    """Reconstruction error from the retained components, as robust z, min–max to [0, 1].

    Parameters
    ----------
    variance_kept : float
        Share of the variance that the retained components hold.
    least_present : float
        A column that a smaller share of the rows has is left out.
    upper_quantile : float
        Robust z that scores 1, as a quantile over the training rows; clipped beyond.
    contamination : float
        Share of the training rows that the threshold flags.
    random_state : int, optional
        Unused: nothing here is random.
    """

    def __init__(
        self,
        variance_kept: float = 0.95,
        least_present: float = 0.5,
        upper_quantile: float = 0.999,
        contamination: float = 0.01,
        random_state: int | None = None,
    ) -> None:
        self.variance_kept = variance_kept
        self.least_present = least_present
        self.upper_quantile = upper_quantile
        self.contamination = contamination
        self.random_state = random_state

    def _fit(self, X: npt.NDArray[np.float64], y: npt.ArrayLike | None) -> None:
        fitted = fit_grid(X, self.variance_kept, self.least_present)
        if fitted is None:
            raise BedsieveError(
                f"PCA has nothing to learn from {X.shape[0]} rows: at least two columns must vary."
            )
        model, errors = fitted
        self.columns_, self.centre_, self.scale_ = model.columns, model.centre, model.scale
        self.discarded_, self.rows_ = model.discarded, model.rows
        self.median_, self.mad_ = model.median, model.mad
        z = model.robust_z(errors)
        z = z[np.isfinite(z)]
        self.z_low_ = float(z.min())
        self.z_high_ = max(float(np.quantile(z, self.upper_quantile)), self.z_low_ + 1.0)

    def _score(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        model = GridModel(
            self.columns_,
            self.centre_,
            self.scale_,
            self.discarded_,
            self.median_,
            self.mad_,
            self.rows_,
        )
        z = model.robust_z(model.errors(X)).astype(np.float64)
        return np.clip((z - self.z_low_) / (self.z_high_ - self.z_low_), 0.0, 1.0)
