"""The graph network beside torch-geometric: seeds a second in training, nodes a second in inference.

The network has study B's sizes. In training the peer is the same gated network as a `MessagePassing`
on trees of sampled neighbours (fanout 16-8-8, a node met twice stands there twice), layers worked out
only where a later one needs them; its step has fewer seeds, since 4,096 of its trees would not fit in
memory. In inference everyone scores all nodes of one graph with all neighbours, the peers layer by
layer on the whole graph, ours in blocks, whose making is timed; the peers' edge lists are not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.nets.gated_sage import GatedSage
from bedsieve.detectors.nets.inference import autocast, infer
from bedsieve.detectors.nets.losses import Weights, semi_supervised_loss
from bedsieve.detectors.nets.reference import ReferenceSage, edge_list
from bedsieve.detectors.nets.sampling import Block, Graph, NeighbourSampler, batches
from bedsieve.graph.edges import edge_features
from bedsieve.graph.grid import space_order
from bedsieve.graph.knn import nearest
from bedsieve.simulate.scale import track_points
from bench.side_by_side import compare, seconds

K = 16
MOST_NODES = 1_000_000
SCORED = 65_536
TREE_SEEDS = 96
ROUNDS = 3
STUDY = GnnSettings()


def made_graph(n: int) -> Graph:
    """Points along flight lines in the order of space, their 16 nearest, and drawn features."""
    points = track_points(n)
    order = space_order(points["east"], points["north"], points["point_id"])
    east, north, ids, thickness = (
        points[name][order] for name in ("east", "north", "point_id", "ice_thickness")
    )
    neighbour = nearest(east, north, ids, K, max_distance=5000.0, distances=False).row
    features = [f.astype(np.float16) for f in edge_features(east, north, thickness, neighbour)]
    x = np.random.default_rng(0).normal(size=(n, 14)).astype(np.float32)
    return Graph(x, neighbour, *features, 0.0587)


class PlainSage(nn.Module):
    """The network without gates: torch-geometric's SAGEConv, or a mean by a CSR matrix."""

    def __init__(self, csr: bool) -> None:
        from torch_geometric.nn import SAGEConv

        super().__init__()
        self.csr = csr
        sizes = [14, *STUDY.widths]
        make = _CsrSage if csr else SAGEConv
        self.layers = nn.ModuleList(make(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(b) for b in STUDY.widths)
        self.jump = nn.Linear(sum(STUDY.widths), STUDY.latent)
        self.head = nn.Sequential(nn.Linear(STUDY.latent, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, x: torch.Tensor, hops: list[Any], seeds: int) -> torch.Tensor:
        """Logits of the first `seeds` nodes; `hops` as (graph of the layer, its targets)."""
        states, h = [], x
        for layer, norm, (edges, n) in zip(self.layers, self.norms, hops, strict=True):
            new = layer(h, edges) if self.csr else layer((h, h[:n]), edges)
            new = nn.functional.gelu(norm(new))
            h = new + h[:n] if h.shape[1] == new.shape[1] else new
            states.append(h[:seeds])
        return self.head(self.jump(torch.cat(states, 1))).squeeze(1)


class _CsrSage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own, self.message = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, h: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        return self.own(h[: mean.shape[0]]) + mean @ self.message(h)


def _hops(block: Block, kind: str) -> list[Any]:
    """The layers' graphs, outermost first, as each peer wants them."""
    index, attr = edge_list(block.neighbour, block.edge)
    hops: list[Any] = []
    for depth, n in enumerate(block.bounds[-2::-1]):
        used = index[1] < n
        if kind == "gated":
            hops.append((index[:, used], attr[used], n))
        elif kind == "sage":
            hops.append((index[:, used], n))
        else:
            degree = torch.bincount(index[1][used], minlength=n).float()
            size = (n, block.bounds[len(block.bounds) - 1 - depth])
            share = 1 / degree[index[1][used]]
            mean = torch.sparse_coo_tensor(index[:, used].flip(0), share, size)
            hops.append((mean.to_sparse_csr(), n))
    return hops


def _inference(graph: Graph) -> list[dict[str, Any]]:
    rows = np.arange(SCORED)
    block = NeighbourSampler(graph).block(rows, (K,) * 3, key=0)
    x = torch.from_numpy(graph.x[block.nodes])
    gated, plain = GatedSage().eval(), GatedSage(gated=False).eval()
    reference = ReferenceSage().eval()
    reference.load_from(gated.state_dict())
    sage, csr = PlainSage(csr=False).eval(), PlainSage(csr=True).eval()
    with torch.inference_mode():
        difference = np.abs(
            reference(x, _hops(block, "gated"), SCORED).numpy() - infer(gated, graph, rows)[0]
        ).max()
        if difference > 1e-4:
            raise ValueError(f"the peer's logits differ by {difference}")
        peers = {
            "gated": {"MessagePassing, gated": _peer(reference, x, _hops(block, "gated"))},
            "without gates": {
                "SAGEConv": _peer(sage, x, _hops(block, "sage")),
                "CSR matrix": _peer(csr, x, _hops(block, "csr")),
            },
        }
    found = []
    for kind, net in (("gated", gated), ("without gates", plain)):
        ours = partial(infer, net, graph)
        ours(rows[:100])
        found += compare(f"gnn inference, {kind}", SCORED, partial(ours, rows), peers[kind], ROUNDS)
    return found


def _peer(net: nn.Module, x: torch.Tensor, hops: list[Any]) -> Callable[[], Any]:
    def work() -> torch.Tensor:
        with torch.inference_mode():
            return net(x, hops, SCORED)

    return work


class TrainingStep:
    """One optimiser step of a network, on made labels."""

    def __init__(self, net: nn.Module, precision: str = "float32") -> None:
        self.net, self.precision = net.train(), precision
        self.optimizer = torch.optim.AdamW(net.parameters(), STUDY.learning_rate)

    def step(self, seeds: np.ndarray, *inputs: Any) -> None:
        with autocast(torch.device("cpu"), self.precision):
            logit = self.net(*inputs)
        group = torch.from_numpy(seeds % 3 - 1)
        self.optimizer.zero_grad()
        semi_supervised_loss(logit, group, Weights()).total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), STUDY.gradient_clip)
        self.optimizer.step()


def _tree(graph: Graph, seeds: np.ndarray, rng: np.random.Generator) -> Block:
    """Sampled neighbours as trees, without looking for nodes met twice."""
    nodes, bounds, parts, edges, level = [seeds], [len(seeds)], [], [], seeds
    for draw in STUDY.fanout:
        slot = rng.permuted(np.tile(np.arange(K), (len(level), 1)), axis=1)[:, :draw]
        drawn = np.take_along_axis(graph.neighbour[level], slot, 1)
        place = np.full((len(level), max(STUDY.fanout)), -1, np.int32)
        place[:, :draw][drawn >= 0] = bounds[-1] + np.arange((drawn >= 0).sum())
        edge = np.zeros((*place.shape, 2), np.float32)
        for a, values in enumerate((graph.log1p_dist, graph.log_slope)):
            edge[:, :draw, a] = np.take_along_axis(values[level], slot, 1)
        level = drawn[drawn >= 0].astype(np.int64)
        nodes.append(level)
        bounds.append(bounds[-1] + len(level))
        parts.append(place)
        edges.append(edge)
    return Block(np.concatenate(nodes), tuple(bounds), np.concatenate(parts), np.concatenate(edges))


def _training(graph: Graph) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    sampler, everyone = NeighbourSampler(graph), np.arange(len(graph.x))
    tree, ours = TrainingStep(ReferenceSage()), TrainingStep(GatedSage())
    half = TrainingStep(GatedSage(), "bfloat16")

    def peer() -> None:
        seeds = rng.choice(everyone, TREE_SEEDS, replace=False)
        block = _tree(graph, seeds, rng)
        hops = _hops(block, "gated")
        tree.step(seeds, torch.from_numpy(graph.x[block.nodes]), hops, TREE_SEEDS)

    def step(seeds: np.ndarray, training: TrainingStep) -> None:
        block = sampler.block(seeds, STUDY.fanout, int(rng.integers(2**62)))
        training.step(seeds, sampler.features(block, torch.device("cpu")), block)

    runs = batches(everyone, STUDY.batch, rng, runs=8)
    kinds: dict[str, tuple[Callable[[], np.ndarray], TrainingStep]] = {
        "random seeds": (lambda: rng.choice(everyone, STUDY.batch, replace=False), ours),
        "8 runs of space": (runs.pop, ours),
        "8 runs of space, bfloat16": (runs.pop, half),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("tree", *kinds)}
    for timed in range(-1, ROUNDS):
        for name in times:
            if name == "tree":
                found = seconds(peer)
            else:
                seeds, training = kinds[name][0](), kinds[name][1]
                found = seconds(lambda: step(seeds, training))  # noqa: B023
            # The first round only warms up.
            if timed >= 0:
                times[name].append(found)
    return [_row(name, times[name], times["tree"], len(everyone)) for name in kinds]


def _row(
    name: str, ours: list[tuple[float, float]], tree: list[tuple[float, float]], n: int
) -> dict[str, Any]:
    def rate(found: list[tuple[float, float]], seeds: int, which: int) -> float:
        return seeds / statistics.median(time[which] for time in found)

    mine, theirs = rate(ours, STUDY.batch, 0), rate(tree, TREE_SEEDS, 0)
    return {
        "stage": f"gnn training, {name}",
        "n": n,
        "ours_mps": mine / 1e6,
        "peer": "MessagePassing on trees",
        "peer_mps": theirs / 1e6,
        "ratio": mine / theirs,
        "cpu_ratio": rate(ours, STUDY.batch, 1) / rate(tree, TREE_SEEDS, 1),
        "seeds_per_second": mine,
        "peer_seeds_per_second": theirs,
    }


def run(n: int) -> list[dict[str, Any]]:
    """Rows for a graph of n points, at most a million."""
    torch.manual_seed(0)
    graph = made_graph(min(n, MOST_NODES))
    return _inference(made_graph(SCORED)) + _training(graph)
