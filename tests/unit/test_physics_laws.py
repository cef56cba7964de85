"""The three physics laws against cases worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.detectors import physics_laws
from bedsieve.detectors.physics_laws import LawLimits, Meetings

LIMITS = LawLimits()


def _rate(
    thickness: list[float], east: list[float] | None = None, line: list[int] | None = None
) -> np.ndarray:
    n = len(thickness)
    return physics_laws.rate_of_change(
        np.array(line or [0] * n, np.int64),
        np.arange(n, dtype=np.uint32),
        np.array(east if east is not None else [100.0 * i for i in range(n)]),
        np.zeros(n),
        np.array(thickness),
        LIMITS,
    )


def test_a_jump_is_worked_out_by_hand() -> None:
    # eta = max(15, 1 % of 1180) = 15; (180 - 30)/100 = 1.5, the top of the ramp from 0.5 to 1.5.
    np.testing.assert_allclose(_rate([1000, 1000, 1180, 1180]), [0, 1, 1, 0])
    # eta = 15; (130 - 30)/100 = 1.0, the middle.
    np.testing.assert_allclose(_rate([1000, 1130]), [0.5, 0.5])


def test_thick_ice_leaves_more_to_noise() -> None:
    # eta = 1 % of 4000 = 40; (180 - 80)/100 = 1.0.
    np.testing.assert_allclose(_rate([4000, 3820]), [0.5, 0.5])


def test_the_rate_is_not_taken_across_flights_or_gaps() -> None:
    assert np.isnan(_rate([1000, 3000], line=[0, 1])).all()
    assert np.isnan(_rate([1000, 3000], east=[0.0, 1000.1])).all()
    assert not np.isnan(_rate([1000, 3000], east=[0.0, 1000.0])).any()


def test_flights_may_be_interleaved_and_shuffled() -> None:
    rng = np.random.default_rng(5)
    line = np.repeat(np.array([3, 8], np.int64), 50)
    seq = rng.permutation(100).astype(np.uint32)
    seq[:50].sort()
    seq[50:].sort()
    east = np.tile(100.0 * np.arange(50), 2)
    ice = rng.uniform(500, 1000, 100)
    expected = np.concatenate(
        [
            physics_laws.rate_of_change(line[r], seq[r], east[r], 0 * east[r], ice[r], LIMITS)
            for r in (slice(0, 50), slice(50, 100))
        ]
    )
    shuffle = rng.permutation(100)
    got = physics_laws.rate_of_change(
        line[shuffle], seq[shuffle], east[shuffle], 0 * east, ice[shuffle], LIMITS
    )
    np.testing.assert_array_equal(got, expected[shuffle])
    assert 0 < expected.mean() < 1


def test_uncertainty_grows_with_age() -> None:
    year = np.array([2020.0, 2005.0, 1995.0, 1975.0, np.nan])
    sigma = physics_laws.thickness_sigma(year, np.zeros(5), LIMITS)
    np.testing.assert_allclose(sigma, [15, 15, 30, 60, 45])
    # 3-4-5: 15 m of epoch, 1 % of 2000 m.
    assert physics_laws.thickness_sigma(np.array([2020.0]), np.array([2000.0]), LIMITS) == 25


def _meeting(h: tuple[float, float], year: tuple[float, float], distance: float = 0.0) -> Meetings:
    one = [np.array([value], float) for value in (*h, *year, distance)]
    return Meetings(np.array([0]), np.array([1]), *one)


def test_a_mistie_between_two_modern_lines_accuses_both_alike() -> None:
    limits = replace(LIMITS, relative_noise=0.0)
    sigma = 15 * np.sqrt(2)
    got = physics_laws.crossing_disagreement(
        2, _meeting((1000, 1000 + 4 * sigma), (2015, 2015)), limits
    )
    np.testing.assert_allclose(got, [0.5, 0.5])


def test_an_old_line_takes_the_blame() -> None:
    limits = replace(LIMITS, relative_noise=0.0, thickness_change=0.0)
    # sigma 15 against 60 (30 years before 2005 at 1.5 m a year).
    sigma = np.hypot(15, 60)
    got = physics_laws.crossing_disagreement(
        2, _meeting((1000, 1000 + 6 * sigma), (2015, 1975)), limits
    )
    np.testing.assert_allclose(got, [2 * 15**2 / (15**2 + 60**2), 1.0])


def test_ice_change_and_terrain_are_allowed_for() -> None:
    modern = physics_laws.crossing_disagreement(2, _meeting((1000, 1150), (2015, 2015)), LIMITS)
    apart = physics_laws.crossing_disagreement(
        2, _meeting((1000, 1150), (2015, 2015), distance=100.0), LIMITS
    )
    later = physics_laws.crossing_disagreement(2, _meeting((1000, 1150), (2005, 2065)), LIMITS)
    # The second side is the less certain one by its thickness and takes all of the blame.
    assert modern[0] > apart[0] > later[0]
    sigma = np.sqrt(15**2 + 10**2 + 15**2 + 11.5**2 + 60**2)
    assert later[1] == pytest.approx((150 / sigma - 2) / 4)


def test_one_bad_flight_does_not_condemn_a_point_that_others_confirm() -> None:
    # Point 0 meets points 1 to 4; only point 4 disagrees, by far.
    h_b = np.array([1000.0, 1000.0, 1000.0, 3000.0])
    years = np.full(4, 2015.0)
    meetings = Meetings(
        np.zeros(4, np.int64), np.arange(1, 5), np.full(4, 1000.0), h_b, years, years, np.zeros(4)
    )
    limits = replace(LIMITS, relative_noise=0.0)
    got = physics_laws.crossing_disagreement(6, meetings, limits)
    np.testing.assert_allclose(got, [0.25, 0, 0, 0, 1, np.nan])


def test_pairs_with_points_outside_count_for_the_point_inside() -> None:
    meeting = _meeting((1000, 3000), (2015, 2015))
    outside = replace(meeting, b=np.array([-1]))
    got = physics_laws.crossing_disagreement(2, outside, LIMITS)
    assert got[0] == physics_laws.crossing_disagreement(2, meeting, LIMITS)[0]
    assert np.isnan(got[1])


def test_shear_stress_by_hand() -> None:
    # 917 * 9.81 * 1000 m * 3/5: a slope of 3/4 has sine 3/5.
    stress = physics_laws.basal_shear_stress(np.array([1000.0]), np.array([0.75]))
    np.testing.assert_allclose(stress, 917 * 9.81 * 600)
    evidence = physics_laws.shear_outside_range(
        np.array([1000.0, 1000.0, 450e3 / (917 * 9.81 * 0.6), 1000.0]),
        np.array([0.75, 0.0, 0.75, np.nan]),
        LIMITS,
    )
    np.testing.assert_allclose(evidence, [1, 0, 0.5, np.nan])


def test_a_lower_shear_limit_can_be_asked_for() -> None:
    limits = replace(LIMITS, shear_low=(1e3, 3e3))
    unit = 917 * 9.81 * 0.6
    evidence = physics_laws.shear_outside_range(
        np.array([500 / unit, 2000 / unit, 5000 / unit]), np.full(3, 0.75), limits
    )
    np.testing.assert_allclose(evidence, [1, 0.5, 0])


def test_combined_evidence_by_hand() -> None:
    nan = np.nan
    rate = np.array([1.0, 0.5, nan, nan])
    crossing = np.array([0.0, 0.5, nan, 0.0])
    shear = np.array([0.0, 1.0, nan, nan])
    got = physics_laws.combined(rate, crossing, shear, LIMITS)
    np.testing.assert_allclose(got, [0.8, 1 - 0.6 * 0.5 * 0.5, nan, 0.0])
    np.testing.assert_array_equal(
        physics_laws.any_broken(rate, crossing, shear), [True, True, False, False]
    )


_evidence = st.floats(0, 1) | st.just(float("nan"))


@settings(max_examples=50, deadline=None)
@given(st.tuples(_evidence, _evidence, _evidence), st.integers(0, 2), st.floats(0, 1))
def test_more_evidence_never_lowers_the_whole(
    laws: tuple[float, float, float], which: int, more: float
) -> None:
    arrays = [np.array([value]) for value in laws]
    before = physics_laws.combined(arrays[0], arrays[1], arrays[2], LIMITS)[0]
    arrays[which] = np.fmax(arrays[which], more)
    after = physics_laws.combined(arrays[0], arrays[1], arrays[2], LIMITS)[0]
    assert 0 <= after <= 1
    assert np.isnan(before) or after >= before
