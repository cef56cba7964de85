"""How a network was trained, as a table, a picture and a note."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from bedsieve.detectors.gnn_model import UNTRAINED as MODEL_UNTRAINED
from bedsieve.detectors.gnn_version import CURVES
from bedsieve.products.gae_training import draw_gae_curve, write_gae_table
from bedsieve.products.training import (
    UNTRAINED,
    draw_curves,
    training_notes,
    write_training_table,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A version of two folds and three epochs, made up."""
    folder = tmp_path / "gnn"
    folder.mkdir()
    rows = [
        [fold, epoch, 0.001, 3.0 / epoch, 1 / epoch, 1 / epoch, 1 / epoch, 2.0, 1.0, 1.0, 0.8, 0]
        for fold in "AB"
        for epoch in (1, 2, 3)
    ]
    lines = ["\t".join(CURVES), *("\t".join(map(str, row)) for row in rows), ""]
    (folder / "curves.tsv").write_text("\n".join(lines))
    folds = {
        fold: {"scores": other, "trained_on": [fold]} for fold, other in (("A", "B"), ("B", "A"))
    }
    (folder / "folds.json").write_text(json.dumps({"models": folds}))
    seeds = {"outliers": 7, "inliers": 90, "unlabelled": 500}
    fit = {"temperature": 1.25, "loss_before": 2.0, "loss_after": 1.5, "best_epoch": 2, "epochs": 3}
    calibration = {fold: {**fit, "trained_on": seeds} for fold in "BA"}
    (folder / "calibration.json").write_text(json.dumps(calibration))
    return folder


def test_a_row_for_each_fold(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "gnn_training.tsv"
    write_training_table(model, out)
    head, *rows = (line.split("\t") for line in out.read_text().splitlines())
    tables = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["fold"] for row in tables] == ["A", "B"]
    assert tables[0] == {
        "fold": "A", "trained_on": "A", "scores": "B", "outliers": "7", "inliers": "90",
        "unlabelled": "500", "epochs": "3", "best_epoch": "2", "validation_loss": "2.0000",
        "temperature": "1.250", "calibrated_loss": "1.5000", "note": "",
    }  # fmt: skip
    assert training_notes([out]) == []


def test_an_untrained_version_says_why(tmp_path: Path) -> None:
    assert UNTRAINED == MODEL_UNTRAINED
    folder = tmp_path / "gnn"
    folder.mkdir()
    (folder / UNTRAINED).write_text(json.dumps({"why": "3 outlier labels are too few."}))
    (folder / "curves.tsv").write_text("\t".join(CURVES) + "\n")
    table, picture = tmp_path / "gnn_training.tsv", tmp_path / "curves.png"
    write_training_table(folder, table)
    draw_curves(folder, "Somewhere", picture)
    assert training_notes([table]) == ["gnn was not trained: 3 outlier labels are too few."]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_curves_are_drawn(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    draw_curves(model, "Somewhere", picture)
    assert 10_000 < picture.stat().st_size < 1_000_000


def test_the_autoencoders_training_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "gae"
    folder.mkdir()
    rows = [f"{epoch}\t0.001\t{2 / epoch}" for epoch in (1, 2, 4)]
    (folder / "curves.tsv").write_text("\n".join(["epoch\tlearning_rate\tloss", *rows, ""]))
    nodes = {"stratum": [0, 1, 1, 1, 2, 2], "clean": [True, True, False, True, True, True]}
    pl.DataFrame(nodes, schema_overrides={"stratum": pl.Int16}).write_parquet(
        folder / "nodes.parquet"
    )
    strata = {"centres": [[0.0]] * 4, "clean_within_m": 87.654}
    (folder / "strata.json").write_text(json.dumps(strata))
    table, picture = tmp_path / "gae_training.tsv", tmp_path / "gae_training.png"
    write_gae_table(folder, table)
    head, row = (line.split("\t") for line in table.read_text().splitlines())
    assert dict(zip(head, row, strict=True)) == {
        "nodes": "6", "clean": "5", "strata": "4", "smallest_stratum": "0", "largest_stratum": "3",
        "clean_within_m": "87.7", "epochs": "3", "first_loss": "2.0000", "last_loss": "0.5000",
    }  # fmt: skip
    assert training_notes([table]) == []
    draw_gae_curve(folder, "Somewhere", picture)
    assert 10_000 < picture.stat().st_size < 1_000_000
