"""Dropout whose masks follow from the point alone, so that tiles and blocks do not matter.

In: states of nodes and the nodes' point ids. Out: the states with channels dropped. Whether a channel is
dropped is a hash of (seed, pass, layer, point, channel): a point that is met in two blocks or in the halo
of another tile drops the same channels in the same pass, on a CPU as on a GPU.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from bedsieve.detectors.nets.kernel_threads import in_threads

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_LEVELS = 1 << 16


class HashedDropout:
    """Masks of one network.

    Parameters
    ----------
    rate : float
        Share of channels dropped; taken to the nearest 1/65536.
    seed : int

    Notes
    -----
    SplitMix64 (Steele, Lea and Flood 2014) gives 64 bits, enough for four channels.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self._dropped = round(rate * _LEVELS)
        self._seed = seed
        self.scale = _LEVELS / (_LEVELS - self._dropped)

    def kept(self, ids: Tensor, width: int, number: int, layer: int) -> Tensor:
        """Which channels stay.

        Parameters
        ----------
        ids : int64 tensor (n,)
            Bits of the point ids.
        width : int
            Channels.
        number, layer : int
            The pass and the layer.

        Returns
        -------
        bool tensor (n, width)
        """
        node = _mixed_tensor(ids + _signed(self._key(number, layer)))
        group = torch.arange(1, -(-width // 4) + 1, device=ids.device) * _signed(_GOLDEN)
        bits = _mixed_tensor(node[:, None] + group).view(torch.int16)[:, :width]
        return bits >= self._dropped - _LEVELS // 2

    def apply_(self, state: Tensor, ids: Tensor, number: int, layer: int) -> Tensor:
        """Drop channels of `state` (n, width) in place and scale the others up; see `kept`.

        On a CPU `state` is float32 and contiguous, and asks for no gradients.
        """
        if state.device.type == "cpu":
            node = _mixed_tensor(ids + _signed(self._key(number, layer)))
            settings = (self._dropped - _LEVELS // 2, np.float32(self.scale))
            n, width = state.shape
            arrays = (state.numpy(), node.numpy().view(np.uint64))
            in_threads(_drop, (*arrays, *settings), n, 2 * n * width)
            return state
        return state.mul_(self.kept(ids, state.shape[1], number, layer)).mul_(self.scale)

    def _key(self, number: int, layer: int) -> int:
        return _mixed(_mixed(_mixed(self._seed) + number) + layer)


def _signed(word: int) -> int:
    word %= _WORD
    return word - _WORD if word >= _WORD // 2 else word


def _mixed(z: int) -> int:
    z = (z + _GOLDEN) % _WORD
    z = (z ^ (z >> 30)) * _FIRST % _WORD
    z = (z ^ (z >> 27)) * _SECOND % _WORD
    return z ^ (z >> 31)


def _mixed_tensor(z: Tensor) -> Tensor:
    """The finaliser on int64; torch shifts signs in, which the masks take out again."""
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * _signed(_FIRST)
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * _signed(_SECOND)
    return z ^ ((z >> 31) & ((1 << 33) - 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _drop(state, node, fewest, scale, first, last):  # type: ignore[no-untyped-def]
    """`HashedDropout.kept` and the product in one go, a node's bits at a time."""
    width = state.shape[1]
    words = np.empty((width + 3) // 4, np.uint64)
    bits = words.view(np.int16)
    for i in range(first, last):
        for g in range(words.size):
            z = node[i] + np.uint64(g + 1) * np.uint64(_GOLDEN)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
            words[g] = z ^ (z >> np.uint64(31))
        row = state[i]
        for c in range(width):
            row[c] *= scale if bits[c] >= fewest else np.float32(0)
