"""The gated SAGE network against numbers worked by hand and against torch-geometric."""

import math

import numpy as np
import pytest
import torch

from bedsieve import kernels
from bedsieve.detectors.nets import aggregation
from bedsieve.detectors.nets.aggregation import (
    gated_mean,
    gated_mean_torch,
    plain_mean,
    plain_mean_torch,
)
from bedsieve.detectors.nets.gated_sage import GatedSage, GatedSageLayer
from bedsieve.detectors.nets.reference import ReferenceSage, edge_list
from bedsieve.detectors.nets.sampling import NeighbourSampler
from tests.unit.gnn_graphs import line_graph

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("gated", "fewer"), [(True, 0), (False, 3 * (384 + 384 + 192))])
def test_parameter_count_is_the_studys(gated: bool, fewer: int) -> None:
    # Without gates three linear maps of 2 inputs are gone.
    assert sum(p.numel() for p in GatedSage(gated=gated).parameters()) == 656_769 - fewer


def test_gated_mean_by_hand() -> None:
    message = torch.tensor([[1.0], [2.0], [4.0]])
    neighbour = torch.tensor([[1, 2], [2, -1], [-1, -1]], dtype=torch.int32)
    edge = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [9.0, 9.0]], [[9.0, 9.0]] * 2])
    weight, bias = torch.tensor([[math.log(3.0), -math.log(9.0)]]), torch.tensor([0.0])
    # Gates: σ(0) = 1/2, σ(ln 3) = 3/4, σ(−ln 9) = 1/10.
    want = [(2 * 0.5 + 4 * 0.75) / 2, 4 * 0.1, 0.0]
    got = gated_mean(message, neighbour, edge, weight, bias)
    assert got.squeeze(1).tolist() == pytest.approx(want, rel=1e-6)


def test_layer_by_hand() -> None:
    layer = GatedSageLayer(2, 2, dropout=0.5).eval()
    with torch.no_grad():
        layer.own.weight.copy_(torch.eye(2))
        layer.own.bias.copy_(torch.tensor([0.5, 0.0]))
        layer.message.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        layer.message.bias.copy_(torch.tensor([0.0, 1.0]))
        layer.gate.weight.zero_()
        layer.gate.bias.zero_()
    h = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    new = layer.update(
        h[:1], layer.messages(h), torch.tensor([[1]], dtype=torch.int32), torch.zeros(1, 1, 2)
    )
    # own (1.5, 2), message (5, 4) at half gate (2.5, 2): (4, 4), whose LayerNorm is 0, GELU 0.
    assert new.tolist() == [[1.0, 2.0]]
    layer.own.bias.data[0] = 2.5
    new = layer.update(
        h[:1], layer.messages(h), torch.tensor([[1]], dtype=torch.int32), torch.zeros(1, 1, 2)
    )
    # (6, 4) normalises to (1, −1); GELU(1) = 0.841345, GELU(−1) = −0.158655; plus the residual.
    assert new[0].tolist() == pytest.approx([1.841345, 1.841345], abs=2e-5)


@pytest.mark.parametrize("channels", [5, 32, 70])
def test_kernels_and_gradients_match_plain_torch(channels: int) -> None:
    rng = np.random.default_rng(1)
    graph = line_graph(300, seed=2)
    neighbour = torch.from_numpy(graph.neighbour)
    edge = torch.from_numpy(rng.normal(0, 3, (300, 4, 2)).astype(np.float32))
    values = [
        rng.normal(size=s).astype(np.float32) for s in ((300, channels), (channels, 2), (channels,))
    ]
    up = torch.from_numpy(rng.normal(size=(300, channels)).astype(np.float32))
    results = []
    for gated, plain in ((gated_mean, plain_mean), (gated_mean_torch, plain_mean_torch)):
        message, weight, bias = (torch.tensor(v, requires_grad=True) for v in values)
        out = gated(message, neighbour, edge, weight, bias)
        (out * up).sum().backward()
        found = [out, message.grad, weight.grad, bias.grad]
        message = torch.tensor(values[0], requires_grad=True)
        out = plain(message, neighbour)
        (out * up).sum().backward()
        results.append([*found, out, message.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-5)


def test_extreme_gates_stay_finite() -> None:
    neighbour = torch.zeros((2, 1), dtype=torch.int32)
    edge = torch.tensor([[[1e4, 0.0]], [[-1e4, 0.0]]])
    got = gated_mean(torch.ones(1, 1), neighbour, edge, torch.ones(1, 2), torch.zeros(1))
    assert got.squeeze(1).tolist() == pytest.approx([1.0, 0.0], abs=1e-30)


def test_network_matches_message_passing_with_gradients() -> None:
    torch.manual_seed(0)
    graph = line_graph(200, k=6)
    net = GatedSage(widths=(24, 24, 8), latent=8, head=4, dropout=0.0)
    reference = ReferenceSage(widths=(24, 24, 8), latent=8, head=4, dropout=0.0)
    reference.load_from(net.state_dict())
    sampler = NeighbourSampler(graph)
    block = sampler.block(np.arange(40, 90), (6, 3, 3), key=5)
    x = sampler.features(block, torch.device("cpu"))
    index, attr = edge_list(block.neighbour, block.edge)
    hops = []
    for n in block.bounds[-2::-1]:
        used = index[1] < n
        hops.append((index[:, used], attr[used], n))
    ours, theirs = net(x, block), reference(x, hops, 50)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    renamed = {k.replace("message_of", "message"): p.grad for k, p in reference.named_parameters()}
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, renamed[name], rtol=1e-4, atol=1e-5)


def test_pieces_that_are_worked_out_twice_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "_PIECE", 7 * 4 * 8)
    graph = line_graph(30, seed=4)
    neighbour = torch.from_numpy(graph.neighbour)
    edge = torch.randn(30, 4, 2, generator=torch.Generator().manual_seed(0))
    results = []
    for whole in (True, False):
        torch.manual_seed(1)
        values = [torch.randn(s, requires_grad=True) for s in ((30, 8), (8, 2), (8,))]
        message, weight, bias = values
        if whole:
            out = gated_mean_torch(message, neighbour, edge, weight, bias)
        else:
            out = aggregation._in_pieces(gated_mean_torch, message, neighbour, edge, weight, bias)
        out.square().sum().backward()
        results.append([out, *(v.grad for v in values)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SMALL", 1)
    graph = line_graph(500, seed=5)
    neighbour = torch.from_numpy(graph.neighbour)
    edge = torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0))
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        values = [torch.randn(s, requires_grad=True) for s in ((500, 200), (200, 2), (200,))]
        out = gated_mean(values[0], neighbour, edge, *values[1:])
        out.square().sum().backward()
        results.append([out, *(v.grad for v in values)])
    torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_the_way_into_the_head_is_one_linear_map() -> None:
    torch.manual_seed(0)
    net, states = GatedSage(widths=(24, 24, 12), latent=12, head=6), torch.randn(50, 60)
    weight, bias = net.readout()
    assert weight.shape == (6, 60)
    with torch.no_grad():
        torch.testing.assert_close(states @ weight.t() + bias, net.head[0](net.jump(states)))
