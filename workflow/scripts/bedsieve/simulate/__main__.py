"""`python -m bedsieve.simulate`: make flight lines of any size in a folder.

In: the number of points and of surveys, a seed. Out: what `scale_files.write_scale` writes; with ``--add``
one more survey in such a folder, from `scale_added.add_survey`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bedsieve.errors import BedsieveError
from bedsieve.simulate.scale_added import add_survey
from bedsieve.simulate.scale_files import write_scale
from bedsieve.simulate.scale_plan import BEDMAP_POINTS


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bedsieve.simulate",
        description="Simulate radar points along flight lines over Antarctica, as dense and as "
        "unevenly spread as Bedmap's, for benchmarks and rehearsals.",
    )
    parser.add_argument("--points", type=int, default=BEDMAP_POINTS, help="default: %(default)s")
    parser.add_argument("--surveys", type=int, help="default: Bedmap's 151 in proportion")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--tile-size", type=float, default=500_000.0, help="metres, %(default)s")
    parser.add_argument(
        "--add", type=int, metavar="POINTS", help="add one survey to the data set that --out holds"
    )
    parser.add_argument(
        "--at",
        type=float,
        nargs=2,
        metavar=("EAST", "NORTH"),
        default=(0.0, 500_000.0),
        help="centre of the added survey: metres, %(default)s",
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.add is not None:
            print(add_survey(chosen.out, chosen.add, *chosen.at, seed=chosen.seed))
            return 0
        write_scale(
            chosen.out,
            chosen.points,
            chosen.surveys,
            seed=chosen.seed,
            tile_size=chosen.tile_size,
        )
    except (BedsieveError, ValueError) as error:
        print(f"bedsieve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
