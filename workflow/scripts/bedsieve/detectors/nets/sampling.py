"""Neighbourhoods of seeds, as small graphs: drawn with a fanout a hop for training, or whole.

In: a graph of fixed degree (neighbours as an (m, k) array, edge features in half precision, both may
be memory-mapped). Out: a `Block`, its nodes listed once each, by hop. A node met twice stands once in
the block, which is what makes a step cheap: seeds that are neighbours share nearly everything. Which
neighbours a node draws depends on the key and the node alone, never on the order or the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from bedsieve.errors import BedsieveError

Ints = npt.NDArray[np.int64]
_EDGE_CLIP = 12.0
_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


@dataclass(frozen=True)
class Graph:
    """A graph of fixed degree with features.

    Parameters
    ----------
    x : ndarray (n, inputs)
        Node features, scaled.
    neighbour : int32 ndarray (m, k)
        Neighbours of the first m <= n nodes; -1 for an empty slot.
    log1p_dist, log_slope : float16 ndarray (m, k)
        ln(1 + d) and sign(g) ln(1 + |g|) of each edge.
    g_scale : float
        The model version's scale of `log_slope`.
    """

    x: npt.NDArray[np.floating]
    neighbour: npt.NDArray[np.int32]
    log1p_dist: npt.NDArray[np.float16]
    log_slope: npt.NDArray[np.float16]
    g_scale: float


@dataclass(frozen=True)
class Block:
    """The neighbourhood of some seeds.

    Parameters
    ----------
    nodes : int64 ndarray (n,)
        Rows of the graph: seeds, then what hop 1 adds, then hop 2, …
    bounds : tuple of int
        Number of nodes within 0, 1, … hops; the last is n.
    neighbour : int32 ndarray (bounds[-2], k)
        Places in `nodes`; -1 for an empty slot.
    edge : float32 ndarray (bounds[-2], k, 2)
        ln(1 + distance) and signed gradient, 0 in empty slots; shape (0, k, 2) if not asked for.
    """

    nodes: Ints
    bounds: tuple[int, ...]
    neighbour: npt.NDArray[np.int32]
    edge: npt.NDArray[np.float32]

    def tensors(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """`neighbour` and `edge` as tensors on a device."""
        return torch.from_numpy(self.neighbour).to(device), torch.from_numpy(self.edge).to(device)


class NeighbourSampler:
    """Draw blocks from a graph.

    Parameters
    ----------
    graph : Graph
    allowed : bool ndarray (n,), optional
        Nodes that may be met; edges to others count as empty slots.

    Notes
    -----
    Holds four bytes a node of the graph. signed_grad = clip(log_slope / g_scale, ±12).
    """

    def __init__(self, graph: Graph, allowed: npt.NDArray[np.bool_] | None = None) -> None:
        self.graph = graph
        self._place = np.full(graph.x.shape[0], -1, np.int32)
        self._allowed = np.empty(0, np.bool_) if allowed is None else allowed
        with np.errstate(invalid="ignore"):
            values = _HALVES.astype(np.float32)
            slopes = np.clip(values / np.float32(graph.g_scale), -_EDGE_CLIP, _EDGE_CLIP)
        self._distance_of, self._slope_of = values, slopes.astype(np.float32)

    def block(
        self, seeds: npt.NDArray[np.integer], fanout: Sequence[int], key: int, edges: bool = True
    ) -> Block:
        """Block around seeds.

        Parameters
        ----------
        seeds : int ndarray
            Rows of the graph, each once.
        fanout : sequence of int
            Neighbours drawn without replacement at each hop; k or more takes all.
        key : int
            Two blocks with the same key draw the same neighbours of a node.
        edges : bool
            False leaves the edge features out, for networks that do not look at them.

        Raises
        ------
        BedsieveError
            If a seed stands twice, or the edge table has no row for a node within reach.
        """
        graph, most = self.graph, min(max(fanout), self.graph.neighbour.shape[1])
        capacity = _capacity(len(seeds), fanout, graph.x.shape[0])
        nodes = np.empty(capacity, np.int64)
        nodes[: len(seeds)] = seeds
        size, start, bounds, parts = len(seeds), 0, [len(seeds)], []
        halves = graph.log1p_dist.view(np.uint16), graph.log_slope.view(np.uint16)
        try:
            if not _mark(nodes, size, self._place):
                raise BedsieveError(
                    "a seed stands twice in one block. This is a mistake in bedsieve."
                )
            for draw in fanout:
                neighbour = np.full((size - start, most), -1, np.int32)
                edge = np.zeros((size - start if edges else 0, most, 2), np.float32)
                added = _expand(
                    graph.neighbour, *halves, self._distance_of, self._slope_of, self._allowed,
                    nodes, start, size, min(draw, most), np.uint64(key), self._place, neighbour, edge,
                )  # fmt: skip
                if added < 0:
                    raise BedsieveError(
                        "the edge table ends before the network's reach. Build the edges with "
                        f"graph.hops = {len(fanout)} or more."
                    )
                start, size = size, size + added
                bounds.append(size)
                parts.append((neighbour, edge))
        finally:
            self._place[nodes[:size]] = -1
        return Block(
            nodes[:size].copy(),
            tuple(bounds),
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
        )

    def features(self, block: Block, device: torch.device) -> torch.Tensor:
        """Features of the block's nodes, float32, on a device."""
        x = np.ascontiguousarray(self.graph.x[block.nodes], np.float32)
        return torch.from_numpy(x).to(device)


def batches(
    seeds: Ints, size: int, rng: np.random.Generator, runs: int | None = None
) -> list[Ints]:
    """Cut seeds into batches of an epoch.

    Parameters
    ----------
    seeds : int64 ndarray
        In the order of space.
    size : int
        Seeds a batch.
    rng : Generator
    runs : int, optional
        None: seeds in random order, as in study B. Else each batch is `runs` stretches of the space
        order, drawn at random: some fourteen times cheaper a seed, but the seeds of a batch are alike.
    """
    if runs is None:
        order = rng.permutation(seeds)
        return [order[a : a + size] for a in range(0, order.size, size)]
    length = max(1, size // runs)
    # The cuts move from epoch to epoch, so that no two seeds are wedded.
    offset = int(rng.integers(length))
    cuts = np.arange(offset, seeds.size, length)
    pieces = [piece for piece in np.split(seeds, cuts) if piece.size]
    order = rng.permutation(len(pieces))
    return [
        np.concatenate([pieces[p] for p in order[a : a + runs]])
        for a in range(0, len(pieces), runs)
    ]


def _capacity(seeds: int, fanout: Sequence[int], nodes: int) -> int:
    total = layer = seeds
    for draw in fanout:
        layer *= draw
        total += layer
    return max(min(total, nodes), seeds)


@njit(cache=True, nogil=True)
def _mark(nodes, size, place):  # type: ignore[no-untyped-def]
    for t in range(size):
        if place[nodes[t]] >= 0:
            return False
        place[nodes[t]] = t
    return True


@njit(cache=True, nogil=True)
def _next(state):  # type: ignore[no-untyped-def]
    """A step of a 64-bit mixer (Steele, Lea and Flood 2014, SplitMix)."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _expand(  # type: ignore[no-untyped-def]
    table,
    distance,
    slope,
    distance_of,
    slope_of,
    allowed,
    nodes,
    start,
    size,
    draw,
    key,
    place,
    neighbour,
    edge,
):
    """Draw neighbours of nodes[start:size], append the new ones; how many, or -1 beyond the table."""
    slots = np.empty(table.shape[1], np.int64)
    end = size
    for t in range(start, size):
        node = nodes[t]
        if node >= table.shape[0]:
            return -1
        found = 0
        for s in range(table.shape[1]):
            j = table[node, s]
            if j >= 0 and (allowed.size == 0 or allowed[j]):
                slots[found] = s
                found += 1
        take = min(draw, found)
        if take < found:
            state = _next(key ^ _next(np.uint64(node)))
            for a in range(take):
                state = _next(state)
                reach = np.uint64(found - a)
                b = a + np.int64(((state >> np.uint64(32)) * reach) >> np.uint64(32))
                slots[a], slots[b] = slots[b], slots[a]
        for a in range(take):
            s = slots[a]
            j = table[node, s]
            if place[j] < 0:
                place[j] = end
                nodes[end] = j
                end += 1
            neighbour[t - start, a] = place[j]
            if edge.shape[0] > 0:
                edge[t - start, a, 0] = distance_of[distance[node, s]]
                edge[t - start, a, 1] = slope_of[slope[node, s]]
    return end - size
