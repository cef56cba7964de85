"""Which tiles hold Antarctic ice, from a coarse coastline: what is known before any survey is read.

A fresh clone has no data, yet its jobs must be listed. This table of where the ice begins, good
to about a degree, says which tiles there will be; registering the surveys replaces the guess.
"""

from __future__ import annotations

import numpy as np

from bedsieve.ingest.projection import Crs, project

# Degrees east, and the latitude of the ice front there (ice shelves included, islands left out).
# South of the Antarctic Peninsula this follows its root; the strips below add what lies north.
COAST = (
    (-180, -78.2), (-170, -78.4), (-160, -78.0), (-150, -77.0), (-140, -75.3), (-130, -74.2),
    (-120, -73.8), (-110, -74.3), (-100, -72.0), (-90, -72.8), (-80, -73.0), (-70, -73.5),
    (-60, -74.5), (-50, -77.8), (-40, -78.0), (-35, -77.5), (-30, -76.5), (-25, -75.0),
    (-20, -73.0), (-15, -72.2), (-10, -71.2), (-5, -70.6), (0, -70.0), (10, -70.2), (20, -70.0),
    (30, -69.0), (40, -69.3), (50, -66.8), (60, -67.3), (70, -68.5), (80, -68.0), (90, -66.6),
    (100, -65.5), (110, -66.0), (120, -66.8), (130, -66.0), (140, -66.6), (150, -68.3),
    (160, -70.0), (170, -71.5), (172, -74.0), (180, -78.2),
)  # fmt: skip
# The Peninsula: west, east, south, north in degrees.
PENINSULA = (
    (-74.0, -60.0, -75.0, -69.0),
    (-68.0, -61.0, -69.0, -65.0),
    (-64.0, -56.5, -66.0, -63.2),
)


def ice_tiles(crs: Crs, tile_size: float) -> list[tuple[int, int]]:
    """Tiles that touch the Antarctic ice sheet or its shelves.

    Parameters
    ----------
    crs : str or int or pyproj.CRS
        A projection of the south polar region.
    tile_size : float
        Side of a tile (m); the coastline is sampled about every 30 km, so not much less than that.

    Returns
    -------
    list of (int, int)
        Columns and rows (ix, iy), sorted.
    """
    lon, lat = _ice_positions()
    east, north = project(lon, lat, crs)
    cells = np.stack([np.floor(east / tile_size), np.floor(north / tile_size)], axis=1)
    return [(int(ix), int(iy)) for ix, iy in np.unique(cells.astype(np.int64), axis=0)]


def _ice_positions(step: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes that fill the ice, `step` degrees apart."""
    lon, lat = np.meshgrid(np.arange(-180, 180, step), np.arange(-90, -60, step))
    table = np.array(COAST, dtype=np.float64)
    ice = lat <= np.interp(lon, table[:, 0], table[:, 1])
    for west, east, south, north in PENINSULA:
        ice |= (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    return lon[ice], lat[ice]
