"""The graph autoencoder's network and loss, by hand and against torch-geometric."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import SAGEConv

from bedsieve.detectors.gae_model import graph_of
from bedsieve.detectors.nets.reference import edge_list
from bedsieve.detectors.nets.sage_autoencoder import SageAutoencoder, SageLayer, masked_mse
from bedsieve.detectors.nets.sampling import NeighbourSampler
from tests.unit.gnn_graphs import line_graph


def test_sizes_are_those_of_the_study() -> None:
    net = SageAutoencoder()
    widths = [(layer.mean.in_features, layer.mean.out_features) for layer in net.layers]
    assert widths == [(6, 32), (32, 16), (16, 3), (3, 16), (16, 32), (32, 6)]
    # Two matrices a layer and one bias.
    count = sum(p.numel() for p in net.parameters())
    assert count == sum(2 * a * b + b for a, b in widths) == 3113


def test_other_widths_are_mirrored() -> None:
    net = SageAutoencoder(7, [5])
    assert [(la.mean.in_features, la.mean.out_features) for la in net.layers] == [(7, 5), (5, 7)]


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_a_layer_by_hand(outputs: int) -> None:
    layer = SageLayer(2, outputs)
    with torch.no_grad():
        layer.mean.weight.copy_(torch.tensor([[1.0, 2], [0, 1], [1, 0]])[:outputs])
        layer.mean.bias.copy_(torch.tensor([0.5, -1, 0])[:outputs])
        layer.own.weight.copy_(torch.tensor([[10.0, 0], [0, 10], [10, 10]])[:outputs])
    h = torch.tensor([[1.0, 2], [3, 4], [5, 8]])
    neighbour = torch.tensor([[1, 2, -1], [0, -1, -1], [-1, -1, -1]], dtype=torch.int32)
    # Means (4, 6), (1, 2) and, without neighbours, (0, 0).
    want = torch.tensor([[26.5, 25, 34], [35.5, 41, 71], [50.5, 79, 130]])[:, :outputs]
    torch.testing.assert_close(layer(h, neighbour), want)
    torch.testing.assert_close(layer(h, neighbour[:1]), want[:1])


def reference(net: SageAutoencoder, x: torch.Tensor, neighbour: np.ndarray) -> torch.Tensor:
    """The same weights in torch-geometric's layers, on the whole graph."""
    index, _ = edge_list(neighbour, np.zeros((*neighbour.shape, 2), np.float32))
    h = x
    for number, layer in enumerate(net.layers, start=1):
        conv = SAGEConv(layer.mean.in_features, layer.mean.out_features)
        conv.lin_l.weight, conv.lin_l.bias = layer.mean.weight, layer.mean.bias
        conv.lin_r.weight = layer.own.weight
        h = conv(h, index)
        if number not in (3, 6):
            h = torch.relu(h)
    return h


def test_network_equals_torch_geometric_forward_and_backward() -> None:
    torch.manual_seed(0)
    made = line_graph(60, k=8, inputs=6)
    net = SageAutoencoder()
    seeds = np.array([30, 3, 59, 31])
    block = NeighbourSampler(graph_of(made.x, made.neighbour)).block(seeds, (8,) * 6, key=0)
    x = torch.from_numpy(made.x)
    got = net(x[block.nodes], block)
    want = reference(net, x, made.neighbour)[seeds]
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    gradients = [
        torch.autograd.grad(out.square().sum(), list(net.parameters())) for out in (got, want)
    ]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_a_point_sees_six_hops_and_no_further() -> None:
    n = 20
    neighbour = np.full((n, 1), -1, np.int32)
    neighbour[:-1, 0] = np.arange(1, n)
    torch.manual_seed(1)
    net = SageAutoencoder()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6)).astype(np.float32)

    def rebuilt(features: np.ndarray) -> torch.Tensor:
        block = NeighbourSampler(graph_of(features, neighbour)).block(np.array([0]), (1,) * 6, 0)
        assert block.nodes.max() == 6
        return net(torch.from_numpy(features[block.nodes]), block)

    near, far = x.copy(), x.copy()
    near[6] += 50
    far[7:] += 50
    assert not torch.equal(rebuilt(near), rebuilt(x))
    assert torch.equal(rebuilt(far), rebuilt(x))


def test_masked_loss_by_hand() -> None:
    nan = float("nan")
    rebuilt = torch.tensor([[1.0, 1], [5, 7], [9, 9]], requires_grad=True)
    target = torch.tensor([[0.0, 3], [nan, 4], [0, 0]])
    clean = torch.tensor([True, True, False])
    loss = masked_mse(rebuilt, target, clean)
    # (1 + 4 + 9) over the three features that are there and clean.
    assert loss.item() == pytest.approx(14 / 3)
    loss.backward()
    torch.testing.assert_close(
        rebuilt.grad, torch.tensor([[2.0, -4], [0, 6], [0, 0]]) / 3, atol=1e-6, rtol=0
    )


def test_masked_loss_of_nothing_is_zero() -> None:
    rebuilt = torch.ones(2, 3, requires_grad=True)
    loss = masked_mse(rebuilt, torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert not rebuilt.grad.any()
