"""The chain behind the segments detector: which offset a track carries at each of its points.

In: along a track, the residual against other lines with its scale and number of lines, and the steps.
Out: per point the log-odds that it lies in a bad run, and the offset of that run. The bias along a
track is piecewise constant, almost everywhere zero; instead of one best fit (fused lasso, l0 dynamic
programming) the forward-backward recursion sums over all of them, which gives the odds of each point.

States of a point: honest; honest while the reference is off by one of the levels (the other lines
are the bad ones); biased by one of the levels; wrong by no constant amount; flat. To become
biased takes a step of that size in the thickness itself, a wrong reference takes none: this is
how a mis-tie is blamed on the line where it begins and ends, or where it repeats.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.kernels import copy_into, in_threads

Floats = NDArray[np.float64]

_SMALLEST, _RATIO, _SIDE = 20.0, 1.22, 27  # levels: 20 m … 3.5 km, both signs (ours)
_LEAST_ERROR = 45.0  # m (ours): a smaller offset is an honest difference of instruments
_up = _SMALLEST * _RATIO ** np.arange(_SIDE)
LEVELS: Floats = np.concatenate([-_up[::-1], _up])
K = len(LEVELS)
HONEST, REFERENCE, BIASED, WRONG, FLAT = 0, 1, 1 + K, 1 + 2 * K, 2 + 2 * K
STATES = 3 + 2 * K

# Rates a point (ours), from orders of magnitude: a bad run every few thousand points, about a
# hundred points long; a line in some hundred is biased as a whole.
_ENTER, _LEAVE, _SWITCH = 2e-4, 1e-2, 1e-3
_REFERENCE_OFF, _REFERENCE_BACK = 1e-3, 1e-2
_FLAT = 2e-5
_BAD_FROM_START = 3e-3
_HONEST_OFFSET = 0.5  # weight of the small offsets that whole lines have
_ROUGH, _ROUGH_SCALE = 0.03, 3.0  # share of steps that are three times the usual (ours)
_RARE = 1e-5  # share of honest steps that no scale explains (ours)
_RARE_SCALE = 150.0  # m
_BROAD = 300.0  # m, of an error with no constant size
_FARTHEST = 5_000.0  # m, more than any ice: a step beyond it counts as this much, or no state would explain it
_ABSURD = 1e6  # m: squares of larger residuals would leave the range of numbers
_TOLERANCE = 0.12  # how much the offset of a run may vary, as a share of it
_STEP_TOLERANCE = 0.2
_MEMORY = 250.0  # m over which residuals repeat the same error
_LINES_COST = 0.3  # nats a memory length for every line but one that a wrong reference means
CHUNK = 20_000  # points whose probabilities are held at once
_TINY = 1e-290


@njit(cache=True, nogil=True)
def _step_density(step, size, scale):  # type: ignore[no-untyped-def]
    sd = np.sqrt(scale * scale + (_STEP_TOLERANCE * size) ** 2)
    rare = np.exp(-abs(step) / _RARE_SCALE) / (2 * _RARE_SCALE)
    # Two normal densities; the narrow one's exponent is 9 times the rough one's.
    z = (step - size) / (_ROUGH_SCALE * sd)
    rough = np.exp(-0.5 * z * z)
    cube = rough * rough * rough
    usual = (1 - _ROUGH) * (cube * cube * cube) + _ROUGH / _ROUGH_SCALE * rough
    return usual / (2.5066282746 * sd) + _RARE * rare


@njit(cache=True, nogil=True)
def _surprise(residual, sd):  # type: ignore[no-untyped-def]
    """What a residual costs (nats), by Student's t of 3 degrees of freedom, up to a constant."""
    q = 1.0 + (residual / sd) ** 2 / 3.0
    return np.log(q * q * sd)


@njit(cache=True, nogil=True)
def _emission(residual, sigma, lines, weight, out):  # type: ignore[no-untyped-def]
    """Likelihood of a residual in each state, relative to that of an honest point."""
    out[:] = 1.0
    if np.isnan(residual):
        return
    honest = _surprise(residual, sigma)
    unlikely = np.exp(-weight * _LINES_COST * min(lines - 1, 8))
    for k in range(K):
        level = LEVELS[k]
        sd = np.sqrt(sigma * sigma + (_TOLERANCE * level) ** 2)
        like = np.exp(weight * (honest - _surprise(residual - level, sd)))
        out[BIASED + k] = like
        out[REFERENCE + k] = like * unlikely
    out[WRONG] = np.exp(weight * (honest - _surprise(residual, np.hypot(sigma, _BROAD))))
    out[FLAT] = out[WRONG]


@njit(cache=True, nogil=True)
def _advance(old, new, step, scale, equal, p_equal, into, backward):  # type: ignore[no-untyped-def]
    """One transition: of forward probabilities, or (`backward`) of backward ones, its transpose.

    `into` holds the densities of the step at the beginning of a run; those at its end are the same
    ones in reverse, since the levels are symmetric.
    """
    stay = _step_density(step, 0.0, scale)
    broad = np.exp(-abs(step) / _BROAD) / (2 * _BROAD)
    same = p_equal if equal else 1.0
    flat_stay = 1.0 if equal else 0.0
    flat_back = 0.5 * (stay + broad) * same * _LEAVE
    off, back = _REFERENCE_OFF / K, _REFERENCE_BACK
    enter = _ENTER / (K + 4)
    total_r = 0.0
    for k in range(K):
        total_r += old[REFERENCE + k]
    honest = old[HONEST] + total_r
    gone = 0.0
    for k in range(K):
        r, b = REFERENCE + k, BIASED + k
        new[r] = stay * same * ((1 - back) * old[r] + 0.1 * back / K * total_r)
        new[b] = stay * same * (1 - _LEAVE) * old[b]
        if backward:
            new[r] += stay * same * back * old[HONEST]
            new[b] += into[K - 1 - k] * same * _LEAVE * old[HONEST]
            gone += into[k] * enter * old[b]
        else:
            new[r] += stay * same * off * old[HONEST]
            new[b] += into[k] * same * enter * honest
            gone += into[K - 1 - k] * _LEAVE * old[b]
    wrong_in, wrong_out = broad * 4 * enter, broad * _LEAVE
    keep = stay * same * (1 - _ENTER - _REFERENCE_OFF) * old[HONEST]
    # A flat run's honest density is that of a continuous thickness; what repeats has probability 1.
    if backward:
        moved = gone * same + wrong_in * same * old[WRONG] + _FLAT * stay * same * old[FLAT]
        for k in range(K):
            new[REFERENCE + k] += moved
        new[HONEST] = keep + moved + stay * same * off * total_r
        new[WRONG] = stay * same * (1 - _LEAVE) * old[WRONG] + wrong_out * same * old[HONEST]
        new[FLAT] = flat_stay * stay * old[FLAT] + flat_back * old[HONEST]
    else:
        new[HONEST] = keep + (gone + wrong_out * old[WRONG]) * same + flat_back * old[FLAT]
        new[HONEST] += stay * same * back * total_r
        new[WRONG] = stay * same * (1 - _LEAVE) * old[WRONG] + wrong_in * same * honest
        new[FLAT] = flat_stay * stay * old[FLAT] + _FLAT * stay * same * honest
    if abs(step) > 4.0 * scale:
        _switch(old, new, step, scale, backward)


@njit(cache=True, nogil=True)
def _switch(old, new, step, scale, backward):  # type: ignore[no-untyped-def]
    """From one offset straight to another, at a step: an error within an error."""
    for j in range(K):
        for k in range(K if old[BIASED + j] > 0.0 else 0):
            if k != j:
                size = LEVELS[j] - LEVELS[k] if backward else LEVELS[k] - LEVELS[j]
                new[BIASED + k] += _SWITCH / K * _step_density(step, size, scale) * old[BIASED + j]


@njit(cache=True, nogil=True)
def _normalise(p):  # type: ignore[no-untyped-def]
    total = p.sum()
    for k in range(p.size):
        p[k] = max(p[k] / total, _TINY)


@njit(cache=True, nogil=True)
def _start(p, emission):  # type: ignore[no-untyped-def]
    p[:] = _BAD_FROM_START / (K + 1)
    for k in range(K):
        if abs(LEVELS[k]) < _LEAST_ERROR:
            p[BIASED + k] = _HONEST_OFFSET / K
    p[HONEST], p[FLAT] = 1.0, _FLAT
    p *= emission
    _normalise(p)


def posterior(
    residual: Floats, sigma: Floats, lines: NDArray[np.integer], step: Floats, scale: Floats,
    gap: Floats, equal: NDArray[np.bool_], p_equal: Floats, first: NDArray[np.int64], chunk: int = CHUNK,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Odds of being bad, offset and kind of error of each point, track by track.

    Parameters
    ----------
    residual, sigma : ndarray of float64, shape (n,)
        Thickness minus what other lines lead to expect, and its standard deviation, m; NaN where
        there are none. Tracks one after the other, each in the order flown.
    lines : ndarray of int64, shape (n,)
        Other lines that the expectation rests on.
    step, scale, gap : ndarray of float64, shape (n,)
        From `segments_steps.track_steps`, m.
    equal : ndarray of bool, shape (n,)
        Whether point i + 1 repeats the thickness of point i.
    p_equal : ndarray of float64, shape (n,)
        Probability that an honest pair does so.
    first : ndarray of int64, shape (tracks + 1,)
    chunk : int
        Points whose probabilities are held at once; the result does not depend on it.

    Returns
    -------
    log_odds, offset : ndarray of float64, shape (n,)
        ln P(bad) / P(good); mean offset (m) given a constant one, 0 if that has no probability.
    flat : ndarray of float64, shape (n,)
        Share of the probability of being bad that a repeated value has.
    """
    log_odds, offset, flat = np.zeros((3, residual.size))
    steps, apart = step.clip(-_FARTHEST, _FARTHEST), residual.clip(-_ABSURD, _ABSURD)
    columns = (apart, sigma, lines, steps, scale, gap, equal, p_equal, chunk)
    in_threads(_tracks, (*columns, log_odds, offset, flat, first), first.size - 1)
    return log_odds, offset, flat


@njit(cache=True, nogil=True)
def _tracks(  # type: ignore[no-untyped-def]
    residual, sigma, lines, step, scale, gap, equal, p_equal, chunk, log_odds, offset, flat,
    first, low, high,
):  # fmt: skip
    for t in range(low, high):
        if first[t + 1] > first[t]:
            _track(residual, sigma, lines, step, scale, gap, equal, p_equal, first[t], first[t + 1],
                   chunk, log_odds, offset, flat)  # fmt: skip


@njit(cache=True, nogil=True)
def _weight(gap, begin, end, i):  # type: ignore[no-untyped-def]
    """Share of an independent observation: half the distance to both neighbours over the memory."""
    before = gap[i - 1] if i > begin else 0.0
    after = gap[i] if i < end - 1 else 0.0
    return min(0.5 * (before + after) / _MEMORY, 1.0)


@njit(cache=True, nogil=True)
def _forward(  # type: ignore[no-untyped-def]
    start, residual, sigma, lines, step, scale, gap, equal, p_equal, begin, end, low, high,
    out, emissions, into,
):  # fmt: skip
    """Forward probabilities of points low … high - 1; `start` holds those of point low - 1.

    Likelihoods of residuals and densities of steps are left in `emissions` and `into`.
    """
    for i in range(low, high):
        at = (i - low) % out.shape[0]
        row, emission = out[at], emissions[at]
        _emission(residual[i], sigma[i], lines[i], _weight(gap, begin, end, i), emission)
        if i == begin:
            _start(row, emission)
        else:
            for k in range(K):  # density of the step for each level that a run may begin with
                into[at, k] = _step_density(step[i - 1], LEVELS[k], scale[i - 1])
            _advance(start, row, step[i - 1], scale[i - 1], equal[i - 1], p_equal[i - 1],
                     into[at], False)  # fmt: skip
            row *= emission
            _normalise(row)
        copy_into(start, row)


@njit(cache=True, nogil=True)
def _track(  # type: ignore[no-untyped-def]
    residual, sigma, lines, step, scale, gap, equal, p_equal, begin, end, chunk,
    log_odds, offset, flat,
):  # fmt: skip
    """Chunks bound the memory: forward once to their borders, then each again, last one first.

    What a point's residual and the step before it say is worked out on the way forward and kept for the
    way back: it takes most of the time.
    """
    chunks = (end - begin - 1) // chunk + 1
    borders = np.zeros((chunks, STATES))
    single, one, step_in = np.empty((1, STATES)), np.empty((1, STATES)), np.empty((1, K))
    running = np.zeros(STATES)
    for c in range(chunks - 1):
        low = begin + c * chunk
        _forward(running, residual, sigma, lines, step, scale, gap, equal, p_equal, begin, end,
                 low, low + chunk, single, one, step_in)  # fmt: skip
        copy_into(borders[c + 1], running)
    room = min(chunk, end - begin)
    rows, emissions, into = np.empty((room, STATES)), np.empty((room, STATES)), np.empty((room, K))
    after, now, later = np.ones(STATES), np.ones(STATES), np.empty(K)
    for c in range(chunks - 1, -1, -1):
        low, high = begin + c * chunk, min(begin + (c + 1) * chunk, end)
        _forward(borders[c], residual, sigma, lines, step, scale, gap, equal, p_equal, begin, end,
                 low, high, rows, emissions, into)  # fmt: skip
        for i in range(high - 1, low - 1, -1):
            if i < end - 1:
                _advance(after, now, step[i], scale[i], equal[i], p_equal[i], later, True)
                _normalise(now)
            _read(rows[i - low] * now, i, log_odds, offset, flat)
            now *= emissions[i - low]
            copy_into(after, now)
            copy_into(later, into[i - low])


@njit(cache=True, nogil=True)
def _read(p, i, log_odds, offset, flat):  # type: ignore[no-untyped-def]
    good = p[HONEST] + p[REFERENCE:BIASED].sum()
    biased, moment = 0.0, 0.0
    for k in range(K):
        if abs(LEVELS[k]) < _LEAST_ERROR:
            good += p[BIASED + k]
        else:
            biased += p[BIASED + k]
            moment += p[BIASED + k] * LEVELS[k]
    bad = biased + p[WRONG] + p[FLAT]
    log_odds[i] = np.log(max(bad, 1e-300)) - np.log(max(good, 1e-300))
    offset[i] = moment / biased if biased > 1e-300 else 0.0
    flat[i] = p[FLAT] / max(bad, 1e-300)
