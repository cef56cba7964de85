"""Logits of a trained network with all neighbours, in blocks of bounded memory.

In: a network, a graph and the rows wanted, in the order of space. Out: a logit a row, and if asked its
jumping-knowledge state. Rows that follow one another share neighbours, so a block of 8,192 with everything
within its hops is hardly larger than the rows themselves, and what is gathered from stays near the
processor. On a CPU each thread works on a block of its own. Within a block a layer keeps two arrays, the states and the messages; new states are written over
the old ones a few thousand rows at a time, while they are still in the processor's cache.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bedsieve.detectors.nets.gated_sage import GatedSage
from bedsieve.detectors.nets.kernel_threads import side_by_side
from bedsieve.detectors.nets.sampling import Block, Graph, NeighbourSampler

CHUNK = {"cpu": 2048, "cuda": 65536}
"""Rows that a layer works out together, by device."""


def infer(
    net: GatedSage,
    graph: Graph,
    rows: npt.NDArray[np.integer],
    *,
    block: int = 8192,
    device: str = "cpu",
    precision: str = "float32",
    embedding: bool = False,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Exact logits, every neighbour taken.

    Parameters
    ----------
    net : GatedSage
        Trained; dropout is off.
    graph : Graph
        Its edge table must reach one hop less than the network.
    rows : int ndarray (n,)
        Nodes wanted, each once; in the order of space for speed.
    block : int
        Rows worked on together, at about 5 kB each at the study's widths; on a CPU a block a thread.
    device : str
        ``"cpu"`` or ``"cuda"``.
    precision : str
        ``"float32"``, or ``"bfloat16"`` for matrix products in half the bits.
    embedding : bool
        Whether to return the jumping-knowledge state as well.

    Returns
    -------
    logit : float32 ndarray (n,)
    state : float32 ndarray (n, latent)
        Shape (0, latent) if not asked for.

    Raises
    ------
    BedsieveError
        If the edge table does not reach far enough.
    """
    target = torch.device(device)
    net = net.to(target).eval()
    everyone = (graph.neighbour.shape[1],) * len(net.layers)
    logit = np.empty(len(rows), np.float32)
    state = np.empty((len(rows) if embedding else 0, net.jump.out_features), np.float32)

    with torch.no_grad():
        into = (net.jump.weight, net.jump.bias) if embedding else net.readout()
    head = net.head if embedding else net.head[1:]

    def score(start: int, sampler: NeighbourSampler) -> None:
        part = slice(start, start + block)
        with torch.inference_mode(), autocast(target, precision):
            near = sampler.block(rows[part], everyone, key=0, edges=net.gated)
            latent = block_state(net, sampler.features(near, target), near, *into)
            logit[part] = head(latent).squeeze(1).float().cpu().numpy()
            if embedding:
                state[part] = latent.float().cpu().numpy()

    starts = range(0, len(rows), block)
    side_by_side(score, starts, lambda: NeighbourSampler(graph), target.type)
    return logit, state


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Matrix products in bfloat16 where that is asked for."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def block_state(net: GatedSage, x: Tensor, block: Block, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map of all layers' states of a block's seeds; in less memory than `GatedSage.embed`.

    Parameters
    ----------
    net : GatedSage
        In evaluation mode, gradients off.
    x : float32 tensor (block.nodes.size, inputs)
    block : Block
    weight, bias : float32 tensor (width, sum of the layers' widths), (width,)
        That of `net.jump` for the jumping-knowledge state, or `net.readout()`.

    Returns
    -------
    tensor (seeds, width)
    """
    neighbour, edge = block.tensors(x.device)
    seeds, depth_of = block.bounds[0], len(net.layers)
    latent = bias.float().repeat(seeds, 1)
    first, h = 0, x
    for depth, layer in enumerate(net.stack):
        n, width = block.bounds[depth_of - 1 - depth], layer.own.out_features
        messages = layer.messages(h)
        # An ungated layer may hand on the states themselves, which must then stay as they are.
        in_place = layer.residual and messages is not h
        out = h if in_place else h.new_empty((n if depth < depth_of - 1 else 0, width))
        jump = weight[:, first : first + width]
        for start in range(0, n, CHUNK[x.device.type]):
            rows = slice(start, min(start + CHUNK[x.device.type], n))
            new = layer.update(h[rows], messages, neighbour[rows], edge[rows])
            if start < seeds:
                stop = min(rows.stop, seeds)
                add_product(latent[start:stop], new[: stop - start], jump)
            if depth < depth_of - 1:
                out[rows] = new
        h, first = out[:n], first + width
    return latent


def add_product(total: Tensor, states: Tensor, weight: Tensor) -> None:
    """total += states @ weight.T, in the precision that autocast asks for."""
    if torch.is_autocast_enabled(total.device.type):
        total += torch.nn.functional.linear(states, weight)
    else:
        total.addmm_(states, weight.t())
