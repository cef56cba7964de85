"""Pseudo-labels against a plain reference of their definition, verdict by verdict."""

from __future__ import annotations

import json
from collections import Counter
from math import atan2, floor, pi, sqrt
from statistics import median

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bedsieve.errors import BedsieveError
from bedsieve.graph.crossovers import crossover_tables, write_crossovers
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.labels.accounting import account, accounting_table
from bedsieve.labels.pseudo_labels import label_points, vote, write_labels
from bedsieve.labels.support import Rules
from bedsieve.labels.verdict import VERDICTS
from tests.unit.flight_lines import flight_lines

EVERYWHERE = TileBox(0, 0, 1e6)
CORNER = (10_000.0, 10_000.0)


def reference(frame, a, b, rules):
    """Verdict on a pair by the rules as written, one loop after the other, nothing clever."""
    ids = frame["point_id"].to_numpy()
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    thickness, survey = frame["ice_thickness"].to_numpy(), frame["survey_no"].to_list()
    track = list(zip(survey, frame["track_id"].to_list(), strict=True))
    a, b = int(np.flatnonzero(ids == a)[0]), int(np.flatnonzero(ids == b)[0])

    def too_few(support):
        if len({track[p] for p in support}) < rules.min_tracks:
            return "too_few_tracks"
        if len({survey[p] for p in support}) < rules.min_surveys:
            return "too_few_surveys"
        return "too_few_points" if len(support) < rules.min_points else None

    def by_distance(x, y, among):
        """Points ordered by distance to (x, y), ties by point_id."""
        among = np.array(among)
        dx, dy = east[among] - x, north[among] - y
        return among[np.lexsort((ids[among], dx * dx + dy * dy))].tolist()

    def nearest_four(p, among):
        return by_distance(east[p], north[p], [q for q in among if q != p])[:4]

    def distance(p, q):
        dx, dy = east[p] - east[q], north[p] - north[q]
        return sqrt(dx * dx + dy * dy)

    def jump(p, q):
        return abs(thickness[p] - thickness[q])

    x, y = 0.5 * (east[a] + east[b]), 0.5 * (north[a] + north[b])
    from_middle = (east - x) * (east - x) + (north - y) * (north - y)
    within = np.flatnonzero(from_middle <= rules.support_radius**2)
    raw = [p for p in by_distance(x, y, within)[: rules.cap] if p not in (a, b)]
    if too_few(raw):
        return too_few(raw)

    eta = max(rules.eta_floor, rules.eta_share * median(thickness[p] for p in raw))
    calm = [p for p in raw if max(jump(p, q) for q in nearest_four(p, raw)) <= rules.max_jump]
    s_max = 0.0
    if calm:
        p_max = min(calm, key=lambda p: (-thickness[p], from_middle[p], ids[p]))
        p_min = min(calm, key=lambda p: (thickness[p], from_middle[p], ids[p]))
        h_max = thickness[p_max] - thickness[p_min]
        s_max = 2 * h_max / distance(p_max, p_min) if h_max > 0 else 0.0

    def in_band(p, q, slope):
        return jump(p, q) <= slope * distance(p, q) + 2 * eta

    clean = [p for p in calm if all(in_band(p, q, s_max) for q in nearest_four(p, calm))]
    if too_few(clean):
        return too_few(clean) + "_after"
    if len(raw) - len(clean) > rules.max_removed * len(raw):
        return "too_much_removed"

    def surrounded(candidate):
        octants = set()
        for p in clean:
            dx, dy = east[p] - east[candidate], north[p] - north[candidate]
            if track[p] != track[candidate] and (dx, dy) != (0, 0):
                octants.add(floor(atan2(dy, dx) % (2 * pi) / (pi / 4)))
        return len(octants) == 8

    def passes(candidate):
        others = [p for p in clean if track[p] != track[candidate]]
        return all(in_band(candidate, p, s_max) for p in others)

    if not surrounded(a) or not surrounded(b):
        if surrounded(b):
            return "octant_missing_a"
        return "octant_missing_b" if surrounded(a) else "octant_missing_both"
    if passes(a) and passes(b):
        return "inlier_inlier" if in_band(a, b, 2 * s_max) else "disagree"
    if passes(a):
        return "inlier_outlier"
    return "outlier_inlier" if passes(b) else "both_fail"


NONE = pl.DataFrame(schema={"point_id_a": pl.UInt64, "point_id_b": pl.UInt64})


def hits(frame, box=EVERYWHERE):
    """Double hits that the box owns, and those that reach out of it."""
    return [part.filter(pl.col("kind") == "double_hit") for part in crossover_tables(frame, box)]


# Study B's constants at a third of the scale: the reference is slow on 600 points.
SMALL = Rules(support_radius=700.0, cap=120, min_points=30)
SCENES = {
    "study B": ({"lines": 40, "points": 110, "side": 3000.0, "seed": 1}, Rules(), 40),
    "study B, rough": (
        {"lines": 36, "points": 80, "side": 3500.0, "seed": 2, "bad": 0.03},
        Rules(),
        40,
    ),
    "study B, open": ({"lines": 36, "points": 60, "side": 7000.0, "seed": 4}, Rules(), 60),
    "calm": ({"lines": 40, "points": 150, "side": 4000.0, "seed": 8, "noise": 8.0}, SMALL, 620),
    "rough": (
        {"lines": 36, "points": 120, "side": 3500.0, "seed": 3, "noise": 9.0, "bad": 0.04},
        SMALL,
        560,
    ),
    "very rough": (
        {"lines": 36, "points": 120, "side": 3500.0, "seed": 9, "noise": 16.0, "bad": 0.06},
        SMALL,
        300,
    ),
    "one stray survey": (
        {"lines": 30, "points": 120, "side": 3500.0, "seed": 5, "surveys": 1},
        SMALL,
        280,
    ),
    "sparse": (
        {"lines": 22, "points": 90, "side": 3500.0, "seed": 7, "surveys": 2, "noise": 9.0},
        SMALL._replace(min_points=72),
        240,
    ),
}


def scene(settings):
    frame = flight_lines(corner=CORNER, **settings)
    if settings.get("surveys") == 1:  # every fortieth point is of a second survey, and bad
        stray = pl.col("point_id") % 40 == 0
        frame = frame.with_columns(
            pl.when(stray).then(pl.lit(9, pl.UInt32)).otherwise("survey_no").alias("survey_no"),
            pl.col("ice_thickness") + pl.when(stray).then(300.0).otherwise(0.0),
        )
    return frame


@pytest.fixture(scope="module")
def judged():
    found = {}
    for name, (settings, rules, n) in SCENES.items():
        frame = scene(settings)
        pairs = hits(frame)[0].sample(fraction=1.0, shuffle=True, seed=1).head(n)
        found[name] = frame, label_points(frame, pairs, NONE, EVERYWHERE, rules=rules), rules
    return found


@pytest.mark.parametrize("name", SCENES)
def test_every_verdict_is_that_of_the_reference(judged, name):
    frame, result, rules = judged[name]
    for a, b, verdict in result.pairs.select("point_id_a", "point_id_b", "verdict").iter_rows():
        assert verdict == reference(frame, a, b, rules), (name, a, b)


@pytest.mark.slow
def test_two_thousand_verdicts_with_the_constants_of_study_b():
    frame = scene({"lines": 60, "points": 140, "side": 4500.0, "seed": 11, "bad": 0.04})
    pairs = hits(frame)[0].sample(fraction=1.0, shuffle=True, seed=2).head(2000)
    result = label_points(frame, pairs, NONE, EVERYWHERE)
    assert result.pairs.height == 2000
    for a, b, verdict in result.pairs.select("point_id_a", "point_id_b", "verdict").iter_rows():
        assert verdict == reference(frame, a, b, Rules()), (a, b)


def test_every_verdict_occurs_and_there_are_enough(judged):
    seen = Counter()
    for _, result, _ in judged.values():
        seen.update(result.pairs["verdict"].to_list())
    assert set(seen) == set(VERDICTS), seen
    assert seen.total() >= 2000


def test_labels_are_the_votes_of_all_pairs(judged):
    _, result, _ = judged["rough"]
    votes = {}
    for a, b, verdict in result.pairs.select("point_id_a", "point_id_b", "verdict").iter_rows():
        if verdict in VERDICTS[:3]:
            for point, vote in zip((a, b), verdict.split("_"), strict=True):
                votes.setdefault(point, []).append(vote)
    assert result.labels["point_id"].sort().to_list() == sorted(votes)
    for row in result.labels.iter_rows(named=True):
        kinds = set(votes[row["point_id"]])
        label = {"inlier": 0, "outlier": 1}[kinds.pop()] if len(kinds) == 1 else None
        assert row["label"] == label
        assert row["conflict"] == (label is None)
        assert row["n_inlier"] == votes[row["point_id"]].count("inlier")
        assert row["n_outlier"] == votes[row["point_id"]].count("outlier")
    assert (result.labels["label"] == 1).sum() > 10


def test_a_point_with_both_votes_is_a_conflict_and_only_core_points_are_labelled():
    ids = np.array([10, 11, 12, 13, 14], np.uint64)
    core = np.array([True, True, True, True, False])
    names = ["inlier_inlier", "inlier_outlier", "outlier_inlier", "both_fail", "inlier_inlier"]
    verdict = np.array([VERDICTS.index(name) for name in names], np.uint8)
    a, b = np.array([0, 0, 1, 3, 0], np.int32), np.array([1, 2, 2, 2, 4], np.int32)
    votes = vote(ids, core, a, b, verdict)
    assert votes.rows() == [(10, 0, False, 3, 0), (11, None, True, 1, 1), (12, None, True, 1, 1)]


@pytest.mark.parametrize("size", [1500.0, 2500.0])
def test_any_tiling_gives_the_same_verdicts_and_labels(size):
    frame = scene(
        {"lines": 36, "points": 120, "side": 3500.0, "seed": 3, "noise": 12.0, "bad": 0.05}
    )
    whole = label_points(frame, *hits(frame), EVERYWHERE, rules=SMALL)
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    tiles = sorted(set(zip((east // size).tolist(), (north // size).tolist(), strict=True)))
    parts = []
    for ix, iy in tiles:
        box = TileBox(int(ix), int(iy), size)
        near = frame.filter(pl.Series(box.distance(east, north) <= 2000.0))
        both = hits(near, box)
        reach = box.distance(near["east"].to_numpy(), near["north"].to_numpy()) <= 725.0
        parts.append(label_points(near.filter(pl.Series(reach)), *both, box, rules=SMALL))
    key = ["point_id_a", "point_id_b"]
    pairs = pl.concat([part.pairs for part in parts])
    assert_frame_equal(pairs.sort(key), whole.pairs.sort(key))
    labels = pl.concat([part.labels for part in parts])
    assert_frame_equal(labels.sort("point_id"), whole.labels.sort("point_id"))
    assert len(tiles) > 3
    total = Counter()
    for part in parts:
        total.update(account(part)["verdicts"])
    assert dict(total) == account(whole)["verdicts"]


def test_order_of_points_and_of_pairs_is_irrelevant():
    frame = scene(
        {"lines": 36, "points": 120, "side": 3500.0, "seed": 3, "noise": 12.0, "bad": 0.05}
    )
    pairs, _ = hits(frame)
    one = label_points(frame, pairs, NONE, EVERYWHERE, rules=SMALL)
    two = label_points(frame.sort("point_id"), pairs.reverse(), NONE, EVERYWHERE, rules=SMALL)
    assert_frame_equal(one.pairs, two.pairs.reverse())
    assert_frame_equal(one.labels.sort("point_id"), two.labels.sort("point_id"))


def test_written_labels_and_their_accounting(tmp_path):
    frame = scene({"lines": 40, "points": 110, "side": 3000.0, "seed": 1})
    box = TileBox(5, 5, 2000.0)
    inside = pl.Series(box.owns(frame["east"].to_numpy(), frame["north"].to_numpy()))
    names = ("points", "halo", "crossovers", "beyond")
    points, halo, crossovers, beyond = (tmp_path / f"{name}.parquet" for name in names)
    frame.filter(inside).write_parquet(points)
    frame.filter(~inside).write_parquet(halo)
    settings = {"tile": "x5_y5", "tile_size": 2000.0, "reach": 5000.0}
    write_crossovers(points, halo, crossovers, beyond, **settings)
    out = [tmp_path / name for name in ("labels.parquet", "pairs.parquet", "accounting.json")]
    write_labels(points, halo, crossovers, beyond, *out, **settings)
    labels, pairs = pl.read_parquet(out[0]), pl.read_parquet(out[1])
    assert labels["point_id"].is_in(frame.filter(inside)["point_id"].implode()).all()
    table = accounting_table([out[2]])
    n = {(stage, what): count for stage, what, count in table.iter_rows()}
    assert n["pairs", "all"] == pairs.height > 100
    labelled = n["labelled", "inlier_inlier"] + n["labelled", "inlier_and_outlier"]
    assert n["pairs", "all"] == n["discarded", "all"] + labelled
    assert n["points", "inliers"] == (labels["label"] == 0).sum() > 10
    assert accounting_table([out[2]] * 3)["n"].to_list() == [3 * x for x in table["n"].to_list()]
    assert json.loads(out[2].read_text())["tile"] == "x5_y5"
    write_labels(points, halo, crossovers, beyond, *out, **settings, radius=10.0)
    near = pl.read_parquet(crossovers).filter(pl.col("distance") <= 10.0, kind="double_hit")
    assert pl.read_parquet(out[1]).height == near.height < pairs.height
    with pytest.raises(BedsieveError, match="2025 m"):
        write_labels(points, halo, crossovers, beyond, *out, **(settings | {"reach": 2000.0}))


def test_a_tile_without_double_hits_has_empty_tables():
    frame = flight_lines(lines=1)
    result = label_points(frame, *hits(frame), EVERYWHERE)
    assert result.labels.height == result.pairs.height == 0
    assert account(result)["pairs"] == 0
    assert result.pairs.schema["verdict"] == pl.Enum(VERDICTS)
