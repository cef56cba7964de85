"""Logits of a trained network with dropout on, many times over, with all neighbours.

In: a network, a graph, the rows wanted and every node's point id. Out: a logit a row and pass. Blocks are
those of `inference`: the rows and everything within the network's hops, so that the first layer's
outcome, which dropout has not touched yet, is worked out once for all passes. On a CPU several passes go through
the layers side by side, what an edge's gate lets through is worked out once for them, and each thread keeps its memory.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bedsieve.detectors.nets.dropped_layers import Products, drop_layer
from bedsieve.detectors.nets.first_layer import FirstLayer
from bedsieve.detectors.nets.gated_sage import GatedSage, GatedSageLayer
from bedsieve.detectors.nets.hashed_dropout import HashedDropout
from bedsieve.detectors.nets.inference import autocast
from bedsieve.detectors.nets.kernel_threads import side_by_side
from bedsieve.detectors.nets.sampling import Block, Graph, NeighbourSampler

SIDE_BY_SIDE = 20
"""Passes that go through the layers together on a CPU, times the bytes of a number."""


def infer_passes(
    net: GatedSage,
    graph: Graph,
    rows: npt.NDArray[np.integer],
    point_id: npt.NDArray[np.uint64],
    dropout: HashedDropout,
    *,
    passes: int,
    block: int = 8192,
    device: str = "cpu",
    precision: str = "float32",
) -> npt.NDArray[np.float32]:
    """Logits under dropout.

    Parameters
    ----------
    net : GatedSage
        Trained.
    graph : Graph
        Its edge table must reach one hop less than the network.
    rows : int ndarray (n,)
        Nodes wanted, each once; in the order of space for speed.
    point_id : uint64 ndarray (nodes,)
        Of every node of the graph.
    dropout : HashedDropout
    passes : int
    block : int
        Rows worked on together, at about 40 kB each at the study's widths; on a CPU a block a thread.
    device, precision : str
        As in `inference.infer`; with ``"bfloat16"`` a CPU keeps the states in half the bits, too.

    Returns
    -------
    float32 ndarray (n, passes)

    Raises
    ------
    BedsieveError
        If the edge table does not reach far enough.
    """
    target = torch.device(device)
    net = net.to(target).eval()
    everyone = (graph.neighbour.shape[1],) * len(net.layers)
    logit = np.empty((len(rows), passes), np.float32)

    def score(start: int, mine: tuple[NeighbourSampler, Room]) -> None:
        part, (sampler, room) = slice(start, start + block), mine
        with torch.inference_mode():
            near = sampler.block(rows[part], everyone, key=0)
            ids = torch.from_numpy(point_id[near.nodes].view(np.int64)).to(target)
            asked = net, sampler.features(near, target), near, ids, dropout, passes
            if target.type == "cpu":
                found = logits_on_cpu(*asked, room)
            else:
                with autocast(target, precision):
                    found = logits_by_layers(*asked)
            logit[part] = found.cpu().numpy()

    def own() -> tuple[NeighbourSampler, Room]:
        return NeighbourSampler(graph), Room(getattr(torch, precision))

    starts = range(0, len(rows), block)
    side_by_side(score, starts, own, target.type)
    return logit


def logits_by_layers(
    net: GatedSage, x: Tensor, block: Block, ids: Tensor, dropout: HashedDropout, passes: int
) -> Tensor:
    """Logits of a block's seeds on any device, a pass at a time by the network's own layers.

    Parameters
    ----------
    net : GatedSage
    x : float32 tensor (nodes, inputs)
    block : Block
    ids : int64 tensor (nodes,)
        Bits of the point ids.
    dropout : HashedDropout
    passes : int

    Returns
    -------
    float32 tensor (seeds, passes)
    """
    neighbour, edge = block.tensors(x.device)
    seeds, layers = block.bounds[0], net.stack
    size = [*reversed(block.bounds[:-1])]
    before = _activation(layers[0], x, neighbour[: size[0]], edge[: size[0]])
    found = x.new_empty((seeds, passes))
    for number in range(passes):
        h, state, states = x, before, []
        for depth, layer in enumerate(layers):
            n = size[depth]
            if depth > 0:
                state = _activation(layer, h, neighbour[:n], edge[:n])
            kept = dropout.kept(ids[:n], state.shape[1], number, depth)
            state = state * kept * float(dropout.scale)
            h = state.add_(h[:n]) if layer.residual else state
            states.append(h[:seeds])
        found[:, number] = net.head(net.jump(torch.cat(states, 1))).squeeze(1).float()
    return found


class Room:
    """Memory of one thread, asked of the system once instead of for every block.

    Parameters
    ----------
    dtype : torch.dtype
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._kept: dict[str, Tensor] = {}

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """What lies under a name, with whatever finite numbers it holds; it grows where it is too small."""
        size, kept = math.prod(shape), self._kept.get(name)
        if kept is None or kept.numel() < size:
            # Zeros, and some to spare: where columns are odd in number, oneDNN's products of bfloat16 also read
            # the number after a row's last, times zero, which must not be NaN.
            kept = self._kept[name] = torch.zeros(size + size // 8 + 64, dtype=self.dtype)
        return kept[:size].view(shape)


def logits_on_cpu(
    net: GatedSage,
    x: Tensor,
    block: Block,
    ids: Tensor,
    dropout: HashedDropout,
    passes: int,
    room: Room,
) -> Tensor:
    """`logits_by_layers` in less time: several passes at once, each layer of a node in one go.

    Parameters
    ----------
    net, x, block, ids, dropout, passes
        As there, on the CPU and in torch's inference mode.
    room : Room
        Its dtype (float32 or bfloat16) is what states are kept and multiplied in.

    Returns
    -------
    float32 tensor (seeds, passes)
    """
    dtype = room.dtype
    neighbour, edge = block.tensors(x.device)
    seeds, layers = block.bounds[0], net.stack
    size = [*reversed(block.bounds[:-1])]
    first = layers[0]
    before = _activation(first, x, neighbour[: size[0]], edge[: size[0]])
    following = layers[1] if len(layers) > 1 else None
    undropped = FirstLayer(before, x if first.residual else None, following, dropout)
    readout, bias = net.readout()
    into = readout.to(dtype).t()
    found = x.new_empty((seeds, passes))
    together = SIDE_BY_SIDE // dtype.itemsize
    for start in range(0, passes, together):
        numbers = range(start, min(start + together, passes))
        sets, end = len(numbers), before.shape[1]
        states = room.tensor("states", (size[0], sets, readout.shape[1]))
        # Of each further layer, in the same memory, as one is through before the next begins.
        products = [
            Products(
                layer,
                room.tensor("messages", (m, sets, layer.own.out_features)),
                room.tensor("own", (n, sets, layer.own.out_features)),
            )
            for layer, (m, n) in zip(layers[1:], pairwise(size), strict=True)
        ]
        keys = dropout.keys(ids[: size[0]], numbers, 0)
        undropped.drop(states, keys, products[0] if products else None)
        for depth, each in enumerate(products, 1):
            m, n, inputs = *size[depth - 1 : depth + 1], each.layer.own.in_features
            if depth > 1:
                each.fill(states[:m, :, end - inputs : end].flatten(0, 1))
            keys = dropout.keys(ids[:n], numbers, depth)
            drop_layer(each, neighbour[:n], edge[:n], states, end, keys, dropout)
            end += each.layer.own.out_features
        hidden = torch.mm(states[:seeds].flatten(0, 1), into) + bias
        found[:, start : numbers.stop] = net.head[1:](hidden).view(seeds, sets)
    return found


def _activation(layer: GatedSageLayer, h: Tensor, neighbour: Tensor, edge: Tensor) -> Tensor:
    """`GatedSageLayer.activation` of a block's first nodes, of the state of all of them."""
    mean = layer.mean(layer.messages(h), neighbour, edge)
    return layer.activation(h[: len(neighbour)], mean)
