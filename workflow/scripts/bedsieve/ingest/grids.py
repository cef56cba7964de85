"""Gridded data on disk: a NetCDF variable or a GeoTIFF band in, its axes and any window of it out.

A 450 m grid of Antarctica holds 155 million cells, so a grid is never read whole: it gives its two
axes, and float64 windows in which whatever the file marks as missing is NaN. All formats come out
alike: value [row, column] lies at (x[column], y[row]), with axes that may run either way.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from bedsieve.errors import InputError
from bedsieve.ingest.projection import as_crs

Floats = NDArray[np.float64]
_HDF5, _CLASSIC = b"\x89HDF\r\n\x1a\n", (b"CDF\x01", b"CDF\x02")
_X_NAMES = {"x", "lon", "longitude", "rlon", "easting", "projection_x_coordinate"}
_Y_NAMES = {"y", "lat", "latitude", "rlat", "northing", "projection_y_coordinate"}
# Compressed chunks that neighbouring windows share stay unpacked; only what is read counts.
_CHUNK_CACHE = 32 << 20


@dataclass(frozen=True)
class Grid:
    """One variable on a regular or stretched, unrotated grid.

    Attributes
    ----------
    x, y : ndarray of float64, shape (columns,) and (rows,)
        Cell centres in `crs`, strictly ascending or strictly descending.
    crs : pyproj.CRS
    read : callable
        ``read(rows, columns)`` gives the float64 window of two slices, NaN where missing.
    close : callable
        Lets go of the file.
    """

    x: Floats
    y: Floats
    crs: CRS
    read: Callable[[slice, slice], Floats]
    close: Callable[[], None]


def open_grid(path: str | Path, variable: str | None = None, crs: str | None = None) -> Grid:
    """Open a grid for reading windows.

    Parameters
    ----------
    path : path-like
        NetCDF (4 or classic) or anything that GDAL takes for a raster.
    variable : str, optional
        NetCDF variable, or band number or description; may be left out if there is only one.
    crs : str, optional
        The grid's CRS; by default what the file says.

    Raises
    ------
    InputError
        Naming the file, the variable, what is wrong and what to do.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            magic = stream.read(8)
    except OSError as error:
        remedy = "Correct the path in the configuration, or leave this grid out of it"
        raise InputError(path, f"cannot be read ({error.strerror})", remedy) from error
    with ExitStack() as stack:
        if magic == _HDF5:
            grid = _open_netcdf(path, variable, crs, _Hdf5(path, stack))
        elif magic[:4] in _CLASSIC:
            grid = _open_netcdf(path, variable, crs, _Classic(path, stack))
        else:
            grid = _open_raster(path, variable, crs, stack)
        held = stack.pop_all()
    return Grid(*grid, close=held.close)


_Parts = tuple[Floats, Floats, CRS, Callable[[slice, slice], Floats]]


class _Hdf5:
    """NetCDF 4: an HDF5 file."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        import h5py

        try:
            file = h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE, rdcc_nslots=10007)
        except OSError as error:
            raise InputError(path, f"cannot be read ({error})", "Download it again") from error
        self.file = stack.enter_context(file)

    def variables(self) -> dict[str, Any]:
        import h5py

        found: dict[str, Any] = {}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item

        self.file.visititems(note)
        return found

    def dimensions(self, variable: Any) -> list[str]:
        names = []
        for axis, dimension in enumerate(variable.dims):
            scales = list(dimension.values())
            names.append(scales[0].name.lstrip("/") if scales else f"dimension {axis}")
        return names

    def attribute(self, variable: Any, name: str) -> Any:
        value = variable.attrs.get(name)
        return value.decode() if isinstance(value, bytes) else value


class _Classic:
    """NetCDF 3."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        from scipy.io import netcdf_file

        # Memory-mapped, since it would read every variable whole otherwise.
        self.file = netcdf_file(path, "r", mmap=True, maskandscale=False)
        stack.callback(self._close)

    def _close(self) -> None:
        with warnings.catch_warnings():
            # The map goes with the last array of it, as scipy warns.
            warnings.simplefilter("ignore", RuntimeWarning)
            self.file.close()

    def variables(self) -> dict[str, Any]:
        return dict(self.file.variables)

    def dimensions(self, variable: Any) -> list[str]:
        return list(variable.dimensions)

    def attribute(self, variable: Any, name: str) -> Any:
        value = getattr(variable, name, None)
        return value.decode() if isinstance(value, bytes) else value


def _open_netcdf(path: Path, name: str | None, crs: str | None, file: _Hdf5 | _Classic) -> _Parts:
    variables = file.variables()
    gridded = [each for each, item in variables.items() if len(item.shape) >= 2]
    data = variables[_chosen(path, name, gridded)]
    name = name or gridded[0]
    *extra, rows, columns = file.dimensions(data)
    for dimension, length in zip(extra, data.shape, strict=False):
        if length != 1:
            problem = f"variable {name!r} has {length} steps along {dimension!r}"
            raise InputError(path, problem, "Average or pick them into one grid first")
    turned = _last(rows) in _X_NAMES or _last(columns) in _Y_NAMES
    x_name, y_name = (rows, columns) if turned else (columns, rows)
    x, y = (_axis(path, variables, each) for each in (x_name, y_name))
    first = (0,) * len(extra)
    missing = [file.attribute(data, each) for each in ("_FillValue", "missing_value")]
    factor = float(np.ravel(_or(file.attribute(data, "scale_factor"), 1.0))[0])
    offset = float(np.ravel(_or(file.attribute(data, "add_offset"), 0.0))[0])

    def read(row: slice, column: slice) -> Floats:
        raw = data[(*first, column, row)].T if turned else data[(*first, row, column)]
        return _masked(raw, missing) * factor + offset

    return x, y, _crs(path, name, crs, _netcdf_crs(file, variables, data, x_name)), read


def _or(value: Any, default: float) -> Any:
    return default if value is None else value


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _chosen(path: Path, name: str | None, there: Iterable[str]) -> str:
    there = list(there)
    if name is None and len(there) == 1:
        return there[0]
    if name in there:
        return str(name)
    close = difflib.get_close_matches(name or "", there, n=1, cutoff=0.3)
    nearest = f" (nearest: {close[0]!r})" if close else ""
    problem = f"has no gridded variable {name!r}{nearest}" if name else "holds several variables"
    raise InputError(path, problem, f"Name one of {', '.join(there) or 'another file'}")


def _axis(path: Path, variables: dict[str, Any], name: str) -> Floats:
    if name not in variables or len(variables[name].shape) != 1:
        problem = f"the dimension {name!r} has no coordinates"
        raise InputError(path, problem, "Give a grid with one-dimensional coordinate variables")
    axis = np.asarray(variables[name][:], dtype=np.float64)
    steps = np.diff(axis)
    if len(axis) < 2 or not ((steps > 0).all() or (steps < 0).all()):
        problem = f"the coordinates {name!r} are not two or more in rising or falling order"
        raise InputError(path, problem, "Give a grid whose axes are sorted")
    return axis


def _masked(raw: Any, missing: list[Any]) -> Floats:
    values = np.asarray(raw, dtype=np.float64)
    for mark in missing:
        if mark is not None:
            # The mark has the file's type: compared in it, a float32 mark is met exactly.
            values[np.isin(raw, np.ravel(mark))] = np.nan
    values[~np.isfinite(values)] = np.nan
    return values


def _netcdf_crs(file: _Hdf5 | _Classic, variables: dict[str, Any], data: Any, x: str) -> Any:
    """What the file says of its CRS: a grid mapping, or axes that are longitudes."""
    mapping = variables.get(str(file.attribute(data, "grid_mapping")))
    for key in ("crs_wkt", "spatial_ref", "proj4text", "proj4"):
        text = file.attribute(mapping, key) if mapping is not None else None
        if text is not None:
            return str(text)
    return "EPSG:4326" if _last(x) in {"lon", "longitude"} else None


def _crs(path: Path, name: object, given: str | None, found: Any) -> CRS:
    if given is None and not found:
        problem = f"does not say the CRS of {name!r}"
        raise InputError(path, problem, "Add `crs` to this grid in the configuration")
    try:
        return as_crs(given) if given is not None else CRS.from_user_input(found)
    except CRSError as error:
        problem = f"says a CRS for {name!r} that PROJ does not know"
        raise InputError(path, problem, "Add `crs` to this grid in the configuration") from error


def _open_raster(path: Path, name: str | None, crs: str | None, stack: ExitStack) -> _Parts:
    import rasterio
    from rasterio.windows import Window

    try:
        file = stack.enter_context(rasterio.open(path))
    except rasterio.errors.RasterioIOError as error:
        remedy = "Give a NetCDF or GeoTIFF file, or download it again"
        raise InputError(path, f"is no grid that can be read ({error})", remedy) from error
    bands = {str(band): band for band in file.indexes}
    bands |= {
        text: band for text, band in zip(file.descriptions, file.indexes, strict=True) if text
    }
    only = name is None and file.count == 1
    band = bands["1" if only else _chosen(path, name, bands)]
    place = file.transform
    if place.b or place.d:
        raise InputError(path, "its grid is rotated", "Warp it to a north-up grid first")
    x = place.c + place.a * (np.arange(file.width) + 0.5)
    y = place.f + place.e * (np.arange(file.height) + 0.5)
    factor, offset = file.scales[band - 1], file.offsets[band - 1]

    def read(row: slice, column: slice) -> Floats:
        window = Window.from_slices(row, column)
        raw = file.read(band, window=window)
        values = _masked(raw, [])
        values[file.read_masks(band, window=window) == 0] = np.nan
        scaled: Floats = values * factor + offset
        return scaled

    return x, y, _crs(path, name or "band 1", crs, file.crs and file.crs.to_wkt()), read
