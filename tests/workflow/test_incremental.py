"""What each change makes run again: the table of docs/reference/changes.md against dry runs and real ones.

Each change is made on a copy of a finished small region. All are planned; one is run in every round of tests, without the
products over all tiles, the others as a whole by `make test-slow`.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import polars as pl
import pytest

from bedsieve.files import sha256_of
from tests.workflow.conftest import ROOT, Project, job_counts
from tests.workflow.small_region import BASE, add, make_region, write_sheet, write_survey
from tests.workflow.test_review import review

PAGE = (ROOT / "docs" / "reference" / "changes.md").read_text().splitlines()
State = dict[str, tuple[int, str]]


def add_to_an_old_tile(project: Project) -> None:
    add(project, "D")


def add_apart(project: Project) -> None:
    add(project, "E")


def add_across_the_border(project: Project) -> None:
    add(project, "F")


def correct(project: Project) -> None:
    write_survey(project, "C", lower=7)
    write_sheet(project, BASE)


def retire(project: Project) -> None:
    write_sheet(project, BASE, retired="B")


def set_a_parameter(project: Project) -> None:
    project.configure(detectors={"segments": {"window": 8000}})


def edit_a_module(project: Project) -> None:
    module = project.path("workflow/scripts/bedsieve/detectors/segments_kriging.py")
    module.write_text(module.read_text() + "\n# edited\n")


def raise_the_version(project: Project) -> None:
    project.configure(models={"version": "v2"})


def carry_the_models(project: Project) -> None:
    shutil.copytree(project.path("results/models"), project.path("again/models"))
    project.configure(paths={"results": "again"})


def change_a_trained_model(project: Project) -> None:
    project.configure(detectors={"pca": {"min_points": 300, "variance_kept": 0.9}})


@dataclass(frozen=True)
class Change:
    """A change of a finished region; `same_scores` if nothing but dates may differ afterwards."""

    make: Callable[[Project], None]
    same_scores: bool = False


CHANGES = {
    "a survey is added to an old tile": Change(add_to_an_old_tile),
    "a survey is added that touches no old tile": Change(add_apart),
    "a survey is added that reaches from an old tile into a new one": Change(add_across_the_border),
    "a survey's file is corrected": Change(correct),
    "a survey is retired": Change(retire),
    "a setting of a detector is changed": Change(set_a_parameter),
    "a module of a detector is edited": Change(edit_a_module, same_scores=True),
    "`models.version` is raised": Change(raise_the_version, same_scores=True),
    "frozen models are taken to new results": Change(carry_the_models, same_scores=True),
    "a setting that only trains is changed": Change(change_a_trained_model, same_scores=True),
}
NEW_TILE = "a survey is added that reaches from an old tile into a new one"
RETIRED = "a survey is retired"


def table(first_cell: str) -> list[list[str]]:
    """Rows of the page's table that starts with a cell, its head first."""
    start = next(n for n, line in enumerate(PAGE) if line.startswith(f"| {first_cell} |"))
    lines = takewhile(lambda line: line.startswith("|"), PAGE[start:])
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [head, *rows]


def golden() -> dict[str, Counter[str]]:
    """How often each rule runs after each change, as the page has it."""
    (_, *head), *rows = table("when")
    rules = [re.findall(r"`(\w+)`", cell) for cell in head]
    return {
        change: Counter(
            {
                rule: int(cell)
                for names, cell in zip(rules, cells, strict=True)
                if cell
                for rule in names
            }
        )
        for change, *cells in rows
    }


def words() -> dict[str, list[str]]:
    """What a dry run says after each change, as the page has it."""
    _, *rows = table("after")
    return {change: re.findall(r"`([^`]+)`", said) for change, said in rows}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small region as if it had been run: empty files, and Snakemake's memory of having made them."""
    made = Project(tmp_path_factory.mktemp("planned"), "region.yaml")
    make_region(made)
    for name in files_to_write(made):
        path = made.path(f"results/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    made.run("--touch", "--forceall")
    # The raw files were dropped in, not fetched.
    made.run("--cleanup-metadata", *(f"raw/{name}.csv" for name in BASE))
    return made


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small region, run as far as the surveys' CSVs."""
    made = Project(tmp_path_factory.mktemp("scored"), "region.yaml")
    make_region(made)
    made.run(*csvs(BASE))
    return made


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small region, run as a whole."""
    made = Project(tmp_path_factory.mktemp("region"), "region.yaml")
    make_region(made)
    made.run()
    return made


def csvs(names: Iterable[str]) -> list[str]:
    return [f"results/products/surveys/{name}.csv" for name in names]


def changed_copy(finished: Project, folder: Path, change: str) -> Project:
    made = finished.copy(folder / "changed")
    CHANGES[change].make(made)
    return made


def test_the_page_lists_the_changes_that_are_tried() -> None:
    assert list(golden()) == list(words()) == list(CHANGES)
    _, *seen = table("change")
    jobs = {change: counts.total() for change, counts in golden().items()}
    assert {change: int(run) for change, run, _, _ in seen} == jobs


@pytest.mark.parametrize("change", CHANGES)
def test_a_dry_run_lists_these_jobs_and_says_why(
    planned: Project, tmp_path: Path, change: str
) -> None:
    said = changed_copy(planned, tmp_path, change).run("--dry-run")
    assert job_counts(said) == golden()[change]
    assert words()[change]
    for phrase in words()[change]:
        assert phrase in said


def state(project: Project) -> State:
    """Date and checksum of each file of the results, but those that record times."""
    results = project.path("again" if project.path("again").exists() else "results")
    skip = {"logs", "benchmarks"}
    return {
        str(path.relative_to(results)): (path.stat().st_mtime_ns, sha256_of(path))
        for path in results.rglob("*")
        if path.is_file() and not skip & set(path.relative_to(results).parts)
    }


def files_to_write(project: Project, *targets: str) -> set[str]:
    """Files within the results that Snakemake says it would write."""
    lines = (line.split("\t") for line in project.run("--summary", *targets).splitlines())
    names = [cells[0] for cells in lines if cells[-1] == "update pending"]
    return {name.split("/", 1)[1] for name in names}


def check_run(finished: Project, folder: Path, change: str, *targets: str) -> Project:
    """Run after a change: exactly the planned files are written, all others keep bytes and dates.

    What was seen is printed as a row of the page's table of runs (`pytest -rP` shows it).
    """
    mine = changed_copy(finished, folder, change)
    planned = files_to_write(mine, *targets)
    before = state(mine)
    jobs = job_counts(mine.run(*targets))
    after = state(mine)
    written = {name for name in after if after[name] != before.get(name)}
    manifests = {name for name in written if name.startswith("manifests/")}
    kept = sum(not name.startswith("manifests/") for name in before.keys() - written)
    print(f"| {change} | {jobs.total()} | {len(written - manifests)} | {kept} |")
    assert targets or jobs == golden()[change]
    assert written - manifests == planned
    assert manifests == {f"manifests/{name}.json" for name in planned}
    assert set(before) <= set(after)
    assert not mine.plan(*targets)
    if CHANGES[change].same_scores:
        theirs = state(finished)
        scores = [name for name in theirs if name.startswith(("tiles/", "surveys/"))]
        assert scores
        assert all(after[name][1] == theirs[name][1] for name in scores)
    return mine


def test_a_new_tile_is_scored_by_the_models_that_stand(scored: Project, tmp_path: Path) -> None:
    mine = check_run(scored, tmp_path, NEW_TILE, *csvs((*BASE, "F")))
    scores = pl.read_parquet(mine.path("results/tiles/x9_y4/ensemble.parquet"))["score"]
    assert len(scores) > 500
    assert scores.is_not_null().all()
    assert scores.is_not_nan().all()


@pytest.mark.slow
def test_what_a_retired_survey_leaves_is_listed_then_deleted(
    region: Project, tmp_path: Path
) -> None:
    mine = check_run(region, tmp_path, RETIRED)
    left = {
        *(f"results/surveys/B.{end}" for end in ("parquet", "dropped.parquet", "ledger.json")),
        "results/surveys/B.scores/along_track.parquet",
        "results/products/surveys/B.csv",
    }
    verified = review(mine, "verify")
    assert verified.returncode == 0, verified.stdout
    assert left == set(re.findall(r"note: (results/\S+): nothing asks for it", verified.stdout))
    listed = review(mine, "prune")
    assert left < {*listed.stdout.splitlines()}
    assert all(mine.path(name).exists() for name in left)
    assert f"Deleted {len(left)} files." in review(mine, "prune", "--delete").stdout
    assert not any(mine.path(name).exists() for name in left)
    assert review(mine, "prune").stdout == "Nothing is left over.\n"
    assert not mine.plan()


@pytest.mark.slow
@pytest.mark.parametrize("change", [change for change in CHANGES if change != RETIRED])
def test_a_run_writes_what_was_planned_and_leaves_the_rest(
    region: Project, tmp_path: Path, change: str
) -> None:
    check_run(region, tmp_path, change)
