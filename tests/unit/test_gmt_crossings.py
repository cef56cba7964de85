"""Crossings against GMT's x2sys_cross on the same lines: position to 1 m, mis-tie to 0.1 m.

They are the same but for one thing, tested here: GMT measures a gap (x2sys_init -Wd) from the
crossing to the data points on either side, we measure the segment. So with the same length GMT also
crosses holes up to twice as wide, if the crossing is near their middle.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import polars as pl
import pytest

from bedsieve.graph.crossovers import crossover_tables
from bedsieve.graph.tile_geometry import TileBox
from tests.unit.flight_lines import flight_lines

GAP = 1000.0
_FORMAT = "#ASCII\n#name intype NaN-proxy? NaN-proxy scale offset oformat\n" + "".join(
    f"{name} a N 0 1 0 %.6f\n" for name in "xyz"
)

pytestmark = pytest.mark.skipif(
    shutil.which("gmt") is None, reason="gmt is not on PATH: install GMT 6 to compare crossings"
)


def gmt(arguments, folder):
    environment = os.environ | {"X2SYS_HOME": str(folder), "GMT_SESSION_NAME": "bedsieve"}
    done = subprocess.run(
        ["gmt", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def gmt_crossings(frame, folder, which, gap=GAP):
    """line_a, line_b, east, north and mis-tie as x2sys_cross gives them; `which` is e or i."""
    (folder / "tracks.fmt").write_text(_FORMAT)
    lines = frame.sort("point_id").partition_by("survey_no", "track_id", as_dict=True)
    for (survey_no, track_id), line in lines.items():
        line.select("east", "north", "ice_thickness").write_csv(
            folder / f"{survey_no}_{track_id}.xyz", separator=" ", include_header=False
        )
    gmt(["x2sys_init", "TAG", "-Dtracks", "-Exyz", "-F", f"-Wd{gap:.0f}"], folder)
    files = [f"{survey_no}_{track_id}.xyz" for survey_no, track_id in sorted(lines)]
    found = []
    for text in gmt(["x2sys_cross", *files, "-TTAG", f"-Q{which}"], folder).splitlines():
        if text.startswith(">"):
            words = text[1:].split()
            a, b = (
                tuple(map(int, word.removesuffix(".xyz").split("_")))
                for word in (words[0], words[2])
            )
        elif not text.startswith("#"):
            east, north, *_, mistie, _ = map(float, text.split())
            found.append((*a, *b, east, north, mistie))
    columns = ["survey_a", "track_a", "survey_b", "track_b", "east", "north", "mistie"]
    return pl.DataFrame(found, schema=columns, orient="row")


def our_crossings(frame, gap=GAP):
    table = crossover_tables(frame, TileBox(0, 0, 1e6), max_gap=gap).owned
    return table.filter(pl.col("kind") == "crossing")


def match(ours, theirs):
    """Pairs within 1 m of each other with mis-ties within 0.1 m, whichever line comes first; the rest."""
    left = list(theirs.select("line_a", "line_b", "east", "north", "mistie").iter_rows())
    only_ours = []
    for line_a, line_b, east, north, mistie in ours.select(
        "line_a", "line_b", "east", "north", "mistie"
    ).iter_rows():
        for other in left:
            sign = 1 if (other[0], other[1]) == (line_a, line_b) else -1
            same = {other[0], other[1]} == {line_a, line_b}
            near = np.hypot(other[2] - east, other[3] - north) <= 1.0
            # A line has no first side in a crossing with itself.
            gap = abs(sign * other[4] - mistie)
            gap = min(gap, abs(other[4] + mistie)) if line_a == line_b else gap
            if same and near and gap <= 0.1:
                left.remove(other)
                break
        else:
            only_ours.append((line_a, line_b, east, north, mistie))
    return only_ours, left


def numbered(theirs):
    return theirs.with_columns(
        (pl.col(f"survey_{side}") * 2**32 + pl.col(f"track_{side}")).alias(f"line_{side}")
        for side in "ab"
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_external_crossings_equal_those_of_gmt(tmp_path, seed):
    frame = flight_lines(lines=18, seed=seed, corner=(10_000.0, 10_000.0))
    ours = our_crossings(frame).filter(~pl.col("self_crossing"))
    theirs = numbered(gmt_crossings(frame, tmp_path, "e"))
    assert ours.height > 50
    assert match(ours, theirs) == ([], [])


def test_crossings_of_a_line_with_itself_equal_gmts_internal_ones(tmp_path):
    turn = np.linspace(0, 6.5 * np.pi, 400)
    frame = flight_lines(lines=1, points=400).sort("point_id").with_columns(
        pl.Series("east", np.round(10_000 + 900 * np.cos(turn) + 80 * turn, 2)),
        pl.Series("north", np.round(10_000 + 900 * np.sin(turn), 2)),
    )  # fmt: skip
    ours = our_crossings(frame)
    theirs = numbered(gmt_crossings(frame, tmp_path, "i"))
    assert ours["self_crossing"].all()
    assert ours.height > 3
    assert match(ours, theirs) == ([], [])


def test_holes_in_the_data_are_not_crossed(tmp_path):
    frame = flight_lines(lines=18, seed=2, corner=(10_000.0, 10_000.0)).sort("point_id")
    # A hole of about 1,850 m in every line; all other segments are below 150 m.
    place = pl.int_range(pl.len()).over("survey_no", "track_id")
    holed = frame.filter((place < 30) | (place > 60))
    ours = our_crossings(holed).filter(~pl.col("self_crossing"))
    assert 0 < ours.height < our_crossings(frame).height
    half, same = tmp_path / "half", tmp_path / "same"
    half.mkdir()
    same.mkdir()
    assert match(ours, numbered(gmt_crossings(holed, half, "e", GAP / 2))) == ([], [])
    # With the same length GMT has a few more: crossings of holes, less than GAP from both shores.
    only_ours, only_gmt = match(ours, numbered(gmt_crossings(holed, same, "e")))
    assert only_ours == []
    assert only_gmt
    of_holes = our_crossings(holed, gap=2 * GAP).join(
        ours, on=["point_id_a", "point_id_b"], how="anti"
    )
    columns = ["line_a", "line_b", "east", "north", "mistie"]
    extra = pl.DataFrame(only_gmt, schema=columns, orient="row")
    assert match(of_holes, extra)[1] == []
