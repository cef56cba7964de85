"""Tiles scored by physics PCA: what comes out on top, and that tiling changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bedsieve.detectors.pca_score import NO_EVIDENCE, score_tile
from bedsieve.graph.crossovers import write_crossovers
from bedsieve.graph.tile_geometry import TileBox
from tests.unit.flight_lines import flight_lines, with_long_segments
from tests.unit.pca_tiles import CROSSOVERS, made_points, put_tile, scored, three_tiles, trained


@pytest.fixture(name="three")
def _three(tmp_path: Path) -> list[Path]:
    return three_tiles(tmp_path)


def test_bad_thicknesses_come_out_on_top_and_verified(tmp_path: Path) -> None:
    points = made_points(8000, 1)
    bad = np.zeros(8000, bool)
    bad[np.random.default_rng(0).choice(np.arange(500, 7500), 20, replace=False)] = True
    # An echo picked 900 m too shallow: thinner ice over a higher bed, and the surface still fits.
    spoilt = points.with_columns(
        ice_thickness=pl.col("ice_thickness") - 900.0 * bad,
        bed_elev=pl.col("bed_elev") + 900.0 * bad,
    )
    folder = put_tile(tmp_path, "x0_y0", spoilt)
    table = scored(folder, trained(tmp_path, [folder]))
    score = table["score"].to_numpy()
    assert table["point_id"].equals(points["point_id"])
    assert ((score >= 0) & (score <= 1)).all()
    assert score[bad].min() > np.quantile(score[~bad], 0.99)
    verified = table["verified"].to_numpy()
    assert verified[bad].all()
    assert not verified[~bad].any()
    assert table["law_crossing"].null_count() == 8000
    assert table["law_rate"].null_count() == 0
    assert table["code"].null_count() == 8000
    assert not table["pooled"].any()


def test_a_chained_survey_is_followed_along_its_chain(tmp_path: Path) -> None:
    spiky = 400.0 * (np.arange(8000) % 40 == 3)
    points = made_points(8000, 1).with_columns(ice_thickness=pl.col("ice_thickness") + spiky)
    # A file whose rows stand in no order: point_id follows the file, track_seq the chain.
    numbers = np.random.default_rng(2).permutation(8000).astype(np.uint64) + np.uint64(2**32)
    chained = points.with_columns(point_id=pl.Series(numbers))
    in_order, mixed = put_tile(tmp_path, "x0_y0", points), put_tile(tmp_path, "x5_y0", chained)
    model = trained(tmp_path, [in_order])
    expected, got = (scored(folder, model)["law_rate"] for folder in (in_order, mixed))
    assert got.equals(expected)
    assert expected.max() > 0


def test_a_score_depends_on_no_other_tile(tmp_path: Path, three: list[Path]) -> None:
    model = trained(tmp_path, three)
    alone = (scored(three[0], model), (three[0] / "pca.parquet").read_bytes())
    for folder in three[1:]:
        scored(folder, model)
    scored(put_tile(tmp_path, "x0_y1", made_points(9000, 5, survey=8)), model)
    again = scored(three[0], model)
    assert again.equals(alone[0])
    assert (three[0] / "pca.parquet").read_bytes() == alone[1]


@pytest.fixture(name="flown", scope="module")
def _flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Path, pl.DataFrame]:
    """Flight lines that cross, a model, and the scores of all of them in one tile."""
    folder = tmp_path_factory.mktemp("flown")
    frame = with_long_segments(flight_lines(lines=60, side=8000.0, points=170, corner=(2e4, 2e4)))
    rng = np.random.default_rng(4)
    frame = frame.with_columns(
        bed_elev=500 - pl.col("ice_thickness") + rng.normal(0, 3, frame.height),
        bed_reconstructed=pl.lit(False),
        z=(500 + rng.normal(0, 3, frame.height)).astype(np.float32),
        s=rng.uniform(0.001, 0.06, frame.height).astype(np.float32),
    )
    model = trained(folder, [put_tile(folder, "x0_y0", frame)])
    return frame, model, _scored_by_tiles(frame, 1e6, model, folder)


def _scored_by_tiles(frame: pl.DataFrame, size: float, model: Path, root: Path) -> pl.DataFrame:
    """Scores of all points, tile by tile, each with its own crossovers and the pooled components."""
    names = frame.select((pl.col("east", "north") // size).cast(pl.Int64)).unique(
        maintain_order=True
    )
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    parts = []
    for ix, iy in names.iter_rows():
        name, box = f"x{ix}_y{iy}", TileBox(ix, iy, size)
        around = pl.Series((box.distance(east, north) <= 3000.0) & ~box.owns(east, north))
        core = frame.filter(pl.Series(box.owns(east, north)))
        folder = put_tile(root / f"{size:.0f}", name, core, frame.filter(around))
        paths = [folder / f"{file}.parquet" for file in ("points", "halo", "crossovers", "beyond")]
        write_crossovers(*paths, tile=name, tile_size=size, reach=3000.0)
        score_tile(*paths[:2], paths[2:], model, folder / "pca.parquet", tile="none")
        parts.append(pl.read_parquet(folder / "pca.parquet"))
    return pl.concat(parts).sort("point_id")


@pytest.mark.parametrize("size", [1300.0, 2500.0, 6000.0])
def test_any_tiling_gives_the_same_scores(
    flown: tuple[pl.DataFrame, Path, pl.DataFrame], size: float, tmp_path: Path
) -> None:
    frame, model, whole = flown
    assert_frame_equal(_scored_by_tiles(frame, size, model, tmp_path), whole, check_exact=True)
    assert whole["law_crossing"].drop_nulls().len() > 1000
    assert whole["law_crossing"].n_unique() > 100
    assert 0 < whole["law_rate"].mean() < 1
    assert 0 < whole["law_shear"].mean() < 1


def test_a_crossing_judges_the_nearer_end_and_other_flights_only(tmp_path: Path) -> None:
    points = made_points(8000, 1)
    folder = put_tile(tmp_path, "x0_y0", points)
    model = trained(tmp_path, [folder])
    ids = points["point_id"].to_numpy()
    # Points 0, 4, 8, … are one line, 1, 5, 9, … the next; each row a crossing of the two.
    rows = [
        (ids[0], ids[1], ids[4], ids[5], 0.8, 0.2, 1000.0, 3000.0, 0.0, False),
        (ids[40], ids[80], ids[44], ids[84], 0.2, 0.8, 1000.0, 3000.0, 0.0, True),
    ]
    pl.DataFrame(rows, schema=CROSSOVERS, orient="row").write_parquet(folder / "crossovers.parquet")
    law = scored(folder, model)["law_crossing"]
    assert np.flatnonzero(law.is_not_null().to_numpy()).tolist() == [1, 4]
    assert law[1] == 1.0


def test_a_point_without_any_evidence_has_a_code(tmp_path: Path) -> None:
    folder = put_tile(tmp_path, "x0_y0", made_points(8000, 1))
    model = trained(tmp_path, [folder])
    bare = (
        made_points(8, 4)
        .head(1)
        .with_columns(
            [pl.lit(None, pl.Float32).alias(name) for name in ("z", "s", "v", "smb", "temp")]
            + [pl.lit(None, pl.Float64).alias("bed_elev")]
        )
    )
    table = scored(put_tile(tmp_path, "x0_y1", bare), model)
    assert table["code"].to_list() == [NO_EVIDENCE]
    assert np.isnan(table["score"][0])
    assert table["recon_mse"].to_list() == [None]
    assert table["verified"].to_list() == [False]
