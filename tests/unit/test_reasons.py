"""The words for a flagged point."""

from __future__ import annotations

import polars as pl

from bedsieve.ensemble.reasons import PHRASES, Phrase, reasons


def test_thicker_and_thinner_along_the_track() -> None:
    frame = pl.DataFrame(
        {"score_along_track": [0.93, 0.999], "along_track.residual": [187.4, -1204.0]}
    )
    assert reasons(frame).to_list() == [
        "187 m thicker than the median of its 8 neighbours along the track (along_track score 0.93)",
        "1204 m thinner than the median of its 8 neighbours along the track (along_track score 0.99)",
    ]


def test_small_lengths_keep_a_decimal() -> None:
    frame = pl.DataFrame(
        {"score_along_track": [0.8, 0.8, 0.8], "along_track.residual": [3.44, 9.94, 9.96]}
    )
    assert [text.split(" thicker")[0] for text in reasons(frame)] == ["3.4 m", "9.9 m", "10 m"]


def test_members_come_by_score_and_quiet_ones_are_left_out() -> None:
    frame = pl.DataFrame(
        {"score_gnn": [0.7, 0.2], "score_pca": [0.9, 0.3], "score_gae": [0.1, None]}
    )
    assert reasons(frame).to_list() == ["pca score 0.90; gnn score 0.70", "pca score 0.30"]


def test_float32_scores_do_not_lose_a_hundredth() -> None:
    frame = pl.DataFrame({"score_gnn": [0.7, 0.29, 1.0]}, schema={"score_gnn": pl.Float32})
    assert reasons(frame).to_list() == ["gnn score 0.70", "gnn score 0.29", "gnn score 1.00"]


def test_rebuilt_from_the_surroundings() -> None:
    frame = pl.DataFrame(
        {
            "score_gae": [0.93, 0.81],
            "gae.residual_m": [187.4, -120.0],
            "gae.gradient": [0.348, None],
        }
    )
    assert reasons(frame).to_list() == [
        "187 m thicker than rebuilt from its surroundings, to which it changes by 0.35 m per m "
        "(gae score 0.93)",
        "gae score 0.81",
    ]


def test_missing_evidence_leaves_name_and_score() -> None:
    frame = pl.DataFrame(
        {"score_along_track": [0.93], "along_track.residual": [None]},
        schema_overrides={"along_track.residual": pl.Float32},
    )
    assert reasons(frame).to_list() == ["along_track score 0.93"]
    assert reasons(frame.drop("along_track.residual")).to_list() == ["along_track score 0.93"]


def test_no_score_no_reason() -> None:
    frame = pl.DataFrame({"score_gnn": [None]}, schema={"score_gnn": pl.Float32})
    assert reasons(frame).to_list() == [None]
    assert reasons(frame.clear()).to_list() == []


def test_a_detector_brings_its_own_phrase() -> None:
    phrase = Phrase(("family",), lambda of: pl.format("belongs to outlier family {}", of("family")))
    frame = pl.DataFrame({"score_carving": [0.8], "carving.family": [3]})
    assert reasons(frame, {**PHRASES, "carving": phrase}).to_list() == [
        "belongs to outlier family 3 (carving score 0.80)"
    ]


def test_the_graph_network_names_what_raised_its_score() -> None:
    cause = "ice velocity and change of thickness to its neighbours"
    frame = pl.DataFrame({"score_gnn": [0.71, 0.3], "gnn.because": [cause, None]})
    assert reasons(frame).to_list() == [
        f"resembles points that other tracks contradict, by its {cause} (gnn score 0.71)",
        "gnn score 0.30",
    ]


def test_carving_names_the_family_or_how_far_it_is() -> None:
    frame = pl.DataFrame(
        {
            "score_carving": [0.8, 0.3],
            "carving.family": [3, None],
            "carving.fold": ["A", "B"],
            "carving.purity": [0.867, None],
            "carving.distance": [0.4, 2.34],
        }
    )
    assert reasons(frame).to_list() == [
        "belongs to outlier family A3, 86 % of whose labelled points are bad (carving score 0.80)",
        "2.3 times as far from a family of outliers as it reaches (carving score 0.30)",
    ]


def test_pegasus_says_on_which_side_of_the_manifold_a_point_lies() -> None:
    frame = pl.DataFrame(
        {"score_pegasus": [0.9, 0.7, 0.1], "pegasus.origin": ["off", "on", "none"]}
    )
    assert reasons(frame).to_list() == [
        "cannot be rebuilt from what usually goes together (pegasus score 0.90)",
        "an extreme or isolated case of what usually goes together (pegasus score 0.70)",
        "less rare than the points to look at (pegasus score 0.10)",
    ]


def test_how_sure_the_network_is_of_a_point_and_of_those_like_it() -> None:
    frame = pl.DataFrame(
        {
            "score_local_entropy": [0.97, 0.02],
            "local_entropy.z": [7.1, -2.0],
            "local_entropy.entropy": [0.612, 0.1],
            "local_entropy.local_mean": [0.204, 0.3],
        }
    )
    assert reasons(frame).to_list() == [
        "the graph network is less sure of it than of the known points most like it (entropy 0.61 "
        "against 0.2) (local_entropy score 0.97)",
        "the graph network is more sure of it than of the known points most like it (entropy 0.1 "
        "against 0.3) (local_entropy score 0.02)",
    ]


def test_an_absurd_length_is_said_in_few_words() -> None:
    frame = pl.DataFrame(
        {"score_along_track": [0.99, 0.99], "along_track.residual": [1e30, -998_499.0]}
    )
    assert [text.split(" than")[0] for text in reasons(frame)] == [
        "over 1000000 m thicker", "998499 m thinner",
    ]  # fmt: skip
