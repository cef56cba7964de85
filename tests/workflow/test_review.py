"""Plans for reviewers, files against their manifests, damage found and mended, and two runs at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Project, digests, environment
from tests.workflow.test_dry_run import expected, tables, two_surveys

RULES = {
    name: text
    for path in (ROOT / "rules").glob("*.smk")
    for name, text in re.findall(
        r"^ *rule (\w+):\n(.*?)(?=^ *rule |\Z)", path.read_text(), re.M | re.S
    )
}


# The project's own package, which says where its Snakefile is; jobs find the checkout's, whose kernels are compiled.
REVIEW = """
import sys
sys.path.insert(0, "workflow/scripts")
from bedsieve.review.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def review(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make plan` and `make verify`, without make."""
    overlay = ["--configfile", project.overlay] if project.overlay != "config/config.yaml" else []
    return subprocess.run(
        [sys.executable, "-c", REVIEW, *arguments, *overlay],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def test_the_plan_of_bedmap_is_a_table_with_no_data(tmp_path: Path) -> None:
    bedmap = Project(tmp_path, "config/config.yaml")
    done = review(bedmap, "plan", "--pictures", "plan", "--nodes", "20", "--gpus", "2")
    assert done.returncode == 0, done.stderr
    hours = re.search(
        r"20 nodes with 2 GPUs.* alone: ([\d.]+) h.*chain alone takes ([\d.]+) h", done.stdout
    )
    assert hours is not None
    assert float(hours[1]) >= float(hours[2]) > 0
    table = re.findall(r"^(\w+) +(\d+) +\d+ ", done.stdout, re.M)
    surveys, tiles = tables(ROOT / "config")
    jobs = expected(surveys, tiles, fetch=surveys) - Counter(["all"])
    assert Counter({rule: int(count) for rule, count in table}) == jobs
    assert f"{sum(jobs.values())} jobs" in done.stdout
    assert f"{surveys} surveys are provisional" in done.stdout
    assert f"{surveys} jobs of fetch are not submitted" in done.stdout
    assert (
        "not counted, of biased_lines, fetch, gnn_training, index, label_accounting, ledger."
        in done.stdout
    )
    overhead, by_submissions = shares(done.stdout)
    assert overhead < 10
    assert by_submissions < 5
    for name in ("rulegraph", "filegraph"):
        assert "harmonise" in bedmap.path(f"plan/{name}.dot").read_text()
    assert not bedmap.path("results").exists()
    assert not bedmap.path("resources").exists()


def shares(said: str) -> tuple[float, float]:
    """Percent of the work without trainings that starting jobs costs: in all, and by submissions alone."""
    found = re.search(
        r"([\d.]+)% of the [\d.]+ h without trainings, ([\d.]+)% by submissions alone", said
    )
    assert found is not None
    return float(found[1]), float(found[2])


def test_a_mistake_in_the_configuration_stops_the_plan_in_a_line(project: Project) -> None:
    project.configure(ensemble={"treshold": 0.5})
    done = review(project, "plan")
    assert done.returncode == 1
    assert "bedsieve: config: unknown key 'treshold' at ensemble" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_grid_stops_the_plan_in_snakemakes_words(project: Project) -> None:
    two_surveys(project)
    project.configure(covariates={"vx": {"path": "grids/velocity.nc", "variable": "VX"}})
    done = review(project, "plan")
    assert done.returncode == 1
    assert "bedsieve: Missing input files for rule harmonise" in done.stderr
    assert "grids/velocity.nc" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_rule_leaves_manifests() -> None:
    """They lie where the log says; a log elsewhere would leave none."""
    for rule, text in RULES.items():
        assert re.search(r'log:\n +f"\{RESULTS\}/logs/', text), rule


def manifest(results: Path, path: Path) -> Path:
    return results / "manifests" / f"{path}.json"


def test_every_product_has_a_manifest_and_all_is_well(copied: Project) -> None:
    results = copied.path("results/demo")
    skip = {"logs", "benchmarks", "manifests", "register"}
    made = {path.relative_to(results) for path in results.rglob("*") if path.is_file()}
    made = {path for path in made if path.parts[0] not in skip}
    # What else a model is made of stands in its own manifest.
    parts = {
        Path("models/v1", detector, name)
        for detector in ("gnn", "pca", "bias")
        for name in json.loads((results / f"models/v1/{detector}/manifest.json").read_text())[
            "files"
        ]
    }
    assert made > parts
    undeclared = {path for path in parts if not manifest(results, path).exists()}
    assert undeclared
    for path in made - undeclared:
        about = json.loads(manifest(results, path).read_text())
        assert about["file"] == f"results/demo/{path}"
        assert len(about["config"]) == len(about["code"]) == 16
        assert about["packages"]["python"]
    index = json.loads((results / "manifests/report/index.html.json").read_text())
    assert "results/demo/products/maps/score.png" in index["inputs"]
    done = review(copied, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all are as they were made" in done.stdout
    for path in undeclared:
        os.truncate(results / path, 1)
    done = review(copied, "verify")
    assert done.returncode == 1
    said = re.findall(r"damaged: results/demo/(\S+): its bytes are not", done.stdout)
    assert set(map(Path, said)) == undeclared


def test_a_corrupted_table_and_a_truncated_model_are_named_and_made_again(
    copied: Project, finished: Project
) -> None:
    table = sorted(copied.path("results/demo/tiles").glob("*/crossovers.parquet"))[0]
    model = copied.path("results/demo/models/v1/pca/model.json")
    body = bytearray(table.read_bytes())
    body[len(body) // 2] ^= 1
    table.write_bytes(bytes(body))
    os.truncate(model, 100)
    # A file of a model that no rule declares: here there are too few labels to learn from.
    part = copied.path("results/demo/models/v1/gnn/untrained.json")
    os.truncate(part, 1)
    done = review(copied, "verify")
    assert done.returncode == 1
    for path in (table, model, part):
        assert f"damaged: {path.relative_to(copied.folder)}: its bytes are not" in done.stdout
    assert "3 damaged" in done.stdout
    done = review(copied, "repair", "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Making 5 files again." in done.stdout
    assert digests(copied.path("results")) == digests(finished.path("results"))
    assert review(copied, "verify").returncode == 0


@pytest.mark.slow
def test_what_is_missing_and_a_broken_manifest_are_made_again(
    copied: Project, finished: Project
) -> None:
    """The table in the middle is missed by no later job, so a plain run would not make it."""
    results = copied.path("results/demo")
    gone = sorted(results.glob("tiles/*/crossovers.parquet"))[0]
    cut = sorted(results.glob("manifests/surveys/*.parquet.json"))[0]
    gone.unlink()
    os.truncate(cut, 50)
    done = review(copied, "verify")
    assert done.returncode == 1
    assert f"missing: {gone.relative_to(copied.folder)}" in done.stdout
    assert f"damaged: results/demo/surveys/{cut.stem}: its manifest is not whole" in done.stdout
    done = review(copied, "repair", "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Making 2 files again." in done.stdout
    assert digests(results) == digests(finished.path("results/demo"))
    done = review(copied, "repair")
    assert "Nothing has to be made again." in done.stdout


def test_a_changed_parameter_and_input_are_named(copied: Project) -> None:
    copied.configure(detectors={"along_track": {"floor": 50}})
    raw = next(copied.path("resources/demo/raw").glob("SOUTH_2004*.csv"))
    raw.write_text(raw.read_text() + "\n")
    done = review(copied, "verify")
    assert done.returncode == 1
    assert "its parameter settings was {'floor': 100} and is {'floor': 50} now" in done.stdout
    assert f"damaged: resources/demo/raw/{raw.name}" in done.stdout


def test_verify_before_a_run_says_so(project: Project) -> None:
    done = review(project, "verify")
    assert done.returncode == 1
    assert "results/demo/manifests: holds no manifest. Run the workflow first." in done.stderr


def test_a_second_run_on_the_same_results_stops_with_a_clear_message(copied: Project) -> None:
    copied.path("results/demo/products/maps/score.png").unlink()
    first = subprocess.Popen(
        copied.command(),
        cwd=copied.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )
    try:
        locks = copied.path(".snakemake/locks")
        end = time.monotonic() + 120
        while not list(locks.glob("*.lock")) and first.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGSTOP)
        assert list(locks.glob("*.lock"))
        second = copied.snakemake()
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert second.returncode != 0
    assert "cannot be locked" in second.stdout
    assert "make sure that no other Snakemake process" in second.stdout
    assert first.wait(timeout=600) == 0
    assert copied.plan() == Counter()
