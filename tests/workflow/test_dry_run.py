"""Contracts of the plan: which jobs, how often, known with no data and no network."""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from bedsieve.ingest.sheet import read_coverage, read_sheet
from tests.workflow.conftest import ROOT, Project, job_counts

PER_SURVEY = ("harmonise", "along_track", "survey_csv")
PER_TILE = ("points", "edges", "crossovers", "labels", "pca", "segments", "ensemble")


def expected(surveys: int, tiles: int, **others: int) -> Counter[str]:
    once = (
        *("flagged", "ledger", "summary", "maps", "profiles", "index", "all"),
        *("train_bias", "train_pca", "biases", "misties", "label_accounting"),
    )
    return Counter(
        dict.fromkeys(PER_SURVEY, surveys) | dict.fromkeys(PER_TILE, tiles) | dict.fromkeys(once, 1)
    ) + Counter(others)


def tables(folder: Path) -> tuple[int, int]:
    """Numbers of active surveys and of tiles with points, counted without the planner."""
    active = [row.survey for row in read_sheet(folder / "surveys.tsv") if row.status == "active"]
    coverage = read_coverage(folder / "coverage.tsv")
    tiles = {tile for name in active for tile, row in coverage[name].items() if row.n > 0}
    return len(active), len(tiles)


def test_demo_lists_every_job_with_no_data(project: Project) -> None:
    output = project.run("--dry-run")
    surveys, tiles = tables(ROOT / "config" / "demo")
    assert job_counts(output) == expected(surveys, tiles, simulate=1)
    assert "<TBD>" not in output
    assert not project.path("results").exists()
    assert not project.path("resources").exists()


def test_demo_stays_within_its_budget(project: Project) -> None:
    _, tiles = tables(ROOT / "config" / "demo")
    assert 4 <= tiles <= 6
    assert sum(project.plan().values()) <= 120


def test_whole_bedmap_lists_every_job_in_time(tmp_path: Path) -> None:
    assert len(read_sheet(ROOT / "config" / "surveys.tsv")) == 151
    surveys, tiles = tables(ROOT / "config")
    bedmap = Project(tmp_path, "config/config.yaml")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = bedmap.run("--dry-run")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, which is what it takes alone: other work may run beside this test.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    assert job_counts(output) == expected(surveys, tiles, fetch=surveys)
    assert "<TBD>" not in output


def two_surveys(project: Project, **sections: Any) -> None:
    """A made-up plan: A in tile x0_y0 and near x1_y0, B in x1_y0, C far away in x9_y9."""
    folder = project.path("config/demo")
    folder.joinpath("surveys.tsv").write_text("survey_no\tsurvey\n1\tA\n2\tB\n3\tC\n")
    rows = [
        ("A", "x0_y0", 9, 0),
        ("A", "x1_y0", 0, 4000),
        ("B", "x1_y0", 5, 0),
        ("C", "x9_y9", 5, 0),
    ]
    lines = [f"{name}\t{tile}\t{n}\t{gap}\t{'0' * 64}" for name, tile, n, gap in rows]
    text = "\n".join(["survey\ttile\tn\tgap_m\tsha256", *lines, ""])
    folder.joinpath("coverage.tsv").write_text(text)
    raw = project.path("raw")
    raw.mkdir()
    for name in "ABC":
        (raw / f"{name}.csv").write_text("")
    project.configure(simulate=None, covariates={}, paths={"raw": "raw"}, **sections)


def test_files_that_lie_there_are_not_fetched(project: Project) -> None:
    two_surveys(project)
    assert project.plan() == expected(3, 3)


def test_a_tile_takes_only_surveys_within_reach(project: Project) -> None:
    two_surveys(project)
    target = "results/demo/tiles/x1_y0/edges.arrow"
    assert project.plan(target) == Counter({"edges": 1, "points": 1, "harmonise": 2})
    near = {"graph": {"max_neighbour_distance": 3999}, "labels": {"support_radius": 2000}}
    project.configure(**near, detectors={"segments": {"reach": 1000, "window": 2000}})
    assert project.plan(target) == Counter({"edges": 1, "points": 1, "harmonise": 1})


def test_the_graph_autoencoder_is_run_where_it_is_a_member(project: Project) -> None:
    members = ["along_track", "pca", "segments", "gae"]
    two_surveys(project, ensemble={"members": members}, graph={"hops": 6})
    assert project.plan() == expected(3, 3, gae=3, train_gae=1)
    project.configure(graph={"hops": 3})
    done = project.snakemake("--dry-run")
    assert done.returncode == 1
    assert "ensemble.members names gae, which needs graph.hops of 6 or more" in done.stdout


def test_retired_surveys_are_left_out(project: Project) -> None:
    two_surveys(project)
    sheet = "survey_no\tsurvey\tstatus\n1\tA\tactive\n2\tB\tretired\n3\tC\tactive\n"
    project.path("config/demo/surveys.tsv").write_text(sheet)
    assert project.plan() == expected(2, 2)


def test_a_survey_without_coverage_stops_all_but_not_register(project: Project) -> None:
    two_surveys(project)
    coverage = project.path("config/demo/coverage.tsv")
    kept = [line for line in coverage.read_text().splitlines() if not line.startswith("B")]
    coverage.write_text("\n".join([*kept, ""]))
    done = project.snakemake("--dry-run")
    assert done.returncode == 1
    assert "no coverage for B. Run `snakemake register`" in done.stdout
    assert project.plan("register") == Counter({"scan": 3, "register": 1})


def test_mistakes_in_tables_and_configuration_are_one_line(project: Project) -> None:
    two_surveys(project)
    sheet = project.path("config/demo/surveys.tsv")
    sheet.write_text(sheet.read_text() + "1\tD\n")
    done = project.snakemake("--dry-run")
    assert done.returncode == 1
    assert "surveys.tsv:5" in done.stdout
    project.configure(ensemble={"treshold": 0.5})
    done = project.snakemake("--dry-run")
    assert "unknown key 'treshold' at ensemble. Did you mean 'threshold'?" in done.stdout


def test_overlays_are_valid_yaml_and_small() -> None:
    for path in (ROOT / "config").glob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)
