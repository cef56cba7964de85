"""Where a survey's rows lie as a whole: in the region's coordinate system, or somewhere else altogether.

In: latitudes of batches of rows, and which of them lie outside. Out: an error where all do, which tells of a wrong
coordinate system or of swapped columns, while some astray are the rows' own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedsieve.errors import InputError


@dataclass(frozen=True)
class Whereabouts:
    """How many rows have a position, how many of those lie outside, and from where to where (degrees north)."""

    placed: int = 0
    outside: int = 0
    south: float = np.inf
    north: float = -np.inf

    @classmethod
    def of(
        cls, lat: NDArray[np.float64], placed: NDArray[np.bool_], outside: NDArray[np.bool_]
    ) -> Whereabouts:
        """Those of a batch, each array of shape (n,)."""
        if not placed.any():
            return cls()
        found = lat[placed]
        return cls(len(found), int(outside.sum()), float(found.min()), float(found.max()))

    def joined(self, other: Whereabouts) -> Whereabouts:
        """Those of two batches together."""
        return Whereabouts(
            self.placed + other.placed,
            self.outside + other.outside,
            min(self.south, other.south),
            max(self.north, other.north),
        )

    def check(self, path: str | Path, crs: object) -> None:
        """Make sure that not every position lies outside.

        Raises
        ------
        InputError
            Naming the latitudes that there are.
        """
        if self.placed and self.placed == self.outside:
            raise InputError(
                path,
                f"every position lies outside the area of {crs}: latitudes "
                f"{self.south:g} to {self.north:g}",
                "Set crs in the configuration to one made for this region, or check whether the "
                "columns of longitude and latitude are swapped",
            )
