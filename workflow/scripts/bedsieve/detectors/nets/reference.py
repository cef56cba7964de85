"""The same network on torch-geometric's message passing, as the reference for the fast path.

In: node features, an edge list and edge features. Out: a logit a node. It gathers every edge's message
and gate into memory, which is what makes it slow, and plain to read. Weights load from `GatedSage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from bedsieve.detectors.nets.gated_sage import EDGE_FEATURES


class GatedSageConv(MessagePassing):  # type: ignore[misc]
    """W_s h + mean over in-edges of W_m h_j ⊙ σ(W_e e), then LayerNorm, GELU, dropout, residual."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__(aggr="mean")
        self.own = nn.Linear(inputs, outputs)
        self.message_of = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(EDGE_FEATURES, outputs)
        self.norm = nn.LayerNorm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.residual = inputs == outputs

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor, n: int) -> Tensor:
        """New state of the first `n` nodes; edges run from neighbour (row 0) to node (row 1)."""
        sent = self.message_of(h)
        mean = self.propagate(edge_index, x=(sent, sent[:n]), edge_attr=edge_attr, size=(len(h), n))
        state = cast(Tensor, self.dropout(nn.functional.gelu(self.norm(self.own(h[:n]) + mean))))
        return state + h[:n] if self.residual else state

    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        """A neighbour's message, damped by the edge's gate."""
        gate: Tensor = torch.sigmoid(self.gate(edge_attr))
        return x_j * gate


class ReferenceSage(nn.Module):
    """`GatedSage` on message passing; same parameters, see `load_from`."""

    def __init__(
        self,
        inputs: int = 14,
        widths: Sequence[int] = (384, 384, 192),
        latent: int = 192,
        head: int = 64,
        dropout: float = 0.111,
    ) -> None:
        super().__init__()
        sizes = [inputs, *widths]
        self.layers = nn.ModuleList(GatedSageConv(a, b, dropout) for a, b in pairwise(sizes))
        self.jump = nn.Linear(sum(widths), latent)
        self.head = nn.Sequential(nn.Linear(latent, head), nn.GELU(), nn.Linear(head, 1))

    def load_from(self, state: dict[str, Any]) -> None:
        """Take the weights of a `GatedSage`."""
        renamed = {k.replace(".message.", ".message_of."): v for k, v in state.items()}
        self.load_state_dict(renamed)

    def forward(self, x: Tensor, hops: Sequence[tuple[Tensor, Tensor, int]], seeds: int) -> Tensor:
        """Logits of the first `seeds` nodes.

        Parameters
        ----------
        x : tensor (n, inputs)
        hops : sequence of (edge_index, edge_attr, targets)
            One a layer, the outermost first.
        seeds : int
        """
        states, h = [], x
        for layer, (edge_index, edge_attr, n) in zip(self.layers, hops, strict=True):
            h = layer(h, edge_index, edge_attr, n)
            states.append(h[:seeds])
        out: Tensor = self.head(self.jump(torch.cat(states, 1))).squeeze(1)
        return out


def edge_list(
    neighbour: npt.NDArray[np.int32], edge: npt.NDArray[np.float32]
) -> tuple[Tensor, Tensor]:
    """Fixed-degree arrays as edge_index (2, e) and edge_attr (e, 2); empty slots left out."""
    node, slot = np.nonzero(neighbour >= 0)
    index = np.stack([neighbour[node, slot].astype(np.int64), node])
    return torch.from_numpy(index), torch.from_numpy(edge[node, slot])
