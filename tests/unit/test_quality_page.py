"""The page and the pictures of the evaluation say what its tables hold."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.evaluation.plots import draw_kinds, draw_precision
from bedsieve.evaluation.quality_page import quality_page
from bedsieve.evaluation.table import evaluation_table, read_judged
from bedsieve.simulate.error_mix import KINDS


@pytest.fixture
def judged(tmp_path):
    """Two tiles: every kind twice; the ensemble finds all but sectors, the rule only spikes."""
    rng = np.random.default_rng(0)
    paths = []
    for tile in ("x0_y0", "x1_y0"):
        n = 400
        kind = np.full(n, None, object)
        event = np.full(n, -1, np.int32)
        for number, name in enumerate(KINDS):
            run = slice(20 + 45 * number, 20 + 45 * number + (1 if name == "spike" else 5))
            kind[run], event[run] = name, number
        bad = event >= 0
        score = rng.random(n) * 0.5 + 0.5 * (bad & (kind != "sector"))
        rule = rng.random(n) * 0.5 + 0.5 * (kind == "spike")
        path = tmp_path / "tiles" / tile / "seed1.parquet"
        path.parent.mkdir(parents=True)
        pl.DataFrame(
            {
                "line": np.arange(n) // 20 + (1000 if tile == "x1_y0" else 0),
                "kind": pl.Series(kind.tolist(), dtype=pl.String),
                "event": event,
                "score_along_track": rule,
                "score_segments": score,
                "score_ensemble": score,
                "score_without_along_track": score,
                "score_without_segments": rule,
                "flag": score > 0.5,
                "baseline_along_track_rule": rule,
            }
        ).write_parquet(path)
        paths.append(path)
    return paths


def test_page_tells_what_was_asked_and_reached(judged, tmp_path) -> None:
    figures, differences = evaluation_table(read_judged(judged), replicates=30)
    page = quality_page(figures, differences, judged, tmp_path / "models")
    assert "were along_track and segments. 2 regions" in " ".join(page.split())
    assert "## The networks" not in page
    words = " ".join(page.split())
    assert "2 regions that training never saw were judged with 1 draws of errors" in words
    assert "800 points, 72 of them bad" in words
    assert "in 16 events" in page
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    reached = {row[0]: row[2] for row in rows if row[-1] in ("yes", "**no**")}
    assert reached["above every baseline, lower 95 % bound of the difference above 0"] == "yes"
    assert reached["events found of kind spike at least 0.9"] == "yes"
    assert reached["events found of kind sector at least 0.5"] == "**no**"
    assert len(reached) == 2 + len(KINDS)
    detectors = [row[0] for row in rows if len(row) == 8]
    assert set(figures["detector"]) <= set(detectors)


def test_page_tells_who_was_judged_beside_and_how_the_networks_were_reduced(
    judged, tmp_path
) -> None:
    for path in judged:
        table = pl.read_parquet(path)
        further = table.select(beside_gae="score_along_track", score_with_gae="score_segments")
        table.hstack(further).write_parquet(path)
    figures, differences = evaluation_table(read_judged(judged), replicates=30)
    models = tmp_path / "models"
    smaller = GnnSettings(widths=(8, 8, 4), device="cpu", runs=16)
    for name, settings in (("gnn", smaller), ("gae", GaeSettings())):
        (models / name).mkdir(parents=True)
        document = {"config": settings.to_mapping()}
        (models / name / "manifest.json").write_text(json.dumps(document))
        for fold in "AB":
            weights = {"one": np.zeros((60, 20), np.float32), "two": np.zeros(34, np.float32)}
            save_file(weights, models / name / f"fold_{fold}.safetensors")
    page = quality_page(figures, differences, judged, models)
    assert "were along_track and segments; judged beside them: gae. 2 regions" in " ".join(
        page.split()
    )
    assert "Weights of one model: gnn 1,234, gae 1,234. They differ from the full ones" in page
    told = page[page.index("## The networks") : page.index("## The ensemble against")]
    assert [line for line in told.splitlines() if line.startswith("| g")] == [
        "| gnn | runs | 16 | – |",
        "| gnn | widths | 8, 8, 4 | 384, 384, 192 |",
    ]
    roles = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| gae |")]
    assert roles[0] == ["| gae", "beside"]


def test_pictures_are_written(judged, tmp_path) -> None:
    figures, _ = evaluation_table(read_judged(judged), replicates=30)
    for name, draw in (("a.png", draw_precision), ("b.png", draw_kinds)):
        draw(figures, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / name).stat().st_size > 5_000
