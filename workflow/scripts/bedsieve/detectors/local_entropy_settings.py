"""Settings of the local-entropy detector.

In: a plain mapping from the configuration. Out: one frozen object that training and scoring read, and that
the model's manifest keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bedsieve.detectors.gnn_settings import PRECISIONS
from bedsieve.detectors.settings import Settings
from bedsieve.errors import ConfigError


@dataclass(frozen=True)
class LocalEntropySettings(Settings):
    """Constants of the local-entropy detector.

    Parameters
    ----------
    passes : int
        Passes with dropout a point (ours).
    neighbours : int
        Nearest correctly classified training points that a point is compared with (seed 003: 10).
    reference : int
        Most training points kept of each model to find them among (ours).
    floor : float
        Least standard deviation of the neighbours' entropies (ours).
    sigma : float
        A point is flagged when its entropy is more than so many standard deviations above (seed 003: 3).
    shrink : bool
        The variant for sparse regions, `bedsieve.detectors.local_entropy.shrunk_z`.
    strength : float
        How many points' worth of all training points that variant mixes in (ours).
    reach_quantile : float
        A neighbour is in reach within this quantile of the training points' own distance to the last
        of their neighbours (ours).
    precision : str
        Of the passes: ``"float32"``, ``"bfloat16"`` (half the bits, whose rounding is small beside what
        dropout does), or ``"auto"``, as the graph network has it.
    """

    detector: ClassVar[str] = "local_entropy"

    passes: int = 50
    neighbours: int = 10
    reference: int = 20_000
    floor: float = 0.02
    sigma: float = 3.0
    shrink: bool = False
    strength: float = 2.0
    reach_quantile: float = 0.9
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.neighbours < 2 or self.reference <= self.neighbours:
            raise ConfigError(
                f"local_entropy: neighbours must be 2 or more and reference more than that, not "
                f"{self.neighbours} and {self.reference}."
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"local_entropy: precision '{self.precision}' is unknown. Known: {', '.join(PRECISIONS)}."
            )
