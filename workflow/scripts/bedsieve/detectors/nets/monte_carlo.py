"""Logits of a trained network with dropout on, many times over, with all neighbours.

In: a network, a graph, the rows wanted and every node's point id. Out: a logit a row and pass. Blocks are
those of `inference`: the rows and everything within the network's hops, so that the first layer's
outcome, which dropout has not touched yet, is worked out once for all passes, and what an edge's gate lets
through once for `TOGETHER` of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bedsieve.detectors.nets.gated_sage import GatedSage, GatedSageLayer
from bedsieve.detectors.nets.hashed_dropout import HashedDropout
from bedsieve.detectors.nets.inference import CHUNK, add_product, autocast
from bedsieve.detectors.nets.kernel_threads import side_by_side
from bedsieve.detectors.nets.sampling import Block, Graph, NeighbourSampler

TOGETHER = 5
"""Passes that go through the layers side by side: more would save little of the gates and take more memory."""


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
        Rows worked on together, at about 30 kB each at the study's widths; on a CPU a block a thread.
    device, precision : str
        As in `inference.infer`.

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

    def score(start: int, sampler: NeighbourSampler) -> None:
        part = slice(start, start + block)
        with torch.inference_mode(), autocast(target, precision):
            near = sampler.block(rows[part], everyone, key=0)
            ids = torch.from_numpy(point_id[near.nodes].view(np.int64)).to(target)
            found = _block_logits(net, sampler.features(near, target), near, ids, dropout, passes)
            logit[part] = found.cpu().numpy()

    starts = range(0, len(rows), block)
    side_by_side(score, starts, lambda: NeighbourSampler(graph), target.type)
    return logit


def _block_logits(
    net: GatedSage, x: Tensor, block: Block, ids: Tensor, dropout: HashedDropout, passes: int
) -> Tensor:
    """Logits of a block's seeds, shape (seeds, passes)."""
    neighbour, edge = block.tensors(x.device)
    seeds, layers = block.bounds[0], net.stack
    size = [block.bounds[len(layers) - 1 - depth] for depth in range(len(layers))]
    before = _activations(layers[0], x[None], neighbour[: size[0]], edge[: size[0]])
    found = x.new_empty((seeds, passes))
    for first in range(0, passes, TOGETHER):
        numbers = range(first, min(first + TOGETHER, passes))
        h, state = x.expand(len(numbers), -1, -1), before.repeat(len(numbers), 1, 1)
        latent, place = net.jump.bias.float().repeat(len(numbers), seeds, 1), 0
        for depth, layer in enumerate(layers):
            near = slice(size[depth])
            if depth > 0:
                state = _activations(layer, h, neighbour[near], edge[near])
            for each, number in zip(state, numbers, strict=True):
                dropout.apply_(each, ids[near], number, depth)
            h = state.add_(h[:, near]) if layer.residual else state
            jump = net.jump.weight[:, place : place + h.shape[2]]
            for total, each in zip(latent, h, strict=True):
                add_product(total, each[:seeds], jump)
            place += h.shape[2]
        found[:, first : numbers.stop] = net.head(latent).squeeze(2).float().t()
    return found


def _activations(layer: GatedSageLayer, h: Tensor, neighbour: Tensor, edge: Tensor) -> Tensor:
    """`GatedSageLayer.activation` of the first nodes in each of several states, some thousand at a time.

    `h` is (states, m, …); the outcome is (states, n, outputs).
    """
    messages, n = layer.messages(h), neighbour.shape[0]
    if h.device.type == "cpu":
        messages = messages.float()  # once, not for every chunk, where autocast made them shorter
    out = h.new_empty((len(h), n, layer.own.out_features))
    step = CHUNK[h.device.type] // len(h)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        means = layer.means(messages, neighbour[rows], edge[rows])
        for new, old, mean in zip(out, h, means, strict=True):
            new[rows] = layer.activation(old[rows], mean)
    return out
