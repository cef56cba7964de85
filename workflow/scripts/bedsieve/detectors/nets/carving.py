"""Carving's network: an encoder to a plane, a classifier on it, and a centre for each class.

In: inputs and labels of the seeds. Out: latent points that lie close to their class's centre. Study B,
seed 000, "Latent-Space Outlier Carving – Loss Function".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

LATENT = 2


class CentreNet(nn.Module):
    """Encoder x → z in the plane, logit = w·z + b, centres c_0 (inliers) and c_1 (outliers).

    Parameters
    ----------
    inputs : int
    widths : sequence of int
        Hidden layers, ReLU and dropout after each.
    dropout : float
    """

    def __init__(self, inputs: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [inputs, *widths]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.encoder = nn.Sequential(*layers, nn.Linear(sizes[-1], LATENT))
        self.head = nn.Linear(LATENT, 1)
        # Apart from the start, so that the classes need not first break a symmetry.
        self.centres = nn.Parameter(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latent points (n, 2) and logits (n,), positive means outlier."""
        z = self.encoder(x)
        return z, self.head(z).squeeze(-1)


class CentreLoss(NamedTuple):
    """Weights of the parts; see `CarvingSettings`."""

    outlier_weight: float
    centre_weight: float = 1.0
    repulsion_weight: float = 0.05
    repulsion_radius: float = 10.0

    def __call__(self, z: Tensor, logit: Tensor, label: Tensor, centres: Tensor) -> Tensor:
        """BCE + w_c mean ‖z_i − c_{y_i}‖² − w_r min(‖c_0 − c_1‖², R²).

        Parameters
        ----------
        z : tensor (n, 2)
        logit : tensor (n,)
        label : float tensor (n,)
            1 outlier, 0 inlier.
        centres : tensor (2, 2)

        Notes
        -----
        In the BCE an outlier weighs `outlier_weight`, the others 1, and the mean is over points. The
        bound R is ours: without it the centres drift apart for as long as training lasts.
        """
        weight = torch.tensor(self.outlier_weight, dtype=logit.dtype)
        bce = nn.functional.binary_cross_entropy_with_logits(logit, label, pos_weight=weight)
        centre = (z - centres[label.long()]).square().sum(1).mean()
        apart = (centres[0] - centres[1]).square().sum().clamp(max=self.repulsion_radius**2)
        return bce + self.centre_weight * centre - self.repulsion_weight * apart
