"""The whole workflow, run: its products, its second run, its behaviour under faults."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from bedsieve.ingest.csv import read_header
from tests.workflow.conftest import Project, digests, environment, make_tiny

SURVEYS = 8


def csv_lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8-sig").splitlines()


def test_every_survey_comes_back_with_its_rows_in_order(finished: Project) -> None:
    made = sorted(finished.path("results/demo/products/surveys").glob("*.csv"))
    assert len(made) == SURVEYS
    for path in made:
        raw = csv_lines(finished.path("resources/demo/raw") / path.name)
        back = csv_lines(path)
        assert len(back) == len(raw)
        for before, after in zip(raw, back, strict=True):
            assert after.startswith(before)
        assert back[read_header(path).data_line - 2].endswith(
            "track_id,score_along_track,score_pca,score_segments,score_gnn,score,flag,reason"
        )


def test_every_point_is_scored_once_within_bounds(finished: Project) -> None:
    tables = finished.path("results/demo/tiles").glob("*/ensemble.parquet")
    scores = pl.concat([pl.read_parquet(path) for path in tables])
    surveys = finished.path("results/demo/surveys").glob("*.parquet")
    points = pl.concat(
        [
            pl.read_parquet(path, columns=["point_id"])
            for path in surveys
            if "dropped" not in path.name
        ]
    )
    assert scores["point_id"].sort().equals(points["point_id"].sort())
    assert scores["score"].drop_nans().drop_nulls().is_between(0, 1).all()
    assert (scores["flag"] == (scores["score"] >= 0.5).fill_null(False)).all()
    assert scores.filter("flag")["reason"].is_not_null().all()


def test_large_spikes_score_high(finished: Project) -> None:
    """Large spikes are what every member sees: they stand far above the rest."""
    truth = pl.read_parquet(finished.path("results/demo/simulate/truth.parquet"))
    spikes = truth.filter((pl.col("kind") == "spike") & (pl.col("delta_m").abs() > 250))
    points = finished.path("results/demo/surveys").glob("*_???.parquet")
    rows = pl.concat(
        [pl.read_parquet(path, columns=["point_id", "survey", "row"]) for path in points]
    )
    tables = finished.path("results/demo/tiles").glob("*/ensemble.parquet")
    scores = pl.concat([pl.read_parquet(path) for path in tables]).join(rows, on="point_id")
    found = spikes.join(scores, on=["survey", "row"])["score"]
    assert len(found) >= 5
    assert found.median() > scores["score"].quantile(0.99)


def test_ledger_follows_every_row(finished: Project) -> None:
    table = pl.read_csv(finished.path("results/demo/products/ledger.tsv"), separator="\t")
    assert table.height == SURVEYS + 1
    truth = pl.read_parquet(finished.path("results/demo/simulate/truth.parquet"))
    rows = dict(truth.group_by("survey").len().iter_rows())
    for survey, count in table.select("survey", "rows_in_file").iter_rows():
        assert count == (truth.height if survey == "all" else rows[survey])


def test_flagged_points_open_in_geopandas(finished: Project) -> None:
    import geopandas

    frame = geopandas.read_parquet(finished.path("results/demo/products/flagged.parquet"))
    assert frame.crs.to_epsg() == 3031
    assert len(frame) > 0
    assert frame.geometry.notna().all()


def test_no_network_scores_a_point_that_it_trained_on(finished: Project) -> None:
    tables = finished.path("results/demo/tiles").glob("*/scores/gnn.parquet")
    scores = pl.concat([pl.read_parquet(path) for path in tables])
    model = finished.path("results/demo/models/v1/gnn")
    if (model / "untrained.json").exists():  # a demo of some thousand points may lack labels
        assert (scores["code"] == "no_labels").all()
        return
    seeds = pl.read_parquet(model / "seeds.parquet")
    folds = json.loads((model / "folds.json").read_text())["models"]
    for fold, rule in folds.items():
        trained = seeds.filter(pl.col("region").is_in(rule["trained_on"]))
        assert trained.height > 0
        scored = scores.filter(pl.col("fold") == fold)
        assert scored.height > 0
        assert scored.join(trained, on="point_id").height == 0


def test_nothing_is_left_to_be_done(finished: Project) -> None:
    assert finished.plan() == Counter()


def test_snakemake_report_builds(copied: Project) -> None:
    copied.run("--report", "report.html")
    page = copied.path("report.html").read_text()
    for words in ("Overview", "Maps", "Tables", "Tracks", "Training"):
        assert words in page


def test_moving_dates_of_scripts_reruns_nothing_when_bytes_are_equal(copied: Project) -> None:
    for path in copied.path("workflow").rglob("*.py"):
        os.utime(path)
    assert copied.plan() == Counter()


def test_a_file_changed_after_registration_is_named(copied: Project) -> None:
    raw = next(copied.path("resources/demo/raw").glob("SOUTH_2004*.csv"))
    with raw.open("a") as stream:
        stream.write(raw.read_text().splitlines()[-1] + "\n")
    done = copied.snakemake(f"results/demo/surveys/{raw.stem}.parquet")
    assert done.returncode != 0
    assert "changed since it was registered" in done.stdout
    assert "register" in done.stdout


def test_provisional_coverage_stops_a_run_with_the_way_out(tiny: Project) -> None:
    coverage = tiny.path("config/tiny.tsv")
    lines = [line.split("\t") for line in coverage.read_text().splitlines()]
    # What the tiles are, and the column names, stay.
    rows = [*lines[:2], *([*cells[:4], "provisional"] for cells in lines[2:])]
    coverage.write_text("".join("\t".join(cells) + "\n" for cells in rows))
    done = tiny.snakemake("results/demo/surveys/SOUTH_2004_Grid_AIR.parquet")
    assert done.returncode != 0
    assert "has not been registered" in done.stdout
    assert "snakemake register" in done.stdout


def test_killed_in_the_middle_and_run_again_gives_the_same_files(
    finished: Project, tmp_path: Path
) -> None:
    killed = make_tiny(tmp_path)
    process = subprocess.Popen(
        killed.command(),
        cwd=killed.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )
    tiles = killed.path("results/demo/tiles")
    deadline = time.monotonic() + 240
    while not list(tiles.glob("*/points.parquet")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(tiles.glob("*/points.parquet"))
    assert not killed.path("results/demo/report/index.html").exists()
    killed.run("--unlock")
    killed.run()
    assert not list(killed.path("results").rglob("*.tmp-*"))
    assert digests(killed.path("results")) == digests(finished.path("results"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_named_and_leaves_no_half_file(copied: Project, tmp_path: Path) -> None:
    target = copied.path("results/demo/products/surveys")
    shutil.rmtree(target)
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(target)], check=False
    )
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        done = copied.snakemake("--keep-going")
        assert done.returncode != 0
        assert "the disk is full" in done.stdout
        assert not [path for path in target.iterdir() if path.name.startswith(".")]
    finally:
        subprocess.run(["umount", str(target)], check=True)
    copied.run()
    assert len(list(target.glob("*.csv"))) == SURVEYS


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting read-only needs root")
def test_read_only_results_are_named(copied: Project) -> None:
    target = copied.path("results/demo/products/maps")
    shutil.rmtree(target)
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(target)], check=False
    )
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        done = copied.snakemake("results/demo/products/maps/thickness.png")
        assert done.returncode != 0
        assert "read-only" in done.stdout.lower()
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_trained_version_is_not_trained_again(copied: Project) -> None:
    copied.configure(ingest={"split_on_angle": True})
    plan = copied.plan()
    assert plan["harmonise"] == SURVEYS
    assert plan["pca"] > 0
    assert not [rule for rule in plan if rule.startswith("train")]
    copied.configure(models={"version": "v2"})
    plan = copied.plan()
    assert plan["train_pca"] == plan["train_gnn"] == 1


def test_a_tampered_model_is_named(copied: Project) -> None:
    model = copied.path("results/demo/models/v1/pca/model.json")
    model.write_text(model.read_text().replace("0", "1", 1))
    target = sorted(copied.path("results/demo/tiles").iterdir())[0] / "scores" / "pca.parquet"
    target.unlink()
    done = copied.snakemake(str(target.relative_to(copied.folder)))
    assert done.returncode != 0
    assert "model.json" in done.stdout


def test_an_experiment_records_the_seed_that_it_was_run_with(project: Project) -> None:
    name = "experiments/sparker/square/seed7.json"
    project.run(f"results/demo/{name}")
    about = json.loads(project.path(f"results/demo/manifests/{name}.json").read_text())
    assert about["seed"] == 7
    rows = json.loads(project.path(f"results/demo/{name}").read_text())
    assert {row["seed"] for row in rows} == {7}
