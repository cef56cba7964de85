"""Settings of categorical score matching, with the source's values named where ours differ.

In: a plain mapping from a configuration or a command line. Out: one frozen object that training and
scoring read, and that a model keeps. The source's network (20 blocks of 1,024, up to two million steps of
2,048 rows) is out of reach of a CPU, so the sizes are ours; everything else is the source's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bedsieve.detectors.settings import Settings
from bedsieve.errors import ConfigError

LOSSES = ("kl", "squared")
NORMS = ("squared", "plain")


@dataclass(frozen=True)
class GnsmSettings(Settings):
    """Sizes and constants of the method. In brackets what the source takes, where that differs.

    Parameters
    ----------
    width, layers, embedding : int
        Width and number of residual blocks, numbers that embed the noise level (1024, 20, 128).
    levels : int
        Noise levels, from the first to the last value of the next two as geometric sequences.
    temperature : tuple of float
        λ of the relaxed categories, least and greatest noise.
    sigma : tuple of float
        Standard deviation of the noise on (standardised) numbers at those levels.
    loss : str
        ``"kl"`` (the source's faster form) or ``"squared"`` (its equation 16).
    norm : str
        Of a row's score at a level: ``"squared"`` (equation 7) or ``"plain"``, unsquared, as the source's
        released code has it.
    denoise : bool
        Whether a row is first moved by its score at the least noise, each column's part at length 1. The
        source's released code does so before it measures the norms; its text does not say so.
    steps, batch : int
        Steps of training and rows a step (1,000,000 and 2048).
    learning_rate, last_learning_rate, weight_decay, ema, gradient_clip : float
        Of AdamW and its cosine, decay of the averaged weights, and largest norm of the gradient.
    checks : int
        How often the loss of held-out rows is looked at; the best averaged weights are kept.
    components : tuple of int
        Sizes of the Gaussian mixture to choose from by the likelihood of held-out rows.
    mixture_rows : int
        Most rows that the mixture is fitted to (all).

    Notes
    -----
    Seed 002, section 5.1 and appendix A.2.1; design methods.md section 4, gnsm.
    """

    detector: ClassVar[str] = "gnsm"

    width: int = 128
    layers: int = 4
    embedding: int = 64
    levels: int = 20
    temperature: tuple[float, ...] = (2.0, 20.0)
    sigma: tuple[float, ...] = (0.1, 1.0)
    loss: str = "kl"
    norm: str = "squared"
    denoise: bool = False
    steps: int = 20_000
    batch: int = 512
    learning_rate: float = 1e-3
    last_learning_rate: float = 1e-5
    weight_decay: float = 1e-4
    ema: float = 0.999
    gradient_clip: float = 1.0
    checks: int = 20
    components: tuple[int, ...] = (3, 5, 7, 9)
    mixture_rows: int = 20_000

    def __post_init__(self) -> None:
        for name, known in (("loss", LOSSES), ("norm", NORMS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"gnsm: {name} '{getattr(self, name)}' is unknown. Known: {', '.join(known)}."
                )
        for name in ("temperature", "sigma"):
            span = getattr(self, name)
            if len(span) != 2 or not 0 < span[0] <= span[1]:
                raise ConfigError(
                    f"gnsm: {name} must be two positive numbers, the smaller one first, not {span}."
                )
        if self.embedding % 2:
            raise ConfigError(f"gnsm: embedding must be even, not {self.embedding}.")
