"""The sparse kernels of SparKer: what they say of a point, and the loss with its gradients.

In: points, and a handful of Gaussian kernels of one shared width. Out: the log density ratio f of
inspected data to reference, kernel by kernel; and, for the fit, the Neyman-Pearson loss and its
gradients, written out by hand so that hundreds of toys fit within minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EPSILON = 1e-10
"""Added to the sum of the kernels, so that far from all of them f is 0 (seed 004's design note)."""
_BLOCK = 256  # points whose kernels fit the first cache
_CHUNK = 1 << 16
# No `nnan` and `ninf`: a broken feature must stay visible.
FAST = {"reassoc", "contract", "arcp", "nsz"}


@dataclass(frozen=True)
class Kernels:
    """A fitted ensemble.

    Parameters
    ----------
    amplitude : ndarray of float64, shape (M,)
        a_i, at most 1 in size; above 0 where the inspected data are too dense.
    centre : ndarray of float64, shape (M, d)
        In the features' units.
    width : float
        The shared sigma.
    softmax : bool
        Whether the kernels compete: without it f is their plain sum (an ablation).
    """

    amplitude: Floats
    centre: Floats
    width: float
    softmax: bool = True

    def terms(self, X: Floats) -> Floats:
        """What each kernel adds to f at each point of X (n, d): shape (n, M)."""
        out = np.empty((X.shape[0], self.amplitude.size))
        for start in range(0, X.shape[0], _CHUNK):
            part = X[start : start + _CHUNK]
            squared = np.zeros((part.shape[0], self.amplitude.size))
            for column in range(X.shape[1]):
                squared += (part[:, column, None] - self.centre[None, :, column]) ** 2
            k = np.exp(squared / (-2 * self.width**2))
            if self.softmax:
                k *= k / (k.sum(axis=1, keepdims=True) + EPSILON)
            out[start : start + _CHUNK] = self.amplitude * k
        return out

    def log_ratio(self, X: Floats) -> Floats:
        """f at each point of X (n, d): shape (n,)."""
        f: Floats = self.terms(X).sum(axis=1)
        return f


@njit(cache=True, nogil=True, fastmath=FAST)
def exp_below_1(y):  # type: ignore[no-untyped-def]
    """e^y for y ≤ 1, to 1e-7 at y = -64 and 1e-12 above -16; without a call, so loops vectorise."""
    z = (y if y > -64.0 else -64.0) * (1.0 / 256.0)
    p = 1.0 + z * (1.0 / 7.0)
    p = 1.0 + z * (1.0 / 6.0) * p
    p = 1.0 + z * (1.0 / 5.0) * p
    p = 1.0 + z * (1.0 / 4.0) * p
    p = 1.0 + z * (1.0 / 3.0) * p
    p = 1.0 + z * (1.0 / 2.0) * p
    p = 1.0 + z * p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p


@njit(cache=True, nogil=True, fastmath=FAST)
def loss_and_gradients(x, inspected, reference, a, mu, sigma, softmax, grad_a, grad_mu):  # type: ignore[no-untyped-def]
    """The loss L = w Σ_R (e^f - 1) - Σ_D f, without penalties, and its gradients.

    Parameters
    ----------
    x : ndarray of float64, shape (d, n)
        Places by column. Points that are alike share one: residuals are mostly 0, categories repeat.
    inspected, reference : ndarray of float64, shape (n,)
        How many points of D and of R lie there; w = sum of the first / sum of the second.
    a, mu : ndarray of float64, shapes (M,) and (M, d)
        Amplitudes and centres.
    sigma : float
        The width.
    softmax : bool
        Whether the kernels compete.
    grad_a, grad_mu : ndarray of float64
        Of the shapes of a and mu; overwritten.

    Returns
    -------
    float
        L.
    """
    d, n = x.shape
    kernels = a.size
    weight = inspected.sum() / reference.sum()
    h = -0.5 / (sigma * sigma)
    k = np.empty((kernels, _BLOCK))
    total, f, g = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    grad_a[:] = 0.0
    grad_mu[:] = 0.0
    loss = 0.0
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        total[:size] = 0.0
        f[:size] = 0.0
        for i in range(kernels):
            row = k[i]
            row[:size] = 0.0
            for c in range(d):
                column, at = x[c, start : start + size], mu[i, c]
                for p in range(size):
                    difference = column[p] - at
                    row[p] += difference * difference
            if softmax:
                for p in range(size):
                    value = exp_below_1(h * row[p])
                    row[p] = value
                    total[p] += value
                    f[p] += a[i] * value * value
            else:
                for p in range(size):
                    value = exp_below_1(h * row[p])
                    row[p] = value
                    f[p] += a[i] * value
        for p in range(size):
            total[p] = 1.0 / (total[p] + EPSILON)
        if softmax:
            for p in range(size):
                f[p] *= total[p]
        here, known = inspected[start : start + size], reference[start : start + size]
        for p in range(size):
            e = exp_below_1(f[p])
            loss += weight * known[p] * (e - 1.0) - here[p] * f[p]
            g[p] = weight * known[p] * e - here[p]
        for i in range(kernels):
            row = k[i]
            sum_a, pull = 0.0, 0.0
            if softmax:
                for p in range(size):
                    slope = g[p] * row[p] * total[p]
                    sum_a += slope * row[p]
                    value = slope * (2.0 * a[i] * row[p] - f[p])
                    row[p] = value
                    pull += value
            else:
                for p in range(size):
                    slope = g[p] * row[p]
                    sum_a += slope
                    row[p] = slope * a[i]
                    pull += row[p]
            grad_a[i] += sum_a
            for c in range(d):
                column, moment = x[c, start : start + size], 0.0
                for p in range(size):
                    moment += row[p] * column[p]
                grad_mu[i, c] += (moment - mu[i, c] * pull) * (-2.0 * h)
    return loss
