"""The verdict on a double hit: which of its two points its surroundings bear out.

In: indexed points and pairs of them. Out: a verdict code a pair, with the size of its support, what
the cleaning left of it, s_max and eta. Pairs are independent, so they are judged in parallel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, njit
from numpy.typing import NDArray

from bedsieve.kernels import in_threads
from bedsieve.labels.cleaning import NEAREST, clean, in_band
from bedsieve.labels.selection import median
from bedsieve.labels.support import Rules, SupportIndex, gather

VERDICTS = (
    "inlier_inlier",
    "inlier_outlier",
    "outlier_inlier",
    "disagree",
    "both_fail",
    "too_few_tracks",
    "too_few_surveys",
    "too_few_points",
    "too_few_tracks_after",
    "too_few_surveys_after",
    "too_few_points_after",
    "too_much_removed",
    "octant_missing_a",
    "octant_missing_b",
    "octant_missing_both",
)
(
    INLIER_INLIER, INLIER_OUTLIER, OUTLIER_INLIER, DISAGREE, BOTH_FAIL,
    TOO_FEW_TRACKS, TOO_FEW_SURVEYS, TOO_FEW_POINTS,
    TOO_FEW_TRACKS_AFTER, TOO_FEW_SURVEYS_AFTER, TOO_FEW_POINTS_AFTER,
    TOO_MUCH_REMOVED, OCTANT_MISSING_A, OCTANT_MISSING_B, OCTANT_MISSING_BOTH,
) = range(len(VERDICTS))  # fmt: skip
_ALL_OCTANTS = 255
_PARTS, _LEAST_PART = 8, 64  # parts a thread, as many pairs at least in each


class Verdicts(NamedTuple):
    """What was found for each pair.

    Attributes
    ----------
    verdict : ndarray of uint8, shape (pairs,)
        Place in `VERDICTS`.
    n_support, n_kept : ndarray of int32, shape (pairs,)
        Points of the support before and after cleaning; n_kept is 0 where it was not cleaned.
    s_max, eta : ndarray of float64, shape (pairs,)
        Slope (m/m) and tolerance (m) of the bands; NaN where the support was not cleaned.
    """

    verdict: NDArray[np.uint8]
    n_support: NDArray[np.int32]
    n_kept: NDArray[np.int32]
    s_max: NDArray[np.float64]
    eta: NDArray[np.float64]


def judge_pairs(
    index: SupportIndex, rules: Rules, a: NDArray[np.int32], b: NDArray[np.int32]
) -> Verdicts:
    """Judge double hits by their surroundings, by the rules of study B.

    Parameters
    ----------
    index : SupportIndex
        All points within ``rules.support_radius`` of every midpoint.
    rules : Rules
    a, b : ndarray of int32, shape (pairs,)
        Places in the index of each pair's points; near each other in memory is fastest.

    Returns
    -------
    Verdicts

    Notes
    -----
    Design methods.md section 3, from study B (seed 000, A.1.1 to A.1.3). Where the text leaves a
    choice: the first cause met is the code, in the order of `VERDICTS` from ``too_few_tracks`` on
    (tracks, surveys and points before cleaning, the same after it, the share removed, octants);
    cleaning judges all points at once on the set that the step before left; an octant is half-open,
    counted anticlockwise from due east, and a point at the candidate's own place is in none; the
    point at distance 0 has the band 2 eta even where P_max and P_min coincide and s_max is infinite.
    """
    n = a.size
    result = Verdicts(
        np.empty(n, np.uint8), np.zeros(n, np.int32), np.zeros(n, np.int32),
        np.full(n, np.nan), np.full(n, np.nan),
    )  # fmt: skip
    # Each part has scratch as large as the index.
    step = max(_LEAST_PART, -(-n // (_PARTS * get_num_threads())))
    in_threads(_judge, (index, rules, a, b, *result), n, step)
    return result


@njit(cache=True, nogil=True)
def _judge(  # type: ignore[no-untyped-def]
    index, rules, a, b, verdict, n_support, n_kept, s_max, eta, first, last
):
    slot = np.full(index.east.size, np.int32(-1))
    seen_line = np.full(index.n_lines, np.int64(-1))
    seen_survey = np.full(index.n_surveys, np.int64(-1))
    room = 4 * rules.cap
    found, d2, scratch = np.empty(room, np.int32), np.empty(room), np.empty(room)
    work = (
        np.empty((rules.cap, NEAREST), np.int32), np.empty(rules.cap, np.int32),
        np.empty(rules.cap, np.bool_), np.empty((3, rules.cap)), np.empty((3, rules.cap)),
        np.empty(rules.cap, np.int32),
    )  # fmt: skip
    guess = rules.support_radius
    for p in range(first, last):
        count, guess, found, d2, scratch = gather(
            index, rules, a[p], b[p], guess, found, d2, scratch
        )
        n_support[p] = count
        code = _too_few(index, rules, found, count, 2 * p, seen_line, seen_survey)
        if code >= 0:
            verdict[p] = TOO_FEW_TRACKS + code
            continue
        for i in range(count):
            slot[found[i]] = i
            scratch[i] = index.thickness[found[i]]
        eta[p] = max(rules.eta_floor, rules.eta_share * median(scratch[:count]))
        s_max[p], kept = clean(index, rules, found, d2, count, slot, eta[p], work)
        for i in range(count):
            slot[found[i]] = -1
        n_kept[p] = kept
        survivors = work[5][:kept]
        code = _too_few(index, rules, survivors, kept, 2 * p + 1, seen_line, seen_survey)
        if code >= 0:
            verdict[p] = TOO_FEW_TRACKS_AFTER + code
        elif count - kept > rules.max_removed * count:
            verdict[p] = TOO_MUCH_REMOVED
        else:
            verdict[p] = _verdict(index, a[p], b[p], survivors, work[4], s_max[p], eta[p])


@njit(cache=True, nogil=True)
def _too_few(index, rules, rows, count, stamp, seen_line, seen_survey):  # type: ignore[no-untyped-def]
    """0, 1 or 2 for too few tracks, surveys or points, -1 for enough of all."""
    lines = surveys = 0
    line_of, survey_of = index.line, index.survey
    for i in range(count):
        line, survey = line_of[rows[i]], survey_of[rows[i]]
        lines += seen_line[line] != stamp
        surveys += seen_survey[survey] != stamp
        seen_line[line] = seen_survey[survey] = stamp
    if lines < rules.min_tracks:
        return 0
    if surveys < rules.min_surveys:
        return 1
    return 2 if count < rules.min_points else -1


@njit(cache=True, nogil=True)
def _octant(dx, dy):  # type: ignore[no-untyped-def]
    """Bit of the octant, anticlockwise from due east, each with its first border; 0 at the origin."""
    if dy > 0.0 or (dy == 0.0 and dx > 0.0):
        if dx > 0.0:
            return 1 if dy < dx else 2
        return 4 if -dx < dy else 8
    if dx == 0.0 and dy == 0.0:
        return 0
    if dx < 0.0:
        return 16 if -dy < -dx else 32
    return 64 if dx < -dy else 128


@njit(cache=True, nogil=True)
def _candidate(index, c, survivors, columns, s_max, eta):  # type: ignore[no-untyped-def]
    """Octants in which points of other tracks stand around a candidate, and whether it passes all."""
    line_of = index.line
    x, y, h, line = index.east[c], index.north[c], index.thickness[c], line_of[c]
    octants = 0
    passes = True
    for i in range(survivors.size):
        if line_of[survivors[i]] == line:
            continue
        dx, dy = columns[0, i] - x, columns[1, i] - y
        octants |= _octant(dx, dy)
        passes = passes and in_band(abs(columns[2, i] - h), dx * dx + dy * dy, s_max, eta)
    return octants, passes


@njit(cache=True, nogil=True)
def _verdict(index, a, b, survivors, columns, s_max, eta):  # type: ignore[no-untyped-def]
    octants_a, a_passes = _candidate(index, a, survivors, columns, s_max, eta)
    octants_b, b_passes = _candidate(index, b, survivors, columns, s_max, eta)
    if octants_a != _ALL_OCTANTS or octants_b != _ALL_OCTANTS:
        if octants_b == _ALL_OCTANTS:
            return OCTANT_MISSING_A
        return OCTANT_MISSING_B if octants_a == _ALL_OCTANTS else OCTANT_MISSING_BOTH
    if a_passes and b_passes:
        dx, dy = index.east[b] - index.east[a], index.north[b] - index.north[a]
        dh = abs(index.thickness[a] - index.thickness[b])
        agree = in_band(dh, dx * dx + dy * dy, 2.0 * s_max, eta)
        return INLIER_INLIER if agree else DISAGREE
    if a_passes:
        return INLIER_OUTLIER
    return OUTLIER_INLIER if b_passes else BOTH_FAIL
