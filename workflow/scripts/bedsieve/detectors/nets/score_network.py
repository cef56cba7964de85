"""The noise-conditional score network of a table: residual blocks, each told the noise level.

In: noisy categories and numbers of rows, and λ. Out: ε of the categories and the noise in the numbers, of
the shape of the input. Seed 002, appendix A.2.1: FiLM (Perez et al. 2018) and Gaussian-Fourier embedding
(Song et al. 2021).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

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

    def forward(self, x: Tensor, levels: Tensor, which: Tensor | int) -> Tensor:
        """(n, width) of x (n, width), embedded levels (levels, embedding) and each row's (n,) or all rows' one."""
        # Few levels, many rows: the levels are worked out once and handed out.
        film = self.film(levels)
        mine = film[which] if isinstance(which, int) else nn.functional.embedding(which, film)
        scale, shift = mine.chunk(2, -1)
        hidden = self.first(nn.functional.gelu(self.norm(x)))
        out: Tensor = x + self.second(hidden * (1 + scale) + shift)
        return out


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

    def forward(self, x: Tensor, temperature: Tensor, which: Tensor | int) -> Tensor:
        """(n, places) of x (n, places), the λ of the levels (levels,) and each row's level (n,) or all rows' one."""
        levels = self.level(temperature[:, None])
        hidden = self.entry(x)
        for block in self.blocks:
            hidden = block(hidden, levels, which)
        out: Tensor = self.head(nn.functional.leaky_relu(self.norm(hidden)))
        return out
