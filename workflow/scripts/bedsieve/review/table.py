"""The plan as a table: for each rule its jobs, files, points, memory and hours.

In: planned jobs, and what earlier runs measured. Out: text. Hours come from the benchmark files of the same results where
there are some, scaled by points, else from the rate that a rule states for itself.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bedsieve.review.jobs import Planned, PlannedJob
from bedsieve.review.submissions import STEP_S, SUBMISSION_S, Submissions

_TRAINING = "train_"  # how rules that train are named
_HEAD = ("rule", "jobs", "inputs", "points", "MB a job", "threads", "GPUs", "hours", "from")


@dataclass(frozen=True)
class Estimate:
    """How long a job takes (s), None where nothing is known, and where that is from."""

    seconds: float | None
    source: str


def estimate(jobs: Sequence[PlannedJob]) -> list[Estimate]:
    """Estimate each job's time: as measured, else by the rule's measured speed, else by its stated rate."""
    measured = [read_benchmark(job.benchmark) for job in jobs]
    seconds: dict[str, float] = {}
    points: dict[str, int] = {}
    for job, found in zip(jobs, measured, strict=True):
        if found is not None and job.points:
            seconds[job.rule] = seconds.get(job.rule, 0.0) + found
            points[job.rule] = points.get(job.rule, 0) + job.points
    out = []
    for job, found in zip(jobs, measured, strict=True):
        if found is not None:
            out.append(Estimate(found, "measured"))
        elif job.points and job.rule in points:
            speed = seconds[job.rule] / points[job.rule]
            out.append(Estimate(speed * job.points, "measured"))
        else:
            out.append(Estimate(job.work_s, "rate" if job.work_s is not None else "not known"))
    return out


def read_benchmark(path: str | None) -> float | None:
    """Seconds in the last row of a benchmark file; None if there is none."""
    if path is None or not Path(path).is_file():
        return None
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return float(rows[-1]["s"]) if rows else None


def longest_chain(jobs: Sequence[PlannedJob], estimates: Sequence[Estimate]) -> float:
    """Seconds of the longest chain of jobs that wait for each other: no cluster is faster than this."""
    ends: list[float] = []
    for job, guess in zip(jobs, estimates, strict=True):
        start = max((ends[other] for other in job.needs), default=0.0)
        ends.append(start + ((guess.seconds or 0.0) if job.runs else 0.0))
    return max(ends, default=0.0)


def as_text(plan: Planned, submissions: Submissions, profile: Path) -> str:
    """The table, its sums, and what the plan costs on a cluster.

    Parameters
    ----------
    plan : Planned
        All jobs.
    submissions : Submissions
        As the cluster's profile groups them.
    profile : Path
        Its folder.
    """
    guesses = estimate(plan.jobs)
    rows = _rows(plan.jobs, guesses)
    if not rows:
        return "Nothing to be done.\n"
    work = sum(g.seconds or 0.0 for job, g in zip(plan.jobs, guesses, strict=True) if job.runs)
    running = sum(job.runs for job in plan.jobs)
    here = [job.rule for job in plan.jobs if job.runs and job.local]
    unknown = sorted({row[0] for row in rows if row[-1] == "not known"})
    scoring = sum(
        g.seconds or 0.0
        for job, g in zip(plan.jobs, guesses, strict=True)
        if job.runs and not job.rule.startswith(_TRAINING)
    )
    lines = [
        _aligned([_HEAD, *rows]),
        f"{running} jobs, {work / 3600:.2f} h of work one after the other; "
        f"the longest chain of jobs takes {longest_chain(plan.jobs, guesses) / 3600:.2f} h.",
        f"On SLURM with {profile}: {submissions.count} submissions of {SUBMISSION_S:.0f} s, and "
        f"{submissions.jobs - submissions.count} further jobs in them of {STEP_S:g} s each: "
        f"{submissions.overhead_s / 3600:.2f} h beside the work, {_share(submissions.overhead_s, work)} of it; "
        f"{_share(submissions.overhead_s, scoring)} of the {scoring / 3600:.2f} h without trainings, "
        f"{_share(submissions.queueing_s, scoring)} by submissions alone.",
    ]
    if here:
        lines.append(
            f"{len(here)} jobs of {', '.join(sorted(set(here)))} are not submitted: they run where Snakemake does."
        )
    if unknown:
        lines.append(f"Hours are not known, and not counted, of {', '.join(unknown)}.")
    if plan.provisional:
        lines.append(
            f"The tiles of {plan.provisional} surveys are provisional: a guess until `snakemake "
            "register` has scanned their files."
        )
    return "\n".join(lines) + "\n"


def _share(part: float, whole: float) -> str:
    return f"{part / whole if whole else 0.0:.1%}"


def _rows(jobs: Sequence[PlannedJob], guesses: Sequence[Estimate]) -> list[tuple[str, ...]]:
    rules: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        if job.runs:
            rules.setdefault(job.rule, []).append(number)
    rows: list[tuple[str, ...]] = []
    for rule, numbers in rules.items():
        mine = [jobs[number] for number in numbers]
        times = [guesses[number] for number in numbers]
        points = [job.points for job in mine if job.points is not None]
        known = all(time.seconds is not None for time in times)
        hours = sum(time.seconds or 0.0 for time in times) / 3600
        rows.append(
            (
                rule,
                f"{len(mine)}",
                f"{len({name for job in mine for name in job.inputs})}",
                f"{sum(points):,}" if points else "",
                f"{max(job.mem_mb for job in mine):,}",
                f"{max(job.threads for job in mine)}",
                f"{max(job.gpus for job in mine) or ''}",
                f"{hours:.2f}" if known else "",
                " and ".join(sorted({time.source for time in times})),
            )
        )
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = (0, len(widths) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
