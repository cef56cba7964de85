"""SparKer: gradients against autograd, fits that find what was put in, toys whose p-values are ranks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from bedsieve.detectors.sparker_fit import SparkerSettings, distinct_rows, first_width, fit
from bedsieve.detectors.sparker_kernels import EPSILON, Kernels, exp_below_1, loss_and_gradients
from bedsieve.detectors.sparker_test import draw, inspect, toys, verdict
from bedsieve.errors import BedsieveError

SMALL = SparkerSettings(kernels=3, steps=150, checkpoints=4)


def problem(seed: int, d: int = 3, n: int = 700, kernels: int = 5):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    return rng.normal(size=(d, n)), rng.uniform(-1, 1, kernels), rng.normal(size=(kernels, d))


def blob(seed: int, n_data: int = 300, n_reference: int = 900, share: float = 0.15):  # type: ignore[no-untyped-def]
    """Points of a unit square; a share of the inspected ones lies at (0.3, 0.7)."""
    rng = np.random.default_rng(seed)
    data, reference = rng.random((n_data, 2)), rng.random((n_reference, 2))
    bad = int(share * n_data)
    data[:bad] = np.array([0.3, 0.7]) + 0.02 * rng.normal(size=(bad, 2))
    return data, reference


def test_the_exponential_is_that_of_numpy() -> None:
    for y in np.linspace(-20, 1, 211):
        assert exp_below_1(y) == pytest.approx(np.exp(y), rel=1e-10)
    assert 0 < exp_below_1(-1000.0) < 1e-27


@pytest.mark.parametrize("softmax", [True, False])
def test_gradients_are_those_of_autograd(softmax: bool) -> None:
    x, a, mu = problem(0)
    n_data, sigma = 260, 0.9
    a_, mu_ = (torch.tensor(value, requires_grad=True) for value in (a, mu))
    points = torch.tensor(x.T)
    k = torch.exp(-((points[:, None] - mu_[None]) ** 2).sum(-1) / (2 * sigma**2))
    f = (a_ * (k * k / (k.sum(1, keepdim=True) + EPSILON) if softmax else k)).sum(1)
    loss = n_data / (x.shape[1] - n_data) * torch.expm1(f[n_data:]).sum() - f[:n_data].sum()
    loss.backward()
    grad_a, grad_mu = np.empty_like(a), np.empty_like(mu)
    inspected = (np.arange(x.shape[1]) < n_data).astype(float)
    counts = (inspected, 1 - inspected)
    ours = loss_and_gradients(x, *counts, a, mu, sigma, softmax, grad_a, grad_mu)
    assert ours == pytest.approx(loss.item(), rel=1e-9)
    np.testing.assert_allclose(grad_a, a_.grad.numpy(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(grad_mu, mu_.grad.numpy(), rtol=1e-7, atol=1e-9)
    fitted = Kernels(a, mu, sigma, softmax)
    np.testing.assert_allclose(fitted.log_ratio(x.T), f.detach().numpy(), rtol=1e-9)


def test_points_that_are_alike_count_as_often_as_they_are_there() -> None:
    rng = np.random.default_rng(6)
    places = rng.normal(size=(30, 2))
    places[0] = [0.0, 0.3]
    pool = places[rng.integers(0, 30, 1000)]
    pool[::7, 0] *= 0.0  # some of them -0
    data, reference = pool[:250], pool[250:]
    told = inspect(data, reference, 0.8, SMALL, seed=3)
    kernels = told.kernels[0]
    f = kernels.log_ratio(pool)
    loss = 250 / 750 * np.expm1(f[250:]).sum() - f[:250].sum()
    assert told.t[0, -1] == pytest.approx(-2 * loss, rel=1e-9)
    order = np.concatenate([rng.permutation(250), 250 + rng.permutation(750)])
    again = inspect(pool[order[:250]], pool[order[250:]], 0.8, SMALL, seed=3)
    assert (again.t == told.t).all()


@pytest.mark.parametrize("d", [1, 3])
def test_distinct_rows_are_numpys(d: int) -> None:
    X = np.random.default_rng(d).integers(-2, 3, (200, d)) * 0.5
    X[::9] *= -1.0  # some 0 become -0
    rows, place = distinct_rows(X)
    wanted, wanted_place = np.unique(X, axis=0, return_inverse=True)
    assert (rows == wanted).all()
    assert (place == wanted_place.reshape(-1)).all()


def test_far_from_all_kernels_nothing_is_said() -> None:
    kernels = Kernels(np.array([1.0, -1.0]), np.array([[0.0, 0.0], [1.0, 0.0]]), 0.1)
    assert abs(kernels.log_ratio(np.array([[40.0, 0.0]]))[0]) < 1e-9


def test_one_kernel_is_alone_at_its_centre_and_two_share() -> None:
    alone = Kernels(np.array([0.8]), np.zeros((1, 2)), 1.0)
    assert alone.log_ratio(np.zeros((1, 2)))[0] == pytest.approx(0.8)
    pair = Kernels(np.array([0.8, 0.4]), np.zeros((2, 2)), 1.0)
    assert pair.terms(np.zeros((1, 2)))[0] == pytest.approx([0.4, 0.2])


def test_a_kernel_ends_on_the_blob() -> None:
    data, reference = blob(1)
    found = inspect(data, reference, first_width(reference), SMALL, seed=0).kernels[0]
    strongest = found.centre[found.amplitude.argmax()]
    assert np.hypot(*(strongest - [0.3, 0.7])) < 0.03
    assert found.log_ratio(data)[:45].mean() > 0.5
    assert found.amplitude.min() >= 0
    assert found.amplitude.max() <= 1


def test_the_width_shrinks_and_then_stays() -> None:
    widths = SparkerSettings(steps=100).widths(2.0)
    assert widths[0] == 2.0
    assert widths[-10:] == pytest.approx(0.2)
    assert (np.diff(widths[:91]) < 0).all()
    assert SparkerSettings(steps=100, checkpoints=5).marks().tolist() == [20, 40, 59, 79, 99]


def undrawn(n: int) -> int:
    """A row of n that is in no pair of those that the first width is measured on."""
    pairs = np.random.default_rng(0).integers(0, n, (2, 20_000))
    return int(np.setdiff1d(np.arange(n), pairs)[0])


def test_the_first_width_is_the_median_distance() -> None:
    X = np.random.default_rng(0).normal(size=(150, 2))
    pairs = [np.hypot(*(a - b)) for a, b in itertools.combinations(X, 2)]
    assert first_width(X) == pytest.approx(np.median(pairs), rel=0.02)
    mostly_equal = np.zeros((100, 1))
    mostly_equal[:10] = 3.0
    assert first_width(mostly_equal) == 3.0
    with pytest.raises(BedsieveError, match="nothing to compare"):
        first_width(np.ones((10, 2)))
    # Of 60,000 points one differs, and none of the pairs that are drawn holds it.
    calm = np.zeros((60_000, 1))
    calm[undrawn(60_000)] = 3.0
    with pytest.raises(BedsieveError, match="nothing to compare"):
        first_width(calm)
    assert first_width(calm, alike=1.0) == 1.0
    assert first_width(mostly_equal, alike=1.0) == 3.0


def test_toys_depend_on_their_number_alone() -> None:
    pool = np.random.default_rng(3).random((400, 2))

    def made(numbers: list[int]) -> np.ndarray:
        return toys(pool, 100, 300, 0.5, SMALL, seed=7, numbers=numbers)

    assert (made([0, 1, 2]) == np.concatenate([made([0]), made([1, 2])])).all()
    assert (made([4]) != made([5])).all()
    rows = draw(400, 100, 300, 7, 4)
    assert sorted(rows) == list(range(400))


def test_p_is_a_rank_whichever_of_the_sets_is_the_inspected_one() -> None:
    t = np.random.default_rng(1).normal(size=(20, 5)).cumsum(axis=1)
    p = [verdict(t[i], np.delete(t, i, axis=0)).p_value for i in range(20)]
    assert sorted(p) == pytest.approx(np.arange(1, 21) / 20)


def test_a_verdict_worked_by_hand() -> None:
    # Ranks from above: (1, 2), (3, 1), (2, 3) of 3; the mean of ln p is ln √2/3, ln √3/3, ln √6/3.
    told = verdict(np.array([9.0, 5.0]), np.array([[1.0, 8.0], [4.0, 2.0]]))
    assert told.p_checkpoint == pytest.approx([1 / 3, 2 / 3])
    assert told.aggregate == pytest.approx(-0.5 * np.log(1 / 3) - 0.25 * np.log(2 / 9))
    assert told.p_value == pytest.approx(1 / 3)
    assert told.excess == pytest.approx((9 - 2.5) / np.std([1, 4], ddof=1))


def test_an_anomaly_beats_every_toy_and_clean_data_do_not() -> None:
    pool = np.random.default_rng(11).random((3000, 2))
    width = first_width(pool)
    t_toys = toys(pool, 300, 900, width, SMALL, seed=0, numbers=range(19))
    bad = verdict(inspect(*blob(4), width, SMALL, seed=1).t[0], t_toys)
    clean = verdict(inspect(*blob(5, share=0.0), width, SMALL, seed=1).t[0], t_toys)
    assert bad.p_value == pytest.approx(1 / 20)
    assert bad.excess > 5 > clean.excess


def test_what_cannot_be_fitted_is_said() -> None:
    pool = np.random.default_rng(0).random((50, 2))
    with pytest.raises(BedsieveError, match="3 kernels need at least as many inspected points"):
        fit(pool, np.arange(50)[None], 2, 1.0, SMALL, np.array([0]))
    with pytest.raises(BedsieveError, match="A toy needs 60 different points"):
        draw(50, 20, 40, 0, 0)
    pool[3, 1] = np.nan
    with pytest.raises(BedsieveError, match="finite"):
        fit(pool, np.arange(50)[None], 20, 1.0, SMALL, np.array([0]))
