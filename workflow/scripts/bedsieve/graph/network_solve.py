"""Robust least squares over a network of crossovers, of any size.

In: which lines cross where, and by how much they disagree. Out: a constant and a drift for each line,
the weights of the crossovers, the scale of the mis-ties, and the constants' uncertainties. The whole
of Bedmap has some 40,000 unknowns, nearly all of them linked somehow: a factorisation fills up
(13 GB), so systems are solved by conjugate gradients, and uncertainties of large networks come from
redrawn noise.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.kernels import in_threads

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

HUBER = 1.345
"""Residual, in scales, from which a crossover counts less: 95 % efficiency on normal errors."""
EXACT_LINES = 1_500
"""Up to so many lines the uncertainties are exact: two dense matrices of (2 lines)² numbers."""
DRAWS = 64
"""Redrawn noises above; a standard deviation is then known to 9 % (1/sqrt(2 * 64))."""
_FLOOR = 1.0  # m: mis-ties are never trusted to be better than this
_ROUNDS = 30
_COLUMNS = 16  # noises that are solved for at once
_STEPS = 5_000
_ACCURACY = 1e-7
_ACCURACY_OF_DRAWS = 1e-4  # far below the 9 %


class System(Protocol):
    """What mis-ties say of the unknowns: (lines, 2), a constant (m) and a drift (m/km) each."""

    lines: int

    def predict(self, x: Floats) -> Floats:
        """Mis-ties that the unknowns (lines, 2) explain, shape (m,)."""

    def solve(self, weights: Floats, ridge: Floats, mistie: Floats, start: Floats) -> Floats:
        """Ridged weighted least squares, shape (lines, 2)."""

    def variance(self, weights: Floats, ridge: Floats) -> Floats:
        """Variance of the constants for mis-ties of unit scale, shape (lines,)."""


class OneLine:
    """A line against others that are known: mis-tie = constant + drift * along.

    Parameters
    ----------
    along : ndarray, shape (m,)
        Position on the line (km).
    """

    lines = 1

    def __init__(self, along: Floats) -> None:
        self.design = np.column_stack([np.ones(along.size), along])

    def predict(self, x: Floats) -> Floats:
        explained: Floats = self.design @ x[0]
        return explained

    def solve(self, weights: Floats, ridge: Floats, mistie: Floats, start: Floats) -> Floats:
        right = self.design.T @ (weights * mistie)
        found = np.linalg.solve(self._normal(weights) + np.diag(ridge[0]), right)[None]
        return np.asarray(found, np.float64)

    def variance(self, weights: Floats, ridge: Floats) -> Floats:
        return _exact_variance(self._normal(weights), ridge.ravel())[:1]

    def _normal(self, weights: Floats) -> Floats:
        normal: Floats = self.design.T @ (weights[:, None] * self.design)
        return normal


class Network:
    """Lines that cross: mis-tie = (constant + drift * along) of a - the same of b.

    Parameters
    ----------
    a, b : int arrays, shape (m,)
        The two lines of each crossover, counted from 0.
    along_a, along_b : ndarrays, shape (m,)
        Position on each (km).
    lines : int
        How many there are.
    """

    def __init__(self, a: Rows, b: Rows, along_a: Floats, along_b: Floats, lines: int) -> None:
        self.lines = lines
        self.a, self.b, self.along_a, self.along_b = a, b, along_a, along_b
        # Each crossover twice, by line: so a line's sums are made by one thread, in one order.
        ends = np.concatenate([a, b])
        order = np.argsort(ends, kind="stable")
        self.start = np.searchsorted(ends[order], np.arange(lines + 1))
        self.crossover = order % a.size
        self.sign = np.where(order < a.size, 1.0, -1.0)
        self.other = np.concatenate([b, a])[order]
        self.own_along = np.concatenate([along_a, along_b])[order]
        self.other_along = np.concatenate([along_b, along_a])[order]

    def predict(self, x: Floats) -> Floats:
        of_a = x[self.a, 0] + self.along_a * x[self.a, 1]
        explained: Floats = of_a - x[self.b, 0] - self.along_b * x[self.b, 1]
        return explained

    def solve(self, weights: Floats, ridge: Floats, mistie: Floats, start: Floats) -> Floats:
        right = self._right((weights * mistie)[:, None])
        return self._gradients(weights, ridge, right, start[:, :, None], _ACCURACY)[:, :, 0]

    def variance(self, weights: Floats, ridge: Floats) -> Floats:
        if self.lines <= EXACT_LINES:
            return _exact_variance(self._dense(weights), ridge.T.ravel())[: self.lines]
        rng = np.random.default_rng(0)
        total = np.zeros(self.lines)
        for _ in range(DRAWS // _COLUMNS):
            noise = rng.standard_normal((weights.size, _COLUMNS)) * np.sqrt(weights)[:, None]
            right = self._right(noise)
            drawn = self._gradients(weights, ridge, right, None, _ACCURACY_OF_DRAWS)
            total += (drawn[:, 0] ** 2).sum(axis=1)
        return total / DRAWS

    def _right(self, values: Floats) -> Floats:
        side = np.zeros((self.lines, 2, values.shape[1]))
        arguments = (self.start, self.crossover, self.sign, self.own_along, values, side)
        in_threads(_right_side, arguments, self.lines, work=self.sign.size * values.shape[1])
        return side

    def _dense(self, weights: Floats) -> Floats:
        """The normal matrix, constants before drifts."""
        n, m = self.lines, weights.size
        design = np.zeros((2 * n, 2 * n))
        columns = [self.a, self.b, n + self.a, n + self.b]
        values = [np.ones(m), -np.ones(m), self.along_a, -self.along_b]
        for row, value in zip(columns, values, strict=True):
            for column, other in zip(columns, values, strict=True):
                np.add.at(design, (row, column), weights * value * other)
        return design

    def _gradients(
        self, weights: Floats, ridge: Floats, right: Floats, x: Floats | None, accuracy: float
    ) -> Floats:
        """Solve for each column of (lines, 2, k) by conjugate gradients on the scaled unknowns."""
        weight = weights[self.crossover]
        lists = (self.start, self.other, self.own_along, self.other_along, weight, ridge)
        diagonal = _diagonal(self.start, self.own_along, weight, ridge)[:, :, None]
        x = np.zeros_like(right) if x is None else x.copy()
        image, work = np.empty_like(x), 4 * self.other.size * x.shape[2]
        in_threads(_apply, (*lists, x, image), self.lines, work=work)
        residual = right - image
        direction = residual / diagonal
        size = (residual * direction).sum(axis=(0, 1))
        enough = accuracy**2 * (right * right / diagonal).sum(axis=(0, 1))
        steps = _STEPS if np.isfinite(enough).all() else 0
        for _ in range(steps):
            # A column that is done stands still while the others go on.
            moving = size > enough
            if not moving.any():
                return x
            in_threads(_apply, (*lists, direction, image), self.lines, work=work)
            curvature = (direction * image).sum(axis=(0, 1))
            step = np.divide(size, curvature, out=np.zeros_like(size), where=moving)
            x += step * direction
            residual -= step * image
            towards = residual / diagonal
            before, size = size, (residual * towards).sum(axis=(0, 1))
            turn = np.divide(size, before, out=np.zeros_like(size), where=moving)
            direction = towards + turn * direction
        raise BedsieveError(
            f"The biases of the crossover network did not settle in {steps} steps. Look for "
            "thicknesses or positions that are not finite, or far too large, in the crossovers."
        )


def huber(system: System, mistie: Floats, prior: Floats) -> tuple[Floats, Floats, float]:
    """Solution, weights of the crossovers and scale (m) of the mis-ties, by reweighting.

    Parameters
    ----------
    system : System
        `Network` or `OneLine`.
    mistie : ndarray, shape (m,)
        m.
    prior : ndarray, shape (2,)
        1 / standard deviation of a constant and of a drift. It counts in units of the mis-ties'
        scale, as a prior of so many metres.

    Returns
    -------
    solution : ndarray, shape (lines, 2)
    weights : ndarray, shape (m,)
    scale : float

    Raises
    ------
    BedsieveError
        If the network's equations can't be solved.
    """
    weights = np.ones(mistie.size)
    solution = np.zeros((system.lines, 2))
    scale = _FLOOR
    for _ in range(_ROUNDS):
        residual = np.abs(mistie - system.predict(solution))
        scale = max(_FLOOR, 1.4826 * float(np.median(residual)))
        weights = np.minimum(1.0, HUBER * scale / np.maximum(residual, 1e-12))
        before = solution
        solution = system.solve(weights, _ridge(system, scale, prior), mistie, before)
        if np.abs(solution - before).max(initial=0.0) < 1e-3:
            break
    return solution, weights, scale


def uncertainty(system: System, weights: Floats, scale: float, prior: Floats) -> Floats:
    """Standard deviation (m) of each line's constant through the noise of the mis-ties alone.

    The ridge's own uncertainty, which is that of the datum, stays out: with M the inverse of the
    ridged normal matrix N + R the covariance is M N M. Its diagonal is computed for up to
    `EXACT_LINES` lines; above, it is the spread of the solutions of `DRAWS` noises of the mis-ties,
    always the same ones.

    Parameters
    ----------
    system, weights, scale, prior
        As `huber` takes and gives them.

    Returns
    -------
    ndarray, shape (lines,)
    """
    variance = system.variance(weights, _ridge(system, scale, prior))
    floor = scale**2 / max(float(weights.sum()), 1.0)
    return np.sqrt(np.maximum(scale**2 * variance, floor))


def _ridge(system: System, scale: float, prior: Floats) -> Floats:
    return np.tile((scale * prior) ** 2, (system.lines, 1))


def _exact_variance(normal: Floats, ridge: Floats) -> Floats:
    inverse = np.linalg.inv(normal + np.diag(ridge))
    # The diagonal of M N M is M_ii - |ridge M_i|^2.
    variance: Floats = inverse.diagonal() - (ridge[:, None] * inverse**2).sum(axis=0)
    return variance


@njit(cache=True, nogil=True)
def _apply(start, other, own_along, other_along, weight, ridge, x, out, first, last):  # type: ignore[no-untyped-def]
    """The ridged normal matrix times x (lines, 2, k)."""
    k = x.shape[2]
    for i in range(first, last):
        constant, drift = np.zeros(k), np.zeros(k)
        for at in range(start[i], start[i + 1]):
            j, s, t, w = other[at], own_along[at], other_along[at], weight[at]
            for c in range(k):
                apart = w * (x[i, 0, c] + s * x[i, 1, c] - x[j, 0, c] - t * x[j, 1, c])
                constant[c] += apart
                drift[c] += s * apart
        for c in range(k):
            out[i, 0, c] = constant[c] + ridge[i, 0] * x[i, 0, c]
            out[i, 1, c] = drift[c] + ridge[i, 1] * x[i, 1, c]


@njit(cache=True, nogil=True)
def _right_side(start, crossover, sign, own_along, values, out, first, last):  # type: ignore[no-untyped-def]
    """Add the design's transpose times values (m, k) to `out` (lines, 2, k)."""
    k = values.shape[1]
    for i in range(first, last):
        for at in range(start[i], start[i + 1]):
            for c in range(k):
                value = sign[at] * values[crossover[at], c]
                out[i, 0, c] += value
                out[i, 1, c] += own_along[at] * value


@njit(cache=True, nogil=True)
def _diagonal(start, own_along, weight, ridge):  # type: ignore[no-untyped-def]
    out = ridge.copy()
    for i in range(start.size - 1):
        for at in range(start[i], start[i + 1]):
            out[i, 0] += weight[at]
            out[i, 1] += weight[at] * own_along[at] ** 2
    return out
