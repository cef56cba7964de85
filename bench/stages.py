"""What each stage of a finished run took: jobs, time, rate and peak memory.

``python -m bench.stages results`` reads the last line of each job's log, which holds the job's time and peak
memory, and prints a table. It measures nothing itself.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

_DONE = re.compile(r"Done in ([0-9.]+) s; at most ([0-9.]+) GiB of memory\.")


class Stage(NamedTuple):
    """Jobs of a rule: number, seconds of all together and of the longest, peak memory (GiB) of one."""

    rule: str
    jobs: int
    seconds: float
    longest: float
    peak_gib: float


def stages(results: Path) -> Iterator[Stage]:
    """The stages of a run, by time taken, the longest first.

    Raises
    ------
    SystemExit
        If there are no logs of finished jobs.
    """
    found = {}
    for log in sorted((results / "logs").rglob("*.log")):
        words = _DONE.findall(log.read_text(encoding="utf-8"))
        if words:
            rule = log.relative_to(results / "logs").parts[0].removesuffix(".log")
            found.setdefault(rule, []).append((float(words[-1][0]), float(words[-1][1])))
    if not found:
        raise SystemExit(f"{results}/logs: no log of a finished job. Run the workflow first.")
    rows = [
        Stage(rule, len(jobs), sum(s for s, _ in jobs), max(jobs)[0], max(g for _, g in jobs))
        for rule, jobs in found.items()
    ]
    yield from sorted(rows, key=lambda stage: -stage.seconds)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    points = sum(pq.read_metadata(p).num_rows for p in results.glob("tiles/*/points.parquet"))
    print(f"{points:,} points in {len(list(results.glob('tiles/*/points.parquet')))} tiles")
    print("| stage | jobs | s in all | longest (s) | M points/s | peak memory (GiB) |")
    print("|---|---|---|---|---|---|")
    for stage in stages(results):
        rate = points / stage.seconds / 1e6 if stage.seconds else float("inf")
        print(
            f"| {stage.rule} | {stage.jobs} | {stage.seconds:.0f} | {stage.longest:.1f} "
            f"| {rate:.2f} | {stage.peak_gib:.2f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
