"""Runs through the SLURM profile: as on one machine, and through every fault to the same files."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.slurm.cluster import Cluster, output, processes, title, wait
from tests.slurm.conftest import PATIENCE, OnSlurm, on_this_machine
from tests.workflow.conftest import ROOT, Project, digests, make_tiny

Tell = Callable[..., None]
PRODUCTS = {"flagged", "summary", "maps", "profiles", "index"}


def gpu_rules(plan: Counter[str]) -> list[str]:
    """Rules of the plan that the profile gives a GPU."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    given = profile["set-resources"]
    return [rule for rule in given if given[rule].get("gpu") and plan[rule]]


def rules_of(on: OnSlurm, state: str = "COMPLETED") -> Counter[str]:
    """Rules of ungrouped submissions in a state."""
    rows = [row for row in on.rows() if row.state.startswith(state)]
    return Counter(row.comment.removeprefix("rule_").split("_wildcards_")[0] for row in rows)


def same_files(on: OnSlurm, local: Project) -> None:
    """Every file has the bytes that one machine gives it, and nothing is left to be done."""
    mine, theirs = (digests(each.path("results")) for each in (on.project, local))
    assert mine == theirs
    assert not on.project.plan()


def check_whole_run(here: OnSlurm, local: Project) -> tuple[int, list[str]]:
    """Run all but what `simulate` and `register` made; the number of jobs, and the rules that had GPUs."""
    for folder in (here.results, here.results / "manifests"):
        for name in ("surveys", "tiles", "models", "products", "report", "logs", "benchmarks"):
            shutil.rmtree(folder / name, ignore_errors=True)
    shutil.rmtree(here.project.path(".snakemake"))
    plan = here.project.plan()
    on_gpus = gpu_rules(plan)
    assert on_gpus
    here.run()
    same_files(here, local)
    rows = here.rows()
    assert {row.state for row in rows} == {"COMPLETED"}
    assert len(rows) < sum(plan.values())
    for row in rows:
        rule = row.comment.removeprefix("rule_").split("_wildcards_")[0]
        assert (row.partition == "gpu") == (rule in on_gpus), row
        assert ("gres/gpu=1" in row.resources) == (rule in on_gpus), row
    assert sum(rules_of(here)[rule] for rule in on_gpus) == sum(plan[rule] for rule in on_gpus)
    assert (
        sum(path.stat().st_size > 0 for path in here.project.path("slurm_logs").rglob("*.log")) == 0
    )
    return sum(plan.values()), on_gpus


def test_a_region_runs_as_on_one_machine_with_gpu_rules_on_gpus(
    here: OnSlurm, local: Project, tell: Tell
) -> None:
    jobs, on_gpus = check_whole_run(here, local)
    tell(f"none: a small region, {jobs} jobs, {', '.join(on_gpus)} on GPUs", here)


@pytest.mark.slow
@pytest.mark.parametrize(("tile_size", "least"), [(50_000, 70), (24_000, 200)])
def test_the_demo_runs_as_on_one_machine(
    cluster: Cluster, tmp_path: Path, tell: Tell, tile_size: int, least: int
) -> None:
    local = on_this_machine(make_tiny(tmp_path / "local", tile_size=tile_size))
    here = OnSlurm(local.copy(tmp_path / "here"))
    jobs, on_gpus = check_whole_run(here, local)
    assert jobs > least
    tell(f"none: the small demo, {jobs} jobs, {', '.join(on_gpus)} on GPUs", here)


@pytest.mark.slow
def test_a_killed_node_is_left_out_and_its_job_runs_elsewhere(
    cluster: Cluster, half_done: OnSlurm, local: Project, tell: Tell
) -> None:
    process = half_done.start()
    _, node = half_done.wait_until_running()
    cluster.kill_node(node)
    try:
        half_done.finish(process)
    finally:
        cluster.start_node(node)
        cluster.wait_for_nodes()
    same_files(half_done, local)
    states = Counter(row.state for row in half_done.rows())
    assert states["NODE_FAIL"] >= 1
    assert rules_of(half_done) == Counter(PRODUCTS)
    tell("a node is killed", half_done)


def test_a_cancelled_job_is_run_again(half_done: OnSlurm, local: Project, tell: Tell) -> None:
    process = half_done.start()
    job, _ = half_done.wait_until_running()
    output("scancel", job)
    half_done.finish(process)
    same_files(half_done, local)
    assert sum(rules_of(half_done, "CANCELLED").values()) == 1
    assert rules_of(half_done) == Counter(PRODUCTS)
    tell("a job is cancelled with scancel", half_done)


def test_a_job_out_of_memory_gets_more(half_done: OnSlurm, local: Project, tell: Tell) -> None:
    # Room for Snakemake and the start of the script, not for drawing.
    half_done.resources("maps", mem_mb="450 if attempt < 2 else 4000")
    half_done.run()
    same_files(half_done, local)
    assert rules_of(half_done) == Counter(PRODUCTS)
    failed = [row for row in half_done.rows() if row.state != "COMPLETED"]
    assert [row.comment for row in failed] == ["rule_maps"]
    tell("a job runs out of memory", half_done)


@pytest.mark.slow
def test_a_job_past_its_time_gets_more(half_done: OnSlurm, local: Project, tell: Tell) -> None:
    half_done.resources("maps", runtime="2 if attempt < 2 else 60")
    process = half_done.start()

    def script() -> list[int]:
        return [pid for pid in processes() if title(pid).endswith(".maps.py")]

    wait(script, "the script of rule maps", PATIENCE)
    for pid in script():
        os.kill(pid, signal.SIGSTOP)
    half_done.finish(process)
    same_files(half_done, local)
    assert rules_of(half_done, "TIMEOUT") == Counter(["maps"])
    assert rules_of(half_done) == Counter(PRODUCTS)
    tell("a job hangs past its time", half_done)


@pytest.mark.slow
def test_snakemake_killed_and_started_again(half_done: OnSlurm, local: Project, tell: Tell) -> None:
    process = half_done.start()
    half_done.wait_until_running()
    process.kill()
    process.communicate()
    # What docs/howto/slurm.md says: let its jobs end, then unlock and go on.
    wait(lambda: not output("squeue", "-h", "-o", "%A").split(), "its jobs to end", PATIENCE)
    orphans = rules_of(half_done)
    half_done.project.run("--unlock")
    half_done.run()
    same_files(half_done, local)
    done = rules_of(half_done)
    assert set(done) == PRODUCTS
    assert done - Counter(PRODUCTS) <= orphans
    again = ", ".join(sorted(done - Counter(PRODUCTS))) or "nothing"
    tell("snakemake gets SIGKILL and is started again", half_done, again=again)


@pytest.mark.slow
def test_the_controller_is_away_for_a_while(
    cluster: Cluster, half_done: OnSlurm, local: Project, tell: Tell
) -> None:
    process = half_done.start()
    half_done.wait_until_running()
    cluster.restart_controller(pause=15)
    half_done.finish(process)
    same_files(half_done, local)
    assert rules_of(half_done) == Counter(PRODUCTS)
    tell("slurmctld is stopped, and started after 15 s", half_done)
