"""Dropout on, many times over: masks that know no tiles, layers in one go, and the passes of a whole network."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bedsieve import kernels
from bedsieve.detectors.nets.dropped_layers import Products, drop_layer
from bedsieve.detectors.nets.first_layer import FirstLayer
from bedsieve.detectors.nets.gated_sage import GatedSage, GatedSageLayer
from bedsieve.detectors.nets.hashed_dropout import HashedDropout
from bedsieve.detectors.nets.inference import infer
from bedsieve.detectors.nets.monte_carlo import (
    SIDE_BY_SIDE,
    Room,
    infer_passes,
    logits_by_layers,
    logits_on_cpu,
)
from bedsieve.detectors.nets.sampling import NeighbourSampler
from bedsieve.errors import ConfigError
from tests.unit.gnn_graphs import line_graph

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = np.arange(300, dtype=np.uint64) * np.uint64(2**32) + np.uint64(5)
KINDS = [torch.float32, torch.bfloat16]
PASSES = range(3, 6)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _ids(n: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(n).integers(-(2**63), 2**63, n))


def _dropped(dropout: HashedDropout, state: Tensor, ids: Tensor, number: int, layer: int) -> Tensor:
    return state * dropout.kept(ids, state.shape[1], number, layer) * float(dropout.scale)


# The masks.


def test_masks_are_fair_and_belong_to_seed_pass_layer_and_point() -> None:
    ids = torch.from_numpy(np.arange(2000, dtype=np.int64) * 7919)
    dropout = HashedDropout(0.111, 3)
    kept = dropout.kept(ids, 190, 0, 1).numpy()
    assert kept.shape == (2000, 190)
    assert abs(kept.mean() - 0.889) < 4 * math.sqrt(0.889 * 0.111 / kept.size)
    assert abs(kept.mean(0) - 0.889).max() < 5 * math.sqrt(0.889 * 0.111 / 2000)
    others = [
        HashedDropout(0.111, 4).kept(ids, 190, 0, 1),
        dropout.kept(ids, 190, 1, 1),
        dropout.kept(ids, 190, 0, 2),
        dropout.kept(ids + 1, 190, 0, 1),
    ]
    for other in others:
        assert abs(np.corrcoef(kept.ravel(), other.numpy().ravel())[0, 1]) < 0.01
    between = np.corrcoef(kept[:, :40].T)
    np.fill_diagonal(between, 0)
    assert np.abs(between).max() < 0.13
    order = torch.randperm(2000)
    assert torch.equal(dropout.kept(ids[order], 190, 0, 1), torch.from_numpy(kept)[order])
    assert torch.equal(dropout.kept(ids, 6, 0, 1), torch.from_numpy(kept)[:, :6])
    dropped = _dropped(dropout, torch.full((2000, 190), 2.0), ids, 0, 1)
    assert dropped.mean().item() == pytest.approx(2, abs=0.01)


# Layers in one go.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("width", [1, 6, 190])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.95])
def test_the_first_layer_drops_what_the_masks_say(
    rate: float, width: int, residual: bool, kind: torch.dtype
) -> None:
    n, dropout = 300, HashedDropout(rate, 5)
    before, old, ids = _random(n, width), _random(n + 2, width, seed=1), _ids(n + 2)
    states = torch.full((n, len(PASSES), width + 3), 7.0, dtype=kind)
    first = FirstLayer(before, old if residual else None, None, dropout)
    first.drop(states, dropout.keys(ids, PASSES, 0), None)
    assert (states[:, :, width:] == 7).all()
    for number, got in zip(PASSES, states.unbind(1), strict=True):
        want = _dropped(dropout, before, ids[:n], number, 0) + (old[:n] if residual else 0)
        assert torch.equal(got[:, :width], want.to(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.111, 0.9])
def test_products_of_what_is_kept_are_those_of_everything_less_what_is_dropped(
    rate: float, residual: bool, kind: torch.dtype
) -> None:
    n, fewer, width, dropout = 60, 41, 30, HashedDropout(rate, 5)
    torch.manual_seed(8)
    layer = GatedSageLayer(width, 22, 0.1).eval()
    before, old, ids = _random(n, width), _random(n + 2, width, seed=1), _ids(n)
    states = torch.empty((n, len(PASSES), width), dtype=kind)
    room = torch.full((2, n, len(PASSES), 22), 7.0, dtype=kind)
    found = Products(layer, room[0], room[1, :fewer])
    with torch.inference_mode():
        first = FirstLayer(before, old if residual else None, layer, dropout)
        first.drop(states, dropout.keys(ids, PASSES, 0), found)
        assert (room[1, fewer:] == 7).all()
        for place, number in enumerate(PASSES):
            h = _dropped(dropout, before, ids, number, 0) + (old[:n] if residual else 0)
            assert torch.equal(states[:, place], h.to(kind))
            tolerance = {torch.float32: 3e-6, torch.bfloat16: 0.03}[kind] * float(dropout.scale)
            for got, linear in (found.messages, layer.message), (found.own, layer.own):
                got = got[:, place].float()
                want = h[: len(got)] @ linear.weight.t()
                torch.testing.assert_close(got, want, atol=tolerance, rtol=0)


def test_half_the_bits_are_rounded_as_torch_does_it() -> None:
    bits = np.random.default_rng(0).integers(0, 2**31, 4_000).astype(np.uint32)
    bits[:2_000] &= np.uint32(0xFFFF8000)  # half of these are ties
    numbers = bits.view(np.float32)
    before = torch.from_numpy(numbers[np.isfinite(numbers)].copy())[:, None]
    states = torch.empty((len(before), 1, 1), dtype=torch.bfloat16)
    dropout, ids = HashedDropout(0, 1), torch.zeros(len(before), dtype=torch.int64)
    FirstLayer(before, None, None, dropout).drop(states, dropout.keys(ids, range(1), 0), None)
    assert torch.equal(states[:, 0], before.to(torch.bfloat16))


class _Case:
    """One further layer, and what it is given."""

    def __init__(self, gated: bool, residual: bool, kind: torch.dtype) -> None:
        torch.manual_seed(2)
        self.width, self.start = 22, 30
        inputs = self.width if residual else 30
        self.layer = GatedSageLayer(inputs, self.width, 0.1, gated).eval()
        torch.nn.init.normal_(self.layer.norm.weight)
        torch.nn.init.normal_(self.layer.norm.bias)
        self.dropout, self.ids = HashedDropout(0.2, 3), _ids(40)
        draw = torch.Generator().manual_seed(4)
        self.neighbour = torch.randint(0, 50, (40, 11), generator=draw, dtype=torch.int32)
        self.neighbour[torch.rand(40, 11, generator=draw) < torch.linspace(0, 1, 40)[:, None]] = -1
        self.edge = _random(40, 11, 2, seed=5)
        self.states = _random(55, 3, self.start + self.width + 5, seed=6).to(kind)
        self.inputs = slice(self.start - inputs, self.start)

    def run(self) -> Tensor:
        states = self.states.clone()
        empty = [torch.empty((n, 3, self.width), dtype=states.dtype) for n in (50, 40)]
        products, keys = Products(self.layer, *empty), self.dropout.keys(self.ids, PASSES, 2)
        with torch.inference_mode():
            products.fill(states[:50, :, self.inputs].flatten(0, 1))
            drop_layer(products, self.neighbour, self.edge, states, self.start, keys, self.dropout)
        return states


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gated", [True, False])
def test_a_further_layer_is_the_networks_own_with_these_masks(
    gated: bool, residual: bool, kind: torch.dtype
) -> None:
    case = _Case(gated, residual, kind)
    got, layer, columns = case.run(), case.layer, slice(case.start, case.start + case.width)
    untouched = torch.ones_like(got, dtype=torch.bool)
    untouched[:40, :, columns] = False
    assert torch.equal(got[untouched], case.states[untouched])
    for place, number in enumerate(PASSES):
        new, old = got[:, place], case.states[:, place].float()
        h = old[:50, case.inputs]
        with torch.no_grad():
            mean = layer.mean(layer.messages(h), case.neighbour, case.edge)
            state = layer.activation(h[:40], mean)
        want = _dropped(case.dropout, state, case.ids, number, 2)
        if residual:
            want = want + h[:40]
        tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.06}[kind]
        torch.testing.assert_close(new[:40, columns].float(), want, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_parts_change_no_byte(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, before, dropout = _Case(True, True, kind), _random(50, 22), HashedDropout(0.3, 5)
    first = FirstLayer(before, None, case.layer, dropout)

    def run() -> list[Tensor]:
        made = [torch.zeros((n, 3, 22), dtype=kind) for n in (50, 50, 40)]
        with torch.inference_mode():
            keys = dropout.keys(_ids(50), PASSES, 0)
            first.drop(made[0], keys, Products(case.layer, *made[1:]))
        return [*made, case.run()]

    whole = run()
    monkeypatch.setattr(kernels, "SMALL", 1)
    monkeypatch.setattr(kernels, "_PARTS", 1_000)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert all(torch.equal(got, want) for got, want in zip(run(), whole, strict=True))


# A network's passes.


def _net(gated: bool = True, inputs: int = 14, widths: tuple[int, ...] = (24, 24, 12)) -> GatedSage:
    torch.manual_seed(3)
    return GatedSage(inputs, widths, latent=12, head=6, gated=gated).eval()


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("widths", [(24, 24, 12), (14, 20, 20), (8, 8, 40), (24,)])
def test_passes_equal_the_network_with_these_masks_on_the_whole_graph(
    gated: bool, widths: tuple[int, ...]
) -> None:
    graph, net, dropout = line_graph(200, k=9), _net(gated, widths=widths), HashedDropout(0.2, 1)
    ids = IDS[:200]
    passes = SIDE_BY_SIDE // 4 + 2  # the last ones are fewer at a time
    got = infer_passes(net, graph, np.arange(200), ids, dropout, passes=passes, block=37)
    block = NeighbourSampler(graph).block(np.arange(200), (9,) * len(widths), key=0)
    neighbour, edge = block.tensors(torch.device("cpu"))
    bits = torch.from_numpy(ids.view(np.int64))
    for number in range(passes):
        h, states = torch.from_numpy(graph.x), []
        with torch.no_grad():
            for depth, layer in enumerate(net.stack):
                mean = layer.mean(layer.messages(h), neighbour, edge)
                state = _dropped(dropout, layer.activation(h, mean), bits, number, depth)
                h = state + h if layer.residual else state
                states.append(h)
            want = net.head(net.jump(torch.cat(states, 1))).squeeze(1)
        np.testing.assert_allclose(got[:, number], want, atol=1e-5)
    assert got.std(1).min() > 1e-3


@pytest.mark.parametrize("gated", [True, False])
def test_layer_by_layer_as_on_a_gpu_makes_the_same_passes(gated: bool) -> None:
    graph, net, dropout = line_graph(200), _net(gated), HashedDropout(0.2, 1)
    sampler = NeighbourSampler(graph)
    block = sampler.block(np.arange(40, 100), (4, 4, 4), key=0)
    ids = torch.from_numpy(IDS[block.nodes].view(np.int64))
    x = sampler.features(block, torch.device("cpu"))
    with torch.inference_mode():
        asked = net, x, block, ids, dropout, 7
        want = logits_by_layers(*asked)
        got = logits_on_cpu(*asked, Room(torch.float32))
    assert got.shape == (60, 7)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("widths", [(24, 24, 12), (25, 25, 13)])
def test_half_the_bits_change_less_than_dropout_does(widths: tuple[int, ...]) -> None:
    graph, net, dropout = line_graph(200), _net(widths=widths), HashedDropout(0.2, 1)
    asked = net, graph, np.arange(200), IDS[:200], dropout
    whole = infer_passes(*asked, passes=12)
    half = infer_passes(*asked, passes=12, precision="bfloat16")
    apart = np.abs(half - whole)
    assert 0 < apart.max() < 0.1 * whole.std(1).mean()
    other = infer_passes(*asked, passes=12, precision="bfloat16", block=37)
    np.testing.assert_allclose(other, half, atol=apart.max())


def test_without_dropout_every_pass_is_the_plain_network() -> None:
    graph, net = line_graph(200), _net()
    got = infer_passes(net, graph, np.arange(150), IDS[:200], HashedDropout(0, 1), passes=2)
    plain = infer(net, graph, np.arange(150))[0]
    np.testing.assert_allclose(got, np.stack([plain, plain], 1), atol=1e-5)


def test_a_room_grows_and_holds_nothing_but_numbers() -> None:
    room = Room(torch.bfloat16)
    assert (room.tensor("a", (2, 3)) == 0).all()
    large = room.tensor("a", (50, 70))
    assert large.dtype == torch.bfloat16
    assert (large == 0).all()
    assert room.tensor("a", (5, 7)).data_ptr() == large.data_ptr()
    assert room.tensor("b", (5, 7)).data_ptr() != large.data_ptr()


def test_dropout_must_leave_something() -> None:
    with pytest.raises(ConfigError, match="a dropout of 1 leaves no channel"):
        HashedDropout(1.0, 0)
