"""Dropout whose masks follow from the point alone, so that tiles and blocks do not matter.

In: the nodes' point ids. Out: masks, or for compiled kernels the bits that they are made of. Whether a channel is
dropped is a hash of (seed, pass, layer, point, channel): a point that is met in two blocks or in the halo
of another tile drops the same channels in the same pass, on a CPU as on a GPU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from bedsieve.errors import ConfigError

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

    Raises
    ------
    ConfigError
        If no channel would be left.

    Notes
    -----
    SplitMix64 (Steele, Lea and Flood 2014) gives 64 bits, enough for four channels.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self._dropped = round(rate * _LEVELS)
        if self._dropped >= _LEVELS:
            raise ConfigError(f"a dropout of {rate:g} leaves no channel of the network. Take less.")
        self._seed = seed
        self.scale = np.float32(_LEVELS / (_LEVELS - self._dropped))
        self.fewest = np.int16(self._dropped - _LEVELS // 2)

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
        return bits >= int(self.fewest)

    def keys(self, ids: Tensor, passes: range, layer: int) -> npt.NDArray[np.uint64]:
        """What `fill_bits` takes of each node in each pass of a layer, (passes, n); `ids` on the CPU."""
        keys = [_signed(self._key(number, layer)) for number in passes]
        mixed = _mixed_tensor(ids + torch.tensor(keys, dtype=torch.int64)[:, None])
        return np.asarray(mixed.numpy().view(np.uint64))

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


@njit(inline="always")
def fill_bits(words, key):  # type: ignore[no-untyped-def]
    """A node's bits of one pass and layer, 16 a channel."""
    for g in range(words.size):
        z = key + np.uint64(g + 1) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
        words[g] = z ^ (z >> np.uint64(31))
