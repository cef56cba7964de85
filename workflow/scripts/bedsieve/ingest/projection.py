"""Positions on the map: longitude and latitude in, eastings and northings of any CRS out.

Everything after ingest measures distances in metres on a plane, so each survey is projected
once, in float64, and the projected position is what the tiles, the neighbours and the
crossings are made from. Whether a position lies where the CRS is meant to be used is asked
here too, since a point far outside projects to a number that looks like any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from bedsieve.errors import ConfigError

Floats = NDArray[np.float64]
Crs = str | int | CRS

_CHUNK = 1 << 16
_LONLAT = "EPSG:4326"
# Metres of one UTM zone's rim and the rounding of a survey's outline, in degrees.
AREA_TOLERANCE = 0.1


def as_crs(crs: Crs) -> CRS:
    """The CRS that a configuration names.

    Parameters
    ----------
    crs : str or int or pyproj.CRS
        Whatever pyproj reads: ``"EPSG:3031"``, ``3031``, a PROJ string, WKT.

    Raises
    ------
    ConfigError
        If pyproj does not know it.
    """
    if isinstance(crs, CRS):
        return crs
    return _known_crs(str(crs))


@lru_cache(maxsize=32)
def _known_crs(name: str) -> CRS:
    try:
        return CRS.from_user_input(int(name) if name.isdigit() else name)
    except CRSError as error:
        raise ConfigError(
            f"crs: {name!r} is not a coordinate reference system that PROJ knows. "
            "Write an authority code such as EPSG:3031, or a PROJ or WKT string."
        ) from error


@lru_cache(maxsize=32)
def check_metres(name: str) -> None:
    """Make sure that a CRS is a plane in metres, as all distances in the configuration are.

    Raises
    ------
    ConfigError
        If it is in degrees, feet or kilometres, or unknown.
    """
    crs = as_crs(name)
    units = {axis.unit_name for axis in crs.axis_info}
    if not crs.is_projected or units != {"metre"}:
        raise ConfigError(
            f"crs: {name!r} ({crs.name}) is no plane in metres: its axes are in "
            f"{' and '.join(sorted(units))}. Set region.crs to a projected system in metres, such as "
            "EPSG:3031 for Antarctica or EPSG:3413 for Greenland."
        )


def normalised_longitude(lon: ArrayLike) -> Floats:
    """Longitudes in degrees east, 0–360 accepted, within -180..180 (those within it keep their bits).

    The antimeridian is 180 alone: -180 projects to a position that differs in its last bits.
    """
    lon = np.asarray(lon, dtype=np.float64)
    east = np.where(lon > 180.0, lon - 360.0, lon)
    return np.where(east == -180.0, 180.0, east)


def project(
    lon: ArrayLike, lat: ArrayLike, crs: Crs, threads: int | None = None
) -> tuple[Floats, Floats]:
    """Project WGS84 longitudes and latitudes.

    Parameters
    ----------
    lon, lat : array-like, shape (n,)
        Degrees east (-180..180 or 0..360) and degrees north.
    crs : str or int or pyproj.CRS
        Target CRS.
    threads : int, optional
        Threads to share the chunks among; all of the machine's by default. The result does not
        depend on it.

    Returns
    -------
    east, north : ndarray of float64, shape (n,)
        In the units of `crs` (metres); NaN where the position is missing or has no image.

    Raises
    ------
    ConfigError
        If the CRS is unknown.
    ValueError
        If `lon` and `lat` differ in shape.
    """
    return transform(normalised_longitude(lon), lat, _LONLAT, crs, threads)


def unproject(
    east: ArrayLike, north: ArrayLike, crs: Crs, threads: int | None = None
) -> tuple[Floats, Floats]:
    """Longitudes (-180..180) and latitudes (WGS84, degrees) of projected positions."""
    return transform(east, north, crs, _LONLAT, threads)


def transform(
    x: ArrayLike, y: ArrayLike, source: Crs, target: Crs, threads: int | None = None
) -> tuple[Floats, Floats]:
    """Carry positions from one CRS to another, x always east and y always north.

    Parameters, results and errors as `project`; equal CRSs give the positions back unchanged.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    y = np.ascontiguousarray(y, dtype=np.float64)
    if x.shape != y.shape:
        raise ValueError(f"positions of different shapes: {x.shape} and {y.shape}")
    if as_crs(source) == as_crs(target):
        return x.copy(), y.copy()
    convert = _transformer(as_crs(source).to_wkt(), as_crs(target).to_wkt()).transform
    out_x, out_y = np.empty_like(x), np.empty_like(y)

    def one(start: int) -> None:
        part = slice(start, start + _CHUNK)
        # pyproj gives inf where PROJ fails; NaN is what missing means everywhere else here.
        for out, values in zip((out_x, out_y), convert(x[part], y[part]), strict=True):
            out[part] = np.where(np.isfinite(values), values, np.nan)

    _each_chunk(one, range(0, len(x), _CHUNK), threads)
    return out_x, out_y


def _each_chunk(work: Callable[[int], None], starts: range, threads: int | None) -> None:
    workers = min(threads or os.cpu_count() or 1, len(starts))
    if workers <= 1:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, starts):
            pass


@lru_cache(maxsize=32)
def _transformer(source: str, target: str) -> Transformer:
    # pyproj keeps one PROJ context a thread behind a Transformer, so this one may be shared.
    return Transformer.from_crs(source, target, always_xy=True)


def outside_area(
    lon: ArrayLike, lat: ArrayLike, crs: Crs, tolerance: float = AREA_TOLERANCE
) -> NDArray[np.bool_]:
    """Positions outside the area that the CRS is defined for.

    Parameters
    ----------
    lon, lat : array-like, shape (n,)
        Degrees east (-180..180 or 0..360) and degrees north.
    crs : str or int or pyproj.CRS
        A CRS without an area of use (a plain PROJ string) is taken to reach everywhere.
    tolerance : float
        Degrees beyond the area that still count as inside.

    Returns
    -------
    ndarray of bool, shape (n,)
        True outside, and for what no globe has (|lat| > 90°, lon outside -180..360). False where
        the position is missing: it is not outside, it is nowhere.
    """
    lon = np.asarray(lon, dtype=np.float64)
    lat = np.asarray(lat, dtype=np.float64)
    outside = (np.abs(lat) > 90.0) | (lon < -180.0) | (lon > 360.0)
    area = as_crs(crs).area_of_use
    if area is not None:
        outside |= (lat < area.south - tolerance) | (lat > area.north + tolerance)
        # Degrees eastward of the western border: one rule for areas across the antimeridian too.
        width = (area.east - area.west) % 360.0 or 360.0
        beyond = (lon - (area.west - tolerance)) % 360.0
        if width + 2 * tolerance < 360.0:
            outside |= beyond > width + 2 * tolerance
    return np.asarray(outside & np.isfinite(lon) & np.isfinite(lat))
