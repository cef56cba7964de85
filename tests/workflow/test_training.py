"""Training and tuning of the graph network under a kill signal, through Snakemake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from bedsieve.detectors.gnn_tuning import open_study
from tests.unit.gnn_tiles import made_points, write_tiles
from tests.workflow.conftest import Project, digests, environment

MODEL = "results/demo/models/v1/gnn"
TUNING = "results/demo/tuning/v1"


def made_project(folder: Path) -> Project:
    """A project of one survey in one tile, whose points, edges and labels are made up and in place."""
    project = Project(folder)
    tables = project.path("config/demo")
    tables.joinpath("surveys.tsv").write_text("survey_no\tsurvey\n1\tA\n")
    tables.joinpath("coverage.tsv").write_text(
        f"survey\ttile\tn\tgap_m\tsha256\nA\tx0_y0\t4000\t0\t{'0' * 64}\n"
    )
    project.path("raw").mkdir()
    project.path("raw/A.csv").write_text("")
    points, bad = made_points(4000)
    label = np.where(np.random.default_rng(1).random(4000) < 0.9, bad.astype(int), -1)
    write_tiles(folder / "made", points, label)
    shutil.copytree(folder / "made" / "x0", project.path("results/demo/tiles/x0_y0"))
    gnn = {"epochs": 30, "patience": 30, "batch": 256}
    project.configure(simulate=None, covariates={}, paths={"raw": "raw"}, detectors={"gnn": gnn})
    return project


def start(project: Project, *arguments: str) -> subprocess.Popen[bytes]:
    """Snakemake in a session of its own, so that all that it starts can be found."""
    return subprocess.Popen(
        project.command(*arguments),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )


def jobs(session: int, script: str) -> list[int]:
    """Processes of a session that run a script of the workflow, the first started first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            own = os.getsid(int(folder.name)) == session
            words = folder.joinpath("cmdline").read_bytes().split(b"\0")
        except (ProcessLookupError, FileNotFoundError):
            continue
        if own and any(word.endswith(f".{script}".encode()) for word in words):
            found.append(int(folder.name))
    return sorted(found)


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes]) -> Path:
    """The first file of that name, as soon as it is there."""
    end = time.monotonic() + 1800
    while time.monotonic() < end:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
        assert process.poll() is None, f"the run ended before {pattern} was there"
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} in half an hour")


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    model, target = project.path(MODEL), f"{MODEL}/manifest.json"
    assert project.plan(target) == {"train_gnn": 1}

    # The job alone is killed: Snakemake lives, tells of it and removes what the job had written.
    run = start(project, target)
    first = wait_for(model / "checkpoints", "fold_A.pt", run)
    (job,) = jobs(run.pid, "train_gnn.py")
    os.kill(job, signal.SIGKILL)
    assert run.wait(timeout=1800) == 1
    assert first.exists()
    assert not project.path(target).exists()

    # All is killed, as by a machine that goes down.
    run = start(project, target)
    second = wait_for(model / "checkpoints", "fold_B.pt", run)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert second.exists()
    assert not project.path(target).exists()
    project.run("--unlock")
    project.run(target)
    told = project.path("results/demo/logs/train_gnn.log").read_text()
    assert "Training fold A: resumed after epoch 30" in told
    assert "Training fold B: resumed after epoch" in told
    assert not list((model / "checkpoints").iterdir())

    # The same training without a kill.
    shutil.move(model, tmp_path / "killed")
    project.run(target)
    assert "resumed" not in project.path("results/demo/logs/train_gnn.log").read_text()
    made = digests(model)
    assert {"fold_A.safetensors", "fold_B.safetensors", "curves.tsv", "manifest.json"} <= set(made)
    assert digests(tmp_path / "killed") == made


@pytest.mark.slow
def test_a_search_goes_on_without_a_killed_worker_and_is_adopted(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    project.configure(tuning={"trials": 4, "workers": 2, "epochs": 3})
    folder = project.path(TUNING)
    run = start(project, "tune_gnn", "--cores", "4")
    wait_for(folder, "gnn.?*.pt", run)
    both = jobs(run.pid, "tune_gnn_worker.py")
    assert len(both) == 2
    os.kill(both[0], signal.SIGKILL)
    assert run.wait(timeout=1800) == 1
    assert len(list(folder.glob("gnn_worker_*.json"))) == 1

    project.run("tune_gnn", "--cores", "4")
    trials = pl.read_csv(folder / "gnn_trials.tsv", separator="\t")
    for letter in "AB":
        done = trials.filter(pl.col("model") == letter)
        states = [trial.state.name for trial in open_study(folder / "gnn.journal", letter).trials]
        # The killed trial is never finished and counts for nothing; two workers may both begin a last one.
        assert done.height == states.count("COMPLETE") + states.count("PRUNED")
        assert 4 <= done.height <= 5
    assert sorted(path.name for path in folder.iterdir()) == [
        "gnn.journal", "gnn.yaml", "gnn_trials.tsv", "gnn_worker_0.json", "gnn_worker_1.json",
    ]  # fmt: skip
    assert project.plan("tune_gnn") == {}

    # What was found trains a version of its own.
    overlay, best = f"{TUNING}/gnn.yaml", yaml.safe_load((folder / "gnn.yaml").read_text())
    target = "results/demo/models/v1_tuned/gnn/manifest.json"
    command = project.command(target)
    command.insert(command.index(project.overlay) + 1, overlay)
    done = subprocess.run(
        command,
        cwd=project.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    manifest = json.loads(project.path(target).read_text())
    assert manifest["version"] == best["models"]["version"] == "v1_tuned"
    assert manifest["config"]["per_fold"] == best["detectors"]["gnn"]["per_fold"]
    assert set(manifest["config"]["per_fold"]) == {"A", "B"}
