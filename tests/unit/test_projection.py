"""Projection: the published rows to a micrometre, any CRS, any longitude convention."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.errors import ConfigError
from bedsieve.ingest.projection import (
    as_crs,
    normalised_longitude,
    outside_area,
    project,
    transform,
    unproject,
)

# AWI_2007_ANTR_AIR_BM2 as study B prints it.
GOLDEN_LON = np.array([13.9607, 13.9666, 13.9709])
GOLDEN_LAT = np.array([-71.307, -71.3082, -71.3092])
GOLDEN_EAST = np.array([494218.7047565697, 494391.12911079824, 494513.3985716207])


def polar_stereographic(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """EPSG:3031 written out: variant B, true scale at 71° S (Snyder 1987, eq. 21-33 on)."""
    a, f = 6378137.0, 1 / 298.257223563
    e = np.sqrt(f * (2 - f))

    def t(phi: np.ndarray) -> np.ndarray:
        return np.tan(np.pi / 4 - phi / 2) * ((1 + e * np.sin(phi)) / (1 - e * np.sin(phi))) ** (
            e / 2
        )

    phi, lam, phi_c = np.radians(-lat), np.radians(lon), np.radians(71.0)
    m_c = np.cos(phi_c) / np.sqrt(1 - (e * np.sin(phi_c)) ** 2)
    rho = a * m_c * t(phi) / t(phi_c)
    return rho * np.sin(lam), rho * np.cos(lam)


def test_golden_rows_to_a_micrometre() -> None:
    east, _ = project(GOLDEN_LON, GOLDEN_LAT, "EPSG:3031")
    assert east.dtype == np.float64
    np.testing.assert_allclose(east, GOLDEN_EAST, rtol=0, atol=1e-6)


def test_agrees_with_the_formula_everywhere_in_antarctica() -> None:
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(-180, 180, 2000), rng.uniform(-89.99, -60, 2000)
    east, north = project(lon, lat, 3031)
    expected = polar_stereographic(lon, lat)
    np.testing.assert_allclose(east, expected[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(north, expected[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [("EPSG:3338", -142.5, 60.58), ("EPSG:3578", -139.1, 60.8), ("EPSG:3413", -45.0, 72.0)],
)
def test_other_regions_come_back(crs: str, lon: float, lat: float) -> None:
    east, north = project([lon], [lat], crs)
    back = unproject(east, north, crs)
    np.testing.assert_allclose(np.ravel(back), [lon, lat], rtol=0, atol=1e-9)


def test_longitudes_0_to_360_are_the_same_places() -> None:
    lon, lat = np.array([-90.0, -0.25, 179.5, 180.0]), np.full(4, -75.0)
    wrapped = np.where(lon < 0, lon + 360, lon)
    assert np.array_equal(project(lon, lat, 3031), project(wrapped, lat, 3031))
    assert np.array_equal(normalised_longitude(wrapped), lon)


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3338"])
def test_both_names_of_the_antimeridian_are_the_same_place(crs: str) -> None:
    lat = np.full(2, -75.0 if crs == "EPSG:3031" else 52.0)
    (first, second), north = project(np.array([180.0, -180.0]), lat, crs)
    assert first == second
    assert north[0] == north[1]
    assert normalised_longitude([-180.0, 180.0, -179.5]).tolist() == [180.0, 180.0, -179.5]


def test_result_does_not_depend_on_threads_or_chunks() -> None:
    rng = np.random.default_rng(5)
    lon, lat = rng.uniform(-180, 180, 600_000), rng.uniform(-90, -60, 600_000)
    one, two = project(lon, lat, 3031, threads=1), project(lon, lat, 3031, threads=4)
    assert np.array_equal(one, two)
    assert np.array_equal(np.array(one)[:, 555_555:], project(lon[555_555:], lat[555_555:], 3031))


def test_missing_positions_stay_missing_and_empty_stays_empty() -> None:
    east, north = project([np.nan, 10.0, np.inf], [-75.0, np.nan, -75.0], 3031)
    assert np.isnan(east).all()
    assert np.isnan(north).all()
    assert project([], [], 3031)[0].shape == (0,)


def test_shapes_must_agree_and_the_crs_must_exist() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        transform([1.0], [1.0, 2.0], 4326, 3031)
    with pytest.raises(ConfigError, match=r"'EPSG:999999'.*EPSG:3031"):
        project([0.0], [-80.0], "EPSG:999999")


def test_outside_area_of_antarctica() -> None:
    lat = [-60.0, -59.95, -59.5, 75.0, -90.0, -90.5, np.nan]
    found = outside_area(np.zeros(7), lat, "EPSG:3031")
    assert found.tolist() == [False, False, True, True, False, True, False]


def test_outside_area_across_the_antimeridian() -> None:
    # Alaska Albers reaches from 172.42° E over 180° to 129.99° W.
    area = as_crs("EPSG:3338").area_of_use
    assert area is not None
    assert area.west > area.east
    lon = [-142.5, 217.5, 175.0, 180.0, -180.0, -120.0, 160.0, 0.0]
    expected = [False, False, False, False, False, True, True, True]
    assert outside_area(lon, np.full(8, 60.0), "EPSG:3338").tolist() == expected


def test_crs_without_an_area_reaches_everywhere_on_the_globe() -> None:
    crs = "+proj=laea +lat_0=-90 +lon_0=0 +datum=WGS84"
    found = outside_area([10.0, 10.0, 400.0], [50.0, 95.0, 0.0], crs)
    assert found.tolist() == [False, True, True]


@settings(max_examples=30, deadline=None)
@given(lon=st.floats(-180, 360), lat=st.floats(-89.9, -60.1))
def test_round_trip(lon: float, lat: float) -> None:
    east, north = project([lon], [lat], 3031)
    assert not outside_area([lon], [lat], 3031)[0]
    back_lon, back_lat = unproject(east, north, 3031)
    away = (back_lon[0] - lon + 180) % 360 - 180
    assert abs(away) < 1e-9
    assert abs(back_lat[0] - lat) < 1e-9
