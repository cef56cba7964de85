"""The mathematics of categorical score matching: scores against autograd, noise and losses by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from bedsieve.detectors.gnsm_noise import (
    block_log_softmax,
    category_loss,
    exp_concrete_log_density,
    exp_concrete_score,
    gumbel_like,
    log_one_hot,
    number_loss,
    relax,
)
from bedsieve.detectors.gnsm_norms import row_score, squared_norms
from bedsieve.detectors.gnsm_settings import GnsmSettings
from bedsieve.detectors.gnsm_training import Noise
from bedsieve.detectors.nets.score_network import NetworkAtLevels, ScoreNetwork

SIZES = (2, 5, 3)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.3, 2.0, 7.5, 20.0])
@pytest.mark.parametrize("k", [2, 3, 17])
def test_score_is_the_gradient_of_the_log_density(k: int, temperature: float) -> None:
    log_alpha = 3 * draws(6, k)
    x = draws(6, k, seed=1).log_softmax(1).requires_grad_(True)
    density = exp_concrete_log_density(x, log_alpha, temperature)
    (gradient,) = torch.autograd.grad(density.sum(), x)
    found = exp_concrete_score(log_alpha - temperature * x.detach(), temperature, (k,))
    torch.testing.assert_close(found, gradient, rtol=1e-12, atol=1e-10)


def test_score_of_one_hot_categories_is_the_gradient_in_each_block() -> None:
    temperature = torch.tensor([[2.0], [20.0]], dtype=torch.float64)
    log_alpha = log_one_hot(torch.tensor([[1, 4, 0], [0, 2, 2]]), SIZES).double()
    x = relax(log_alpha, draws(2, 10), temperature, SIZES).requires_grad_(True)
    parts = zip(x.split(list(SIZES), 1), log_alpha.split(list(SIZES), 1), strict=True)
    density = torch.zeros((), dtype=torch.float64)
    for part, alpha in parts:
        for row in range(2):
            one = exp_concrete_log_density(part[row], alpha[row], float(temperature[row]))
            density = density + one
    (gradient,) = torch.autograd.grad(density, x)
    found = exp_concrete_score(log_alpha - temperature * x.detach(), temperature, SIZES)
    torch.testing.assert_close(found, gradient, rtol=1e-6, atol=1e-8)


def test_the_density_of_two_categories_is_a_probability() -> None:
    # With K = 2 and u = x_1 − x_2 the density over u is p(x) times |du/dx| on the curve e^x1 + e^x2 = 1.
    u = torch.linspace(-60, 60, 200_001, dtype=torch.float64)
    x = torch.stack([-torch.nn.functional.softplus(-u), -torch.nn.functional.softplus(u)], 1)
    log_alpha = torch.tensor([0.7, -0.4], dtype=torch.float64).expand(len(u), 2)
    total = torch.trapezoid(exp_concrete_log_density(x, log_alpha, 1.5).exp(), u)
    assert float(total) == pytest.approx(1.0, abs=1e-6)


def test_relaxed_categories_are_probabilities_and_fall_by_their_share() -> None:
    share = torch.tensor([0.5, 0.3, 0.2])
    log_alpha = share.log().repeat(40_000, 1)
    noise = gumbel_like(log_alpha, torch.Generator().manual_seed(0))
    for temperature in (2.0, 20.0):
        lam = torch.full((len(log_alpha), 1), temperature)
        relaxed = relax(log_alpha, noise, lam, (3,))
        assert relaxed.logsumexp(1).abs().max() < 1e-5
        found = torch.bincount(relaxed.argmax(1), minlength=3) / len(relaxed)
        assert (found - share).abs().max() < 0.01


def test_one_hot_logarithms_are_clipped() -> None:
    found = log_one_hot(torch.tensor([[1, 0]]), (2, 3))
    low = math.log(1e-5)
    assert found.tolist()[0] == pytest.approx([low, 0, 0, low, low])
    assert log_one_hot(torch.empty(4, 0, dtype=torch.long), ()).shape == (4, 0)


def test_losses_by_hand() -> None:
    predicted, target = draws(7, 10), draws(7, 10, seed=3)
    lam = torch.linspace(2, 20, 7, dtype=torch.float64)[:, None]
    kl = category_loss(predicted, target, lam, SIZES, "kl")
    squared = category_loss(predicted, target, lam, SIZES, "squared")
    p, q = (block_log_softmax(x, SIZES).exp().numpy() for x in (target, predicted))
    np.testing.assert_allclose(kl.numpy(), rel_entr(p, q).sum(1), rtol=1e-10)
    of_scores = exp_concrete_score(predicted, lam, SIZES) - exp_concrete_score(target, lam, SIZES)
    torch.testing.assert_close(squared, of_scores.square().sum(1), rtol=1e-6, atol=1e-6)
    for kind in ("kl", "squared"):
        assert category_loss(target, target, lam, SIZES, kind).abs().max() < 1e-12
    present = torch.tensor([[1.0, 0.0]])
    loss = number_loss(torch.tensor([[1.0, 9.0]]), torch.tensor([[3.0, 0.0]]), present)
    assert loss.tolist() == [2.0]


def test_levels_are_geometric_and_paired() -> None:
    noise = Noise.of(GnsmSettings())
    assert len(noise.temperature) == len(noise.sigma) == 20
    for values, first, last in ((noise.temperature, 2.0, 20.0), (noise.sigma, 0.1, 1.0)):
        assert [float(values[0]), float(values[-1])] == pytest.approx([first, last])
        ratio = values[1:] / values[:-1]
        assert float(ratio.max() - ratio.min()) < 1e-5


def test_the_network_knows_the_noise_level_and_rows_do_not_meet() -> None:
    torch.manual_seed(0)
    net = ScoreNetwork(10, 16, 2, 8).eval()
    lam = Noise.of(GnsmSettings(levels=3)).temperature
    x = draws(5, 10).float()
    one = net(x, lam, torch.tensor([0, 1, 2, 0, 1]))
    assert one.shape == x.shape
    other = net(x, lam, torch.tensor([2, 1, 2, 0, 1]))
    assert not torch.allclose(one[0], other[0])
    torch.testing.assert_close(one[1:], other[1:])
    alone = net(x[3:4], lam, torch.tensor([0]))
    torch.testing.assert_close(alone[0], one[3], rtol=1e-5, atol=1e-6)


def test_the_network_at_levels_is_the_network() -> None:
    torch.manual_seed(1)
    net = ScoreNetwork(10, 16, 3, 8).eval()
    # Also what starts as nothing: biases, gains and shifts of the norms.
    for values in net.parameters():
        values.data += 0.2 * torch.randn_like(values)
    lam = Noise.of(GnsmSettings(levels=4)).temperature
    x = 3 * draws(50, 10).float()
    at_levels = NetworkAtLevels(net, lam)
    entered = at_levels.enter(x)
    for level in (2, 0, 3, 2):
        wanted = net(x, lam, torch.full((50,), level))
        torch.testing.assert_close(at_levels.at(level, entered), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(), (2,), (3, 1, 4)])
@pytest.mark.parametrize("numbers", [0, 2])
def test_norms_are_those_of_the_scores(sizes: tuple[int, ...], numbers: int) -> None:
    found = 20 * draws(40, sum(sizes) + numbers).float()
    present = (draws(40, numbers) > 0).float()
    level = torch.tensor(3.0), torch.tensor(0.25)
    score = row_score(found, present, sizes, *level)
    assert (score[:, sum(sizes) :][present == 0] == 0).all()
    norms = squared_norms(found.clone(), present, sizes, *level)
    torch.testing.assert_close(norms, score.double().square().sum(1), rtol=1e-5, atol=1e-5)
