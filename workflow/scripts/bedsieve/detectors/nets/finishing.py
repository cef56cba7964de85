"""The end of a layer in one pass, for inference on the CPU: sum, layer normalisation, GELU, residual.

In: the neighbours' mean and the node's own part. Out: the new state, written over the mean. torch goes five
times over memory for it, and its allocations cost as much again; here a node's channels stay in the nearest
cache. There is no backward pass: training takes torch's own functions, which give the same numbers to 1e-6.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from torch import Tensor, nn

from bedsieve.detectors.nets.kernel_threads import as_arrays, in_threads, nodes_a_part
from bedsieve.detectors.nets.vector_math import ONE, ZERO, gelu


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
    n, width = mean.shape
    residual = own if old is None else old
    arrays = as_arrays(mean, own, norm.weight, norm.bias, residual)
    settings = (np.float32(norm.eps), old is not None)
    in_threads(_finish, (*arrays, *settings), n, nodes_a_part(n), 8 * n * width)
    return mean


# "reassoc" lets the two sums over channels be vector code; their order is then fixed by the compiler, not by
# the number of threads.
@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _finish(mean, own, gain, shift, residual, epsilon, is_residual, first, last):  # type: ignore[no-untyped-def]
    share = ONE / np.float32(mean.shape[1])
    for i in range(first, last):
        state, mine, before = mean[i], own[i], residual[i]
        total, spread = ZERO, ZERO
        for c in range(state.size):
            state[c] += mine[c]
            total += state[c]
        middle = total * share
        for c in range(state.size):
            apart = state[c] - middle
            spread += apart * apart
        scale = ONE / np.sqrt(spread * share + epsilon)
        if is_residual:
            for c in range(state.size):
                state[c] = gelu((state[c] - middle) * scale * gain[c] + shift[c]) + before[c]
        else:
            for c in range(state.size):
                state[c] = gelu((state[c] - middle) * scale * gain[c] + shift[c])
