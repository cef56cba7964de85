"""The first layer under dropout on the CPU, and the second layer's products of it, for several passes.

In: what the layer makes before dropout, which is the same in all passes. Out: its states and what the next layer's
weights make of them. A pass drops few channels, so the products are those of everything less the dropped ones'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from bedsieve.detectors.nets.finishing import FAST
from bedsieve.detectors.nets.hashed_dropout import HashedDropout, fill_bits
from bedsieve.detectors.nets.kernel_threads import in_threads
from bedsieve.detectors.nets.pass_arrays import FOUR, as_bits, keep, single
from bedsieve.detectors.nets.vector_math import ZERO
from bedsieve.kernels import copy_into

if TYPE_CHECKING:
    from bedsieve.detectors.nets.dropped_layers import Products
    from bedsieve.detectors.nets.gated_sage import GatedSageLayer


class FirstLayer:
    """The first layer without its dropout, and the next layer's products of it: the same in all passes.

    Parameters
    ----------
    before : float32 tensor (n, c)
        What dropout is applied to.
    old : float32 tensor (m, c), optional
        The residual; m >= n.
    following : GatedSageLayer, optional
        The next layer, if there is one.
    dropout : HashedDropout

    Notes
    -----
    Products of what a pass keeps are those of everything less those of the channels that it drops: at study B's rate a
    ninth of the arithmetic. It grows with the rate.
    """

    def __init__(
        self,
        before: Tensor,
        old: Tensor | None,
        following: GatedSageLayer | None,
        dropout: HashedDropout,
    ) -> None:
        self._kept = float(dropout.scale) * before
        self._old, self._fewest = old, dropout.fewest
        if following is None:
            self._weight = before.new_empty((before.shape[1], 0))
        else:
            both = following.message.weight, following.own.weight
            self._weight = torch.cat(both).float().t().contiguous()
        everything = self._kept if old is None else self._kept + old[: len(before)]
        self._whole = everything @ self._weight

    def drop(
        self, states: Tensor, keys: npt.NDArray[np.uint64], following: Products | None
    ) -> None:
        """Write some passes' states, and the next layer's products of them.

        Parameters
        ----------
        states : float32 or bfloat16 tensor (n, passes, c or more)
            The first c columns are written.
        keys : uint64 ndarray (passes, n)
            `HashedDropout.keys` of the layer.
        following : Products or None
            To be filled, of the next layer if there is one; like `states` in kind.
        """
        kept, weight = self._kept, self._weight.to(states.dtype)
        messages = own = states[:, :, :0]
        if following is not None:
            messages, own = following.messages, following.own
        old = kept if self._old is None else self._old
        tensors = kept, old, self._whole, weight, states, messages, own
        arrays = *(as_bits(tensor) for tensor in tensors), keys
        work = states.shape[1] * kept.numel() * (2 + weight.shape[1] // 8)
        settings = self._old is not None, self._fewest
        in_threads(_drop_first, (*arrays, *settings), len(kept), work)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _drop_first(  # type: ignore[no-untyped-def]
    kept, old, whole, weight, states, messages, own, key, is_residual, fewest, first, last
):
    width, sent = kept.shape[1], messages.shape[2]
    words = np.empty((width + 3) // 4, np.uint64)
    bits = words.view(np.int16)
    channel, lost = np.empty(width + FOUR, np.int64), np.empty(width + FOUR, np.float32)
    now, product = np.empty(width, np.float32), np.empty(whole.shape[1], np.float32)
    for i in range(first, last):
        state = kept[i]
        for p in range(states.shape[1]):
            fill_bits(words, key[p, i])
            new = states[i, p][:width]
            for c in range(width):
                now[c] = ZERO if bits[c] < fewest else state[c]
            if is_residual:
                for c in range(width):
                    now[c] += old[i, c]
            keep(new, now)
            if product.size:
                count = 0
                for c in range(width):
                    channel[count], lost[count] = c, state[c]
                    count += bits[c] < fewest
                copy_into(product, whole[i])
                _take_out(product, weight, channel, lost, count)
                keep(messages[i, p], product[:sent])
                if i < own.shape[0]:
                    keep(own[i, p], product[sent:])


@njit(inline="always")
def _take_out(product, weight, channel, lost, count):  # type: ignore[no-untyped-def]
    """product -= the weights of some channels times what they would have been; four at a time."""
    for q in range(count, count + FOUR):
        channel[q], lost[q] = 0, ZERO
    for q in range(0, count, FOUR):
        a0, a1, a2, a3 = lost[q], lost[q + 1], lost[q + 2], lost[q + 3]
        w0, w1 = weight[channel[q]], weight[channel[q + 1]]
        w2, w3 = weight[channel[q + 2]], weight[channel[q + 3]]
        for c in range(product.size):
            pair = single(w0[c]) * a0 + single(w1[c]) * a1
            product[c] -= pair + (single(w2[c]) * a2 + single(w3[c]) * a3)
