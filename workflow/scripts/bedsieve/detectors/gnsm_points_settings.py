"""Settings of `gnsm` as a detector of ice thicknesses: the method's, and what its table is made of.

In: the configuration's section. Out: one frozen object that training and scoring read, and that the model's
manifest keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bedsieve.detectors.gnsm_settings import GnsmSettings
from bedsieve.errors import ConfigError

TRAIN_ON = ("inliers", "points")


@dataclass(frozen=True)
class GnsmPointsSettings:
    """What `gnsm` learns from and how its scores are scaled. All are ours.

    Parameters
    ----------
    train_on : str
        ``"inliers"``: points that a pseudo-label calls inliers. ``"points"``: all that none calls an
        outlier, for data without pseudo-labels.
    per_survey : int
        Most points of a survey that are learnt from, so that no survey drowns the others.
    year_band : int
        Years that count as one category.
    bins : int
        Categories that surface, mass balance and temperature are cut into, each with as many of the
        points learnt from.
    upper_quantile : float
        The likelihood that a share of 1 − this of the points learnt from fall below scores 0.5.
    method : GnsmSettings
    """

    train_on: str = "inliers"
    per_survey: int = 5000
    year_band: int = 10
    bins: int = 8
    upper_quantile: float = 0.999
    method: GnsmSettings = field(default_factory=GnsmSettings)

    def __post_init__(self) -> None:
        if self.train_on not in TRAIN_ON:
            raise ConfigError(
                f"gnsm: train_on '{self.train_on}' is unknown. Known: {', '.join(TRAIN_ON)}."
            )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> GnsmPointsSettings:
        """Defaults, changed by `settings`: its own keys and those of `GnsmSettings`, side by side."""
        own = {field.name for field in fields(cls)} - {"method"}
        mine = {key: value for key, value in settings.items() if key in own}
        rest = {key: value for key, value in settings.items() if key not in own}
        return cls(**mine, method=GnsmSettings.from_mapping(rest))

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values, flat as `from_mapping` takes them."""
        mine = asdict(self)
        del mine["method"]
        return mine | self.method.to_mapping()
