"""Settings of the graph autoencoder, with study B's values as defaults.

In: a plain mapping from the configuration. Out: one frozen object that every step of training and
scoring reads, and that the model's manifest keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bedsieve.detectors.settings import Settings
from bedsieve.errors import ConfigError

THICKNESS = "ice_thickness"
VELOCITIES = {"magnitude": ("v_log",), "vector": ("vx_log", "vy_log")}


@dataclass(frozen=True)
class GaeSettings(Settings):
    """Sizes and constants of the graph autoencoder. Those without a source are ours.

    Parameters
    ----------
    widths : tuple of int
        Widths of the encoder, the last one the latent space; the decoder mirrors them (study B).
    velocity : str
        ``"magnitude"`` (study B) or ``"vector"`` (its wish: two features, east and north).
    neighbours : int
        Nearest neighbours that a layer averages (study B: 8).
    strata, cap : int
        Terrain types, and most training nodes of each (study B: 100 and 50,000).
    strata_features : tuple of str
        Features that the strata are formed from; none means all (study B).
    worst : float
        Share of all points, those that differ most from the median of their neighbours, that is left
        out of scaling and loss (study B: 0.01).
    sample : int
        Points that the scale and the strata are learnt from.
    epochs, batch, runs : int
        Passes over the training nodes, nodes a step, and stretches of the space order that a step's
        nodes are drawn from: those that stand together share their surroundings, so they cost less.
    learning_rate, gradient_clip : float
        Of Adam, falling along a cosine; largest norm of the gradient.
    inference_block : int
        Points scored together.

    Notes
    -----
    Study B, seed 000, "Graph – Autoencoder (AE)"; design methods.md section 4, gae.
    """

    detector: ClassVar[str] = "gae"

    widths: tuple[int, ...] = (32, 16, 3)
    velocity: str = "magnitude"
    neighbours: int = 8
    strata: int = 100
    cap: int = 50_000
    strata_features: tuple[str, ...] = ()
    worst: float = 0.01
    sample: int = 1_000_000
    epochs: int = 30
    batch: int = 4096
    runs: int = 64
    learning_rate: float = 1e-3
    gradient_clip: float = 5.0
    inference_block: int = 65536

    def __post_init__(self) -> None:
        if self.velocity not in VELOCITIES:
            raise ConfigError(
                f"gae: velocity '{self.velocity}' is unknown. Known: {', '.join(VELOCITIES)}."
            )
        for name in self.strata_features:
            if name not in self.features:
                raise ConfigError(
                    f"gae: strata_features names {name}, which is no feature. Known: "
                    f"{', '.join(self.features)}."
                )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, as `bedsieve.detectors.gae_features` makes them."""
        return (THICKNESS, "z", "s_log", "smb", "temp", *VELOCITIES[self.velocity])

    @property
    def hops(self) -> int:
        """Layers, each of which looks one neighbour further."""
        return 2 * len(self.widths)
