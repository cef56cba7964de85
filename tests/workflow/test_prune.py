"""What `make prune` deletes, and what it keeps."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import polars as pl

from tests.workflow.conftest import ROOT, Project
from tests.workflow.test_review import review


def put_result(project: Project, name: str, rule: str, *inputs: str) -> Path:
    """A file of the results with a manifest, as a job of the rule would leave them."""
    path = project.path(f"results/demo/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    about = {
        "format": 1,
        "file": f"results/demo/{name}",
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "bytes": len(name),
        "rule": rule,
        "inputs": {f"results/demo/{source}": "0" for source in inputs},
        "code": None,
        "params": {},
        "packages": {},
    }
    place = project.path(f"results/demo/manifests/{name}.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(about))
    return path


def test_prune_keeps_what_is_made_by_name(project: Project) -> None:
    """Of surveys, tiles and members that there are no more, nothing is kept."""
    names = pl.read_csv(project.path("config/demo/surveys.tsv"), separator="\t")["survey"]
    coverage = pl.read_csv(
        project.path("config/demo/coverage.tsv"), separator="\t", comment_prefix="#"
    )
    here = f"tiles/{coverage.filter(pl.col('n') > 0)['tile'][0]}"
    project.configure(
        ensemble={"members": ["along_track", "segments"]}, evaluation={"beside": ["local_entropy"]}
    )
    kept = [
        put_result(project, f"{here}/residuals.parquet", "sparker_residuals"),
        put_result(project, f"surveys/{names[0]}.scores/sparker.parquet", "sparker"),
        put_result(project, f"scorecards/{names[0]}/scorecard.json", "sparker"),
        put_result(project, "products/survey_scorecards.tsv", "survey_scorecards"),
        put_result(project, "products/survey_kernels.tsv", "survey_scorecards"),
        put_result(project, f"{here}/scores/local_entropy.parquet", "local_entropy"),
        put_result(project, "products/local_entropy_calibration.tsv", "local_entropy_calibration"),
        put_result(project, "evaluation/evaluation.tsv", "evaluation"),
    ]
    model = "models/v1/gnn/manifest.json"
    gone = [
        put_result(project, "surveys/RETIRED.parquet", "harmonise"),
        put_result(project, "surveys/RETIRED.scores/sparker.parquet", "sparker"),
        put_result(project, "scorecards/RETIRED/sample.parquet", "sparker_sample"),
        put_result(project, "scorecards/RETIRED/scorecard.json", "sparker"),
        put_result(project, "tiles/x900_y900/residuals.parquet", "sparker_residuals"),
        put_result(project, f"{here}/scores/gnn.parquet", "gnn", model),
        put_result(project, "products/gnn_training.tsv", "gnn_training", model),
        put_result(project, "products/maps/detector_gnn.png", "maps"),
    ]
    locks = project.path(".snakemake/locks")
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("results/demo/surveys/RETIRED.parquet\n")
    for command in (("prune", "--delete"), ("repair",)):
        done = review(project, *command)
        assert done.returncode == 1
        assert "a run works on this folder, so nothing is deleted" in done.stderr
    assert all(path.exists() for path in (*kept, *gone))
    (locks / "0.input.lock").unlink()
    listed = review(project, "prune").stdout.splitlines()
    assert listed[:-1] == sorted(str(path.relative_to(project.folder)) for path in gone)
    assert f"Deleted {len(gone)} files." in review(project, "prune", "--delete").stdout
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_a_damaged_model_of_another_version_stays(project: Project) -> None:
    """No rule trains it, so its weights must not go."""
    project.configure(models={"version": "v2"})
    weights = put_result(project, "models/v1/gnn/curves.tsv", "train_gnn")
    manifest = put_result(project, "models/v1/gnn/manifest.json", "train_gnn")
    weights.write_text("cut")
    done = review(project, "repair")
    assert "damaged: results/demo/models/v1/gnn/curves.tsv" in done.stdout
    assert "left as it is: results/demo/models/v1/gnn: no job of this plan" in done.stdout
    assert "Nothing has to be made again." in done.stdout
    assert done.returncode == 0
    assert weights.exists()
    assert manifest.exists()


def test_prune_deletes_on_yes_alone() -> None:
    for word, deletes in (("yes", True), ("no", False), ("", False)):
        said = subprocess.run(
            ["make", "-n", "prune", f"DELETE={word}"], cwd=ROOT, capture_output=True, text=True
        )
        assert said.returncode == 0, said.stderr
        assert ("--delete" in said.stdout) == deletes
