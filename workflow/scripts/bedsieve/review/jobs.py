"""The jobs that Snakemake would run, as plain data: from its own plan, so that nothing here can differ from a run.

In: the Snakefile, overlay configurations and a profile. Out: one `PlannedJob` for each job of the default target, and what
else the rules could make. Snakemake offers no public way to its plan but printed text, so its internals are touched here,
and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedsieve.config import detectors_asked_for
from bedsieve.errors import BedsieveError, InputError
from bedsieve.evaluation.members import SCORERS, with_what_they_read
from bedsieve.job_requests import BASE_MINUTES, MARGIN, RECKONING
from bedsieve.plan import Plan
from bedsieve.provenance.record import code_of, plain

_CORES = 64  # more than a rule asks for, so that no number of threads is cut
_BY_NAME = "sparker"  # its scorecards are asked for by name, member or not


@dataclass(frozen=True)
class PlannedJob:
    """A job: its rule, files, resources, and how much it has to do.

    `points` is None for a job without points to it. `work_s` is what the rule's own rate says (seconds), None where
    it gives a mere time limit; `limit_s` is that limit at the first attempt, or what follows from the rate. `needs` are the indices of the jobs that it waits for.
    A `local` job is never submitted: it runs where Snakemake does.
    """

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    benchmark: str | None
    code: str | None
    params: dict[str, Any]
    points: int | None
    mem_mb: int
    threads: int
    gpus: int
    work_s: float | None
    limit_s: float
    runs: bool
    needs: tuple[int, ...]
    local: bool = False


@dataclass(frozen=True)
class Planned:
    """All jobs of the default target, the results folder that they write to, and two pictures in graphviz's words.

    `provisional` counts the surveys whose tiles are a guess, because their files have not been scanned yet. `patterns` are
    the outputs of all rules, asked for or not, `tiles` those that there are, and `idle` the detectors that are neither
    members nor judged beside them.
    """

    jobs: tuple[PlannedJob, ...]
    results: Path
    provisional: int
    rulegraph: str
    filegraph: str
    patterns: tuple[re.Pattern[str], ...] = ()
    tiles: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()

    def can_make(self, name: str) -> bool:
        """Whether a rule makes a file of this name, of the surveys and tiles that there are."""
        found = (pattern.match(name) for pattern in self.patterns)
        wildcards = (match.groupdict() for match in found if match is not None)
        return any("tile" not in each or each["tile"] in self.tiles for each in wildcards)


def planned_jobs(snakefile: Path, configfiles: list[Path], profile: Path | None = None) -> Planned:
    """Ask Snakemake which jobs there are and which of them would run.

    Parameters
    ----------
    snakefile : Path
        The project's Snakefile; paths in the configuration are relative to the working folder.
    configfiles : list of Path
        Overlays, as given to ``--configfile``.
    profile : Path, optional
        File of a profile (`profile_file`); what it has under `config` overrides the overlays, as in a run.

    Raises
    ------
    BedsieveError
        If Snakemake cannot plan; with its own words.
    """
    from snakemake.api import ConfigSettings, OutputSettings, ResourceSettings, SnakemakeApi
    from snakemake.exceptions import RuleException, WorkflowError
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import DAGSettings, PrintDag, RerunTrigger

    triggers = frozenset({RerunTrigger.MTIME, RerunTrigger.PARAMS, RerunTrigger.INPUT})
    try:
        with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=_CORES),
                config_settings=ConfigSettings(
                    config=config_of(profile), configfiles=tuple(configfiles)
                ),
                snakefile=snakefile,
            )
            dag = workflow.dag(DAGSettings(rerun_triggers=triggers, print_dag_as=str(PrintDag.DOT)))
            inner = dag.workflow_api._workflow
            inner.dag_settings = dag.dag_settings
            inner._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)
            inner._build_dag()
            return _as_data(inner)
    except (RuleException, WorkflowError) as error:  # neither is a kind of the other
        raise BedsieveError(str(error)) from None


def profile_file(profile: Path) -> Path:
    """The file of a profile that is given by its folder, or by its file.

    Raises
    ------
    InputError
        If there is none. Snakemake passes over a workflow profile that does not exist without a word.
    """
    from snakemake.cli import get_profile_dir

    found = get_profile_dir(str(profile))
    if found is None:
        raise InputError(profile, "is no profile: it holds no config.yaml", "Name its folder")
    return Path(found[1])


def config_of(profile: Path | None) -> dict[str, Any]:
    """What a profile has under `config`, read as Snakemake reads it.

    Raises
    ------
    InputError
        If its file is no YAML that Snakemake understands.
    """
    if profile is None:
        return {}
    from snakemake.cli import parse_config
    from snakemake.profiles import ConfigFileParserException, ProfileConfigFileParser

    try:
        with profile.open(encoding="utf-8") as stream:
            told = ProfileConfigFileParser().parse(stream)
        return dict(parse_config(told.get("config")))
    except (ConfigFileParserException, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputError(profile, f"cannot be read: {said}", "Correct the profile") from None


def _as_data(workflow: Any) -> Planned:
    plan: Plan = workflow.globals["PLAN"]
    config = workflow.globals["config"]
    dag = workflow.dag
    jobs = [job for level in dag.toposorted() for job in level if job.rule.name != "all"]
    place = {job: number for number, job in enumerate(jobs)}
    return Planned(
        tuple(_job(job, plan, dag.needrun(job), dag.dependencies[job], place) for job in jobs),
        Path(workflow.globals["RESULTS"]),
        len(plan.provisional()),
        str(dag.rule_dot()),
        str(dag.filegraph_dot()),
        tuple(output.regex() for rule in workflow.rules for output in rule.output),
        frozenset(plan.tiles),
        frozenset(SCORERS) - {_BY_NAME, *with_what_they_read(detectors_asked_for(config))},
    )


def _job(job: Any, plan: Plan, runs: bool, needs: Any, place: dict[Any, int]) -> PlannedJob:
    params = plain(dict(job.params.items()))
    first = job.resources
    mem_mb, soon, threads = int(first.get("mem_mb", 0)), first.get("runtime", 0), int(job.threads)
    gpus = int(first.get("gpu", 0))
    job.attempt = RECKONING  # estimates are multiplied by 2^20 there, mere limits by 21
    late = job.resources.get("runtime", 0)
    job.attempt = 1
    work = (
        None
        if late <= 1000 * soon
        else ((late / 2.0 ** (RECKONING - 1)) - BASE_MINUTES) / MARGIN * 60
    )
    return PlannedJob(
        rule=job.rule.name,
        inputs=tuple(sorted(map(str, job.input))),
        outputs=tuple(map(str, job.output)),
        benchmark=str(job.benchmark) if job.benchmark else None,
        code=code_of(params),
        params=params,
        points=_points(dict(job.wildcards.items()), plan, work is not None),
        mem_mb=mem_mb,
        threads=threads,
        gpus=gpus,
        work_s=None if work is None else max(work, 0.0),
        limit_s=60.0 * soon,
        runs=bool(runs),
        needs=tuple(sorted(place[other] for other in needs)),
        local=job.rule.name in job.dag.workflow._localrules,
    )


def _points(wildcards: dict[str, str], plan: Plan, by_points: bool) -> int | None:
    if "survey" in wildcards:
        return plan.points_of_survey(wildcards["survey"])
    if "tile" in wildcards:
        return plan.points_of_tile(wildcards["tile"])
    return plan.points() if by_points else None
