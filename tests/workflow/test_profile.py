"""Contracts of the SLURM profile: what it groups, what jobs ask for, and that a plan of it is that of a run."""

from __future__ import annotations

import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import yaml

from tests.workflow.conftest import ROOT, Project, environment
from tests.workflow.test_dry_run import expected, tables
from tests.workflow.test_review import RULES, review, shares

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


def test_quick_members_leave_little_to_submissions_at_bedmap_scale(tmp_path: Path) -> None:
    """Without groups, 1,064 jobs of 5 s are as much as all of their work."""
    bedmap = Project(tmp_path, "config/config.yaml")
    quick = bedmap.path("quick.yaml")
    quick.write_text("ensemble: {members: [along_track, pca, segments]}\n")
    done = review(bedmap, "plan", "--configfile", "quick.yaml")
    assert done.returncode == 0, done.stderr
    overhead, by_submissions = shares(done.stdout)
    assert by_submissions < overhead < 10


def test_the_profile_knows_the_rules() -> None:
    assert set(PROFILE["groups"]) <= set(RULES)
    on_gpus = {rule for rule, given in PROFILE["set-resources"].items() if given.get("gpu")}
    assert {rule for rule, text in RULES.items() if "**GPU" in text} == on_gpus
    # A group asks for what its largest job needs: no job without a GPU may hold one.
    groups = PROFILE["groups"]
    with_gpu = {group for rule, group in groups.items() if rule in on_gpus}
    assert not with_gpu & {group for rule, group in groups.items() if rule not in on_gpus}
    assert set(groups.values()) == set(PROFILE["group-components"])


def test_only_rules_with_a_gpu_are_told_the_device() -> None:
    """A job told to use a GPU that it wasn't given stops."""
    for rule, text in RULES.items():
        assert "DEVICE" not in text or "**GPU" in text, rule


def test_every_rule_asks_for_more_at_the_next_attempt() -> None:
    common = (ROOT / "rules/common.smk").read_text()
    grow = {
        name
        for name, text in re.findall(r"^def (\w+)\(.*?:\n(.*?)(?=^\S|\Z)", common, re.M | re.S)
        if "attempt" in text
    }
    for rule, text in RULES.items():
        for name, given in re.findall(
            r"\b(mem_mb|runtime)=(.*?)(?=\n *\w+=|\n *\w+:\n)", text, re.S
        ):
            assert set(re.findall(r"\w+", given)) & (grow | {"attempt"}), (rule, name)


def test_no_group_waits_for_itself(project: Project) -> None:
    """A group on both sides of a training would: each group, taken as one, leaves the plan without a circle."""
    sections = yaml.safe_load((ROOT / "config/config.yaml").read_text())["detectors"]
    members = [name for name in sections if name in RULES]
    assert {"pegasus", "sparker", "carving"} < set(members)
    project.configure(ensemble={"members": members, "fdr": 0.1}, graph={"hops": 6})
    done = review(project, "plan", "--pictures", "plan")
    assert done.returncode == 0, done.stderr
    dot = project.path("plan/rulegraph.dot").read_text()
    rules = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    waits = TopologicalSorter[str]()
    for source, target in re.findall(r"(\d+) -> (\d+)", dot):
        before, after = (PROFILE["groups"].get(rules[n], rules[n]) for n in (source, target))
        if before != after:
            waits.add(after, before)
    assert set(PROFILE["groups"].values()) <= set(waits.static_order())


def test_the_cluster_profile_tells_networks_to_use_the_gpus_that_it_gives(project: Project) -> None:
    surveys, tiles = tables(ROOT / "config" / "demo")
    cluster = ("--workflow-profile", "profiles/slurm")
    assert project.plan(*cluster) == expected(surveys, tiles, simulate=1)
    assert yaml.safe_load(PROFILE["config"]["models"]) == {"device": "gpu"}
    profile = project.path("profiles/slurm/config.yaml")
    profile.write_text(profile.read_text().replace("device: gpu", "device: tpu"))
    assert "'tpu' at models.device is unknown" in project.snakemake("--dry-run", *cluster).stdout


REQUESTS = """
from pathlib import Path
from bedsieve.review.jobs import planned_jobs
plan = planned_jobs(Path("Snakefile"), [Path("{}")], Path("profiles/slurm/config.yaml"))
for job in plan.jobs:
    if job.rule == "train_gnn":
        print(job.mem_mb, job.limit_s / 60, job.work_s)
"""


def asked_for(project: Project) -> list[float]:
    """Memory, time limit and seconds reckoned of the training of `gnn`, with the SLURM profile."""
    done = subprocess.run(
        [sys.executable, "-c", REQUESTS.format(project.overlay)],
        cwd=project.folder, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [float(number) for number in done.stdout.split()]


def test_a_site_s_limits_hold_for_jobs_and_not_for_what_is_reckoned(project: Project) -> None:
    memory, time, work = asked_for(project)
    assert memory > 900
    assert time > 3
    profile = project.path("profiles/slurm/config.yaml")
    text, line = profile.read_text(), '# cluster: "{max_runtime: 1440, max_mem_mb: 180000}"'
    assert line in text
    profile.write_text(text.replace(line, 'cluster: "{max_runtime: 3, max_mem_mb: 900}"'))
    assert asked_for(project) == [900, 3, work]


def gpus_of(table: str, rule: str) -> str:
    lines = table.splitlines()
    end = next(line for line in lines if "GPUs" in line).index("GPUs") + len("GPUs")
    return (
        next(line for line in lines if line.startswith(f"{rule} "))[:end].rsplit("  ", 1)[1].strip()
    )


def test_a_profile_counts_as_in_a_run(project: Project) -> None:
    own = yaml.safe_load(project.path("profiles/slurm/config.yaml").read_text())
    del own["groups"], own["group-components"]
    project.path("profiles/mine").mkdir()
    project.path("profiles/mine/config.yaml").write_text(yaml.safe_dump(own))
    counts = {}
    for name, gpus, counted in (
        ("default", "", "slurm"),
        ("slurm", "1", "slurm"),
        ("mine", "1", "mine"),
    ):
        said = review(project, "plan", "--profile", f"profiles/{name}").stdout
        assert [gpus_of(said, rule) for rule in ("train_gnn", "gnn")] == [gpus, gpus]
        found = re.search(r"On SLURM with (.*): (\d+) submissions of 5 s, and (\d+) further", said)
        assert found is not None
        assert found[1].endswith(f"profiles/{counted}")
        counts[name] = int(found[2]), int(found[3])
    assert counts["slurm"] == counts["default"]
    assert counts["mine"] == (sum(counts["slurm"]), 0)
    done = review(project, "plan", "--profile", "profiles/slrm")
    assert done.returncode == 1
    assert "profiles/slrm: is no profile" in done.stderr


def test_a_setting_that_takes_the_gpus_device_away_is_told(project: Project) -> None:
    plan = ("--dry-run", "--workflow-profile", "profiles/slurm")
    assert "which they would hold and not use" not in project.run(*plan)
    said = project.run(*plan, "--config", "graph={k: 8}")
    assert said.count("which they would hold and not use") == 1
    both = project.run(*plan, "--config", "graph={k: 8}", "models={device: gpu}")
    assert "which they would hold and not use" not in both
