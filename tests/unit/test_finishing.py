"""The end of a layer in one pass, beside torch's functions, and the arithmetic under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import njit

from bedsieve import kernels
from bedsieve.detectors.nets import vector_math
from bedsieve.detectors.nets.finishing import finish, finish_training
from bedsieve.detectors.nets.gated_sage import GatedSageLayer


@njit
def _images(x, powers, gates, gelus, slopes):
    for i in range(x.size):
        slopes[i] = vector_math.gelu_slope(x[i])
        powers[i] = vector_math.power(x[i])
        gates[i] = vector_math.sigmoid(x[i])
        gelus[i] = vector_math.gelu(x[i])


def test_arithmetic_beside_torch() -> None:
    x = np.concatenate([np.linspace(-30, 30, 200_001), [-1e4, -87, -0.0, 0.0, 87, 1e4]])
    x = x.astype(np.float32)
    powers, gates, gelus, slopes = (np.empty_like(x) for _ in range(4))
    _images(x, powers, gates, gelus, slopes)
    exact = torch.from_numpy(x).double().requires_grad_()
    torch.nn.functional.gelu(exact).sum().backward()
    np.testing.assert_allclose(slopes, exact.grad.numpy(), atol=1e-6)
    exact = exact.detach()
    inside = np.abs(x) <= 80
    np.testing.assert_allclose(powers[inside], exact.exp().numpy()[inside], rtol=4e-7)
    np.testing.assert_allclose(gates, exact.sigmoid().numpy(), atol=2e-7)
    off = np.abs(gelus - torch.nn.functional.gelu(exact).numpy())
    assert (off <= 2e-7 * np.maximum(np.abs(x), 1)).all()


@pytest.mark.parametrize("width", [1, 7, 96])
@pytest.mark.parametrize("residual", [False, True])
def test_one_pass_is_what_torch_does(
    width: int, residual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "SMALL", 1)
    torch.manual_seed(width)
    mean, own, old = torch.randn(3, 501, width) * torch.tensor([1.0, 5.0, 2.0])[:, None, None]
    norm = torch.nn.LayerNorm(width)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
        want = torch.nn.functional.gelu(norm(mean + own)) + (old if residual else 0)
        got = [finish(mean.clone(), own, norm, old if residual else None)]
        before = torch.get_num_threads()
        torch.set_num_threads(before + 2)
        got.append(finish(mean.clone(), own, norm, old if residual else None))
        torch.set_num_threads(before)
    torch.testing.assert_close(got[0], want, atol=3e-6, rtol=3e-6)
    assert torch.equal(got[0], got[1])


@pytest.mark.parametrize("width", [1, 7, 96])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dropped", [0.0, 0.3])
def test_training_in_one_pass_has_torchs_outcome_and_gradients(
    width: int, residual: bool, dropped: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "SMALL", 1)
    torch.manual_seed(width)
    # More rows than are summed together, so that parts of gradients are joined.
    start = torch.randn(3, 1501, width) * torch.tensor([1.0, 5.0, 2.0])[:, None, None]
    up = torch.randn(1501, width)
    norm = torch.nn.LayerNorm(width)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()

    def outcome(ours: bool) -> list[torch.Tensor]:
        mean, own, old = (part.clone().requires_grad_() for part in start)
        norm.zero_grad()
        torch.manual_seed(5)
        if ours:
            made = finish_training(mean * 1, own, norm, old if residual else None, dropped)
        else:
            made = torch.nn.functional.gelu(norm(mean + own))
            made = torch.nn.functional.dropout(made, dropped) + (old if residual else 0)
        (made * up).sum().backward()
        found = [made.detach(), mean.grad, own.grad, norm.weight.grad, norm.bias.grad]
        return [part.clone() for part in [*found, *([old.grad] if residual else [])]]

    want, got = outcome(ours=False), outcome(ours=True)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)
    again = outcome(ours=True)
    torch.set_num_threads(before)
    for ours, theirs, repeated in zip(got, want, again, strict=True):
        # A width of 1 has no spread, so what comes back is rounding magnified by 1/sqrt(eps).
        torch.testing.assert_close(ours, theirs, atol=2e-3 if width == 1 else 1e-4, rtol=1e-4)
        assert torch.equal(ours, repeated)


def test_dropout_that_is_on_is_heeded_without_gradients() -> None:
    layer = GatedSageLayer(6, 6, dropout=0.5)
    arguments = (
        torch.randn(40, 6),
        torch.randn(40, 6),
        torch.full((40, 2), 3, dtype=torch.int32),
        torch.randn(40, 2, 2),
    )
    with torch.no_grad():
        torch.manual_seed(0)
        one = layer.update(*arguments)
        torch.manual_seed(1)
        other = layer.update(*arguments)
        assert not torch.equal(one, other)
        layer.eval()
        assert torch.equal(layer.update(*arguments), layer.update(*arguments))
