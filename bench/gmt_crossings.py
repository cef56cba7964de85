"""Crossings beside GMT's x2sys_cross: the same ones, and how fast.

``python -m bench.gmt_crossings results/demo`` compares all crossings of a finished run with GMT's on the same lines:
position to 1 m, mis-tie to 0.1 m, and says why where they differ. ``run`` times both on made-up tracks, on no
more than 300,000 points, since GMT compares every line with every other. GMT 6 must be on PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from bedsieve.errors import BedsieveError
from bedsieve.graph.crossovers import crossover_tables
from bedsieve.graph.tile_geometry import TileBox
from bench.side_by_side import compare

MOST = 300_000
GAP = 1000.0
_EVERYWHERE = TileBox(-1, -1, 1e7)
_FORMAT = "#ASCII\n#name intype NaN-proxy? NaN-proxy scale offset oformat\n" + "".join(
    f"{name} a N 0 1 0 %.6f\n" for name in "xyz"
)


def write_lines(points: pl.DataFrame, folder: Path) -> list[str]:
    """One file a line, its points in the order of the track; returns the names."""
    folder.joinpath("tracks.fmt").write_text(_FORMAT)
    ordered = points.sort("survey_no", "track_id", "track_seq")
    names = []
    for (survey_no, track_id), line in ordered.partition_by(
        "survey_no", "track_id", as_dict=True, maintain_order=True
    ).items():
        names.append(f"{survey_no}_{track_id}.xyz")
        line.select("east", "north", "ice_thickness").write_csv(
            folder / names[-1], separator=" ", include_header=False
        )
    _gmt(["x2sys_init", "TAG", "-Dtracks", "-Exyz", "-F", f"-Wd{GAP:.0f}"], folder)
    folder.joinpath("lines.txt").write_text("\n".join(names) + "\n")
    return names


def x2sys_cross(folder: Path, which: str) -> pl.DataFrame:
    """line_a, line_b, east, north and mistie; `which` is e (two lines) or i (a line with itself)."""
    found = []
    for text in _gmt(["x2sys_cross", "=lines.txt", "-TTAG", f"-Q{which}"], folder).splitlines():
        if text.startswith(">"):
            words = text[1:].split()
            a, b = (_line(word) for word in (words[0], words[2]))
        elif not text.startswith("#"):
            east, north, *_, mistie, _ = map(float, text.split())
            found.append((a, b, east, north, mistie))
    columns = {"line_a": pl.Int64, "line_b": pl.Int64}
    schema = columns | dict.fromkeys(("east", "north", "mistie"), pl.Float64)
    return pl.DataFrame(found, schema=schema, orient="row")


def unmatched(ours: pl.DataFrame, theirs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What only one of two tables of crossings holds: position to 1 m, mis-tie to 0.1 m."""
    left, right = (_ordered(table).with_row_index("row") for table in (ours, theirs))
    pairs = left.join(right, on=["line_a", "line_b"], suffix="_other")
    apart = (
        (pl.col("east") - pl.col("east_other")) ** 2
        + (pl.col("north") - pl.col("north_other")) ** 2
    ).sqrt()
    gap = (pl.col("mistie") - pl.col("mistie_other")).abs()
    # A line has no first side in a crossing with itself.
    either = pl.min_horizontal(gap, (pl.col("mistie") + pl.col("mistie_other")).abs())
    gap = pl.when(pl.col("line_a") == pl.col("line_b")).then(either).otherwise(gap)
    same = pairs.filter((apart <= 1.0) & (gap <= 0.1))
    return (
        left.join(same, on="row", how="anti"),
        right.join(same.select(pl.col("row_other").alias("row")), on="row", how="anti"),
    )


def report(points: pl.DataFrame, ours: pl.DataFrame) -> None:
    """Print how many crossings agree, and why the others do not."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = write_lines(points, folder)
        for which, words in (("e", "of two lines"), ("i", "of a line with itself")):
            mine = ours.filter(pl.col("self_crossing") == (which == "i"))
            theirs = x2sys_cross(folder, which)
            only_ours, only_gmt = unmatched(mine, theirs)
            print(
                f"crossings {words} ({len(lines)} lines): ours {mine.height:,}, GMT {theirs.height:,}, "
                f"only ours {only_ours.height}, only GMT {only_gmt.height}"
            )
            wide = crossover_tables(points, _EVERYWHERE, max_gap=2 * GAP).owned.filter(
                pl.col("kind") == "crossing"
            )
            _, rest = unmatched(wide, only_gmt)
            print(
                f"  only GMT, on a segment of {GAP:.0f} to {2 * GAP:.0f} m, whose ends GMT measures "
                f"from the crossing: {only_gmt.height - rest.height}"
            )
            _, twice = unmatched(wide.with_columns(mistie=0.0), rest.with_columns(mistie=0.0))
            print(f"  only GMT, mis-tie differs at the same place: {rest.height - twice.height}")
            for name, table in (("only ours", only_ours), ("only GMT, unexplained", twice)):
                for row in table.iter_rows(named=True):
                    print(f"  {name}: {row}")


def run(n: int) -> list[dict[str, Any]]:
    """Ours and GMT on the same made-up tracks."""
    from bedsieve.simulate.scale import track_points

    if shutil.which("gmt") is None:
        print("gmt is not on PATH: crossings are not compared", file=sys.stderr)
        return []
    made = track_points(min(n, MOST))
    points = pl.DataFrame(
        {
            **{k: made[k] for k in ("point_id", "survey_no", "track_id", "east", "north")},
            "ice_thickness": made["ice_thickness"],
            "track_seq": made["row"],
            "timestamp": pl.Series([None] * len(made["row"]), dtype=pl.Int64),
            "year": pl.Series([None] * len(made["row"]), dtype=pl.Float32),
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_lines(points, folder)
        ours = _crossings(points)
        return compare(
            f"crossings ({ours.height:,})",
            points.height,
            lambda: _crossings(points),
            {"GMT x2sys_cross": lambda: [x2sys_cross(folder, which) for which in "ei"]},
        )


def _crossings(points: pl.DataFrame) -> pl.DataFrame:
    """Ours finds the double hits besides; GMT does not."""
    owned = crossover_tables(points, _EVERYWHERE, max_gap=GAP).owned
    return owned.filter(pl.col("kind") == "crossing")


def _gmt(arguments: list[str], folder: Path) -> str:
    environment = os.environ | {"X2SYS_HOME": str(folder), "GMT_SESSION_NAME": "bedsieve"}
    done = subprocess.run(
        ["gmt", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BedsieveError(f"gmt {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _line(name: str) -> int:
    survey_no, track_id = map(int, name.removesuffix(".xyz").split("_"))
    return survey_no * 2**32 + track_id


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    """The lower line first, the mis-tie's sign with it."""
    swap = pl.col("line_a") > pl.col("line_b")
    return table.select(
        pl.min_horizontal("line_a", "line_b").alias("line_a"),
        pl.max_horizontal("line_a", "line_b").alias("line_b"),
        "east",
        "north",
        pl.when(swap).then(-pl.col("mistie")).otherwise(pl.col("mistie")).alias("mistie"),
    )


def main() -> int:
    """Compare a finished run's crossings with GMT's."""
    parser = argparse.ArgumentParser(prog="python -m bench.gmt_crossings", description=__doc__)
    parser.add_argument("results", type=Path)
    tiles = parser.parse_args().results / "tiles"
    points = pl.read_parquet(tiles / "*" / "points.parquet")
    ours = pl.read_parquet(tiles / "*" / "crossovers.parquet").filter(pl.col("kind") == "crossing")
    report(points, ours)
    return 0


if __name__ == "__main__":
    sys.exit(main())
