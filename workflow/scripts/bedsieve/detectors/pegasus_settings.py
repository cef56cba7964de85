"""Settings of the Pegasus detector.

In: a plain mapping from the configuration. Out: one frozen object that training and scoring read, and that the
model's manifest keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bedsieve.detectors.on_manifold import ON_MANIFOLD
from bedsieve.detectors.pegasus_files import MANIFOLD_FILES
from bedsieve.detectors.settings import Settings
from bedsieve.errors import ConfigError


@dataclass(frozen=True)
class PegasusSettings(Settings):
    """Constants of the Pegasus detector. Those without a source are ours.

    Parameters
    ----------
    manifold : str
        The detector whose latent space it works on, ``"pca"`` or ``"gae"``.
    methods : tuple of str
        On-manifold methods; a point is on-manifold anomalous if any of them says so (seed 001, section E.3).
    sample : int
        Points that the methods are fitted on, and as many others that their scale is taken from: for each tile
        with components of its own, or in all.
    budget : float
        Share of the points that each evidence flags over the tiles trained on; what it takes is frozen. Study
        001's 240 of 6,982 are 0.034, of which each half are.
    """

    detector: ClassVar[str] = "pegasus"

    manifold: str = "pca"
    methods: tuple[str, ...] = ("isolation_forest", "lof")
    sample: int = 20_000
    budget: float = 0.01

    def __post_init__(self) -> None:
        if self.manifold not in MANIFOLD_FILES:
            known = ", ".join(MANIFOLD_FILES)
            raise ConfigError(f"pegasus: manifold '{self.manifold}' is unknown. Known: {known}.")
        unknown = [name for name in self.methods if name not in ON_MANIFOLD]
        if unknown or not self.methods:
            raise ConfigError(
                f"pegasus: methods {list(self.methods)} must name some of {', '.join(ON_MANIFOLD)}."
            )
        if not 0 < self.budget < 0.5:
            raise ConfigError(f"pegasus: budget must lie between 0 and 0.5, not {self.budget}.")
