"""Settings of the graph network, with study B's values as defaults.

In: a plain mapping from the configuration. Out: one frozen object that every step of training and
scoring reads, and that the model's manifest keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from bedsieve.detectors.settings import Settings
from bedsieve.errors import ConfigError

FOLD_KINDS = ("regions", "blocks", "surveys")
DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("auto", "float32", "bfloat16")
TUNABLE = (
    "learning_rate",
    "weight_decay",
    "dropout",
    "outlier_weight",
    "inlier_weight",
    "prior",
)
"""Settings that may differ from fold to fold: none of them changes the network's shape."""


@dataclass(frozen=True)
class GnnSettings(Settings):
    """Sizes and constants of the graph network.

    Parameters
    ----------
    widths : tuple of int
        Width of each layer; as many hops of edges are needed (three in study B, four its wish).
    latent, head : int
        Width of the jumping-knowledge space and of the classifier's hidden layer.
    gated : bool
        False leaves the edge gates out (an ablation).
    dropout : float
    fanout : tuple of int
        Neighbours drawn at each hop in training.
    batch : int
        Seeds a step.
    runs : int or None
        None: random seeds, as in the study. Else each batch is that many stretches of the space
        order, which costs far less a seed.
    learning_rate, weight_decay : float
        Of AdamW.
    epochs, patience : int
        At most so many epochs; stop after so many without gain.
    steps : int or None
        At most so many steps of the optimiser, for a rehearsal of what training costs; None for as many
        as the epochs take.
    min_delta : float
        What counts as a gain of the validation loss.
    gradient_clip : float
        Largest norm of the gradient.
    ema : float
        Share of the running mean of the weights kept at each step.
    outlier_weight, inlier_weight, unlabelled_weight, prior : float
        Of the loss, see `bedsieve.detectors.nets.losses`.
    unlabelled : int
        Most unlabelled points in training a fold.
    validation_outliers, validation_inliers : float
        Shares of the labels kept for validation.
    folds : str
        ``"regions"`` (k-means on the outlier seeds' places), ``"blocks"`` (square blocks dealt out at
        random) or ``"surveys"`` (whole surveys left out).
    n_folds : int
    block_size : float
        Side of a block (m), for ``"blocks"``.
    per_fold : mapping of str to mapping
        Values of `TUNABLE` that differ for a model, by its letter.
    device : str
        ``"auto"`` (a GPU where PyTorch sees one), ``"cpu"`` or ``"gpu"``.
    precision : str
        ``"auto"`` (bfloat16 on a GPU, float32 on a CPU), ``"float32"`` or ``"bfloat16"``.
    inference_block : int
        Points scored together.

    Notes
    -----
    Study B, seed 000, sections 3.1, 3.2 and A.3.1; design methods.md section 4.
    """

    detector: ClassVar[str] = "gnn"

    widths: tuple[int, ...] = (384, 384, 192)
    latent: int = 192
    head: int = 64
    gated: bool = True
    dropout: float = 0.111
    fanout: tuple[int, ...] = (16, 8, 8)
    batch: int = 4096
    runs: int | None = None
    learning_rate: float = 1.02e-3
    weight_decay: float = 3.19e-5
    epochs: int = 120
    patience: int = 10
    steps: int | None = None
    min_delta: float = 1e-4
    gradient_clip: float = 5.0
    ema: float = 0.999
    outlier_weight: float = 3.92
    inlier_weight: float = 0.996
    unlabelled_weight: float = 1.0
    prior: float = 0.0021
    unlabelled: int = 1_000_000
    validation_outliers: float = 0.1
    validation_inliers: float = 0.2
    folds: str = "regions"
    n_folds: int = 2
    block_size: float = 100_000.0
    per_fold: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    device: str = "auto"
    precision: str = "auto"
    inference_block: int = 8192

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.fanout):
            raise ConfigError(
                f"gnn: widths {list(self.widths)} and fanout {list(self.fanout)} must have one entry "
                "for each layer."
            )
        if self.folds not in FOLD_KINDS:
            raise ConfigError(
                f"gnn: folds '{self.folds}' is unknown. Known: {', '.join(FOLD_KINDS)}."
            )
        if not 2 <= self.n_folds <= 26:
            raise ConfigError(f"gnn: n_folds must lie between 2 and 26, not {self.n_folds}.")
        if self.device not in DEVICES:
            raise ConfigError(
                f"gnn: device '{self.device}' is unknown. Known: {', '.join(DEVICES)}."
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"gnn: precision '{self.precision}' is unknown. Known: {', '.join(PRECISIONS)}."
            )
        for letter, values in self.per_fold.items():
            strange = sorted(set(values) - set(TUNABLE))
            if strange:
                raise ConfigError(
                    f"gnn: per_fold.{letter} sets {', '.join(strange)}. It may set {', '.join(TUNABLE)}."
                )

    def of_fold(self, letter: str) -> GnnSettings:
        """What holds for one model."""
        changed: dict[str, Any] = dict(self.per_fold.get(letter, {}))
        return replace(self, **changed, per_fold={})

    def resolve_precision(self, device: str) -> str:
        """``"float32"`` or ``"bfloat16"`` on a device."""
        if self.precision != "auto":
            return self.precision
        return "bfloat16" if device == "cuda" else "float32"


def torch_device(device: str) -> str:
    """PyTorch's name of a device.

    Parameters
    ----------
    device : str
        One of `DEVICES`.

    Returns
    -------
    str
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ConfigError
        If a GPU is asked for and PyTorch sees none.
    """
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "gpu":
        raise ConfigError(
            "a GPU is asked for (models.device), but PyTorch sees none. Set it to cpu, or run where "
            "there is a GPU, with a PyTorch that was built for it."
        )
    return "cpu"
