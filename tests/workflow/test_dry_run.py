"""Contracts of the plan: which jobs, how often, known with no data and no network."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from bedsieve.benchmarks.methods import METHODS
from bedsieve.config import schema
from bedsieve.ingest.sheet import read_coverage, read_sheet
from bedsieve.plan import Plan
from bedsieve.simulate.regions import region_surveys
from tests.workflow.conftest import ROOT, Project, environment, job_counts

# docs/howto/plan.md gives the largest plan there is, and how many jobs it has.
PLAN_PAGE = (ROOT / "docs" / "howto" / "plan.md").read_text()
# A program that runs another and prints the processor time (s) and the most memory (bytes) that it took.
MEASURED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stderr=subprocess.STDOUT).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)
sys.exit(status)
"""
PER_SURVEY = ("harmonise", "along_track", "survey_csv")
PER_TILE = (
    *("points", "edges", "crossovers", "labels"),
    *("pca", "segments", "gnn", "ensemble", "tallies"),
)


def expected(surveys: int, tiles: int, **others: int) -> Counter[str]:
    once = (
        *("flagged", "ledger", "summary", "maps", "profiles", "index", "all"),
        *("train_bias", "train_pca", "train_gnn", "gnn_training"),
        *("biases", "misties", "label_accounting", "views", "biased_lines"),
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


def test_the_picture_of_the_rules_shows_those_that_the_demo_runs() -> None:
    picture = (ROOT / "docs" / "img" / "rulegraph.svg").read_text()
    assert set(re.findall(r">(\w+)</text>", picture)) == set(expected(1, 1, simulate=1))


def test_demo_stays_within_its_budget(project: Project) -> None:
    _, tiles = tables(ROOT / "config" / "demo")
    assert 4 <= tiles <= 6
    assert sum(project.plan().values()) <= 120


def test_whole_bedmap_with_every_member_is_planned_in_seconds_and_little_memory(
    tmp_path: Path,
) -> None:
    assert len(read_sheet(ROOT / "config" / "surveys.tsv")) == 151
    surveys, tiles = tables(ROOT / "config")
    assert tiles == 80
    everything = everything_at_once()
    known = schema()["properties"]["ensemble"]["properties"]["members"]["items"]["enum"]
    assert sorted(everything["ensemble"]["members"]) == sorted(known)
    bedmap = Project(tmp_path, "config/config.yaml")
    bedmap.configure(**everything)
    # Processor time, as the clock says what else runs. Other work on the same core still adds to it (9.7 to 13.7 s
    # with nothing beside it), so the least of three counts.
    for _ in range(3):
        output, seconds, peak = measured(bedmap, "--dry-run", "all", "evaluation")
        if seconds < 15:
            break
    assert seconds < 15
    assert peak < 2**30
    by_tile = ("gae", "carving", "pegasus", "gnsm", "local_entropy", "sparker_residuals")
    by_survey = {"fetch": 1, "sparker": 1, "sparker_sample": 1, "sparker_toys": 1}
    trained = ("gae", "carving", "pegasus", "gnsm", "local_entropy", "sparker", "ensemble")
    once = ("gae_training", "families", "local_entropy_calibration", "evaluation")
    others = (
        dict.fromkeys(by_tile, tiles)
        | {rule: jobs * surveys for rule, jobs in by_survey.items()}
        | dict.fromkeys((*once, *(f"train_{name}" for name in trained)), 1)
        | {"injected_tile": 2 * 3}
    )
    jobs = job_counts(output)
    assert jobs == expected(surveys, tiles, **others)
    assert f"that is {sum(jobs.values()):,} jobs:" in PLAN_PAGE
    assert "<TBD>" not in output


def everything_at_once() -> dict[str, Any]:
    """The overlay that docs/howto/plan.md gives as everything.yaml."""
    found = re.search(r"`everything\.yaml` is\n\n```yaml\n(.*?)```", PLAN_PAGE, re.DOTALL)
    assert found is not None
    overlay: dict[str, Any] = yaml.safe_load(found[1])
    return overlay


def measured(project: Project, *arguments: str) -> tuple[str, float, float]:
    """Output of Snakemake, its processor time (s) and the most memory (bytes) that it took."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *project.command(*arguments)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout[-4000:]
    seconds, peak = map(float, done.stdout.splitlines()[-1].split())
    return done.stdout, seconds, peak


def test_the_page_of_commands_has_every_target_that_is_no_part_of_all(project: Project) -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    section = page.partition("\n## snakemake\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    project.configure(**everything_at_once())
    targets = re.findall(r"^\w+$", project.run("--list-target-rules"), re.MULTILINE)
    assert named - {"all"} == set(targets) - set(project.plan())


def test_the_evaluation_is_asked_for_by_name_and_needs_no_scores(project: Project) -> None:
    surveys, tiles = tables(ROOT / "config" / "demo")
    plan = project.plan("evaluation")
    assert plan == Counter(
        {"simulate": 1, "harmonise": surveys, "train_pca": 1, "train_gnn": 1}
        | dict.fromkeys(("points", "edges", "crossovers", "labels"), tiles)
        | {"injected_tile": 2 * 3, "evaluation": 1}
    )


def test_labels_and_lift_are_asked_for_by_name(project: Project) -> None:
    _, tiles = tables(ROOT / "config" / "demo")
    plan = project.plan("label_evaluation", "lift")
    assert (plan["label_evaluation"], plan["lift"], plan["ensemble"]) == (1, 1, tiles)
    assert "index" not in plan
    two_surveys(project)
    assert project.plan("label_evaluation")["ensemble"] == 3
    # Without a reference grid there is nothing to compare with.
    assert project.snakemake("--dry-run", "lift").returncode == 1


def test_models_of_the_quality_set_never_see_the_regions_it_is_judged_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality = Project(tmp_path, "config/quality.yaml")
    settings = yaml.safe_load((ROOT / "config" / "quality.yaml").read_text())
    judged, seen = settings["evaluation"]["tiles"], settings["models"]["tiles"]
    assert not set(judged) & set(seen)
    assert len(judged) >= 5
    states = settings["simulate"]["regions"]
    names = [f"x{number - 11}_y-4" for number in range(len(states))]
    assert [name for name, state in zip(names, states, strict=True) if state != "clean"] == seen
    assert [name for name, state in zip(names, states, strict=True) if state == "clean"] == judged
    sheet = [row.survey for row in read_sheet(ROOT / "config" / "quality" / "surveys.tsv")]
    named = [name for at, state in enumerate(states) for name in region_surveys(at, state)]
    assert sorted(sheet) == sorted(named)
    plan = quality.plan("evaluation")
    assert plan["injected_tile"] == len(judged) * len(settings["evaluation"]["seeds"])
    assert plan["points"] == len(states)
    # Every network is trained, on tables of those two regions and of no other.
    for rule in ("train_pca", "train_gnn", "train_gae", "train_carving"):
        assert plan[rule] == 1, rule
    assert (plan["edges"], plan["labels"], plan["crossovers"]) == (2, 2, 2)
    # Not even the halo of a training tile holds a point of a judged region.
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    update_config(config, settings)
    monkeypatch.chdir(ROOT)
    laid_out = Plan.from_config(config)
    inside = {name for at in range(2) for name in region_surveys(at, states[at])}
    near = {name for tile in seen for name in laid_out.surveys_of(tile, near=True)}
    assert near == inside


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
    near = {"graph": {"max_neighbour_distance": 1333}, "labels": {"support_radius": 2000}}
    project.configure(**near, detectors={"segments": {"reach": 1000, "window": 2000}})
    assert project.plan(target) == Counter({"edges": 1, "points": 1, "harmonise": 1})


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


def test_the_reference_grid_is_compared_with_where_there_is_one(project: Project) -> None:
    assert "views/reference.png" in project.run("-n")
    two_surveys(project)
    assert "views/reference.png" not in project.run("-n")


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


def test_tuning_is_on_request_only(project: Project) -> None:
    two_surveys(project, tuning={"workers": 3})
    assert not [rule for rule in project.plan() if rule.startswith("tune")]
    plan = project.plan("tune_gnn")
    assert (plan["tune_gnn"], plan["tune_gnn_worker"]) == (1, 3)
    assert "train_gnn" not in plan


def test_every_device_can_be_planned_and_no_other(project: Project) -> None:
    target = "results/demo/models/v1/gnn/manifest.json"
    for device in ("auto", "gpu"):
        project.configure(models={"device": device})
        assert project.plan(target)["train_gnn"] == 1
    project.configure(models={"device": "tpu"})
    assert "'tpu' at models.device is unknown" in project.snakemake("--dry-run").stdout


def test_overlays_are_valid_yaml_and_small() -> None:
    for path in (ROOT / "config").glob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_published_experiments_are_asked_for_by_name(project: Project) -> None:
    project.configure(benchmarks={"seeds": dict.fromkeys(METHODS, 0) | {"pegasus": 3}})
    plan = project.plan("benchmarks")
    assert plan == Counter({"fetch_benchmark": 1, "benchmark": 4 * 3, "benchmarks": 1})
    data = project.path("resources/benchmarks")
    data.mkdir(parents=True)
    (data / "mnist.npz").write_bytes(b"")
    assert project.plan("benchmarks") == Counter({"benchmark": 4 * 3, "benchmarks": 1})
    assert "benchmark" not in project.plan()
    one = project.plan("results/demo/experiments/sparker/benchmarks.md")
    assert one == Counter({"benchmarks_of_method": 1})
    one = project.plan("results/demo/experiments/pegasus/benchmarks.md")
    assert one == Counter({"benchmark": 4 * 3, "benchmarks_of_method": 1})
