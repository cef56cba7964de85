"""Layers of the gated network under dropout on the CPU, several passes side by side, each in one go.

In: what neighbours send and a node's own part, for each pass, in single precision or as bfloat16's bits. Out: the
new states, in the same. Gates, mean, normalisation, GELU, dropout and residual of a node are worked out while its
channels are in the nearest cache, and what an edge's gate lets through once for all passes. Arithmetic is in single
precision whatever the states are kept in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit, types
from numba.extending import overload
from torch import Tensor

from bedsieve.detectors.nets.finishing import FAST, centre
from bedsieve.detectors.nets.hashed_dropout import HashedDropout, fill_bits
from bedsieve.detectors.nets.kernel_threads import in_threads
from bedsieve.detectors.nets.vector_math import ONE, ZERO, gelu, sigmoid

if TYPE_CHECKING:
    from bedsieve.detectors.nets.gated_sage import GatedSageLayer


def drop_first(
    before: Tensor,
    old: Tensor | None,
    states: Tensor,
    keys: npt.NDArray[np.uint64],
    dropout: HashedDropout,
) -> None:
    """The first layer's states, of what it makes before dropout, which is the same in all passes.

    Parameters
    ----------
    before : float32 tensor (n, c)
    old : float32 tensor (m, c), optional
        The residual; m >= n.
    states : float32 or bfloat16 tensor (passes, n, c or more)
        Its first c columns are written.
    keys : uint64 ndarray (passes, n)
        `HashedDropout.keys` of the layer.
    dropout : HashedDropout
    """
    arrays = _bits(before), _bits(before if old is None else old), keys, _bits(states)
    settings = old is not None, dropout.fewest, dropout.scale
    in_threads(_drop_first, (*arrays, *settings), len(before), 2 * len(states) * before.numel())


def drop_layer(
    layer: GatedSageLayer,
    messages: Tensor,
    own: Tensor,
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
    layer : GatedSageLayer
        Its gate, normalisation and biases.
    messages : float32 or bfloat16 tensor (passes, m, c)
        W_m h, without the bias, of all nodes that may be neighbours.
    own : tensor (passes, n, c)
        W_s h, without the bias; like `messages` in kind.
    neighbour, edge
        As in `aggregation.gated_mean`, of n nodes.
    states : tensor (passes, n or more, start + c or more)
        Like `messages` in kind; columns from `start` on are written. A residual are the c columns before them.
    start : int
    keys, dropout
        As in `drop_first`.
    """
    width, n = own.shape[2], len(neighbour)
    if layer.gate is None:
        gate = torch.zeros((2, width)), torch.full((width,), torch.inf)
    else:
        gate = layer.gate.weight.float().t().contiguous(), layer.gate.bias.float()
    rest = layer.message.bias, layer.own.bias, layer.norm.weight, layer.norm.bias
    tensors = messages, own, neighbour, edge, *gate, *(each.float() for each in rest), states
    settings = (
        start, layer.residual, np.float32(layer.norm.eps), dropout.fewest, dropout.scale
    )  # fmt: skip
    arrays = *(_bits(tensor) for tensor in tensors), keys
    in_threads(_drop_layer, (*arrays, *settings), n, len(own) * neighbour.numel() * width)


def _bits(tensor: Tensor) -> Any:
    """A tensor's memory as an array, bfloat16 as unsigned words."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


# What differs between the two kinds of states. Within kernels numba takes the overload of each function, by the kind; outside of
# them nobody calls it.


def _single(x: Any) -> Any:
    """A number in single precision, of itself or of bfloat16's bits."""
    raise NotImplementedError


@overload(_single, inline="always")
def _single_of(x):  # type: ignore[no-untyped-def]
    if x == types.uint16:
        return lambda x: np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)
    return lambda x: x


def _kept_as(x: Any, like: Any) -> Any:
    """A number as arrays like `like` hold it: of itself, or rounded to bfloat16 (to even) as its bits."""
    raise NotImplementedError


@overload(_kept_as, inline="always")
def _kept_like(x, like):  # type: ignore[no-untyped-def]
    if like.dtype == types.uint16:

        def rounded(x, like):  # type: ignore[no-untyped-def]
            bits = np.float32(x).view(np.uint32)
            even = np.uint32(bits >> np.uint32(16)) & np.uint32(1)
            up = np.uint32(bits + np.uint32(0x7FFF) + even)
            return np.uint16(np.uint32(up >> np.uint32(16)))

        return rounded
    return lambda x, like: x


@njit(inline="always")
def _drop(x, bits, fewest, scale):  # type: ignore[no-untyped-def]
    return x * scale if bits >= fewest else ZERO


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _drop_first(before, old, key, states, is_residual, fewest, scale, first, last):  # type: ignore[no-untyped-def]
    width = before.shape[1]
    words = np.empty((width + 3) // 4, np.uint64)
    bits = words.view(np.int16)
    for i in range(first, last):
        state = before[i]
        for p in range(states.shape[0]):
            fill_bits(words, key[p, i])
            new = states[p, i][:width]
            if is_residual:
                for c in range(width):
                    new[c] = _kept_as(_drop(state[c], bits[c], fewest, scale) + old[i, c], new)
            else:
                for c in range(width):
                    new[c] = _kept_as(_drop(state[c], bits[c], fewest, scale), new)


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
    return count


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _drop_layer(  # type: ignore[no-untyped-def]
    message, own, neighbour, edge, weight, bias, message_bias, own_bias, gain, shift, states, key,
    start, is_residual, epsilon, fewest, scale, first, last,
):  # fmt: skip
    sets, width, k = own.shape[0], bias.size, neighbour.shape[1]
    near, gates = np.empty(k, np.int64), np.empty((k, width), np.float32)
    constant, state = np.empty((2, width), np.float32)
    words = np.empty((width + 3) // 4, np.uint64)
    bits = words.view(np.int16)
    for i in range(first, last):
        count = _fill_gates(gates, near, neighbour[i], edge[i], weight, bias, constant)
        for c in range(width):
            constant[c] = constant[c] * message_bias[c] + own_bias[c]
        for p in range(sets):
            mine, row = own[p, i], states[p, i]
            for c in range(width):
                state[c] = _single(mine[c]) + constant[c]
            for s in range(count):
                gate, sent = gates[s], message[p, near[s]]
                for c in range(width):
                    state[c] += _single(sent[c]) * gate[c]
            middle, steep = centre(state, epsilon)
            fill_bits(words, key[p, i])
            for c in range(width):
                x = gelu((state[c] - middle) * steep * gain[c] + shift[c])
                state[c] = _drop(x, bits[c], fewest, scale)
            new = row[start : start + width]
            if is_residual:
                old = row[start - width : start]
                for c in range(width):
                    new[c] = _kept_as(state[c] + _single(old[c]), new)
            else:
                for c in range(width):
                    new[c] = _kept_as(state[c], new)
