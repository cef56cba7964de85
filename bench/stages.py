"""What each stage of finished runs took: jobs, time, rate and peak memory.

``python -m bench.stages results ...`` reads the last line of each job's log, which holds the job's time, processor
time and peak memory, and prints a table for each folder of results. It measures nothing itself. Rates are points of
the whole run by processor time, which other work on the machine disturbs little. Bytes a point are those of the job
with the most memory, where it is about one tile or survey; interpreter and packages are in them, so small ones show
more. ``--since FILE`` leaves out jobs that ended before that file was last written: what an added survey made run.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

_DONE = re.compile(
    r"Done in ([0-9.]+) s \(([0-9.]+) s of processor time\); at most ([0-9.]+) GiB of memory\."
)
_HEADER = (
    "| stage | jobs | s in all | processor s | longest (s) | M points/s "
    "| peak memory (GiB) | bytes a point |"
)


class Job(NamedTuple):
    """A finished job: seconds, processor seconds, peak memory (GiB), points of its tile or survey (0: all)."""

    seconds: float
    busy: float
    peak_gib: float
    points: int


class Stage(NamedTuple):
    """Jobs of a rule."""

    rule: str
    jobs: list[Job]

    @property
    def busy(self) -> float:
        """Processor seconds of all jobs together."""
        return sum(job.busy for job in self.jobs)

    def row(self, points: int) -> str:
        """The stage as a row of the table, in a run of so many points."""
        largest = max(self.jobs, key=lambda job: job.peak_gib)
        rate = f"{points / self.busy / 1e6:.2f}" if self.busy else ""
        bytes_a_point = f"{largest.peak_gib * 2**30 / largest.points:.0f}" if largest.points else ""
        return (
            f"| {self.rule} | {len(self.jobs)} | {sum(job.seconds for job in self.jobs):.0f} "
            f"| {self.busy:.0f} | {max(job.seconds for job in self.jobs):.1f} | {rate} "
            f"| {largest.peak_gib:.2f} | {bytes_a_point} |"
        )


def stages(results: Path, since: float = 0.0) -> Iterator[Stage]:
    """The stages of a run, by processor time, the longest first; of jobs that ended after `since` (s, epoch).

    Raises
    ------
    SystemExit
        If there are no logs of finished jobs.
    """
    points = sizes(results)
    found: dict[str, list[Job]] = defaultdict(list)
    for log in sorted((results / "logs").rglob("*.log")):
        if log.stat().st_mtime <= since:
            continue
        for seconds, busy, gib in _DONE.findall(log.read_text(encoding="utf-8"))[-1:]:
            rule = log.relative_to(results / "logs").parts[0].removesuffix(".log")
            job = Job(float(seconds), float(busy), float(gib), points.get(log.stem, 0))
            found[rule].append(job)
    if not found:
        raise SystemExit(f"{results}/logs: no log of a finished job. Run the workflow first.")
    yield from sorted((Stage(*item) for item in found.items()), key=lambda stage: -stage.busy)


def sizes(results: Path) -> dict[str, int]:
    """Points of each tile and survey, by its name."""
    tiles = {path.parent.name: path for path in results.glob("tiles/*/points.parquet")}
    surveys = {
        path.stem: path
        for path in results.glob("surveys/*.parquet")
        if path.suffixes == [".parquet"]
    }
    return {name: pq.read_metadata(path).num_rows for name, path in (surveys | tiles).items()}


def main() -> int:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--since", type=Path, metavar="FILE", help="only jobs that ended after it")
    options = parser.parse_args()
    since = options.since.stat().st_mtime if options.since else 0.0
    for results in options.results:
        tiles = {path.parent.name for path in results.glob("tiles/*/points.parquet")}
        points = sum(n for name, n in sizes(results).items() if name in tiles)
        print(f"{results}: {points:,} points in {len(tiles)} tiles\n\n{_HEADER}")
        print("|---" * _HEADER.count(" | ") + "|---|")
        found = list(stages(results, since))
        for stage in found:
            print(stage.row(points))
        jobs, busy = sum(len(stage.jobs) for stage in found), sum(stage.busy for stage in found)
        print(f"\n{jobs} jobs, {busy / 60:.1f} minutes of processor time in all\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
