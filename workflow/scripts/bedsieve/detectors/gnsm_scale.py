"""From how unlikely a point is to a score between 0 and 1, and to what makes it so.

In: a fitted model and the table that it learnt from. Out: constants frozen with the model version, and with
them the score of any point, now or later, and the column that speaks against it most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gnsm_model import Gnsm

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """What a score is measured by.

    Parameters
    ----------
    middle : float
        Median of the negative log-likelihoods of the points learnt from: it and less scores 0.
    high : float
        Their upper quantile: it scores 0.5.
    names : tuple of str
        Columns of the table, as `Gnsm.parts` lists them.
    mean, spread : tuple of float
        Of each column's part of a point's score, over the points learnt from.
    """

    middle: float
    high: float
    names: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    def score(self, unlikely: Floats) -> npt.NDArray[np.float32]:
        """z/(1 + z) with z = (nll − middle)/(high − middle), 0 below; NaN stays.

        Rising for ever, so that the most unlikely points keep their order, and one point of a thousand of
        those learnt from passes 0.5.
        """
        z = np.maximum((unlikely - self.middle) / (self.high - self.middle), 0.0)
        return (1.0 - 1.0 / (1.0 + z)).astype(np.float32)

    def because(self, parts: Floats) -> list[str]:
        """The column whose part of the score exceeds the usual most, for each row of `parts`."""
        excess = (parts - np.array(self.mean)) / np.array(self.spread)
        return [self.names[place] for place in excess.argmax(1)]

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "middle": self.middle,
            "high": self.high,
            "names": list(self.names),
            "mean": list(self.mean),
            "spread": list(self.spread),
        }

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> Scale:
        """From what `to_mapping` gave."""
        lists = (tuple(document[key]) for key in ("names", "mean", "spread"))
        return cls(document["middle"], document["high"], *lists)


def fit_scale(model: Gnsm, table: pl.DataFrame, upper_quantile: float, device: str) -> Scale:
    """Constants of a model version from the table that it learnt from."""
    unlikely = model.negative_log_likelihood(table, device)
    middle, high = np.quantile(unlikely, [0.5, upper_quantile])
    names, parts = model.parts(table, device)
    spread = parts.std(0)
    spread[spread == 0] = 1.0
    return Scale(
        float(middle),
        float(high) if high > middle else float(middle) + 1.0,
        tuple(names),
        tuple(parts.mean(0).tolist()),
        tuple(spread.tolist()),
    )
