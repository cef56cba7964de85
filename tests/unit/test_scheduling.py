"""Snakemake's own limit of submissions, how often it reads the scripts, and who runs the jobs of a submission."""

import inspect
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan
from snakemake.sourcecache import LocalSourceFile, SourceCache
from snakemake.workflow import Workflow
from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from bedsieve.scheduling import (
    DEFAULT_LIMIT,
    JOBSTEP,
    lift_default_rate_limit,
    read_sources_once,
    run_jobs_of_a_submission_here,
)
from tests.workflow.conftest import environment

TURNS = """
from bedsieve.scheduling import run_jobs_of_a_submission_here
run_jobs_of_a_submission_here(workflow)
rule turn:
    output: "{name}"
    shell: "start=$(date +%s.%N); sleep 0.3; echo $start $(date +%s.%N) > {output}"
"""


def _after(limit: MaxJobsPerTimespan | None) -> object:
    scheduler = SimpleNamespace(job_rate_limiter="limiter")
    settings = SimpleNamespace(max_jobs_per_timespan=limit)
    lift_default_rate_limit(SimpleNamespace(scheduling_settings=settings, scheduler=scheduler))
    return scheduler.job_rate_limiter


@pytest.mark.parametrize(
    ("limit", "left"),
    [("100/1s", None), ("100/1m", "limiter"), ("50/1s", "limiter"), ("5/2s", "limiter")],
)
def test_only_the_default_goes(limit: str, left: object) -> None:
    assert _after(MaxJobsPerTimespan.parse_choice(limit)) == left


def test_no_limit_stays_none() -> None:
    assert _after(None) == "limiter"


def test_snakemake_still_has_what_is_changed() -> None:
    default = get_argument_parser().get_default("max_jobs_per_timespan")
    limit = MaxJobsPerTimespan.parse_choice(default)
    assert (limit.max_jobs, limit.timespan) == DEFAULT_LIMIT
    assert "self.job_rate_limiter is None" in inspect.getsource(JobScheduler)


def test_a_script_is_read_once_and_text_stays_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "scripts" / "a.py"
    script.parent.mkdir()
    script.write_text("first = 1\nsecond = 2\n")
    cache = SourceCache(tmp_path / "cache", runtime_cache_path=str(tmp_path / "runtime"))
    opened = []
    plain = cache._open
    monkeypatch.setattr(cache, "_open", lambda *of, **how: opened.append(of) or plain(*of, **how))
    read_sources_once(SimpleNamespace(sourcecache=cache))
    for _ in range(3):
        with cache.open(LocalSourceFile(str(script))) as file:
            assert list(file) == ["first = 1\n", "second = 2\n"]
        with cache.open(LocalSourceFile(str(script)), "rb") as file:
            assert file.read() == script.read_bytes()
        assert cache.exists(LocalSourceFile(str(script)))
        assert not cache.exists(LocalSourceFile(str(tmp_path / "none.py")))
    modes = [arguments[1] for arguments in opened if "none" not in str(arguments[0].path)]
    # The first copies the source, the second is the only one that reads the text.
    assert modes == ["rb", "r", "rb", "rb", "rb"]


@pytest.mark.parametrize(
    ("name", "inside", "runs"),
    [
        (JOBSTEP, True, "local"),
        (JOBSTEP, False, JOBSTEP),
        ("slurm", False, "slurm"),
        ("local", True, "local"),
    ],
)
def test_jobs_of_a_submission_are_run_where_it_is(name: str, inside: bool, runs: str) -> None:
    seen: list[tuple[str, object, object]] = []

    def execute(executor_plugin: Any, executor_settings: Any, **others: Any) -> bool:
        seen.append((executor_plugin.name, executor_settings, others["scheduler_plugin"]))
        return True

    workflow = SimpleNamespace(remote_exec=inside, execute=execute)
    run_jobs_of_a_submission_here(workflow)
    asked = ExecutorPluginRegistry().get_plugin(name)
    assert workflow.execute(
        executor_plugin=asked, executor_settings="its own", scheduler_plugin="greedy"
    )
    assert seen == [(runs, "its own" if runs == name else None, "greedy")]


def test_a_job_of_an_array_is_left_to_the_plugin() -> None:
    seen: list[str] = []
    workflow = SimpleNamespace(
        remote_exec=True,
        execute=lambda executor_plugin, **others: seen.append(executor_plugin.name),
    )
    run_jobs_of_a_submission_here(workflow)
    workflow.execute(
        executor_plugin=ExecutorPluginRegistry().get_plugin(JOBSTEP),
        executor_settings=SimpleNamespace(array_execs="{}"),
    )
    assert seen == [JOBSTEP]


def test_a_submission_runs_its_jobs_in_turn_without_srun(tmp_path: Path) -> None:
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(TURNS)
    names = ("a", "b", "c")
    inside = ("--mode", "remote", "--executor", JOBSTEP, "--jobs", "1", "--cores", "all")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), *inside, "--", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment() | {"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    times = sorted(tuple(map(float, (tmp_path / name).read_text().split())) for name in names)
    assert all(first[1] <= second[0] for first, second in pairwise(times))


def test_the_plugin_still_has_what_is_replaced() -> None:
    assert "executor_plugin" in inspect.signature(Workflow.execute).parameters
    # The name, and that no two run at a time though each may have all cores.
    assert f'"--executor {JOBSTEP} --jobs 1"' in inspect.getsource(Executor.additional_general_args)
