"""Further layers of the gated network under dropout on the CPU, several passes side by side, each in one go.

In: what neighbours send and a node's own part, for each pass, in single precision or as bfloat16's bits. Out: the
new states, in the same. Gates, mean, normalisation, GELU, dropout and residual of a node are worked out while its
channels are in the nearest cache, and what an edge's gate lets through once for all passes. Arithmetic is in single
precision whatever the states are kept in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from bedsieve.detectors.nets.finishing import FAST, centre
from bedsieve.detectors.nets.hashed_dropout import HashedDropout, fill_bits
from bedsieve.detectors.nets.kernel_threads import in_threads
from bedsieve.detectors.nets.pass_arrays import FOUR, as_bits, keep, kept_as, single
from bedsieve.detectors.nets.vector_math import ONE, ZERO, gelu, sigmoid

if TYPE_CHECKING:
    from bedsieve.detectors.nets.gated_sage import GatedSageLayer


@dataclass(frozen=True)
class Products:
    """What a further layer makes of old states before its nodes look around, without the biases.

    Parameters
    ----------
    layer : GatedSageLayer
    messages : float32 or bfloat16 tensor (m, passes, c)
        W_m h, of all nodes that may be neighbours.
    own : tensor (n, passes, c)
        W_s h of those that get a new state; like `messages` in kind, n <= m.
    """

    layer: GatedSageLayer
    messages: Tensor
    own: Tensor

    def fill(self, h: Tensor) -> None:
        """Work them out: of old states (m times passes, inputs), like them in kind."""
        for linear, products in (self.layer.message, self.messages), (self.layer.own, self.own):
            out = products.view(-1, products.shape[2])
            torch.mm(h[: len(out)], linear.weight.to(h.dtype).t(), out=out)


def drop_layer(
    products: Products,
    neighbour: Tensor,
    edge: Tensor,
    states: Tensor,
    start: int,
    keys: npt.NDArray[np.uint64],
    dropout: HashedDropout,
) -> None:
    """A further layer's states: dropout(GELU(norm(gated mean + own))), and the residual, for each pass.

    Parameters
    ----------
    products : Products
        Filled.
    neighbour, edge
        As in `aggregation.gated_mean`, of n nodes.
    states : tensor (n or more, passes, start + c or more)
        Like the products in kind; columns from `start` on are written. A residual are the c columns before them.
    start : int
    keys : uint64 ndarray (passes, n)
        `HashedDropout.keys` of the layer.
    dropout : HashedDropout
    """
    layer, own = products.layer, products.own
    width, n = own.shape[2], len(neighbour)
    if layer.gate is None:
        gate = torch.zeros((2, width)), torch.full((width,), torch.inf)
    else:
        gate = layer.gate.weight.float().t().contiguous(), layer.gate.bias.float()
    rest = layer.message.bias, layer.own.bias, layer.norm.weight, layer.norm.bias
    floats = *gate, *(each.float() for each in rest)
    tensors = products.messages, own, neighbour, edge, *floats, states
    settings = (
        start, layer.residual, np.float32(layer.norm.eps), dropout.fewest, dropout.scale
    )  # fmt: skip
    arrays = *(as_bits(tensor) for tensor in tensors), keys
    in_threads(_drop_layer, (*arrays, *settings), n, own.numel() * neighbour.shape[1])


@njit(inline="always")
def _fill_gates(gates, near, neighbour, edge, weight, bias, let):  # type: ignore[no-untyped-def]
    """How much of each neighbour's message the mean holds, and `let`, all of them together; returns their number."""
    count, w0, w1 = 0, weight[0], weight[1]
    for s in range(neighbour.size):
        if neighbour[s] >= 0:
            near[count] = neighbour[s]
            gate, e0, e1 = gates[count], edge[s, 0], edge[s, 1]
            for c in range(bias.size):
                gate[c] = sigmoid(w0[c] * e0 + w1[c] * e1 + bias[c])
            count += 1
    share = ONE / np.float32(max(count, 1))
    let[:] = ZERO
    for s in range(count):
        gate = gates[s]
        for c in range(bias.size):
            gate[c] *= share
            let[c] += gate[c]
    for s in range(count, count + FOUR):
        near[s] = near[0]
        gates[s] = ZERO
    return count


@njit(inline="always")
def _add_messages(state, message, p, near, gates, count):  # type: ignore[no-untyped-def]
    """What the gates let through of the neighbours' messages in a pass, four neighbours at a time."""
    for s in range(0, count, FOUR):
        g0, g1, g2, g3 = gates[s], gates[s + 1], gates[s + 2], gates[s + 3]
        m0, m1 = message[near[s], p], message[near[s + 1], p]
        m2, m3 = message[near[s + 2], p], message[near[s + 3], p]
        for c in range(state.size):
            pair = single(m0[c]) * g0[c] + single(m1[c]) * g1[c]
            state[c] += pair + (single(m2[c]) * g2[c] + single(m3[c]) * g3[c])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _drop_layer(  # type: ignore[no-untyped-def]
    message, own, neighbour, edge, weight, bias, message_bias, own_bias, gain, shift, states, key,
    start, is_residual, epsilon, fewest, scale, first, last,
):  # fmt: skip
    sets, width, k = own.shape[1], bias.size, neighbour.shape[1] + FOUR
    near, gates = np.empty(k, np.int64), np.empty((k, width), np.float32)
    constant, state = np.empty((2, width), np.float32)
    words = np.empty((width + 3) // 4, np.uint64)
    bits = words.view(np.int16)
    for i in range(first, last):
        count = _fill_gates(gates, near, neighbour[i], edge[i], weight, bias, constant)
        for c in range(width):
            constant[c] = constant[c] * message_bias[c] + own_bias[c]
        for p in range(sets):
            mine, row = own[i, p], states[i, p]
            for c in range(width):
                state[c] = single(mine[c]) + constant[c]
            _add_messages(state, message, p, near, gates, count)
            middle, steep = centre(state, epsilon)
            fill_bits(words, key[p, i])
            for c in range(width):
                x = gelu((state[c] - middle) * steep * gain[c] + shift[c])
                state[c] = ZERO if bits[c] < fewest else x * scale
            new = row[start : start + width]
            if is_residual:
                old = row[start - width : start]
                for c in range(width):
                    new[c] = kept_as(state[c] + single(old[c]), new)
            else:
                keep(new, state)
