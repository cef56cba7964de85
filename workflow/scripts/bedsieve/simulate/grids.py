"""The grids that a user would sample at each point, made from the true terrain: coarser, and not quite right.

In: a `Terrain`. Out: four NetCDF files at 1 km with the names and units of their models:
velocity (MEaSUREs), thickness and surface (BedMachine), mass balance (RACMO) and temperature (ERA5).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedsieve.files import replacing
from bedsieve.simulate.fields import Field, Frame, random_field
from bedsieve.simulate.terrain import THINNEST, Terrain

Floats: TypeAlias = NDArray[np.float64]
Grid: TypeAlias = NDArray[np.float64] | NDArray[np.float32]

GRID_STEP = 1_000.0
# File, variable, units: what a configuration's `covariates` has to name.
GRIDS = {
    "vx": ("velocity.nc", "VX", "meter/year"),
    "vy": ("velocity.nc", "VY", "meter/year"),
    "thickness": ("bedmachine.nc", "thickness", "meters"),
    "surface": ("bedmachine.nc", "surface", "meters"),
    "smb": ("racmo.nc", "smb", "kg m-2 yr-1"),
    "temp": ("era5.nc", "t2m", "K"),
}


def write_grids(folder: Path, terrain: Terrain, rng: np.random.Generator) -> list[Path]:
    """Write the grids into `folder`; returns the files.

    Parameters
    ----------
    folder : Path
    terrain : Terrain
    rng : numpy Generator
        Source of what the gridded products get wrong.
    """
    fields = product_fields(terrain, rng)
    x, y = _ticks(terrain.bed.frame, _every(terrain.bed.frame))
    return write_products(folder, x, y, {name: _at_ticks(field) for name, field in fields.items()})


def write_mosaic(
    folder: Path,
    parts: list[dict[str, Field]],
    west: float,
    south: float,
    east: float,
    north: float,
) -> list[Path]:
    """Write the grids of several regions as one set that covers a rectangle, NaN between them.

    Parameters
    ----------
    folder : Path
    parts : list of dict of str to Field
        From `product_fields`; their frames lie on whole kilometres inside the rectangle.
    west, south, east, north : float
        The rectangle (m), whole kilometres.

    Returns
    -------
    list of Path
    """
    x = np.arange(west, east + 1, GRID_STEP)
    y = np.arange(south, north + 1, GRID_STEP)
    canvases = {name: np.full((len(y), len(x)), np.nan) for name in GRIDS}
    for fields in parts:
        for name, field in fields.items():
            values = _at_ticks(field)
            column = round((field.frame.x0 - west) / GRID_STEP)
            row = round((field.frame.y0 - south) / GRID_STEP)
            canvases[name][row : row + values.shape[0], column : column + values.shape[1]] = values
    return write_products(folder, x, y, canvases)


def write_products(folder: Path, x: Floats, y: Floats, values: dict[str, Floats]) -> list[Path]:
    """Write arrays (rows along rising y) as the files that `GRIDS` names; returns the files."""
    files: dict[str, dict[str, tuple[Floats, str]]] = {}
    for name, (file, variable, units) in GRIDS.items():
        files.setdefault(file, {})[variable] = (values[name], units)
    for file, variables in files.items():
        _write(folder / file, x, y, variables)
    return [folder / file for file in files]


def product_fields(terrain: Terrain, rng: np.random.Generator) -> dict[str, Field]:
    """What gridded products know of a terrain, by the names of `GRIDS`."""
    frame = terrain.bed.frame
    thickness = np.maximum(terrain.surface.values - terrain.bed.values, THINNEST)
    # A gridded product sees a smoothed bed, and is wrong by tens of metres between lines.
    smooth = Field(frame, thickness).smoothed(2_200.0).values
    known = np.maximum(smooth + 35.0 * random_field(frame, 6_000.0, 1.5, rng), 0.0)
    return {
        "vx": terrain.vx,
        "vy": terrain.vy,
        "thickness": Field(frame, known),
        "surface": terrain.surface.smoothed(400.0),
        "smb": terrain.smb,
        "temp": terrain.temp,
    }


def write_grid(
    target: Path, frame: Frame, variables: Mapping[str, tuple[Grid, str]], every: int = 1
) -> None:
    """Write one file; y falls, as in BedMachine and MEaSUREs.

    Parameters
    ----------
    target : Path
    frame : Frame
    variables : dict of str to tuple
        Values on the frame's nodes, rows along y, and their units.
    every : int
        Only every so many nodes are written.
    """
    thinned = {name: (v[::every, ::every], units) for name, (v, units) in variables.items()}
    _write(target, *_ticks(frame, every), thinned)


def _every(frame: Frame) -> int:
    return round(GRID_STEP / frame.step)


def _ticks(frame: Frame, every: int) -> tuple[Floats, Floats]:
    ticks = np.arange(0, frame.nodes, every, dtype=np.float64) * frame.step
    return frame.x0 + ticks, frame.y0 + ticks


def _at_ticks(field: Field) -> Floats:
    every = _every(field.frame)
    return field.values[::every, ::every]


def _write(target: Path, x: Floats, y: Floats, variables: Mapping[str, tuple[Grid, str]]) -> None:
    import xarray as xr

    data = {
        name: (("y", "x"), values[::-1].astype(np.float32), {"units": units})
        for name, (values, units) in variables.items()
    }
    axes = {
        "x": ("x", x, {"units": "m", "standard_name": "projection_x_coordinate"}),
        "y": ("y", y[::-1], {"units": "m", "standard_name": "projection_y_coordinate"}),
    }
    attributes = {"crs": "EPSG:3031", "title": "Simulated by bedsieve"}
    dataset = xr.Dataset(data, coords=axes, attrs=attributes)
    encoding = {name: {"zlib": True, "complevel": 4} for name in data}
    with replacing(target) as part:
        dataset.to_netcdf(part, engine="h5netcdf", encoding=encoding)
