"""Run the benchmarks: every module here that has `run(n)`. Prints a table row by row, writes bench/out/bench.json.

``python -m bench --points 5_000_000 --only knn along_track``
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bedsieve.files import write_json

HERE = Path(__file__).parent
COLUMNS = {
    "stage": "stage",
    "n": "points",
    "ours_mps": "ours (M/s)",
    "peer": "peer",
    "peer_mps": "peer (M/s)",
    "ratio": "ratio",
    "bytes_per_point": "B a point",
}


def print_row(cells: Iterable[str]) -> None:
    """A row of a Markdown table, seen at once."""
    print(f"| {' | '.join(cells)} |", flush=True)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def names() -> list[str]:
    """Modules of this folder that measure something: those that define `run`."""
    return sorted(p.stem for p in HERE.glob("*.py") if "\ndef run(" in p.read_text())


def main() -> int:
    """Run what was asked for; 2 if there is no such benchmark."""
    known = names()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks beside peers.")
    parser.add_argument("--points", type=int, default=5_000_000, help="points (5_000_000)")
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "bench.json")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print_row(COLUMNS.values())
    print_row("---" for _ in COLUMNS)
    for name in options.only:
        print(f"{name}: {options.points:,} points", file=sys.stderr, flush=True)
        found = importlib.import_module(f"bench.{name}").run(options.points)
        for row in found:
            print_row(_cell(row.get(column)) for column in COLUMNS)
        rows += found
    machine = {
        "cpus": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
    }
    write_json({"machine": machine, "points": options.points, "rows": rows}, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
