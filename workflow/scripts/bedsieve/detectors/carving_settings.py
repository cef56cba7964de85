"""Settings of outlier carving, with study B's values where it gives one.

In: a plain mapping from the configuration. Out: one frozen object that training and scoring read, and
that the model's manifest keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bedsieve.detectors.settings import Settings
from bedsieve.errors import ConfigError

FOLD_KINDS = ("regions", "blocks", "surveys")


@dataclass(frozen=True)
class CarvingSettings(Settings):
    """Sizes and constants of outlier carving. Those without a source are ours.

    Parameters
    ----------
    contrasts : bool
        Also look at the thickness against that of the nearest neighbours. False leaves the encoder the
        physics of the point alone.
    widths : tuple of int
        Widths of the encoder's hidden layers; the latent space has two dimensions (study B).
    centre_weight : float
        Weight of the pull to the own class's centre (study B).
    repulsion_weight : float
        Weight of the push between the two centres (study B).
    repulsion_radius : float
        Distance of the centres from which the push ends. Study B sets no bound.
    dropout : float
        Share of hidden values dropped in training; that of study B's graph network.
    epochs, batch : int
        Passes over the seeds, and seeds a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls along a cosine.
    family_share : float
        Least size of a family as a share of the outlier seeds clustered. Of study B's 38,881 it is 194;
        its smallest family has 211.
    smallest_family : int
        Least size of a family, whatever the share.
    reach_quantile : float
        A family's reach is this quantile of its members' core distances.
    least_purity : float
        Families of at least this purity are kept (study B).
    folds : str
        ``"regions"`` (k-means on the outlier seeds' places), ``"blocks"`` (square blocks dealt out at
        random) or ``"surveys"`` (whole surveys left out).
    n_folds : int
    block_size : float
        Side of a block (m), for ``"blocks"``.
    seed : int
    """

    detector: ClassVar[str] = "carving"

    contrasts: bool = True
    widths: tuple[int, ...] = (64, 32)
    centre_weight: float = 1.0
    repulsion_weight: float = 0.05
    repulsion_radius: float = 10.0
    dropout: float = 0.111
    epochs: int = 10
    batch: int = 4096
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    family_share: float = 0.005
    smallest_family: int = 10
    reach_quantile: float = 0.9
    least_purity: float = 0.5
    folds: str = "regions"
    n_folds: int = 2
    block_size: float = 100_000.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.widths:
            raise ConfigError("carving: widths must name at least one hidden layer.")
        if self.folds not in FOLD_KINDS:
            raise ConfigError(
                f"carving: folds '{self.folds}' is unknown. Known: {', '.join(FOLD_KINDS)}."
            )
        if not 2 <= self.n_folds <= 26:
            raise ConfigError(f"carving: n_folds must lie between 2 and 26, not {self.n_folds}.")

    def family_size(self, seeds: int) -> int:
        """Least size of a family among so many outlier seeds."""
        return max(self.smallest_family, round(self.family_share * seeds))
