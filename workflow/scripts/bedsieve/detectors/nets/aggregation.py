"""Mean of a node's neighbours on fixed-degree arrays, each message damped by a gate of its edge.

In: one message a node, neighbours as an (n, k) integer array with -1 in empty slots, two features an
edge. Out: mean over the non-empty slots of message · σ(W_e e + b_e), and its gradients. On the CPU the
gate, the product and the mean are one numba kernel, so that no (n, k, channels) array is ever made
(24 kB a node at 384 channels); the backward kernel works the gates out again. Threads share channels
there, not nodes, so that no two of them add to one number: results do not depend on their count. On a GPU
the same is done with torch in pieces, which the backward pass repeats one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bedsieve.detectors.nets.kernel_threads import as_arrays, in_threads
from bedsieve.detectors.nets.vector_math import ONE, sigmoid

_SLICE = 96  # channels that a thread takes at a time in the backward pass
_FLUSH = 256  # nodes summed in single precision before the sum goes into double
_PIECE = 1 << 26  # numbers in one gathered piece on a GPU


def gated_mean(
    message: Tensor, neighbour: Tensor, edge: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Mean over neighbours j of message_j ⊙ σ(W e_ij + b); 0 for a node without neighbours.

    Parameters
    ----------
    message : tensor (m, c)
        W_m h + b_m of every node that may be a neighbour.
    neighbour : int32 tensor (n, k)
        Rows of `message`; -1 for an empty slot.
    edge : float32 tensor (n, k, 2)
        ln(1 + distance) and signed gradient of each edge; ignored in empty slots.
    weight : tensor (c, 2)
        W_e.
    bias : tensor (c,)
        b_e.

    Returns
    -------
    tensor (n, c)
        float32, whatever autocast is on.

    Notes
    -----
    Design methods.md section 4, gnn (study B's edge-gated SAGE).
    """
    if message.device.type == "cpu":
        out: Tensor = _GatedMean.apply(  # type: ignore[no-untyped-call]
            message.float(), neighbour, edge, weight.float(), bias.float()
        )
        return out
    return _in_pieces(gated_mean_torch, message, neighbour, edge, weight, bias)


def plain_mean(message: Tensor, neighbour: Tensor) -> Tensor:
    """Mean over neighbours j of message_j; 0 for a node without neighbours.

    Parameters
    ----------
    message : tensor (m, c)
        One row a node that may be a neighbour.
    neighbour : int32 tensor (n, k)
        Rows of `message`; -1 for an empty slot.
    """
    if message.device.type == "cpu":
        out: Tensor = _PlainMean.apply(message.float(), neighbour)  # type: ignore[no-untyped-call]
        return out
    return _in_pieces(plain_mean_torch, message, neighbour)


def gated_mean_torch(
    message: Tensor, neighbour: Tensor, edge: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """`gated_mean` in plain torch, on any device: holds three (n, k, c) arrays."""
    gate = torch.sigmoid(torch.nn.functional.linear(edge.to(weight.dtype), weight, bias))
    return _slot_mean(message[neighbour.clamp(min=0).long()] * gate, neighbour)


def plain_mean_torch(message: Tensor, neighbour: Tensor) -> Tensor:
    """`plain_mean` in plain torch, on any device."""
    return _slot_mean(message[neighbour.clamp(min=0).long()], neighbour)


def _slot_mean(values: Tensor, neighbour: Tensor) -> Tensor:
    filled = neighbour >= 0
    total = (values * filled.unsqueeze(-1)).sum(1, dtype=torch.float32)
    return total / filled.sum(1, keepdim=True).clamp(min=1)


def _in_pieces(function: Any, message: Tensor, neighbour: Tensor, *rest: Tensor) -> Tensor:
    """Apply a mean to so many nodes at a time that the gathered messages stay small."""
    edge, parameters = rest[:1], rest[1:]
    rows = max(1, _PIECE // (neighbour.shape[1] * message.shape[1]))
    parts = []
    for start in range(0, neighbour.shape[0], rows):
        part = slice(start, start + rows)
        arguments = (message, neighbour[part], *(e[part] for e in edge), *parameters)
        if torch.is_grad_enabled():
            parts.append(checkpoint(function, *arguments, use_reentrant=False))
        else:
            parts.append(function(*arguments))
    return torch.cat(parts) if parts else message.new_zeros((0, message.shape[1]))


class _GatedMean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, message: Tensor, neighbour: Tensor, edge: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        ctx.save_for_backward(message, neighbour, edge, weight, bias)
        n, width = neighbour.shape[0], message.shape[1]
        out = torch.empty((n, width))
        arrays = as_arrays(message, neighbour, edge, weight.t(), bias, out)
        in_threads(_gated_forward, arrays, n, neighbour.numel() * width)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        message, neighbour, edge, weight, bias = ctx.saved_tensors
        message_grad = torch.zeros(message.shape)
        gate_grad = torch.zeros((3, message.shape[1]), dtype=torch.float64)
        arrays = as_arrays(
            message, neighbour, edge, weight.t(), bias, grads[0], message_grad, gate_grad
        )
        width = message.shape[1]
        in_threads(_gated_backward, arrays, width, neighbour.numel() * width, _SLICE)
        gates = gate_grad.float()
        return message_grad, None, None, gates[:2].t().contiguous(), gates[2]


class _PlainMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, message: Tensor, neighbour: Tensor) -> Tensor:
        ctx.save_for_backward(neighbour)
        ctx.rows = message.shape[0]
        n, width = neighbour.shape[0], message.shape[1]
        out = torch.empty((n, width))
        arrays = as_arrays(message, neighbour, out)
        in_threads(_plain_forward, arrays, n, neighbour.numel() * width)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (neighbour,) = ctx.saved_tensors
        width = grads[0].shape[1]
        message_grad = torch.zeros((ctx.rows, width))
        arrays = as_arrays(neighbour, grads[0], message_grad)
        in_threads(_plain_backward, arrays, width, neighbour.numel() * width, _SLICE)
        return message_grad, None


# In the kernels below, rows are taken as one-dimensional views first: indices that the compiler knows not
# to be negative, and divisions that need no check for zero, let it make vector code of the inner loops.


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _gated_forward(message, neighbour, edge, weight, bias, out, first, last):  # type: ignore[no-untyped-def]
    w0, w1 = weight[0], weight[1]
    for i in range(first, last):
        mean, count = out[i], 0
        mean[:] = np.float32(0)
        for s in range(neighbour.shape[1]):
            j = neighbour[i, s]
            if j < 0:
                continue
            count += 1
            sent, e0, e1 = message[j], edge[i, s, 0], edge[i, s, 1]
            for c in range(mean.size):
                mean[c] += sent[c] * sigmoid(w0[c] * e0 + w1[c] * e1 + bias[c])
        if count > 1:
            share = ONE / np.float32(count)
            for c in range(mean.size):
                mean[c] *= share


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _gated_backward(  # type: ignore[no-untyped-def]
    message, neighbour, edge, weight, bias, grad, message_grad, gate_grad, first, last
):
    n, k = neighbour.shape
    w0, w1, b = weight[0, first:last], weight[1, first:last], bias[first:last]
    sum0, sum1, sum_b = np.zeros((3, last - first), np.float32)
    for i in range(n):
        count = 0
        for s in range(k):
            count += neighbour[i, s] >= 0
        share, up = ONE / np.float32(max(count, 1)), grad[i, first:last]
        for s in range(k):
            j = neighbour[i, s]
            if j < 0:
                continue
            sent, back = message[j, first:last], message_grad[j, first:last]
            e0, e1 = edge[i, s, 0], edge[i, s, 1]
            for c in range(b.size):
                gate = sigmoid(w0[c] * e0 + w1[c] * e1 + b[c])
                scaled = up[c] * share * gate
                back[c] += scaled
                slope = scaled * sent[c] * (ONE - gate)
                sum0[c] += slope * e0
                sum1[c] += slope * e1
                sum_b[c] += slope
        if i % _FLUSH == _FLUSH - 1 or i == n - 1:
            for c in range(b.size):
                gate_grad[0, first + c] += sum0[c]
                gate_grad[1, first + c] += sum1[c]
                gate_grad[2, first + c] += sum_b[c]
            sum0[:] = sum1[:] = sum_b[:] = np.float32(0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _plain_forward(message, neighbour, out, first, last):  # type: ignore[no-untyped-def]
    for i in range(first, last):
        mean, count = out[i], 0
        mean[:] = np.float32(0)
        for s in range(neighbour.shape[1]):
            j = neighbour[i, s]
            if j < 0:
                continue
            count += 1
            sent = message[j]
            for c in range(mean.size):
                mean[c] += sent[c]
        if count > 1:
            share = ONE / np.float32(count)
            for c in range(mean.size):
                mean[c] *= share


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _plain_backward(neighbour, grad, message_grad, first, last):  # type: ignore[no-untyped-def]
    for i in range(neighbour.shape[0]):
        count = 0
        for s in range(neighbour.shape[1]):
            count += neighbour[i, s] >= 0
        share, up = ONE / np.float32(max(count, 1)), grad[i, first:last]
        for s in range(neighbour.shape[1]):
            j = neighbour[i, s]
            if j < 0:
                continue
            back = message_grad[j, first:last]
            for c in range(up.size):
                back[c] += up[c] * share
