"""The end of a layer in one pass on the CPU: sum, layer normalisation, GELU, dropout, residual.

In: the neighbours' mean and the node's own part. Out: the new state. torch goes five times over memory for it
and more often on the way back, and each time asks the system for fresh memory, which costs as much again; here a
node's channels stay in the nearest cache. `finish` is for inference and writes over the mean, `add_and_finish`
keeps the sum as well; `finish_training` knows its gradients and keeps two arrays for them. torch's own functions
give the same numbers to 1e-6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from bedsieve.detectors.nets.kernel_threads import as_arrays, in_threads
from bedsieve.detectors.nets.vector_math import ONE, ZERO, gelu, gelu_slope
from bedsieve.kernels import copy_into

_PART = 1024  # rows whose gradients are summed by themselves, so that the sums do not depend on the threads


def finish(mean: Tensor, own: Tensor, norm: nn.LayerNorm, old: Tensor | None) -> Tensor:
    """GELU(norm(mean + own)) + old, in the place of `mean`.

    Parameters
    ----------
    mean, own : float32 tensor (n, c)
        On the CPU, no gradients asked for; `mean` is overwritten.
    norm : LayerNorm
        Over c channels.
    old : float32 tensor (n, c), optional
        The residual.

    Returns
    -------
    tensor (n, c)
        `mean`.
    """
    kept = torch.empty((0, mean.shape[1]), dtype=torch.uint8)
    _run_forward(mean, own, norm.weight, norm.bias, old, kept, ONE, norm.eps, mean)
    return mean


def add_and_finish(state: Tensor, step: Tensor, norm: nn.LayerNorm) -> Tensor:
    """state += step, and GELU(norm(state)) of it as a new tensor (n, c); gradients are not kept.

    Parameters
    ----------
    state, step : float32 tensor (n, c)
        `state` is overwritten by the sum; contiguous.
    norm : LayerNorm
        Over c channels.

    Returns
    -------
    tensor (n, c)
    """
    if state.device.type != "cpu":
        return nn.functional.gelu(norm(state.add_(step)))
    out = torch.empty(state.shape)
    kept = torch.empty((0, state.shape[1]), dtype=torch.uint8)
    _run_forward(state, step, norm.weight, norm.bias, None, kept, ONE, norm.eps, out)
    return out


def finish_training(
    mean: Tensor, own: Tensor, norm: nn.LayerNorm, old: Tensor | None, dropped: float
) -> Tensor:
    """dropout(GELU(norm(mean + own))) + old, with gradients.

    Parameters
    ----------
    mean, own, norm, old
        As in `finish`; `mean` is overwritten by the sum, so nothing else may need it.
    dropped : float
        Share of numbers dropped; the masks are those that torch's dropout draws.

    Returns
    -------
    tensor (n, c)
    """
    kept = torch.empty((len(mean) if dropped else 0, mean.shape[1]), dtype=torch.uint8)
    kept.bernoulli_(1 - dropped)
    out: Tensor = _Finish.apply(  # type: ignore[no-untyped-call]
        mean, own, norm.weight, norm.bias, old, kept, np.float32(1 / (1 - dropped)), norm.eps
    )
    return out


class _Finish(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, own: Tensor, gain: Tensor, shift: Tensor,
        old: Tensor | None, kept: Tensor, scale: np.float32, epsilon: float,
    ) -> Tensor:  # fmt: skip
        out = torch.empty(mean.shape)
        _run_forward(mean, own, gain, shift, old, kept, scale, epsilon, out)
        ctx.save_for_backward(mean, gain, shift, kept)
        ctx.scale, ctx.epsilon, ctx.residual = scale, np.float32(epsilon), old is not None
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        total, gain, shift, kept = ctx.saved_tensors
        n, width = total.shape
        back, sums = torch.empty(total.shape), torch.zeros((2, -(-n // _PART), width))
        arrays = as_arrays(total, gain, shift, kept, grads[0], back, sums)
        settings = (ctx.scale, ctx.epsilon)
        in_threads(_backward, (*arrays, *settings), n, 16 * n * width, _PART)
        slopes = sums.sum(1, dtype=torch.float64).float()
        old = grads[0] if ctx.residual else None
        return back, back, slopes[0], slopes[1], old, None, None, None


def _run_forward(
    mean: Tensor, own: Tensor, gain: Tensor, shift: Tensor, old: Tensor | None,
    kept: Tensor, scale: np.float32, epsilon: float, out: Tensor,
) -> None:  # fmt: skip
    n, width = mean.shape
    arrays = as_arrays(mean, own, gain, shift, own if old is None else old, kept, out)
    settings = (scale, np.float32(epsilon), old is not None, out is not mean)
    in_threads(_forward, (*arrays, *settings), n, 8 * n * width)


# "reassoc" lets sums over channels be vector code; their order is then fixed by the compiler, not by the
# number of threads.
FAST = {"contract", "reassoc", "nsz"}


@njit(inline="always")
def centre(state, epsilon):  # type: ignore[no-untyped-def]
    """Mean of a node's channels and one by their standard deviation."""
    share, total, spread = ONE / np.float32(state.size), ZERO, ZERO
    for c in range(state.size):
        total += state[c]
    middle = total * share
    for c in range(state.size):
        apart = state[c] - middle
        spread += apart * apart
    return middle, ONE / np.sqrt(spread * share + epsilon)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _forward(  # type: ignore[no-untyped-def]
    mean, own, gain, shift, residual, kept, out, scale, epsilon, is_residual, is_apart, first, last
):
    drops = kept.shape[0] > 0
    for i in range(first, last):
        state, mine, new = mean[i], own[i], out[i]
        for c in range(state.size):
            state[c] += mine[c]
        middle, steep = centre(state, epsilon)
        # The arithmetic works on one array only: on two that may be the same it would not become vector code.
        if is_apart:
            copy_into(new, state)
        for c in range(new.size):
            new[c] = gelu((new[c] - middle) * steep * gain[c] + shift[c])
        if drops:
            stays = kept[i]
            for c in range(state.size):
                new[c] *= scale * np.float32(stays[c])
        if is_residual:
            before = residual[i]
            for c in range(state.size):
                new[c] += before[c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _backward(total, gain, shift, kept, grad, back, sums, scale, epsilon, first, last):  # type: ignore[no-untyped-def]
    part, drops = first // _PART, kept.shape[0] > 0
    of_gain, of_shift = sums[0, part], sums[1, part]
    share = ONE / np.float32(gain.size)
    for i in range(first, last):
        state, down, up = total[i], back[i], grad[i]
        middle, steep = centre(state, epsilon)
        for c in range(down.size):
            down[c] = up[c] * gelu_slope((state[c] - middle) * steep * gain[c] + shift[c])
        if drops:
            stays = kept[i]
            for c in range(down.size):
                down[c] *= scale * np.float32(stays[c])
        level, tilt = ZERO, ZERO
        for c in range(down.size):
            unit = (state[c] - middle) * steep
            of_gain[c] += down[c] * unit
            of_shift[c] += down[c]
            down[c] *= gain[c]
            level += down[c]
            tilt += down[c] * unit
        level, tilt = level * share, tilt * share
        for c in range(down.size):
            unit = (state[c] - middle) * steep
            down[c] = steep * (down[c] - level - unit * tilt)
