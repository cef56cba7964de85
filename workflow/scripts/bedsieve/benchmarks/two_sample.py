"""Two tests that SparKer is measured beside: maximum mean discrepancy, and a dense Neyman-Pearson fit.

In: inspected points and a reference. Out: a statistic each, large where the two differ, which toys
turn into a p-value as they do for SparKer. Neither looks for a place: both weigh all of space at one
width. Points that are alike are worked out once: rows of categories repeat themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedsieve.detectors.sparker_fit import distinct_rows

Floats = NDArray[np.float64]

_NEWTON = 12


def gaussian(X: Floats, Y: Floats, width: float) -> Floats:
    """exp(-|x - y|² / 2 width²) of all pairs of X (n, d) and Y (m, d): shape (n, m)."""
    k = np.asarray(X @ Y.T)
    k *= -2
    k += (X**2).sum(1)[:, None]
    k += (Y**2).sum(1)[None]
    np.maximum(k, 0, out=k)
    k /= -2 * width**2
    np.exp(k, out=k)
    return k


def mmd(data: Floats, reference: Floats, width: float) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel (Gretton et al. 2012, equation 3).

    The unbiased form: no point is compared with itself.
    """
    n, m = len(data), len(reference)
    (X, place_x), (Y, place_y) = distinct_rows(data), distinct_rows(reference)
    of_x, of_y = np.bincount(place_x), np.bincount(place_y)
    within = (of_x @ gaussian(X, X, width) @ of_x - n) / (n * (n - 1))
    beyond = (of_y @ gaussian(Y, Y, width) @ of_y - m) / (m * (m - 1))
    return float(within + beyond - 2 * (of_x @ gaussian(X, Y, width) @ of_y) / (n * m))


class DenseRatio:
    """Log density ratio on many fixed kernels by weighted logistic regression, without sparsity.

    As the kernel Neyman-Pearson tests of Letizia et al. 2022 (Eur. Phys. J. C 82:879), at a size
    where Newton's method on all centres replaces their approximate solver.

    Parameters
    ----------
    centres : ndarray of float64, shape (M, d)
        Random points of the pool.
    width : float
    ridge : float
        Penalty ridge x number of inspected points x |α|².
    """

    def __init__(self, centres: Floats, width: float, ridge: float = 1e-4) -> None:
        self.centres, self.width, self.ridge = centres, width, ridge
        self.alpha = np.zeros(len(centres))

    def fit(self, data: Floats, reference: Floats) -> float:
        """Fit, and give t = -2 (w Σ_R (e^f - 1) - Σ_D f)."""
        places, place = distinct_rows(np.concatenate([data, reference]))
        own, known = (
            np.bincount(part, minlength=len(places)).astype(np.float64)
            for part in np.split(place, [len(data)])
        )
        phi = gaussian(places, self.centres, self.width)
        share = len(data) / len(reference)
        weight = own + share * known
        penalty = 2 * self.ridge * len(data)
        self.alpha = np.zeros(len(self.centres))
        for _ in range(_NEWTON):
            chance = 1 / (1 + np.exp(-(phi @ self.alpha)))
            slope = phi.T @ (weight * chance - own) + penalty * self.alpha
            curve = phi.T @ (phi * (weight * chance * (1 - chance))[:, None])
            curve[np.diag_indices_from(curve)] += penalty
            step = np.linalg.solve(curve, slope)
            self.alpha -= step
            if np.abs(step).max() < 1e-6:
                break
        f = phi @ self.alpha
        return float(-2 * (share * (known @ np.expm1(f)) - own @ f))

    def log_ratio(self, X: Floats) -> Floats:
        """f at each point of X (n, d)."""
        return np.asarray(gaussian(X, self.centres, self.width) @ self.alpha)
