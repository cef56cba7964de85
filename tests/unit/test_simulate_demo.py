"""The embedded demo at its tiny size: files like Bedmap's, a truth that fits them, the same bytes again."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest

from bedsieve.errors import ConfigError
from bedsieve.ingest.projection import project
from bedsieve.simulate.bedmap_csv import COLUMNS, HEADER_KEYS
from bedsieve.simulate.demo import simulate_demo, simulate_region
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from bedsieve.simulate.fields import Frame, random_field
from bedsieve.simulate.fleet import DEMO_SURVEYS, REGION
from bedsieve.simulate.lines import Box, inside, sample, straight

TITLES = {title: name for name, title in COLUMNS.items()}


def make(folder, seed=3, **keywords):
    rows = simulate_demo(
        folder / "raw",
        folder / "grids",
        folder / "truth.parquet",
        seed=seed,
        size="tiny",
        **keywords,
    )
    return rows, pl.read_parquet(folder / "truth.parquet")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return (folder, *make(folder))


def survey(folder, name):
    table = pl.read_csv(folder / "raw" / f"{name}.csv", skip_rows=18, infer_schema=False)
    return table.rename(TITLES)


def numbers(table, name):
    values = table[name].cast(pl.Float64).to_numpy()
    return np.where(values == -9999, np.nan, values)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).digest() for f in files}


def test_files_have_bedmaps_header_and_columns(demo):
    folder, rows, _ = demo
    assert tuple(rows) == DEMO_SURVEYS
    for name in DEMO_SURVEYS:
        lines = (folder / "raw" / f"{name}.csv").read_text().splitlines()
        assert [line[1:].split(":")[0] for line in lines[:18]] == list(HEADER_KEYS)
        assert all(line.startswith("#") for line in lines[:18])
        assert lines[18] == ",".join(COLUMNS.values())
        assert len(lines) == 19 + rows[name]
        assert all(line.count(",") == 11 for line in lines[18:])


def test_points_lie_in_four_tiles_and_lines_are_dense(demo):
    folder, rows, _ = demo
    assert 5_000 < sum(rows.values()) < 15_000
    tiles = set()
    for name in DEMO_SURVEYS:
        table = survey(folder, name)
        east, north = project(numbers(table, "lon"), numbers(table, "lat"), "EPSG:3031")
        assert REGION.holds(east, north).all()
        tiles |= set(zip(np.floor(east / 50_000), np.floor(north / 50_000), strict=True))
    assert tiles == {(-30, -9), (-30, -8), (-29, -9), (-29, -8)}


def test_the_truth_has_every_row_and_every_kind(demo):
    _, rows, truth = demo
    counts = dict(truth.group_by("survey").len().iter_rows())
    assert counts == rows
    assert set(truth["kind"].drop_nulls()) == set(KINDS)
    bad = truth.filter(pl.col("kind").is_not_null())
    assert truth.filter(pl.col("kind").is_null())["delta_m"].is_null().all()
    assert bad["event_id"].is_not_null().all()
    assert bad["delta_m"].is_finite().all()
    for _, group in truth.group_by("survey", maintain_order=True):
        assert np.array_equal(group["row"], np.arange(group.height))


def test_recorded_thickness_is_the_truth_but_for_noise_and_errors(demo):
    folder, _, truth = demo
    for name in DEMO_SURVEYS:
        table = survey(folder, name)
        thickness = numbers(table, "thickness")
        known = truth.filter(pl.col("survey") == name)
        honest = known["kind"].is_null().to_numpy() & (thickness > 0)
        off = np.abs(thickness - known["true_ice_thickness"].to_numpy())[honest]
        assert np.median(off) < 25
        assert np.quantile(off, 0.97) < 100


def test_bed_is_surface_less_thickness_except_where_columns_are_swapped(demo):
    folder, _, truth = demo
    given = 0
    for name in DEMO_SURVEYS:
        table = survey(folder, name)
        thickness, surface, bed = (numbers(table, c) for c in ("thickness", "surface", "bed"))
        kind = truth.filter(pl.col("survey") == name)["kind"]
        fits = np.isfinite(bed) & (kind.ne_missing("column_swap")).to_numpy()
        given += fits.sum()
        assert np.allclose(bed[fits], (surface - thickness)[fits], atol=0.011)
    assert given > 1000


def test_files_differ_as_bedmaps_do(demo):
    folder, _, _ = demo
    tables = {name: survey(folder, name) for name in DEMO_SURVEYS}
    filled = {
        name: tuple(np.isfinite(numbers(t, c)).any() for c in ("surface", "bed", "along"))
        for name, t in tables.items()
    }
    assert len(set(filled.values())) >= 4
    assert numbers(tables["EAST_2016_Streams_AIR"], "lon").min() > 180
    recon = tables["NORTH_1978_Recon_AIR"]["thickness"]
    assert not recon.str.contains(".", literal=True).any()
    assert (recon == "-9999").any()
    grid = tables["SOUTH_2004_Grid_AIR"]
    assert grid["trajectory_id"].n_unique() > 5
    assert (numbers(grid, "trace_number") == 1).sum() > 5
    margins = tables["WEST_2020_Margins_UAV"]
    assert (numbers(margins, "thickness") == 0).sum() > 10
    assert margins.select("lon", "lat").is_duplicated().sum() == 2 * 75
    assert "-9999.0" in tables["EAST_2009_Cross_AIR"]["travel_time"].to_list()


def test_grids_resemble_the_truth_but_are_not_it(demo):
    xr = pytest.importorskip("xarray")
    folder, _, _ = demo
    with xr.open_dataset(folder / "grids" / "bedmachine.nc", engine="h5netcdf") as grid:
        step = np.diff(grid["x"].values)
        assert np.allclose(np.abs(step), 1000)
        assert (np.diff(grid["y"].values) < 0).all()
        region = simulate_region(3, "tiny")
        x, y = np.meshgrid(grid["x"].values[20:-20:3], grid["y"].values[20:-20:3])
        known = grid["thickness"].values[20:-20:3, 20:-20:3]
        off = known - region.terrain.thickness_at(x.ravel(), y.ravel()).reshape(x.shape)
        assert 15 < off.std() < 250
        surface = grid["surface"].values[20:-20:3, 20:-20:3].ravel()
        assert np.abs(surface - region.terrain.surface.at(x.ravel(), y.ravel())).max() < 40
    with xr.open_dataset(folder / "grids" / "velocity.nc", engine="h5netcdf") as grid:
        speed = np.hypot(grid["VX"].values, grid["VY"].values)
        assert speed.max() > 300
        assert np.median(speed) < 100


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(demo, tmp_path):
    folder, _, _ = demo
    make(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(folder)
    make(tmp_path / "other", seed=4)
    same = digests(tmp_path / "other").items() & digests(folder).items()
    assert not same


def test_another_mix_leaves_terrain_and_lines_as_they_are(demo, tmp_path):
    folder, _, truth = demo
    _, other = make(tmp_path, errors=ErrorMix(prevalence=0.0))
    assert other["kind"].is_null().all()
    honest = truth["kind"].is_null() & (truth["survey"] == "SOUTH_2004_Grid_AIR")
    before, after = (f.filter(honest)["true_ice_thickness"] for f in (truth, other))
    assert before.equals(after)
    assert survey(folder, "SOUTH_2004_Grid_AIR")["date"].equals(
        survey(tmp_path, "SOUTH_2004_Grid_AIR")["date"]
    )


def test_an_unknown_size_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="huge"):
        simulate_demo(tmp_path, tmp_path, tmp_path / "t.parquet", seed=1, size="huge")
    assert list(tmp_path.iterdir()) == []


def test_a_random_field_has_the_correlation_asked_for():
    frame = Frame(0.0, 0.0, 100.0, 256)
    field = random_field(frame, 1_000.0, 1.5, np.random.default_rng(0))
    assert field.mean() == pytest.approx(0, abs=1e-9)
    assert field.std() == pytest.approx(1)
    near = np.mean(field[:, 1:] * field[:, :-1])
    far = np.mean(field[:, 80:] * field[:, :-80])
    assert near > 0.95
    assert abs(far) < 0.3


def test_sampling_keeps_to_the_line_and_the_spacing():
    curve = straight(0.0, 0.0, np.pi / 2, 10_000.0)
    rng = np.random.default_rng(0)
    east, north, along = sample(curve, 25.0, rng, lateral=7.0, wander=2.0, gaps_per_km=0.0)
    # Left of a line to the north is west.
    assert np.abs(east + 7.0).max() <= 2.0 + 1e-6
    assert np.diff(along).min() >= 20 - 1e-9
    assert np.diff(along).max() <= 30 + 1e-9
    assert np.allclose(np.diff(north), np.diff(along), atol=0.05)


def test_the_longest_stretch_inside_a_box():
    box = Box(0.0, -10.0, 1000.0, 10.0)
    part = inside(straight(0.0, 0.0, 0.0, 6_000.0), box)
    assert part[:, 0].min() >= 0
    assert part[:, 0].max() <= 1000
    assert len(part) == 17
    assert len(inside(straight(0.0, 500.0, 0.0, 600.0), box)) == 0
