"""Which jobs share a submission on SLURM, and what submissions cost beside the work.

In: planned jobs and a profile's groups. Out: jobs by submission; counts and seconds. A submission costs time however little
it does: it is queued, and starts Snakemake anew, which then runs its jobs (`bedsieve.scheduling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedsieve.review.jobs import PlannedJob

SUBMISSION_S = (
    5.0  # a submission with one job, as measured on the test cluster (docs/howto/slurm.md)
)
STEP_S = 0.2  # each further job in it: no more than between the jobs of a run on one machine
MANY = 1_000_000  # submissions at a time, where a profile sets no limit


@dataclass(frozen=True)
class Submissions:
    """Submissions of a plan: their number, the jobs in them, and what they cost beside the work (s)."""

    count: int
    jobs: int

    @property
    def queueing_s(self) -> float:
        """Seconds that submitting and starting them costs."""
        return self.count * SUBMISSION_S

    @property
    def starting_s(self) -> float:
        """Seconds more for the jobs that share a submission."""
        return (self.jobs - self.count) * STEP_S

    @property
    def overhead_s(self) -> float:
        """Seconds beside the work, of both kinds."""
        return self.queueing_s + self.starting_s


@dataclass(frozen=True)
class Profile:
    """What a cluster's profile says of submissions.

    `groups` names the group of a rule; a rule without one is submitted job by job. `components` says how many connected
    sets of a group share a submission (1 if not given), `at_once` how many submissions may be in the queue, `executor`
    who takes them (None: nobody, jobs run where Snakemake does).
    """

    groups: Mapping[str, str]
    components: Mapping[str, int]
    at_once: int = MANY
    executor: str | None = None


def submissions_of(jobs: Sequence[PlannedJob], profile: Profile) -> list[tuple[int, ...]]:
    """Jobs by submission, as Snakemake makes them: connected jobs of a group together, so many such sets at a time.

    Parameters
    ----------
    jobs : sequence of PlannedJob
        Those that do not run, or run where Snakemake does, are left out.
    profile : Profile
        Of the cluster.

    Returns
    -------
    list of tuple of int
        Indices of the jobs of each submission, in the plan's order.
    """
    root = list(range(len(jobs)))

    def find(number: int) -> int:
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    def submitted(number: int) -> bool:
        return jobs[number].runs and not jobs[number].local

    def grouped(number: int) -> str | None:
        return profile.groups.get(jobs[number].rule) if submitted(number) else None

    for number, job in enumerate(jobs):
        for other in job.needs:
            if grouped(number) is not None and grouped(number) == grouped(other):
                root[find(number)] = find(other)
    alone: list[tuple[int, ...]] = []
    sets: dict[str, dict[int, list[int]]] = {}
    for number in range(len(jobs)):
        group = grouped(number)
        if group is not None:
            sets.setdefault(group, {}).setdefault(find(number), []).append(number)
        elif submitted(number):
            alone.append((number,))
    shared = [
        tuple(sorted(number for one in together for number in one))
        for name, found in sets.items()
        for together in _in_parts(list(found.values()), profile.components.get(name, 1))
    ]
    return sorted([*alone, *shared])


def _in_parts(sets: list[list[int]], size: int) -> list[list[list[int]]]:
    return [sets[start : start + size] for start in range(0, len(sets), size)]


def count_submissions(jobs: Sequence[PlannedJob], profile: Profile) -> Submissions:
    """Count submissions, and the jobs in them."""
    made = submissions_of(jobs, profile)
    return Submissions(len(made), sum(map(len, made)))


def read_profile(path: Path) -> Profile:
    """Groups, their components, the limit of submissions and the executor, as a profile has them."""
    import yaml

    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Profile(
        dict(document.get("groups", {})),
        dict(document.get("group-components", {})),
        int(document.get("jobs", MANY)),
        document.get("executor"),
    )
