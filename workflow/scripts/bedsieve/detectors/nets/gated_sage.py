"""The network of study B: edge-gated SAGE layers, jumping knowledge and a small head.

In: node features and a `Block` (nodes by hop, their neighbours as fixed-degree arrays). Out: one logit
a seed. Layer l is worked out only for the nodes that a later layer still needs, so hops shrink towards
the seeds. Each layer is h' = W_s h + mean_j(W_m h_j ⊙ σ(W_e e_ij)), all with bias, then LayerNorm,
GELU, dropout and, where widths match, the residual (design methods.md section 4, gnn).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from bedsieve.detectors.nets.aggregation import gated_mean, plain_mean
from bedsieve.detectors.nets.finishing import finish, finish_training
from bedsieve.detectors.nets.sampling import Block

EDGE_FEATURES = 2


class GatedSageLayer(nn.Module):
    """One layer: a node's own state plus the mean of its neighbours' gated messages.

    Parameters
    ----------
    inputs, outputs : int
        Widths.
    dropout : float
        Share of channels dropped in training.
    gated : bool
        Without the gate the layer is a plain SAGE layer (an ablation).
    """

    def __init__(self, inputs: int, outputs: int, dropout: float, gated: bool = True) -> None:
        super().__init__()
        self.own = nn.Linear(inputs, outputs)
        self.message = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(EDGE_FEATURES, outputs) if gated else None
        self.norm = nn.LayerNorm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.residual = inputs == outputs

    def messages(self, h: Tensor) -> Tensor:
        """What neighbours send: W_m h + b_m, or h where averaging first costs less."""
        return h if self._mean_first else cast(Tensor, self.message(h))

    def update(self, h: Tensor, messages: Tensor, neighbour: Tensor, edge: Tensor) -> Tensor:
        """New state of nodes.

        Parameters
        ----------
        h : tensor (n, inputs)
            Their old state.
        messages : tensor (m, …)
            `messages` of all nodes that may be neighbours.
        neighbour : int32 tensor (n, k)
            Rows of `messages`; -1 for an empty slot.
        edge : float32 tensor (n, k, 2)
            Edge features.
        """
        if h.device.type != "cpu":
            mean = self.mean(messages, neighbour, edge)
            state = cast(Tensor, self.dropout(self.activation(h, mean)))
            return state.add_(h) if self.residual else state
        mean, own = self.mean(messages, neighbour, edge), self.own(h)
        old = h.float() if self.residual else None
        if torch.is_grad_enabled() or self.dropout.training:
            dropped = self.dropout.p if self.dropout.training else 0.0
            return finish_training(mean.float(), own.float(), self.norm, old, dropped)
        return finish(mean.float(), own.float(), self.norm, old)

    def activation(self, h: Tensor, mean: Tensor) -> Tensor:
        """What dropout is then applied to, of old states and `mean`, which it may write over; (n, outputs)."""
        own = self.own(h)
        if mean.device.type == "cpu" and not torch.is_grad_enabled():
            return finish(mean.float(), own.float(), self.norm, None)
        return nn.functional.gelu(self.norm(mean.add_(own)))

    def mean(self, messages: Tensor, neighbour: Tensor, edge: Tensor) -> Tensor:
        """Mean of the neighbours' messages, shape (n, outputs); arguments as in `update`."""
        if self.gate is not None:
            return gated_mean(messages, neighbour, edge, self.gate.weight, self.gate.bias)
        mean = plain_mean(messages, neighbour)
        if self._mean_first:
            mean = self.message(mean) * (neighbour >= 0).any(1, keepdim=True)
        return mean

    @property
    def _mean_first(self) -> bool:
        # Without a gate W_m and the mean commute: average the narrower of the two.
        return self.gate is None and self.message.in_features < self.message.out_features


class GatedSage(nn.Module):
    """Edge-gated SAGE network with one logit a node (656,769 parameters at the study's sizes).

    Parameters
    ----------
    inputs : int
        Node features.
    widths : sequence of int
        Width of each layer; their number is the number of hops seen.
    latent : int
        Width of the jumping-knowledge space.
    head : int
        Hidden width of the classifier.
    dropout : float
        In the layers.
    gated : bool
        False leaves the gates out.
    """

    def __init__(
        self,
        inputs: int = 14,
        widths: Sequence[int] = (384, 384, 192),
        latent: int = 192,
        head: int = 64,
        dropout: float = 0.111,
        gated: bool = True,
    ) -> None:
        super().__init__()
        sizes = [inputs, *widths]
        self.layers = nn.ModuleList(
            GatedSageLayer(a, b, dropout, gated) for a, b in pairwise(sizes)
        )
        self.jump = nn.Linear(sum(widths), latent)
        self.head = nn.Sequential(nn.Linear(latent, head), nn.GELU(), nn.Linear(head, 1))

    @property
    def gated(self) -> bool:
        """Whether the network looks at edge features."""
        return self.stack[0].gate is not None

    @property
    def stack(self) -> list[GatedSageLayer]:
        """The layers, first to last."""
        return [cast(GatedSageLayer, layer) for layer in self.layers]

    def embed(self, x: Tensor, block: Block) -> Tensor:
        """Jumping-knowledge state of the block's seeds.

        Parameters
        ----------
        x : float32 tensor (block.nodes.size, inputs)
            Features of the block's nodes.
        block : Block
            With as many hops as the network has layers; arrays on the device of `x`.

        Returns
        -------
        tensor (seeds, latent)
        """
        neighbour, edge = block.tensors(x.device)
        seeds, states, h = block.bounds[0], [], x
        for depth, layer in enumerate(self.stack):
            n = block.bounds[len(self.layers) - 1 - depth]
            h = layer.update(h[:n], layer.messages(h), neighbour[:n], edge[:n])
            states.append(h[:seeds])
        out: Tensor = self.jump(torch.cat(states, 1))
        return out

    def readout(self) -> tuple[Tensor, Tensor]:
        """The way from all layers' states into the head as one linear map: weight (head, sum of widths), bias."""
        into = cast(nn.Linear, self.head[0])
        weight, bias = into.weight.double(), into.bias.double()
        whole = weight @ self.jump.weight.double(), weight @ self.jump.bias.double() + bias
        return whole[0].float(), whole[1].float()

    def forward(self, x: Tensor, block: Block) -> Tensor:
        """Logit of each seed of the block, shape (seeds,); see `embed`."""
        out: Tensor = self.head(self.embed(x, block)).squeeze(1)
        return out.float()
