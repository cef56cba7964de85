"""Flight lines at any size: exact counts, chunks that change nothing, files that say what they hold."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import xarray as xr
import yaml
from scipy.spatial import cKDTree

from bedsieve.files import sha256_of
from bedsieve.ingest.coverage import scan
from bedsieve.ingest.projection import project, unproject
from bedsieve.ingest.sheet import read_coverage, read_sheet
from bedsieve.simulate import scale_files
from bedsieve.simulate.__main__ import main
from bedsieve.simulate.scale import fill, track_points
from bedsieve.simulate.scale_kernels import to_lon_lat
from bedsieve.simulate.scale_plan import BEDMAP_POINTS, BEDMAP_SURVEYS, plan_tracks


@pytest.fixture(scope="module")
def points():
    return track_points(200_000, seed=1)


def line_of(points):
    return points["survey_no"].astype(np.int64) * 2**32 + points["track_id"]


def test_ids_follow_the_contract(points):
    number, row = points["survey_no"].astype(np.uint64), points["row"].astype(np.uint64)
    assert np.array_equal(points["point_id"], number * np.uint64(2**32) + row)
    assert (np.diff(points["point_id"].astype(np.int64)) > 0).all()
    for survey in np.unique(number):
        here = number == survey
        assert np.array_equal(row[here], np.arange(here.sum()))
        steps = np.diff(points["track_id"][here])
        assert set(np.unique(steps)) <= {0, 1}


@pytest.mark.parametrize(("n", "surveys"), [(1, 1), (7, 7), (5_000, 3), (20_001, None)])
def test_the_plan_adds_up_exactly(n, surveys):
    plan = plan_tracks(n, surveys, seed=2)
    assert plan.points.sum() == n
    assert (plan.points > 0).all()
    if surveys:
        assert len(np.unique(plan.survey)) == surveys
    assert len(fill(plan, 0, len(plan.points), 2)["east"]) == n


@pytest.mark.parametrize(("n", "surveys"), [(3, 4), (10, 0)])
def test_a_plan_that_cannot_be_is_an_error(n, surveys):
    with pytest.raises(ValueError, match=f"{n} points into {surveys} surveys"):
        plan_tracks(n, surveys)


def test_the_plan_of_bedmap_is_as_uneven_as_bedmap():
    plan = plan_tracks(BEDMAP_POINTS)
    per_survey = np.bincount(plan.survey, weights=plan.points)
    assert len(per_survey) == BEDMAP_SURVEYS
    assert per_survey.max() > 15 * np.median(per_survey)
    # Lines are short against a tile: their points lie, but for a few, where the middle lies.
    n = plan.points * plan.spacing
    middle = plan.start + plan.direction * n / 2
    east = plan.x0 + middle * np.cos(plan.heading)
    north = plan.y0 + middle * np.sin(plan.heading)
    key = np.floor(east / 5e5) * 1000 + np.floor(north / 5e5)
    _, tile = np.unique(key, return_inverse=True)
    counts = np.sort(np.bincount(tile, weights=plan.points))[::-1]
    assert counts[0] == pytest.approx(10e6, rel=0.15)
    assert 40 <= len(counts) <= 110


def test_points_follow_lines(points):
    same = np.diff(line_of(points)) == 0
    step = np.hypot(np.diff(points["east"]), np.diff(points["north"]))[same]
    assert 15 < np.median(step) < 70
    assert step.max() < 5_100
    assert (step > 300).sum() > 20
    assert np.quantile(np.abs(np.diff(points["ice_thickness"])[same]), 0.9) < 40


def test_repeats_give_double_hits(points):
    line = line_of(points)
    tree = cKDTree(np.column_stack([points["east"], points["north"]]))
    pairs = tree.query_pairs(25.0, output_type="ndarray")
    hits = (line[pairs[:, 0]] != line[pairs[:, 1]]).sum()
    assert 0.1 * len(line) < hits < len(line)


def test_chunks_and_seeds():
    plan = plan_tracks(30_000, 3, seed=5)
    whole = fill(plan, 0, len(plan.points), 5)
    middle = len(plan.points) // 2
    parts = [fill(plan, 0, middle, 5), fill(plan, middle, len(plan.points), 5)]
    for name, values in whole.items():
        assert np.array_equal(values, np.concatenate([part[name] for part in parts]))
    other = track_points(30_000, seed=6)
    assert not np.isin(other["east"], whole["east"]).any()


def test_positions_agree_with_proj():
    rng = np.random.default_rng(0)
    east, north = rng.uniform(-2.8e6, 2.8e6, (2, 500))
    lon, lat = np.empty((2, 500))
    to_lon_lat(east, north, lon, lat, 0, 500)
    known_lon, known_lat = unproject(east, north, "EPSG:3031")
    assert np.abs(lon - known_lon).max() < 1e-9
    assert np.abs(lat - known_lat).max() < 1e-9


def test_files_hold_the_points_and_their_tiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scale_files, "CHUNK", 3_000)
    options = ["--points", "20000", "--surveys", "3", "--seed", "4", "--tile-size", "50000"]
    assert main([*options, "--out", "scale"]) == 0
    plan = plan_tracks(20_000, 3, seed=4)
    whole = fill(plan, 0, len(plan.points), 4)
    sheet = read_sheet(tmp_path / "scale" / "surveys.tsv")
    assert [survey.survey_no for survey in sheet] == [1, 2, 3]
    tables = []
    for survey in sheet:
        raw = tmp_path / "scale" / "raw" / f"{survey.survey}.csv"
        assert survey.sha256 == sha256_of(raw)
        tables.append(pl.read_csv(raw, comment_prefix="#"))
    table = pl.concat(tables)
    east, north = project(
        table["longitude (degree_east)"].to_numpy(),
        table["latitude (degree_north)"].to_numpy(),
        "EPSG:3031",
    )
    assert np.abs(east - whole["east"]).max() < 0.2
    assert np.abs(north - whole["north"]).max() < 0.2
    assert np.allclose(table["land_ice_thickness (m)"], whole["ice_thickness"])
    assert (table["bedrock_altitude (m)"] > -9999).all()


def test_coverage_is_what_a_scan_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--points", "3000", "--surveys", "2", "--tile-size", "50000", "--out", "s"]) == 0
    coverage = read_coverage(tmp_path / "s" / "coverage.tsv")
    for survey, tiles in coverage.items():
        found = scan(tmp_path / "s" / "raw" / f"{survey}.csv", survey, "EPSG:3031", 50_000.0)
        assert tiles == {row.tile: row for row in found}


def test_grids_are_what_lies_under_the_points(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--points", "3000", "--surveys", "2", "--seed", "4", "--out", "s"]) == 0
    overlay = yaml.safe_load((tmp_path / "s" / "region.yaml").read_text())
    spec = overlay["covariates"]["z"]
    grid = xr.open_dataset(spec["path"])[spec["variable"]]
    plan = plan_tracks(3_000, 2, seed=4)
    points = fill(plan, 0, len(plan.points), 4)
    x, y = (xr.DataArray(points[axis], dims="point") for axis in ("east", "north"))
    surface = grid.interp(x=x, y=y).to_numpy()
    assert np.isfinite(surface).all()
    assert np.median(np.abs(surface - points["surface_alt"])) < 5.0


def test_a_folder_outside_the_working_folder_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert main(["--points", "9", "--surveys", "3", "--out", str(tmp_path / "other")]) == 1
    assert "name a folder within it" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_an_impossible_size_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--points", "2", "--surveys", "3", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_added_survey_takes_the_next_number_and_waits_for_registration(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["--points", "3000", "--surveys", "4", "--out", "d"]) == 0
    before = (tmp_path / "d/coverage.tsv").read_bytes()
    capsys.readouterr()
    assert main(["--add", "12000", "--at", "1000", "-2000", "--out", "d"]) == 0
    name = capsys.readouterr().out.strip()
    added = read_sheet(tmp_path / "d/surveys.tsv")[-1]
    raw = tmp_path / "d/raw" / f"{name}.csv"
    assert (added.survey, added.survey_no, added.sha256) == (name, 5, sha256_of(raw))
    assert (tmp_path / "d/coverage.tsv").read_bytes() == before
    points = pl.read_csv(raw, comment_prefix="#")
    east, north = project(
        points["longitude (degree_east)"].to_numpy(),
        points["latitude (degree_north)"].to_numpy(),
        "EPSG:3031",
    )
    assert len(points) == 12_000
    assert points["trajectory_id"].value_counts()["count"].sort().to_list() == [2000, 5000, 5000]
    assert abs(np.median(north[:10_000]) - -4000) < 2500
    assert -90_000 < east.min() < -50_000
    # Every other line is flown back.
    assert np.sign(np.diff(east)[[10, 5010, 10010]]).tolist() == [1, -1, 1]
    # The next one is no copy of it.
    assert main(["--add", "12000", "--at", "1000", "-2000", "--out", "d"]) == 0
    assert read_sheet(tmp_path / "d/surveys.tsv")[-1].sha256 != added.sha256


def test_an_added_survey_needs_a_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--add", "10", "--out", "d"]) == 1
    assert "d/surveys.tsv: there is no simulated data set here. Make one first" in (
        capsys.readouterr().err
    )
