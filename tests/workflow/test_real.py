"""Real measurements, end to end, from overlays; skipped where the data does not stand beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.workflow.conftest import ROOT, Project

REAL = ROOT.parent / "shared" / "data" / "real"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"the real measurements are not at {REAL}"),
]


def run(folder: Path, name: str) -> tuple[Project, pl.DataFrame, pl.DataFrame]:
    """Run an overlay; its project, harmonised points and scores."""
    made = Project(folder / "project", f"tests/real/{name}.yaml")
    (folder / "shared" / "data").mkdir(parents=True)
    (folder / "shared" / "data" / "real").symlink_to(REAL)
    made.register()
    made.run()
    assert not made.plan()
    results = made.path(f"results/{name}")
    surveys = [path for path in results.glob("surveys/*.parquet") if "dropped" not in path.name]
    scores = [pl.read_parquet(path) for path in results.glob("tiles/*/ensemble.parquet")]
    for picture in ("thickness", "score", "score_density", "coverage"):
        assert (results / f"products/maps/{picture}.png").stat().st_size > 10_000
    return made, pl.concat(map(pl.read_parquet, surveys)), pl.concat(scores)


def test_bering_one_track_in_alaska(tmp_path: Path) -> None:
    _, points, scores = run(tmp_path, "bering")
    assert len(points) == len(scores) == 2798  # of 3,244 rows, 446 without thickness
    assert points["track_id"].n_unique() <= 3
    assert points["ith_bm"].is_null().all()
    # An honest track that no other crosses: hardly anything stands out.
    assert (scores["score"] >= 0.5).mean() < 0.005


def test_south_glacier_thin_ice_not_in_track_order(tmp_path: Path) -> None:
    made, points, scores = run(tmp_path, "south_glacier")
    dropped = pl.read_parquet(next(made.path("results").rglob("*.dropped.parquet")))
    assert len(points) + len(dropped) == 9619
    assert (dropped["code"] == "nonpositive_thickness").sum() > 0
    assert len(scores) == len(points)
    order = points.sort("track_id", "track_seq")
    step = np.hypot(order["east"].diff(), order["north"].diff()).to_numpy()[1:]
    assert np.nanmedian(step) < 10  # chained; 187 m in the order of the file
    assert (scores["score"] >= 0.5).mean() < 0.02


def test_byrd_with_its_covariates(tmp_path: Path) -> None:
    made, points, scores = run(tmp_path, "byrd")
    assert len(points) == len(scores) == 26915
    for name in ("vx", "vy", "v", "ith_bm", "z", "s", "smb"):
        assert points[name].is_not_null().mean() > 0.95, name
    assert points["temp"].is_null().all()
    difference = points["ice_thickness"] - points["ith_bm"]
    assert abs(difference.median() - 29) < 5  # as measured independently
    page = next(made.path("results").rglob("index.html")).read_text()
    assert "covariates left out, no grid given: temp" in page
    assert "do not stand in track order" in page
