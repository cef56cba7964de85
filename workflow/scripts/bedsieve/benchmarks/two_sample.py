"""Two tests that SparKer is measured beside: maximum mean discrepancy, and a dense Neyman-Pearson fit.

In: inspected points and a reference. Out: a statistic each, large where the two differ, which toys
turn into a p-value as they do for SparKer. Neither looks for a place: both weigh all of space at one
width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEWTON = 12


def gaussian(X: Floats, Y: Floats, width: float) -> Floats:
    """exp(-|x - y|² / 2 width²) of all pairs of X (n, d) and Y (m, d): shape (n, m)."""
    squared = (X**2).sum(1)[:, None] + (Y**2).sum(1)[None] - 2 * X @ Y.T
    return np.asarray(np.exp(np.maximum(squared, 0) / (-2 * width**2)))


def mmd(data: Floats, reference: Floats, width: float) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel (Gretton et al. 2012, equation 3).

    The unbiased form: no point is compared with itself.
    """
    n, m = len(data), len(reference)
    within = (gaussian(data, data, width).sum() - n) / (n * (n - 1))
    beyond = (gaussian(reference, reference, width).sum() - m) / (m * (m - 1))
    return float(within + beyond - 2 * gaussian(data, reference, width).mean())


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
        phi = gaussian(np.concatenate([data, reference]), self.centres, self.width)
        inspected = np.arange(len(phi)) < len(data)
        share = len(data) / len(reference)
        weight = np.where(inspected, 1.0, share)
        penalty = 2 * self.ridge * len(data)
        self.alpha = np.zeros(len(self.centres))
        for _ in range(_NEWTON):
            chance = 1 / (1 + np.exp(-(phi @ self.alpha)))
            slope = phi.T @ (weight * (chance - inspected)) + penalty * self.alpha
            curve = phi.T @ (phi * (weight * chance * (1 - chance))[:, None])
            curve[np.diag_indices_from(curve)] += penalty
            step = np.linalg.solve(curve, slope)
            self.alpha -= step
            if np.abs(step).max() < 1e-6:
                break
        f = phi @ self.alpha
        return float(-2 * (share * np.expm1(f[~inspected]).sum() - f[inspected].sum()))

    def log_ratio(self, X: Floats) -> Floats:
        """f at each point of X (n, d)."""
        return np.asarray(gaussian(X, self.centres, self.width) @ self.alpha)
