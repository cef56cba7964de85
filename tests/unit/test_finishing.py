"""The end of a layer in one pass, beside torch's functions, and the arithmetic under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import njit

from bedsieve.detectors.nets import kernel_threads, vector_math
from bedsieve.detectors.nets.finishing import finish
from bedsieve.detectors.nets.gated_sage import GatedSageLayer


@njit
def _images(x, powers, gates, gelus):
    for i in range(x.size):
        powers[i] = vector_math.power(x[i])
        gates[i] = vector_math.sigmoid(x[i])
        gelus[i] = vector_math.gelu(x[i])


def test_arithmetic_beside_torch() -> None:
    x = np.concatenate([np.linspace(-30, 30, 200_001), [-1e4, -87, -0.0, 0.0, 87, 1e4]])
    x = x.astype(np.float32)
    powers, gates, gelus = (np.empty_like(x) for _ in range(3))
    _images(x, powers, gates, gelus)
    exact = torch.from_numpy(x).double()
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
    monkeypatch.setattr(kernel_threads, "_SMALL", 1)
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
