"""The network of study B's graph autoencoder, and what it is trained by.

In: scaled features and a `Block` (nodes by hop, their neighbours as fixed-degree arrays). Out: the
features of the block's seeds, rebuilt through a narrow latent space. Each layer is SAGE's
h ← W_own h + W_mean mean(neighbours) + b; layer l is worked out only for the nodes that a later layer
still needs. Same parameters and numbers as torch-geometric's SAGEConv, without an edge list.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from bedsieve.detectors.nets.aggregation import plain_mean
from bedsieve.detectors.nets.sampling import Block


class SageLayer(nn.Module):
    """W_own h + W_mean mean(neighbours) + b; the mean of no neighbours is 0.

    Parameters
    ----------
    inputs, outputs : int
        Widths.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Linear(inputs, outputs)
        self.own = nn.Linear(inputs, outputs, bias=False)

    def forward(self, h: Tensor, neighbour: Tensor) -> Tensor:
        """New state of the first nodes.

        Parameters
        ----------
        h : float32 tensor (m, inputs)
        neighbour : int32 tensor (n, k)
            Rows of `h` for the first n <= m nodes; -1 for an empty slot.

        Returns
        -------
        tensor (n, outputs)
        """
        weight, own = self.mean.weight, self.own(h[: neighbour.shape[0]])
        # W and the mean commute: average the narrower of the two.
        if self.mean.in_features <= self.mean.out_features:
            mean = nn.functional.linear(plain_mean(h, neighbour), weight)
        else:
            mean = plain_mean(nn.functional.linear(h, weight), neighbour)
        return cast(Tensor, mean + own + self.mean.bias)


class SageAutoencoder(nn.Module):
    """Graph autoencoder 6-32-16-3-16-32-6 (3,113 parameters at the study's sizes).

    Parameters
    ----------
    inputs : int
        Features.
    widths : sequence of int
        Widths of the encoder, the last one the latent space; the decoder mirrors them.

    Notes
    -----
    Study B gives sizes and layer; ReLU after each layer but the latent and the last is ours.
    """

    def __init__(self, inputs: int = 6, widths: Sequence[int] = (32, 16, 3)) -> None:
        super().__init__()
        sizes = [inputs, *widths, *reversed(widths[:-1]), inputs]
        self.layers = nn.ModuleList(SageLayer(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor, block: Block) -> Tensor:
        """Rebuilt features of the block's seeds.

        Parameters
        ----------
        x : float32 tensor (block.nodes.size, inputs)
            Without NaN.
        block : Block
            With as many hops as there are layers.

        Returns
        -------
        tensor (seeds, inputs)
        """
        return self.latent_and_rebuilt(x, block)[1]

    def latent_and_rebuilt(self, x: Tensor, block: Block) -> tuple[Tensor, Tensor]:
        """Latent coordinates of the block's seeds, (seeds, widths[-1]), and what `forward` gives."""
        neighbour, h = torch.from_numpy(block.neighbour).to(x.device), x
        depth, latent = len(self.layers), x
        for number, layer in enumerate(self.layers, start=1):
            h = layer(h, neighbour[: block.bounds[depth - number]])
            if number == depth // 2:
                latent = h[: block.bounds[0]]
            elif number != depth:
                h = torch.relu(h)
        return latent, h


def masked_mse(rebuilt: Tensor, target: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error over the present features of clean nodes; 0 if there is none.

    Parameters
    ----------
    rebuilt, target : tensor (n, features)
        NaN in `target` is missing.
    clean : bool tensor (n,)
        Others leave the loss (study B: "MSE on 'clean' only").
    """
    counted = torch.isfinite(target) & clean.unsqueeze(1)
    error = torch.where(counted, rebuilt - torch.where(counted, target, 0.0), 0.0)
    return error.square().sum() / counted.sum().clamp(min=1)
