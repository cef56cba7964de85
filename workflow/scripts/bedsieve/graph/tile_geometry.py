"""Where a tile lies, which points it owns, and how far others are from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bedsieve.tile_names import tile_index

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TileBox:
    """A square tile, half-open: it owns west <= east < east edge and south <= north < north edge.

    Parameters
    ----------
    ix, iy : int
        Place of the tile in units of its size.
    size : float
        Side (m).
    """

    ix: int
    iy: int
    size: float

    @classmethod
    def from_name(cls, tile: str, size: float) -> TileBox:
        """Box of the tile named ``x{ix}_y{iy}``."""
        return cls(*tile_index(tile), float(size))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north edge (m)."""
        return (
            self.ix * self.size,
            self.iy * self.size,
            (self.ix + 1) * self.size,
            (self.iy + 1) * self.size,
        )

    def owns(self, east: Floats, north: Floats) -> npt.NDArray[np.bool_]:
        """Which points lie in the tile.

        Parameters
        ----------
        east, north : ndarray of float64, shape (n,)
            Positions (m).
        """
        west, south, right, top = self.bounds
        return (east >= west) & (east < right) & (north >= south) & (north < top)

    def distance(self, east: Floats, north: Floats) -> Floats:
        """Distance (m) of points to the closed square; 0 inside and on its edge.

        Parameters
        ----------
        east, north : ndarray of float64, shape (n,)
            Positions (m).
        """
        west, south, right, top = self.bounds
        dx = np.maximum(np.maximum(west - east, east - right), 0.0)
        dy = np.maximum(np.maximum(south - north, north - top), 0.0)
        return np.hypot(dx, dy)
