"""Lines that are biased as a whole: odds from their crossings, worked by hand and in small networks."""

from __future__ import annotations

import numpy as np
import polars as pl
import polars.testing
import pytest
from scipy.stats import t

from bedsieve.detectors import segments_lines
from bedsieve.detectors.segments_lines import LEVELS, crossings_of_lines, either_odds, line_odds
from bedsieve.detectors.segments_tile import window_segments

DOUBT = 0.005


def _crossings(rows: list[tuple[int, int, float]], **doubts: float) -> pl.DataFrame:
    """Crossings of line a and line b, mis-tie a minus b; the chain sees nothing unless told."""
    a, b, mistie = zip(*rows, strict=True)
    return pl.DataFrame(
        {"line_a": a, "line_b": b, "mistie": mistie},
        schema={"line_a": pl.Int64, "line_b": pl.Int64, "mistie": pl.Float64},
    ).with_columns(pl.lit(doubts.get(f"doubt_{s}", DOUBT)).alias(f"doubt_{s}") for s in "ab")


def _odds(crossings: pl.DataFrame) -> dict[int, float]:
    found = line_odds(crossings)
    return dict(zip(found["line"].to_list(), found["line_log_odds"].to_list(), strict=True))


def _hub(mistie: float, spokes: int = 12) -> list[tuple[int, int, float]]:
    """Line 0 crosses honest lines 1 … and, last, one that is off by `mistie`."""
    rng = np.random.default_rng(1)
    honest = [(0, k, float(rng.normal(0, 15))) for k in range(1, spokes + 1)]
    return [*honest, (99, 0, mistie)]


def test_one_crossing_of_two_lines_by_hand() -> None:
    found = line_odds(_crossings([(7, 8, 150.0)]))
    scale = np.sqrt(((1.4826 * 150) ** 2 + 10 * 20.0**2) / 11)

    def density(level: float) -> float:
        spread = np.hypot(scale, 0.05 * level)
        return float(t.pdf((150.0 - level) / spread, 5) / spread)

    anything = np.mean([density(level) for level in LEVELS])
    q = 1 - (1 - DOUBT) * (1 - 0.01)
    either = 1 - (1 - q) * (1 - DOUBT)
    biased = np.mean([(1 - q) * density(level) + q * anything for level in LEVELS])
    levels = np.arange(-42, 43, 7)
    share = np.exp(-0.5 * (levels / 15) ** 2)
    honest = [(1 - either) * density(level) + either * anything for level in levels]
    expected = np.log(biased / np.average(honest, weights=share)) + np.log(0.01 / 0.99)
    assert found["line"].to_list() == [7, 8]
    assert found["met"].to_list() == [1, 1]
    # Nothing else is known of either line: the odds are alike, the offsets opposite.
    assert found["line_log_odds"].to_list() == pytest.approx([expected, expected])
    assert found["line_offset_m"][0] == pytest.approx(-found["line_offset_m"][1])
    assert found["line_offset_m"][0] > 0


def test_a_line_that_agrees_with_many_is_not_the_biased_one() -> None:
    odds = _odds(_crossings(_hub(150.0)))
    assert odds[99] > -2
    assert odds[0] < -10
    assert max(odds[k] for k in range(1, 13)) < -4


def test_each_further_line_makes_a_bias_surer_and_tells_its_size() -> None:
    other = [(100, k, 5.0) for k in range(101, 109)]
    rows = [*_hub(150.0), *other]
    two = line_odds(_crossings([*rows, (99, 100, 158.0)]))
    of_line = two.filter(pl.col("line") == 99).row(0, named=True)
    assert of_line["met"] == 2
    assert of_line["line_log_odds"] > max(2.0, _odds(_crossings(rows))[99] + 3)
    assert of_line["line_offset_m"] == pytest.approx(154, abs=12)


def test_a_line_that_meets_a_biased_one_is_cleared() -> None:
    # Line 0 is off: it says so on twelve lines, of which each meets it alone.
    elsewhere = [(100 + i, 200 + j, 7.0 * (i - j)) for i in range(5) for j in range(5)]
    odds = _odds(_crossings([(0, k, 140.0 + k) for k in range(1, 13)] + elsewhere))
    assert odds[0] > 5
    assert max(odds[k] for k in range(1, 13)) < -3


def test_what_the_chain_blames_on_a_sector_is_not_blamed_on_a_line() -> None:
    rows = _hub(150.0)
    doubtful = _crossings(rows).with_columns(
        doubt_b=pl.when(pl.col("line_a") == 99).then(0.99).otherwise(DOUBT)
    )
    assert _odds(doubtful)[99] < _odds(_crossings(rows))[99] - 3


def test_honest_differences_are_forgiven() -> None:
    odds = _odds(_crossings([(99, k, 30.0) for k in range(1, 13)]))
    assert max(odds.values()) < -3


def test_order_and_side_do_not_matter() -> None:
    table = _crossings([*_hub(150.0), (1, 2, 9.0), (2, 1, -14.0)])
    turned = table.select(
        pl.col("line_b").alias("line_a"),
        pl.col("line_a").alias("line_b"),
        -pl.col("mistie"),
        pl.col("doubt_b").alias("doubt_a"),
        pl.col("doubt_a").alias("doubt_b"),
    )
    plain = line_odds(table)
    mixed = line_odds(turned.sample(fraction=1.0, shuffle=True, seed=3))
    assert mixed.select("line", "met").equals(plain.select("line", "met"))
    assert np.allclose(mixed["line_log_odds"], plain["line_log_odds"], rtol=1e-12)


def test_repeated_crossings_of_two_lines_count_once() -> None:
    rows = _hub(150.0)
    often = line_odds(_crossings(rows + rows[-1:] * 9))
    assert often.filter(pl.col("line") == 99)["met"].to_list() == [1]
    assert _odds(_crossings(rows + rows[-1:] * 9))[99] < 0


def test_lines_without_crossings_have_no_row() -> None:
    assert line_odds(_crossings([(1, 2, 0.0)])[:0]).height == 0


def test_either_of_two_chances() -> None:
    a, b = np.array([-3.0, 0.0, 40.0]), np.array([1.0, -700.0, -5.0])
    p, q = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
    either = 1 - (1 - p[:1]) * (1 - q[:1])
    found = either_odds(a, b)
    assert found[0] == pytest.approx(np.log(either / (1 - either))[0])
    assert found[1] == pytest.approx(0.0)
    assert found[2] == pytest.approx(40.0, abs=0.01)


def _network() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A long line to the east and nine that cross it 4 km apart; the last is off by 150 m."""
    rng = np.random.default_rng(6)
    lines = [(np.arange(0, 40_000.0, 40.0), None)]
    lines += [(None, 4000.0 * k + 2020.0) for k in range(9)]
    parts, crossovers = [], []
    for number, (x, across) in enumerate(lines):
        y = np.arange(-6000.0, 6000.0, 40.0) if x is None else np.zeros(len(x))
        east = np.full(len(y), across) if x is None else x
        truth = 1500 + 60 * np.sin(east / 3000) * np.cos(y / 3500)
        parts.append(
            pl.DataFrame(
                {
                    "point_id": (1 + (number > 0)) * 2**32 + 1000 * number + np.arange(len(y)),
                    "survey_no": np.full(len(y), 1 + (number > 0), np.uint32),
                    "track_id": np.full(len(y), number, np.int32),
                    "track_seq": np.arange(len(y), dtype=np.uint32),
                    "east": east,
                    "north": y,
                    "ice_thickness": truth + rng.normal(0, 3, len(y)) + 150.0 * (number == 9),
                    "surface_alt": np.full(len(y), 2000.0),
                }
            ).with_columns(pl.col("point_id").cast(pl.UInt64))
        )
        if x is None:
            crossovers.append((parts[0]["point_id"][int(across // 40)], parts[-1]["point_id"][150]))
    points = pl.concat(parts).with_columns(
        bed_elev=2000.0 - pl.col("ice_thickness"), bed_reconstructed=pl.lit(False)
    )
    thickness = dict(points.select("point_id", "ice_thickness").iter_rows())
    return points, pl.DataFrame(
        {
            "kind": ["crossing"] * 9,
            "point_id_a": [a for a, _ in crossovers],
            "point_id_b": [b for _, b in crossovers],
            "mistie": [thickness[a] - thickness[b] for a, b in crossovers],
            "self_crossing": [False] * 9,
        },
        schema_overrides={"point_id_a": pl.UInt64, "point_id_b": pl.UInt64},
    )


def test_a_line_with_one_crossing_is_told_from_the_line_that_it_meets() -> None:
    points, crossovers = _network()
    scores, runs = window_segments(points, points.clear(), crossovers)
    without, _ = window_segments(points, points.clear(), crossovers.clear())
    biased = ((points["survey_no"] == 2) & (points["track_id"] == 9)).to_numpy()
    score = scores["score"].to_numpy()
    assert score[biased].min() > 0.43
    assert score[~biased].max() < 0.4
    assert without["score"].to_numpy()[biased].max() < 0.43
    assert without["line_log_odds"].null_count() == without.height
    assert scores["line_log_odds"].null_count() == 0
    assert runs.height == 0
    # A second crossing leaves no doubt: the whole line is one run.
    again = crossovers.filter(pl.col("point_id_b") == points.filter(biased)["point_id"][150])
    first = points.filter((pl.col("survey_no") == 2) & (pl.col("track_id") == 1))["point_id"][9]
    more = pl.concat([crossovers, again.with_columns(point_id_a=pl.lit(first, pl.UInt64))])
    _, runs = window_segments(points, points.clear(), more)
    run = runs.row(0, named=True)
    assert (runs.height, run["track_id"], run["n"], run["cause"]) == (1, 9, 300, "biased line")
    assert run["offset_m"] == pytest.approx(150, abs=25)


def test_chain_and_points_behind_a_crossing() -> None:
    points = pl.DataFrame(
        {
            "point_id": [1, 2, 3, 4],
            "line": [10, 10, 20, 20],
            "log_odds": [-2.0, 3.0, -9.0, -9.0],
        },
        schema_overrides={"point_id": pl.UInt64},
    )
    crossovers = pl.DataFrame(
        {
            "kind": ["crossing", "double_hit", "crossing", "crossing"],
            "point_id_a": [2, 1, 1, 1],
            "point_id_b": [3, 3, 2, 4],
            "mistie": [5.0, 6.0, 7.0, 8.0],
            "self_crossing": [False, False, True, False],
        },
        schema_overrides={"point_id_a": pl.UInt64, "point_id_b": pl.UInt64},
    )
    found = crossings_of_lines(points, crossovers)
    assert found["mistie"].to_list() == [5.0, 8.0]
    assert found.select("line_a", "line_b").rows() == [(10, 20), (10, 20)]
    high, low = 1 / (1 + np.exp(-3.0)), 1 / (1 + np.exp(2.0))
    assert found["doubt_a"].to_list() == pytest.approx([high - low, DOUBT])
    assert found["doubt_b"].to_list() == pytest.approx([DOUBT, DOUBT])


@pytest.mark.parametrize("rows", [1, 50, 333])
def test_odds_do_not_depend_on_how_many_pairs_are_held_at_once(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    offset = np.where(np.arange(40) == 7, 120.0, rng.normal(0, 8, 40))
    a, b = rng.integers(0, 40, (2, 600))
    a, b = a[a != b], b[a != b]
    crossings = pl.DataFrame(
        {
            "line_a": a,
            "line_b": b,
            "mistie": offset[a] - offset[b] + rng.normal(0, 10, a.size),
            "doubt_a": rng.uniform(0.005, 0.2, a.size),
            "doubt_b": rng.uniform(0.005, 0.2, a.size),
        }
    )
    whole = segments_lines.line_odds(crossings)
    monkeypatch.setattr(segments_lines, "_BLOCK", rows)
    polars.testing.assert_frame_equal(segments_lines.line_odds(crossings), whole, rel_tol=1e-12)
    assert whole.sort("line_log_odds")["line"][-1] == 7


def test_mistie_densities_are_students_t() -> None:
    mistie, levels = np.array([-80.0, 0.0, 33.0]), np.array([-45.0, 0.0, 90.0])
    spread = np.hypot(12.0, segments_lines._TOLERANCE * levels)
    expected = t.pdf((mistie[:, None] - levels) / spread, 5) / spread
    np.testing.assert_allclose(
        segments_lines._densities(mistie, 12.0, levels), expected, rtol=1e-12
    )
