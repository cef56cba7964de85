"""Runs through the SLURM profile: as on one machine, and through every fault to the same files."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.slurm.cluster import Cluster, output, processes, title, wait
from tests.slurm.conftest import (
    PATIENCE,
    OnSlurm,
    Row,
    demo_on_this_machine,
    on_this_machine,
    region_with_network,
)
from tests.workflow.conftest import Project, digests
from tests.workflow.small_region import BASE, MANY

Tell = Callable[..., None]
PRODUCTS = {"flagged", "summary", "maps", "profiles", "index"}


def on_gpus(here: OnSlurm, plan: Counter[str]) -> Counter[str]:
    """Submissions that must have a GPU, by the name of their rule, or of their group where the profile has one for it.

    Jobs of one such group read nothing of each other, so each counts as a component.
    """
    profile = yaml.safe_load(here.profile.read_text())
    given, groups = profile["set-resources"], here.groups
    jobs = Counter[str]()
    for rule in given:
        if given[rule].get("gpu") and plan[rule]:
            jobs[groups.get(rule, rule)] += plan[rule]
    together = profile.get("group-components", {})
    return Counter({name: math.ceil(n / together.get(name, 1)) for name, n in jobs.items()})


def name_of(row: Row, on: OnSlurm) -> str:
    """Rule of a submission, or its group, whose rules the comment names after it."""
    name = row.comment.removeprefix("rule_").split("_wildcards_")[0]
    return next((group for group in on.groups.values() if name.startswith(f"{group}_")), name)


def rules_of(on: OnSlurm, state: str = "COMPLETED") -> Counter[str]:
    """Submissions in a state, by rule or group."""
    return Counter(name_of(row, on) for row in on.rows() if row.state.startswith(state))


def cost_of_starts(on: OnSlurm) -> str:
    """Seconds that a submission takes beside its first job's work, and those beside each further job's, in words.

    A job's work is what its benchmark file says, from the start of its script to its end.
    """
    work, rows = on.benchmarks(), on.rows()
    together = [row for row in rows if name_of(row, on) in on.groups.values()]
    rules = {name_of(row, on) for row in rows if row not in together}
    alone = [seconds for rule in rules for seconds in work[rule]]
    start = (sum(row.seconds for row in rows if row not in together) - sum(alone)) / len(alone)
    said = f"a start takes {start:.1f} s"
    jobs = [seconds for rule in on.groups for seconds in work.get(rule, [])]
    if together:
        rest = sum(row.seconds for row in together) - sum(jobs) - start * len(together)
        said += f", a further job {rest / (len(jobs) - len(together)):.1f} s"
    return said


def same_files(on: OnSlurm, local: Project) -> None:
    """Every file has the bytes that one machine gives it, and nothing is left to be done."""
    mine, theirs = (digests(each.path("results")) for each in (on.project, local))
    assert mine == theirs
    assert not on.project.plan()


def run_whole(here: OnSlurm) -> str:
    """Run all, and check what the accounting says of it; jobs, wall time, and partitions in words."""
    plan = here.project.plan()
    jobs = sum(plan.values()) - plan["all"]
    with_gpu = on_gpus(here, plan)
    assert with_gpu
    began = time.monotonic()
    here.run()
    minutes = (time.monotonic() - began) / 60
    rows = here.rows()
    assert {row.state for row in rows} == {"COMPLETED"}
    assert len(rows) < jobs if here.grouped else len(rows) == jobs
    for row in rows:
        assert (row.partition == "gpu") == (name_of(row, here) in with_gpu), row
        assert ("gres/gpu=1" in row.resources) == (name_of(row, here) in with_gpu), row
    assert {name: rules_of(here)[name] for name in with_gpu} == with_gpu
    assert (
        sum(path.stat().st_size > 0 for path in here.project.path("slurm_logs").rglob("*.log")) == 0
    )
    partitions = Counter(row.partition for row in rows)
    return (
        f"{jobs} jobs in {minutes:.0f} min; {partitions['gpu']} submissions ({', '.join(with_gpu)}) "
        f"on partition gpu with a GPU each, {partitions['cpu']} on cpu with none; {cost_of_starts(here)}"
    )


def test_a_region_runs_as_on_one_machine_with_gpu_rules_on_gpus(
    cluster: Cluster, local: Project, tmp_path: Path, tell: Tell
) -> None:
    here = OnSlurm(region_with_network(tmp_path / "here", BASE))
    whole = run_whole(here)
    same_files(here, local)
    tell(f"none: a small region, {whole}", here)


@pytest.mark.slow
def test_the_demo_runs_as_on_one_machine(cluster: Cluster, tmp_path: Path, tell: Tell) -> None:
    here = OnSlurm(Project(tmp_path / "here"))
    whole = run_whole(here)
    same_files(here, demo_on_this_machine(tmp_path / "local"))
    tell(f"none: the demo, {whole}", here)


@pytest.mark.slow
def test_more_than_200_submissions_in_one_run(cluster: Cluster, tmp_path: Path, tell: Tell) -> None:
    local = region_with_network(tmp_path / "local", MANY)
    here = OnSlurm(local.copy(tmp_path / "here"))
    here.ungroup()
    whole = run_whole(here)
    assert len(here.rows()) > 200
    same_files(here, on_this_machine(local))
    tell(f"none: {len(MANY)} surveys without groups, {whole}", here)


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
    assert states["NODE_FAIL"] >= 1, states
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
    logs = [path.read_text() for path in half_done.project.path("slurm_logs").rglob("*.log")]
    assert any("memory" in said for said in logs), logs
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
    assert rules_of(half_done)
    half_done.project.run("--unlock")
    half_done.run()
    same_files(half_done, local)
    assert rules_of(half_done) == Counter(PRODUCTS)
    tell("snakemake gets SIGKILL and is started again", half_done)


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
