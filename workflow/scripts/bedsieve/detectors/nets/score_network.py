"""The noise-conditional score network of a table: residual blocks, each told the noise level.

In: noisy categories and numbers of rows, and λ. Out: ε of the categories and the noise in the numbers, of
the shape of the input. Seed 002, appendix A.2.1: FiLM (Perez et al. 2018) and Gaussian-Fourier embedding
(Song et al. 2021). `ScoreNetwork` is trained; `NetworkAtLevels` is the same function of rows that are asked at
every level, with what a level leaves unchanged worked out once.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from bedsieve.detectors.nets.finishing import add_and_finish

_FOURIER_SCALE = 16.0  # of the random frequencies, as Song et al. have it


class NoiseEmbedding(nn.Module):
    """Gaussian-Fourier features of ln λ, mixed by one layer.

    Parameters
    ----------
    size : int
        Even.
    """

    frequency: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.randn(size // 2) * _FOURIER_SCALE)
        self.mix = nn.Linear(size, size)

    def forward(self, temperature: Tensor) -> Tensor:
        """(levels, size) of λ (levels, 1)."""
        angle = 2 * math.pi * temperature.log() * self.frequency
        return nn.functional.gelu(self.mix(torch.cat([angle.sin(), angle.cos()], 1)))


class ResidualBlock(nn.Module):
    """x + W₂ FiLM(W₁ gelu(norm x)), FiLM by the embedded noise level."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.film = nn.Linear(embedding, 2 * width)
        self.second = nn.Linear(width, width)

    def forward(self, x: Tensor, levels: Tensor, which: Tensor) -> Tensor:
        """(n, width) of x (n, width), embedded levels (levels, embedding) and each row's (n,)."""
        # Few levels, many rows: the levels are worked out once and handed out.
        scale, shift = nn.functional.embedding(which, self.film(levels)).chunk(2, -1)
        hidden = self.first(nn.functional.gelu(self.norm(x)))
        out: Tensor = x + self.second(hidden * (1 + scale) + shift)
        return out

    def at_levels(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Weight (levels, width, width) and bias (levels, width) of the map from gelu(norm x) to what is added to x.

        At one level FiLM is a scale and a shift of each channel, so it and both layers are one linear map.
        """
        scale, shift = self.film(levels).double().chunk(2, -1)
        first, second = self.first.weight.double(), self.second.weight.double()
        weight = (second * (1 + scale)[:, None, :]) @ first
        bias = (self.first.bias * (1 + scale) + shift) @ second.T + self.second.bias
        return weight.float(), bias.float()


class ScoreNetwork(nn.Module):
    """Rows of `places` numbers to as many, through blocks that know the noise level.

    Parameters
    ----------
    places : int
        Categories of all columns, and numbers.
    width, layers, embedding : int
        See `bedsieve.detectors.gnsm_settings.GnsmSettings`.
    """

    def __init__(self, places: int, width: int, layers: int, embedding: int) -> None:
        super().__init__()
        self.level = NoiseEmbedding(embedding)
        self.entry = nn.Linear(places, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, embedding) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, places)

    def forward(self, x: Tensor, temperature: Tensor, which: Tensor) -> Tensor:
        """(n, places) of x (n, places), the λ of the levels (levels,) and each row's level (n,)."""
        levels = self.level(temperature[:, None])
        hidden = self.entry(x)
        for block in self.blocks:
            hidden = block(hidden, levels, which)
        out: Tensor = self.head(nn.functional.leaky_relu(self.norm(hidden)))
        return out


class NetworkAtLevels:
    """A trained network that is asked about the same rows at one level after another.

    Parameters
    ----------
    net : ScoreNetwork
        Gradients are not kept.
    temperature : tensor (levels,)
        λ of the levels.

    Notes
    -----
    Equal to `ScoreNetwork` but for rounding, at about half its products: each block is one linear map a
    level, and the way into the first block is the same at all levels.
    """

    @torch.inference_mode()
    def __init__(self, net: ScoreNetwork, temperature: Tensor) -> None:
        self._net = net
        self._blocks = [cast(ResidualBlock, block) for block in net.blocks]
        levels = net.level(temperature[:, None])
        self._maps = [block.at_levels(levels) for block in self._blocks]

    @torch.inference_mode()
    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What `at` needs to know of rows x (n, places): their state and its way into the first block."""
        state = self._net.entry(x)
        return state, nn.functional.gelu(self._blocks[0].norm(state))

    @torch.inference_mode()
    def at(self, level: int, entered: tuple[Tensor, Tensor]) -> Tensor:
        """(n, places) of rows at one of the levels."""
        state, inner = entered[0].clone(), entered[1]
        norms = [block.norm for block in self._blocks[1:]]
        for (weight, bias), norm in zip(self._maps[:-1], norms, strict=True):
            inner = add_and_finish(
                state, nn.functional.linear(inner, weight[level], bias[level]), norm
            )
        weight, bias = self._maps[-1]
        state += nn.functional.linear(inner, weight[level], bias[level])
        out: Tensor = self._net.head(nn.functional.leaky_relu(self._net.norm(state)))
        return out
