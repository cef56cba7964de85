"""Exponential, logistic function and GELU in single precision, for kernels that must become vector code.

In: a number. Out: its image, to a few units of the last place. numba calls a library number by number for
`np.exp` and `math.erf`; these are plain arithmetic, so the compiler works on as many numbers as a register
holds.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
_LIMIT = np.float32(87)
_LOG2_E = np.float32(1 / math.log(2))
# ln 2 in two parts, the first exact in few bits, so that x − m ln 2 loses nothing.
_LN2_HEAD = np.float32(355 / 512)
_LN2_TAIL = np.float32(math.log(2) - 355 / 512)
_F2, _F3, _F4, _F5, _F6, _F7 = (np.float32(1 / math.factorial(n)) for n in range(2, 8))
_BIAS, _MANTISSA = np.int32(127), np.int32(23)
_ROOT_HALF = np.float32(math.sqrt(0.5))
_DENSITY = np.float32(1 / math.sqrt(2 * math.pi))
# Abramowitz and Stegun 1964, 7.1.26: 1 − erf x = (a1 t + … + a5 t^5) e^(−x²), t = 1/(1 + p x), to 1.5e-7.
_P = np.float32(0.3275911)
_A1, _A2, _A3, _A4, _A5 = (
    np.float32(a) for a in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
)


@njit(inline="always")
def power(x):  # type: ignore[no-untyped-def]
    """e^x; beyond ±87 that of the limit."""
    y = min(max(x, -_LIMIT), _LIMIT)
    m = np.floor(y * _LOG2_E + HALF)
    r = y - m * _LN2_HEAD - m * _LN2_TAIL
    p = ((((((_F7 * r + _F6) * r + _F5) * r + _F4) * r + _F3) * r + _F2) * r + ONE) * r + ONE
    return p * np.int32((np.int32(m) + _BIAS) << _MANTISSA).view(np.float32)


@njit(inline="always")
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^−x), to 2e-7."""
    return ONE / (ONE + power(-x))


@njit(inline="always")
def _normal(x):  # type: ignore[no-untyped-def]
    """Φ(x) of the normal distribution, to 2e-7, and e^(−x²/2)."""
    z = abs(x) * _ROOT_HALF
    t, bell = ONE / (ONE + _P * z), power(-z * z)
    tail = HALF * ((((_A5 * t + _A4) * t + _A3) * t + _A2) * t + _A1) * t * bell
    return (tail if x < ZERO else ONE - tail), bell


@njit(inline="always")
def gelu(x):  # type: ignore[no-untyped-def]
    """x Φ(x), to 2e-7 |x|."""
    return x * _normal(x)[0]


@njit(inline="always")
def gelu_slope(x):  # type: ignore[no-untyped-def]
    """Its derivative Φ(x) + x φ(x)."""
    below, bell = _normal(x)
    return below + x * bell * _DENSITY
