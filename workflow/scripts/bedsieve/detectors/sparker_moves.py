"""Where a kernel of SparKer that does little would do more.

In: points, the kernels and their width at one step of the fit. Out: the kernel that the fit would miss
least, moved to the inspected place where it promises more than it is worth where it is. Without such
moves a kernel whose amplitude has fallen to 0 feels no force and stays where it is for good.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bedsieve.detectors.sparker_kernels import EPSILON, FAST, exp_below_1
from bedsieve.kernels import copy_into


@njit(cache=True, nogil=True, fastmath=FAST)
def move(x, inspected, reference, a, mu, sigma, softmax, ridge, candidates):  # type: ignore[no-untyped-def]
    """Move the kernel that is missed least, if it promises more elsewhere.

    A kernel's worth is what the penalised loss L + ridge Σ a² grows by without it. What it promises
    at another place is what L falls by there, to second order in f, with the best amplitude.

    Parameters
    ----------
    x : ndarray of float64, shape (d, n)
        Places by column.
    inspected, reference : ndarray of float64, shape (n,)
        How many points of either lie there.
    a, mu : ndarray of float64, shapes (M,) and (M, d)
        Amplitudes and centres, changed in place: who moves starts again with an amplitude of 0.
    sigma : float
        The width.
    softmax : bool
        Whether the kernels compete.
    ridge : float
        Penalty on Σ a².
    candidates : ndarray of float64, shape (places, d)
        Where it may move to.

    Returns
    -------
    int
        The kernel that moved, -1 if none did.
    """
    weighted = inspected.sum() / reference.sum() * reference
    k = np.empty((a.size, x.shape[1]))
    for i in range(a.size):
        _kernel(x, mu[i], sigma, k[i])
    used = np.ones(a.size, np.bool_)
    full = _loss(inspected, weighted, _ratio(k, a, used, softmax))
    worth = np.empty(a.size)
    for i in range(a.size):
        used[i] = False
        without = _loss(inspected, weighted, _ratio(k, a, used, softmax))
        used[i] = True
        worth[i] = without - full - ridge * a[i] * a[i]
    idle = np.argmin(worth)
    used[idle] = False
    place = _most_promising(
        x, inspected, weighted, k, a, used, sigma, softmax, ridge, candidates, worth[idle]
    )  # fmt: skip
    if place < 0:
        return -1
    a[idle] = 0.0
    copy_into(mu[idle], candidates[place])
    return idle


@njit(cache=True, nogil=True, fastmath=FAST)
def _most_promising(  # type: ignore[no-untyped-def]
    x, inspected, weighted, k, a, used, sigma, softmax, ridge, candidates, worth
):
    """The candidate that promises most, at least `worth` and more than nothing; -1 if there is none."""
    f = _ratio(k, a, used, softmax)
    expected = weighted * np.exp(f)
    surplus = inspected - expected
    others = np.zeros(f.size)
    for i in range(a.size):
        if used[i]:
            others += k[i]
    new = np.empty(f.size)
    best, place = max(worth, 0.0), -1
    for c in range(candidates.shape[0]):
        _kernel(x, candidates[c], sigma, new)
        # With amplitude b the new kernel changes f by b·up - down: it also takes its share of the others'.
        rise, fall, both, up_up, down_down = 0.0, 0.0, 0.0, 0.0, 0.0
        for p in range(f.size):
            share = new[p] / (others[p] + new[p] + EPSILON) if softmax else 1.0
            up = share * new[p]
            down = share * f[p] if softmax else 0.0
            rise += surplus[p] * up
            fall += surplus[p] * down
            up_up += expected[p] * up * up
            both += expected[p] * up * down
            down_down += expected[p] * down * down
        b = min(max((rise + both) / (up_up + 2.0 * ridge), 0.0), 1.0)
        gain = b * (rise + both) - fall - 0.5 * (b * b * up_up + down_down) - ridge * b * b
        if b > 0 and gain > best:
            best, place = gain, c
    return place


@njit(cache=True, nogil=True, fastmath=FAST)
def _kernel(x, centre, sigma, out):  # type: ignore[no-untyped-def]
    """k of one kernel at each place."""
    out[:] = 0.0
    for c in range(x.shape[0]):
        for p in range(out.size):
            difference = x[c, p] - centre[c]
            out[p] += difference * difference
    h = -0.5 / (sigma * sigma)
    for p in range(out.size):
        out[p] = exp_below_1(h * out[p])


@njit(cache=True, nogil=True, fastmath=FAST)
def _ratio(k, a, used, softmax):  # type: ignore[no-untyped-def]
    """f at each place, of the kernels in use."""
    total, f = np.zeros(k.shape[1]), np.zeros(k.shape[1])
    for i in range(a.size):
        if used[i]:
            total += k[i]
            f += a[i] * k[i] * k[i] if softmax else a[i] * k[i]
    return f / (total + EPSILON) if softmax else f


@njit(cache=True, nogil=True, fastmath=FAST)
def _loss(inspected, weighted, f):  # type: ignore[no-untyped-def]
    """The loss without penalties."""
    return (weighted * (np.exp(f) - 1.0) - inspected * f).sum()
