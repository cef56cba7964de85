"""How rare a value is, by a frozen table of tail shares, and the evidence that follows from it.

In: reference values with weights. Out: for any value the share of the reference that is at least as large, read
off a table that is fine where shares are small; and the share as evidence in [0, 1], ½ where it equals a budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LEVELS = 513


@dataclass(frozen=True)
class TailShares:
    """A frozen table.

    Parameters
    ----------
    value : tuple of float
        Rising.
    share : tuple of float
        Of the reference, at least as large as the value; falling from 1.
    """

    value: tuple[float, ...]
    share: tuple[float, ...]

    def of(self, values: Floats) -> Floats:
        """Share of the reference at least as large; that of the largest beyond it, NaN of NaN."""
        shares: Floats = np.exp(np.interp(values, self.value, np.log(self.share)))
        return np.where(np.isnan(values), np.nan, shares)

    def evidence(self, values: Floats, budget: float) -> Floats:
        """budget/(budget + share): ½ at the value that a share `budget` reaches, near 1 far beyond it."""
        evidence: Floats = budget / (budget + self.of(values))
        return evidence

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"value": list(self.value), "share": list(self.share)}

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> TailShares:
        """From what `to_mapping` gave."""
        return cls(tuple(document["value"]), tuple(document["share"]))


def fit_tail_shares(values: Floats, weights: Floats) -> TailShares:
    """Make the table: exact for up to 513 distinct values, else at shares in equal ratios.

    Parameters
    ----------
    values, weights : (n,) float64 arrays
        n > 0, finite; weights positive.
    """
    order = np.argsort(values, kind="stable")
    at_least = np.cumsum(weights[order][::-1])[::-1]
    distinct, first = np.unique(values[order], return_index=True)
    share = at_least[first] / at_least[0]
    if distinct.size > _LEVELS:
        wanted = np.geomspace(share[-1], 1.0, _LEVELS)
        among = np.unique(np.searchsorted(-share, -wanted, side="right") - 1)
        distinct, share = distinct[among], share[among]
    return TailShares(tuple(distinct.tolist()), tuple(share.tolist()))
