"""Covariates: bilinear values against hand-worked planes, every grid layout, and bad grids named."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
from rasterio import Affine
from scipy.interpolate import RegularGridInterpolator
from scipy.io import netcdf_file

from bedsieve.errors import ConfigError, InputError
from bedsieve.ingest import covariates as module
from bedsieve.ingest.covariates import NAMES, Covariates
from bedsieve.ingest.grids import open_grid
from bedsieve.ingest.projection import project, unproject

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "byrd_covariates.nc"
X, Y = np.arange(-5000.0, 5001, 500), np.arange(1000.0, 7001, 500)


def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 100.0 + 0.01 * x - 0.02 * y


PLANE = plane(*np.meshgrid(X, Y))


def write_netcdf4(path: Path, x: np.ndarray, y: np.ndarray, **variables: Any) -> Path:
    """Variables of shape (y, x), (x, y) or (1, y, x) on named dimensions, as netCDF 4 lays them."""
    with h5py.File(path, "w") as file:
        for name, axis in (("x", x), ("y", y), ("time", np.zeros(1))):
            file[name] = axis
            file[name].make_scale(name)
        for name, values in variables.items():
            data = file.create_dataset(name, data=np.asarray(values))
            shape = np.shape(values)
            names = ("x", "y") if shape == (len(x), len(y)) != (len(y), len(x)) else ("y", "x")
            if len(shape) == 3:
                names = ("time", *names)
            for axis, dimension in enumerate(names):
                data.dims[axis].attach_scale(file[dimension])
    return path


def write_tiff(path: Path, values: np.ndarray, north_up: bool = True, **more: Any) -> Path:
    place = Affine(500, 0, X[0] - 250, 0, -500, Y[-1] + 250)
    if not north_up:
        place = Affine(500, 0, X[0] - 250, 0, 500, Y[0] - 250)
    rows = values[::-1] if north_up else values
    profile = {"driver": "GTiff", "height": len(Y), "width": len(X), "count": 1,
               "dtype": values.dtype, "transform": place, "crs": "EPSG:3031"}  # fmt: skip
    with rasterio.open(path, "w", **(profile | more)) as file:
        file.write(rows, 1)
    return path


def somewhere(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.uniform(X[0], X[-1], n), rng.uniform(Y[0], Y[-1], n)


def sample(path: Path, x: np.ndarray, y: np.ndarray, name: str = "z", **keys: Any) -> np.ndarray:
    spec = {name: {"path": str(path), "variable": "g", "crs": "EPSG:3031"} | keys}
    grids = Covariates.from_config(spec, 3031)
    found = grids.sample(x, y)[name]
    assert np.array_equal(grids.sample(x, y)[name], found, equal_nan=True)
    grids.close()
    return found


def assert_plane(found: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plane(x, y), rtol=2e-7, atol=1e-5)


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
@pytest.mark.parametrize("layout", ["yx", "xy", "tyx"])
def test_a_plane_comes_back_from_any_layout(
    tmp_path: Path, flip_x: bool, flip_y: bool, layout: str
) -> None:
    values = PLANE[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    values = {"yx": values, "xy": values.T, "tyx": values[None]}[layout]
    axes = X[:: -1 if flip_x else 1], Y[:: -1 if flip_y else 1]
    path = write_netcdf4(tmp_path / "g.nc", *axes, g=values)
    assert_plane(sample(path, *somewhere()), *somewhere())


def test_classic_netcdf_with_scale_and_missing(tmp_path: Path) -> None:
    packed = np.round((PLANE - 50) / 0.01).astype(np.int16)
    packed[0, 0] = -32768
    with netcdf_file(tmp_path / "g.nc", "w") as file:
        for name, axis in (("y", Y), ("x", X)):
            file.createDimension(name, len(axis))
            file.createVariable(name, "f8", (name,))[:] = axis
        data = file.createVariable("g", "i2", ("y", "x"))
        data[:] = packed
        data._FillValue, data.scale_factor, data.add_offset = np.int16(-32768), 0.01, 50.0
    x, y = (axis[(X[0] + 500 < somewhere()[0])] for axis in somewhere())
    np.testing.assert_allclose(sample(tmp_path / "g.nc", x, y), plane(x, y), atol=0.006)
    assert np.isnan(sample(tmp_path / "g.nc", X[:1] + 10, Y[:1] + 10)[0])


@pytest.mark.parametrize("north_up", [True, False])
def test_geotiff_both_ways_up(tmp_path: Path, north_up: bool) -> None:
    path = write_tiff(tmp_path / "g.tif", PLANE, north_up)
    assert_plane(sample(path, *somewhere(), variable=1, crs=None), *somewhere())


def test_geotiff_nodata_and_named_bands(tmp_path: Path) -> None:
    values = PLANE.astype(np.float32)
    values[2, 3] = -9999
    path = write_tiff(tmp_path / "g.tif", values, nodata=-9999)
    with rasterio.open(path, "r+") as file:
        file.set_band_description(1, "surface")
    near = sample(path, X[3:4] + 100, Y[2:3] + 100, variable="surface")
    assert np.isnan(near[0])
    assert_plane(sample(path, X[5:6] + 1, Y[5:6] + 1, variable="surface"), X[5:6] + 1, Y[5:6] + 1)


def test_agrees_with_scipy_on_rough_ground_and_does_not_depend_on_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rough = np.random.default_rng(0).normal(1000, 300, PLANE.shape)
    path = write_netcdf4(tmp_path / "g.nc", X, Y, g=rough)
    x, y = somewhere()
    spec = {"z": {"path": str(path), "variable": "g", "crs": "EPSG:3031"}}
    found = Covariates.from_config(spec, 3031).sample(x, y)
    expected = RegularGridInterpolator((Y, X), rough)(np.stack([y, x], axis=1))
    np.testing.assert_allclose(found["z"], expected, rtol=1e-6)
    slope = np.hypot(*np.gradient(rough, 500.0))
    expected = RegularGridInterpolator((Y, X), slope)(np.stack([y, x], axis=1))
    np.testing.assert_allclose(found["s"], expected, rtol=1e-5)
    for name, value in (("_BLOCK", 3), ("_BATCH", 37)):
        monkeypatch.setattr(module, name, value)
        again = Covariates.from_config(spec, 3031).sample(x, y)
        for each in ("z", "s"):
            assert np.array_equal(again[each], found[each])


def test_nodes_rim_outside_and_missing_positions(tmp_path: Path) -> None:
    path = write_netcdf4(tmp_path / "g.nc", X, Y, g=PLANE)
    x = np.array([X[0], X[-1], X[3], X[0] - 0.01, X[-1] + 0.01, np.nan, 0.0])
    y = np.array([Y[0], Y[-1], Y[4], Y[0], Y[-1], Y[0], np.nan])
    found = sample(path, x, y)
    assert_plane(found[:3], x[:3], y[:3])
    assert np.isnan(found[3:]).all()
    assert sample(path, x[:0], y[:0]).shape == (0,)


def test_a_cell_with_a_missing_corner_is_missing(tmp_path: Path) -> None:
    values = PLANE.copy()
    values[4, 6] = np.nan
    path = write_netcdf4(tmp_path / "g.nc", X, Y, g=values)
    centres = X[:-1] + 250, Y[:-1] + 250
    x, y = (axis.ravel() for axis in np.meshgrid(*centres))
    missing = np.isnan(sample(path, x, y)).reshape(len(Y) - 1, len(X) - 1)
    assert sorted(zip(*np.nonzero(missing), strict=True)) == [(3, 5), (3, 6), (4, 5), (4, 6)]
    spec = {"z": {"path": str(path), "variable": "g", "crs": "EPSG:3031"}}
    slope = Covariates.from_config(spec, 3031).sample(x, y)["s"].reshape(missing.shape)
    assert np.isnan(slope[missing]).all()
    np.testing.assert_allclose(slope[np.isfinite(slope)], np.hypot(0.01, 0.02), rtol=1e-6)


def test_factor_reaches_the_slope_too(tmp_path: Path) -> None:
    path = write_netcdf4(tmp_path / "g.nc", X, Y, g=PLANE / 1000)
    spec = {"z": {"path": str(path), "variable": "g", "crs": "EPSG:3031", "factor": 1000.0}}
    found = Covariates.from_config(spec, 3031).sample(*somewhere())
    assert_plane(found["z"], *somewhere())
    np.testing.assert_allclose(found["s"], np.hypot(0.01, 0.02), rtol=1e-5)


def test_speed_and_what_is_left_out(tmp_path: Path) -> None:
    path = write_netcdf4(tmp_path / "g.nc", X, Y, a=PLANE * 0 + 3, b=PLANE * 0 - 4)
    keys = {"path": str(path), "crs": "EPSG:3031"}
    both = Covariates.from_config(
        {"vy": keys | {"variable": "b"}, "vx": keys | {"variable": "a"}}, 3031
    )
    found = both.sample(*somewhere())
    assert both.names == tuple(found) == ("vx", "vy", "v")
    assert (found["vx"] == 3).all()
    assert (found["v"] == 5).all()
    assert both.notes == ["covariates left out, no grid given: ith_bm, smb, z, s, temp"]
    one = Covariates.from_config({"vx": keys | {"variable": "a"}}, 3031)
    assert one.names == ("vx",)
    none = Covariates.from_config(None, 3031)
    assert none.sample(*somewhere()) == {}
    assert none.notes[0].endswith(", ".join(NAMES))
    every = Covariates.from_config(dict.fromkeys(module.SOURCES, keys), 3031)
    assert every.names == NAMES
    assert every.notes == []


def test_velocity_of_another_crs_is_turned(tmp_path: Path) -> None:
    # Alaska Albers positions, velocities on an UTM grid that points 3° elsewhere there.
    lon, lat = np.linspace(-143, -142.6, 40), np.linspace(60.4, 60.6, 40)
    x, y = project(lon, lat, "EPSG:32606")
    axes = (
        np.arange(x.min() - 5e3, x.max() + 5e3, 1e3),
        np.arange(y.min() - 5e3, y.max() + 5e3, 1e3),
    )
    shape = len(axes[1]), len(axes[0])
    path = write_netcdf4(tmp_path / "v.nc", *axes, a=np.full(shape, 30.0), b=np.full(shape, 40.0))
    keys = {"path": str(path), "crs": "EPSG:32606"}
    spec = {"vx": keys | {"variable": "a"}, "vy": keys | {"variable": "b"}}
    east, north = project(lon, lat, "EPSG:3338")
    found = Covariates.from_config(spec, "EPSG:3338").sample(east, north)
    np.testing.assert_allclose(found["v"], 50, rtol=1e-6)
    # A short way along the flow, taken on the UTM map, must lead the same way on the Albers map.
    there = project(*unproject(x + 3.0, y + 4.0, "EPSG:32606"), "EPSG:3338")
    bearing = np.arctan2(there[1] - north, there[0] - east)
    np.testing.assert_allclose(np.arctan2(found["vy"], found["vx"]), bearing, atol=1e-6)
    assert abs(bearing - np.arctan2(4, 3)).min() > 0.01


def test_vx_and_vy_must_share_a_crs(tmp_path: Path) -> None:
    path = write_netcdf4(tmp_path / "g.nc", X, Y, g=PLANE)
    spec = {"vx": {"path": str(path), "variable": "g", "crs": "EPSG:3031"},
            "vy": {"path": str(path), "variable": "g", "crs": "EPSG:3412"}}  # fmt: skip
    with pytest.raises(ConfigError, match="one CRS"):
        Covariates.from_config(spec, 3031).sample(*somewhere())


@pytest.mark.parametrize("first", [0.0, -180.0])
@pytest.mark.parametrize("flip", [1, -1])
def test_global_climate_grid_wraps_around(tmp_path: Path, first: float, flip: int) -> None:
    lon, lat = (first + np.arange(0, 360, 2.0))[::flip], np.arange(-60.0, -91, -2.0)
    wave = 250 + 10 * np.cos(np.radians(lon))[None] + lat[:, None]
    path = write_netcdf4(tmp_path / "t.nc", lon, lat, g=wave)
    places = np.array([-179.5, -1.0, -0.001, 0.0, 1.0, 179.0, 179.999, 90.0])
    east, north = project(places, np.full(8, -75.0), 3031)
    found = sample(path, east, north, name="temp", crs="EPSG:4326")
    ring = np.arange(-360, 541, 2.0)
    expected = np.interp(places, ring, 250 + 10 * np.cos(np.radians(ring))) - 75
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_slope_of_a_grid_in_degrees_is_in_metres_a_metre(tmp_path: Path) -> None:
    lon, lat = np.arange(0, 360, 0.5), np.arange(-80.0, -69.9, 0.25)
    metres = np.radians(1.0) * 6_371_000
    path = write_netcdf4(
        tmp_path / "z.nc", lon, lat, g=np.tile(lat[:, None] * metres * 0.01, len(lon))
    )
    east, north = project([0.1, 359.9, 120.3], [-75.1, -75.1, -72.2], 3031)
    spec = {"z": {"path": str(path), "variable": "g", "crs": "EPSG:4326"}}
    found = Covariates.from_config(spec, 3031).sample(east, north)
    np.testing.assert_allclose(found["s"], 0.01, rtol=1e-4)
    assert np.isfinite(found["z"]).all()


def test_the_crs_may_stand_in_the_file(tmp_path: Path) -> None:
    path = write_netcdf4(tmp_path / "g.nc", X, Y, g=PLANE)
    with pytest.raises(InputError, match="does not say the CRS of 'g'"):
        sample(path, *somewhere(), crs=None)
    from pyproj import CRS

    with h5py.File(path, "r+") as file:
        file["mapping"] = 0
        file["mapping"].attrs["crs_wkt"] = CRS.from_epsg(3031).to_wkt()
        file["g"].attrs["grid_mapping"] = "mapping"
    assert_plane(sample(path, *somewhere(), crs=None), *somewhere())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"tmp": {"path": "a"}}, r"unknown grid 'tmp' \(did you mean temp\?\)"),
        ({"z": {"path": "a", "unit": 1}}, "covariates.z: unknown key 'unit'"),
        ({"z": {"variable": "a"}}, "covariates.z: no path"),
    ],
)
def test_slips_in_the_configuration(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Covariates.from_config(spec, 3031)


def test_grids_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    good = write_netcdf4(tmp_path / "g.nc", X, Y, thickness=PLANE, surface=PLANE)
    with pytest.raises(
        InputError, match=r"g\.nc: has no gridded variable 'thicknes' \(nearest: 'thickness'"
    ):
        open_grid(good, "thicknes")
    with pytest.raises(InputError, match=r"g\.nc: holds several variables\. .*surface, thickness"):
        open_grid(good)
    with pytest.raises(InputError, match=r"no\.nc: cannot be read .*No such file"):
        open_grid(tmp_path / "no.nc", "z")
    (tmp_path / "text.nc").write_text("hello")
    with pytest.raises(InputError, match=r"text\.nc: is no grid that can be read"):
        open_grid(tmp_path / "text.nc", "z")
    (tmp_path / "half.nc").write_bytes(good.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"half\.nc: cannot be read .*Download it again"):
        open_grid(tmp_path / "half.nc", "thickness")
    years = write_netcdf4(tmp_path / "t.nc", X, Y, g=PLANE)
    with h5py.File(years, "r+") as file:
        data = file.create_dataset("many", data=np.zeros((12, len(Y), len(X))))
        for axis, name in ((1, "y"), (2, "x")):
            data.dims[axis].attach_scale(file[name])
    with pytest.raises(InputError, match="variable 'many' has 12 steps"):
        open_grid(years, "many")
    mixed = write_netcdf4(tmp_path / "m.nc", np.array([0.0, 2, 1]), Y, g=np.zeros((len(Y), 3)))
    with pytest.raises(InputError, match="not two or more in rising or falling order"):
        open_grid(mixed, "g")
    turned = write_tiff(tmp_path / "r.tif", PLANE)
    with rasterio.open(turned, "r+") as file:
        file.transform = Affine(500, 50, 0, 50, -500, 0)
    with pytest.raises(InputError, match="its grid is rotated"):
        open_grid(turned)


def test_a_large_grid_is_read_in_windows(tmp_path: Path) -> None:
    n = 6000
    axis = np.arange(n) * 450.0
    path = tmp_path / "big.nc"
    write_netcdf4(path, axis, axis)
    with h5py.File(path, "r+") as file:
        data = file.create_dataset("g", (n, n), "f4", chunks=(500, 500), fillvalue=7.0)
        for at, name in enumerate(("y", "x")):
            data.dims[at].attach_scale(file[name])
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, axis[-1], (2, 5000))
    tracemalloc.start()
    found = sample(path, x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == 7).all()
    assert peak < 100e6  # the grid is 288 MB in float64


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="the real grids do not lie beside the project")
def test_real_byrd_grids() -> None:
    keys = {"path": str(REAL), "crs": "EPSG:3031"}
    variables = {"vx": "vx", "vy": "vy", "z": "surface", "ith_bm": "thickness", "smb": "smb"}
    spec = {name: keys | {"variable": variable} for name, variable in variables.items()}
    with h5py.File(REAL) as file:
        x, y = file["x"][:], file["y"][:]
        thickness = file["thickness"][:].astype(np.float64)
    grids = Covariates.from_config(spec, 3031)
    nodes = np.meshgrid(x[10:-10:7], y[10:-10:7])
    found = grids.sample(nodes[0].ravel(), nodes[1].ravel())
    there = np.isfinite(found["ith_bm"])
    assert there.mean() > 0.9
    expected = thickness[10:-10:7, 10:-10:7].ravel()
    np.testing.assert_allclose(found["ith_bm"][there], expected[there], rtol=1e-5, atol=1e-3)
    assert grids.notes == ["covariates left out, no grid given: temp"]
