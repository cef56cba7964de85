"""How many submissions a plan makes on SLURM, and what they cost beside the work.

In: planned jobs and a profile's groups. Out: counts and seconds. A submission costs time however little it does: it is
queued, and starts Snakemake anew; each job within it starts Snakemake once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedsieve.review.jobs import PlannedJob

SUBMISSION_S = (
    5.0  # a submission with one job, as measured on the test cluster (docs/howto/slurm.md)
)
STEP_S = 2.0  # each further job in it


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


def count_submissions(
    jobs: Sequence[PlannedJob], groups: Mapping[str, str], components: Mapping[str, int]
) -> Submissions:
    """Count submissions as Snakemake makes them: connected jobs of a group together, so many such sets at a time.

    Parameters
    ----------
    jobs : sequence of PlannedJob
        Those that do not run are left out.
    groups : mapping of str to str
        Group of a rule; a rule without one is submitted job by job.
    components : mapping of str to int
        How many connected sets of a group share a submission (1 if not given).
    """
    root = list(range(len(jobs)))

    def find(number: int) -> int:
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    def grouped(number: int) -> str | None:
        return groups.get(jobs[number].rule) if jobs[number].runs else None

    for number, job in enumerate(jobs):
        for other in job.needs:
            if grouped(number) is not None and grouped(number) == grouped(other):
                root[find(number)] = find(other)
    running = [number for number, job in enumerate(jobs) if job.runs]
    alone = sum(grouped(number) is None for number in running)
    sets: dict[str, set[int]] = {}
    for number in running:
        group = grouped(number)
        if group is not None:
            sets.setdefault(group, set()).add(find(number))
    shared = sum(math.ceil(len(found) / components.get(name, 1)) for name, found in sets.items())
    return Submissions(alone + shared, len(running))


def read_groups(profile: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Groups and their components, as a profile has them."""
    import yaml

    document: dict[str, Any] = yaml.safe_load(profile.read_text(encoding="utf-8"))
    return dict(document.get("groups", {})), dict(document.get("group-components", {}))
