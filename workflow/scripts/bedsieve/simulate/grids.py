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
    fields = _fields(terrain, rng)
    files: dict[str, dict[str, tuple[Floats, str]]] = {}
    for name, (file, variable, units) in GRIDS.items():
        files.setdefault(file, {})[variable] = (fields[name].values, units)
    every = round(GRID_STEP / terrain.bed.frame.step)
    for file, variables in files.items():
        write_grid(folder / file, terrain.bed.frame, variables, every)
    return [folder / file for file in files]


def _fields(terrain: Terrain, rng: np.random.Generator) -> dict[str, Field]:
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
    import xarray as xr

    ticks = np.arange(0, frame.nodes, every, dtype=np.float64) * frame.step
    data = {
        name: (("y", "x"), values[::every, ::every][::-1].astype(np.float32), {"units": units})
        for name, (values, units) in variables.items()
    }
    axes = {
        "x": ("x", frame.x0 + ticks, {"units": "m", "standard_name": "projection_x_coordinate"}),
        "y": (
            "y",
            (frame.y0 + ticks)[::-1],
            {"units": "m", "standard_name": "projection_y_coordinate"},
        ),
    }
    attributes = {"crs": "EPSG:3031", "title": "Simulated by bedsieve"}
    dataset = xr.Dataset(data, coords=axes, attrs=attributes)
    encoding = {name: {"zlib": True, "complevel": 4} for name in data}
    with replacing(target) as part:
        dataset.to_netcdf(part, engine="h5netcdf", encoding=encoding)
