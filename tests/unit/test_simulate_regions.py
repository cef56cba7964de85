"""The quality set's regions: in their tiles, sparse, rough, clean or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bedsieve.graph.tile_geometry import TileBox
from bedsieve.simulate import regions
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from bedsieve.simulate.fields import Frame
from bedsieve.simulate.lines import Box
from bedsieve.simulate.regions import TILE, region_surveys, simulate_regions
from bedsieve.simulate.sparse import BLOCK_SURVEYS, plan_block
from bedsieve.simulate.terrain import GENTLE, ROUGH, make_terrain

COARSE = 1_000.0
STATES = ("dense", "clean")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "_STEP", COARSE)
        rows = simulate_regions(
            folder / "raw",
            folder / "grids",
            folder / "truth.parquet",
            seed=11,
            regions=STATES,
            errors=replace(ErrorMix(), prevalence=0.02),
        )
    return folder, rows, pl.read_parquet(folder / "truth.parquet")


def test_every_region_lies_in_its_own_tile_far_from_the_next(made):
    from bedsieve.ingest.projection import project

    folder, rows, _ = made
    assert list(rows) == [
        name for number in range(2) for name in region_surveys(number, STATES[number])
    ]
    for number in range(2):
        box = TileBox(number - 11, -4, TILE)
        west, south, east, north = box.bounds
        for name in region_surveys(number, STATES[number]):
            table = pl.read_csv(folder / "raw" / f"{name}.csv", skip_rows=18, infer_schema=False)
            lon, lat = (
                table[column].cast(pl.Float64).to_numpy()
                for column in ("longitude (degree_east)", "latitude (degree_north)")
            )
            x, y = project(lon, lat, "EPSG:3031")
            # Displaced points of a flawed region may leave the box that was flown.
            assert min(x.min() - west, east - x.max(), y.min() - south, north - y.max()) > 11_000


def test_clean_regions_hold_no_errors_and_others_hold_all_kinds(made):
    _, _, truth = made
    clean = truth["survey"].is_in(region_surveys(1, "clean"))
    assert truth.filter(clean)["kind"].is_null().all()
    assert set(truth.filter(~clean)["kind"].drop_nulls()) == set(KINDS)


def test_one_set_of_grids_covers_all_regions_and_nothing_between(made):
    import xarray as xr

    folder, _, _ = made
    with xr.open_dataset(folder / "grids" / "bedmachine.nc") as grid:
        assert grid.sizes == {"x": 281, "y": 141}
        covered = np.isfinite(grid["surface"].values)
        assert covered[70, 70]
        assert covered[70, 210]
        assert not covered[:, 138:143].any()
        assert not covered[:2].any()


def test_rough_beds_have_the_increments_of_real_ones_and_the_demos_do_not():
    """Byrd and Bering: medians of 25 to 27 m over 500 m and of 79 to 97 m over 2 km."""
    frame = Frame(0.0, 0.0, 250.0, 401)

    def median_increment(relief, lag):
        found = []
        for seed in range(3):
            terrain = make_terrain(frame, np.random.default_rng(seed), relief)
            rng = np.random.default_rng(seed)
            x, y = rng.uniform(20_000.0, 80_000.0, (2, 3000))
            step = terrain.thickness_at(x + lag, y) - terrain.thickness_at(x, y)
            found.append(np.median(np.abs(step)))
        return float(np.mean(found))

    assert 20 < median_increment(ROUGH, 500.0) < 35
    assert 55 < median_increment(ROUGH, 2_000.0) < 105
    assert median_increment(GENTLE, 500.0) < 15


def test_a_block_is_flown_densely_by_three_surveys():
    box = Box(0.0, 0.0, 110_000.0, 110_000.0)
    planned = plan_block(box, np.random.default_rng(0))
    assert tuple(survey.name for survey in planned) == BLOCK_SURVEYS
    lines = [line.curve for survey in planned for line in survey.lines]
    vertices = np.concatenate(lines)
    assert vertices.min() >= 46_900
    assert vertices.max() <= 63_100
    # Lines 500 m apart, two ways and most of them twice: 16 km / 0.5 km * 2 * 1.7 lines in the middle.
    assert 60 < len(lines) < 160
