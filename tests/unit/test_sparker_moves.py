"""SparKer's moves: against losses worked out anew for every kernel and place, and what they bring to a fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.benchmarks.sparker import BLOBS, square
from bedsieve.detectors.sparker_fit import SparkerSettings, first_width
from bedsieve.detectors.sparker_kernels import Kernels
from bedsieve.detectors.sparker_moves import move
from bedsieve.detectors.sparker_test import inspect

WIDTH, RIDGE = 0.15, 3.0


def world(seed: int):  # type: ignore[no-untyped-def]
    """Inspected points with two blobs, a reference, and three kernels of which one sits on a blob."""
    rng = np.random.default_rng(seed)
    data, reference = square(rng, 300, 0.1, BLOBS[:2]), rng.random((600, 2))
    a = np.array([0.6, *rng.uniform(0, 0.3, 2)])
    return data, reference, a, np.concatenate([BLOBS[:1], rng.random((2, 2))])


def penalised(data, reference, a, mu, softmax):  # type: ignore[no-untyped-def]
    kernels = Kernels(a, mu, WIDTH, softmax)
    f, g = kernels.log_ratio(data), kernels.log_ratio(reference)
    return len(data) / len(reference) * np.expm1(g).sum() - f.sum() + RIDGE * (a**2).sum()


def moved(data, reference, a, mu, softmax, candidates):  # type: ignore[no-untyped-def]
    """Which kernel moved (-1: none), the amplitudes and the centres after it."""
    x = np.ascontiguousarray(np.concatenate([data, reference]).T)
    inspected = (np.arange(x.shape[1]) < len(data)).astype(float)
    a, mu = a.copy(), mu.copy()
    which = move(x, inspected, 1 - inspected, a, mu, WIDTH, softmax, RIDGE, candidates)
    return which, a, mu


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_who_moves_and_where_to_is_what_losses_worked_out_anew_say(
    seed: int, softmax: bool
) -> None:
    data, reference, a, mu = world(seed)
    candidates = data[::12]
    which, new_a, new_mu = moved(data, reference, a, mu, softmax, candidates)
    full = penalised(data, reference, a, mu, softmax)
    without = [
        penalised(data, reference, np.delete(a, i), np.delete(mu, i, axis=0), softmax)
        for i in range(3)
    ]
    idle = int(np.argmin(without))
    kept_a, kept_mu = np.delete(a, idle), np.delete(mu, idle, axis=0)
    lowest = np.array(
        [
            min(
                penalised(
                    data, reference, np.append(kept_a, b), np.vstack([kept_mu, place]), softmax
                )
                for b in np.linspace(0, 1, 41)
            )
            for place in candidates
        ]
    )
    gain = without[idle] - lowest
    least = max(without[idle] - full, 0)
    if which < 0:
        assert gain.max() < 1.2 * least + 0.5
        return
    assert which == idle
    assert new_a[idle] == 0
    np.testing.assert_array_equal(np.delete(new_mu, idle, axis=0), kept_mu)
    np.testing.assert_array_equal(np.delete(new_a, idle), kept_a)
    # The promise is of second order in f, so the best place may be missed by little.
    chosen = np.flatnonzero((candidates == new_mu[idle]).all(axis=1))[0]
    assert gain[chosen] > 0.8 * gain.max() - 0.5


def test_a_kernel_without_amplitude_moves_to_the_blob_that_has_none() -> None:
    data, reference, _, _ = world(3)
    mu = np.array([BLOBS[0], [0.5, 0.95]])
    which, a, centres = moved(data, reference, np.array([0.6, 0.0]), mu, True, data)
    assert which == 1
    assert a[1] == 0
    assert np.hypot(*(centres[1] - BLOBS[1])) < 0.08


def test_a_kernel_that_is_worth_more_where_it_is_stays() -> None:
    data, reference, _, _ = world(4)
    which, a, centres = moved(
        data, reference, np.array([0.6]), BLOBS[:1].copy(), True, data[data[:, 1] > 0.9]
    )
    assert which == -1
    assert a[0] == 0.6
    np.testing.assert_array_equal(centres, BLOBS[:1])


@pytest.mark.parametrize(("moves", "least", "most"), [(20, 12, 12), (0, 0, 10)])
def test_a_fit_finds_all_twelve_blobs_and_without_moves_fewer(
    moves: int, least: int, most: int
) -> None:
    found = 0
    for seed in range(100, 104):
        rng = np.random.default_rng(seed)
        data, reference = square(rng, 2000, 0.03), rng.random((6000, 2))
        fitting = SparkerSettings(kernels=4, moves=moves)
        kernels = inspect(data, reference, first_width(reference), fitting, seed).kernels[0]
        centres = kernels.centre[kernels.amplitude > 0.05]
        apart = np.linalg.norm(BLOBS[:, None] - centres[None], axis=2).min(axis=1, initial=9.0)
        found += int((apart < 0.04).sum())
    assert least <= found <= most


def test_moments_lie_within_the_narrowing_and_are_as_many_as_asked() -> None:
    moments = SparkerSettings(steps=300, moves=20).moments()
    assert moments.size == 20
    assert moments.min() > 0
    assert moments.max() < 270
    assert SparkerSettings(moves=0).moments().size == 0
