"""Whether the highest scores on Byrd Glacier stand where raw measurements of a pixel disagree, or BedMachine differs.

``python -m bench.byrd_lift results/byrd ../shared/data/real/byrd_pixel_spread.npz`` prints the table and writes two maps
to bench/out. The run holds the means of 500 m pixels (tests/real/byrd.yaml); the second file has the standard deviation of the
raw points of each pixel, which no detector has seen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.evaluation.lift import Signs, lift_table
from bedsieve.evaluation.lift_map import draw_lift
from bedsieve.evaluation.lift_signs import PIXEL, REFERENCE, SPREAD, LiftFiles, read_signs

OUT = Path("bench/out")


def with_spread(points: Signs, spread: dict[str, npt.NDArray[np.float64]]) -> Signs:
    """The points with the standard deviation of their pixel's raw points as the spread."""

    def pixel(east: npt.NDArray[np.float64], north: npt.NDArray[np.float64]) -> list[pl.Series]:
        cells = (("column", east), ("row", north))
        return [pl.Series(name, np.rint(at / PIXEL).astype(np.int64)) for name, at in cells]

    table = pl.DataFrame(
        [*pixel(spread["x"], spread["y"]), pl.Series("spread", spread["t_std"])]
    ).filter(pl.lit(pl.Series(spread["t_count"])) > 1)
    here = pl.DataFrame(pixel(points.east, points.north))
    found = here.join(table, on=["column", "row"], how="left", maintain_order="left")
    values = found["spread"].fill_null(float("nan")).to_numpy()
    return replace(points, signs={**points.signs, SPREAD: values})


def read_run(results: Path) -> Signs:
    """Scores and signs of all points of a finished run."""
    names = ("points.parquet", "halo.parquet", "edges.arrow", "ensemble.parquet")
    tiles = [LiftFiles(*(folder / name for name in names)) for folder in results.glob("tiles/x*")]
    columns = pl.read_parquet_schema(tiles[0].ensemble)
    members = [name.removeprefix("score_") for name in columns if name.startswith("score_")]
    return read_signs(tiles, members)


def main() -> None:
    """Print the table and draw the maps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("spread", type=Path)
    arguments = parser.parse_args()
    with np.load(arguments.spread) as spread:
        points = with_spread(read_run(arguments.results), dict(spread))
    with pl.Config(
        tbl_formatting="MARKDOWN", tbl_hide_column_data_types=True, tbl_rows=-1, tbl_cols=-1,
        tbl_width_chars=200, float_precision=2, tbl_hide_dataframe_shape=True,
    ):  # fmt: skip
        print(lift_table(points))
    OUT.mkdir(parents=True, exist_ok=True)
    for sign, name in ((REFERENCE, "byrd_reference.png"), (SPREAD, "byrd_spread.png")):
        draw_lift(points, sign, "Byrd Glacier", OUT / name)


if __name__ == "__main__":
    main()
