"""What a job asks of a cluster: memory, time and cores by its number of points, and no more than a site allows.

In: points, what a rule states of itself, the attempt. Out: MB, minutes, cores. A dry run opens no data, so these are
estimates; each attempt asks for more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Snakemake stands beside the script in a submission, twice in one of an array; jobs without room for it were killed on the test cluster.
SNAKEMAKE_MB = 400
MANY_POINTS = 5_000_000  # from which a job is given two cores

BASE_MINUTES, MARGIN = 4.0, 3.0
RECKONING = 21
"""An attempt that no run makes: `make plan` asks at it, for minutes so large that rounding them up does not matter. Nothing is cut off then."""


@dataclass(frozen=True)
class JobRequests:
    """Memory and time of jobs.

    Parameters
    ----------
    max_runtime : int, optional
        Longest time that a job may ask for (minutes).
    max_mem_mb : int, optional
        Most memory (MB).
    """

    max_runtime: int | None = None
    max_mem_mb: int | None = None

    def megabytes(self, points: int, bytes_per_point: float, base: float, attempt: int) -> int:
        """Memory to ask for, in MB: a base and a share a point, half as much again at each further attempt.

        What Snakemake itself takes within a submission comes on top.
        """
        needed = SNAKEMAKE_MB + base + points * bytes_per_point / 1e6
        asked = math.ceil(needed * (1 + 0.5 * (attempt - 1)))
        return asked if self.max_mem_mb is None else min(asked, self.max_mem_mb)

    def minutes(self, points: int, points_per_second: float, attempt: int) -> int:
        """Time to ask for, in minutes: 4 and a generous share a point, doubled at each further attempt."""
        estimate = BASE_MINUTES + MARGIN * points / points_per_second / 60
        return self.allowed(math.ceil(estimate * 2.0 ** (attempt - 1)), attempt)

    def allowed(self, minutes: int, attempt: int) -> int:
        """`minutes`, or fewer where a site allows no more."""
        if self.max_runtime is None or attempt == RECKONING:
            return minutes
        return min(minutes, self.max_runtime)


def threads_for(points: int) -> int:
    """Cores to ask for: one, so that several jobs run side by side, but two for the largest inputs.

    Most of a small job is start-up and reading, which more cores don't shorten.
    """
    return 1 if points < MANY_POINTS else 2


def network_jobs(device: str) -> tuple[str, dict[str, int]]:
    """Where networks run: the environment's name, and what a job asks of a cluster beside memory and time.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"gpu"``, or ``"auto"``, which is planned as ``"cpu"``.
    """
    return ("torch-gpu", {"gpu": 1}) if device == "gpu" else ("torch-cpu", {})


def idle_gpus(given: Mapping[str, Mapping[str, object]], device: str) -> str | None:
    """What to tell a user whose jobs would hold GPUs and compute on processors; None if they would not.

    Parameters
    ----------
    given : mapping
        Resources by rule that a profile or the command line sets.
    device : str
        `models.device`.
    """
    rules = sorted(rule for rule, resources in given.items() if "gpu" in resources)
    if device != "cpu" or not rules:
        return None
    return (
        f"models.device is cpu, but {', '.join(rules)} are given a GPU (set-resources), which they would hold "
        "and not use. --config takes the place of all that a profile has under `config`: write "
        "models={device: gpu} into it, too, or put your setting into a --configfile. Without GPUs take "
        "set-resources out of the profile."
    )
