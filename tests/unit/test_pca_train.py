"""Physics PCA trained on tiles: frozen models; thin tiles borrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.detectors.pca import feature_matrix, fit_grid
from bedsieve.detectors.pca_model import load_model, save_model
from bedsieve.detectors.pca_train import adjacent_tiles
from bedsieve.errors import InputError
from tests.unit.pca_tiles import made_points, put_tile, scored, three_tiles, trained


@pytest.fixture(name="three")
def _three(tmp_path: Path) -> list[Path]:
    return three_tiles(tmp_path)


def test_thin_grids_borrow_and_say_so(
    tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(tmp_path, three)
    said = capsys.readouterr().err
    assert "1 grids of their own points, 1 borrow from their neighbours, 1 use the pooled" in said
    sources = {}
    for folder in three:
        table = scored(folder, model)
        sources[folder.name] = (table["model"].unique().to_list(), table["pooled"].unique()[0])
        assert table["score"].is_finite().all()
    assert sources == {
        "x0_y0": (["own"], False),
        "x1_y0": (["neighbours"], True),
        "x7_y7": (["pooled"], True),
    }
    unseen = scored(put_tile(tmp_path, "x-3_y2", made_points(500, 9, survey=9)), model)
    assert unseen["model"].unique().to_list() == ["pooled"]


def test_the_left_out_features_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = made_points(8000, 1).drop("smb").with_columns(temp=pl.lit(None, pl.Float32))
    folder = put_tile(tmp_path, "x0_y0", points)
    table = scored(folder, trained(tmp_path, [folder]))
    said = capsys.readouterr().err
    assert "smb is left out in 1 grids" in said
    assert "temp is left out in 1 grids" in said
    assert "bed is left out" not in said
    assert table["recon_mse"].null_count() == 0


def test_training_is_bit_identical_in_any_order(tmp_path: Path, three: list[Path]) -> None:
    first = (trained(tmp_path, three) / "model.json").read_bytes()
    second = (trained(tmp_path, three[::-1], "v2") / "model.json").read_bytes()
    assert first == second


def test_the_version_freezes_the_limits_of_the_laws(tmp_path: Path, three: list[Path]) -> None:
    from dataclasses import replace

    from bedsieve.detectors.physics_laws import LawLimits

    strict = LawLimits(rate=(0.0, 0.01), rate_noise=0.0, relative_noise=0.0)
    strict_model = trained(tmp_path, three, "strict", laws=strict)
    assert load_model(strict_model).laws == strict
    assert load_model(trained(tmp_path, three)).laws == replace(strict, **vars(LawLimits()))
    assert scored(three[0], strict_model)["law_rate"].mean() > 0.5


def test_saved_models_keep_every_bit(tmp_path: Path, three: list[Path]) -> None:
    folder = trained(tmp_path, three)
    model = load_model(folder)
    save_model(model, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (folder / "model.json").read_bytes()
    X = np.random.default_rng(1).normal(100.0, 30.0, (100, 8)).astype(np.float32)
    grid = model.grids["x0_y0"][0]
    refitted = fit_grid(feature_matrix(pl.read_parquet(three[0] / "points.parquet")))
    assert refitted is not None
    np.testing.assert_array_equal(grid.errors(X), refitted[0].errors(X))


def test_tampered_weights_are_refused(tmp_path: Path, three: list[Path]) -> None:
    model = trained(tmp_path, three)
    weights = model / "model.json"
    weights.write_text(weights.read_text().replace('"z_low": ', '"z_low": 1'))
    with pytest.raises(InputError, match=r"model\.json: is not the file"):
        scored(three[0], model)


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    folder = put_tile(tmp_path, "x0_y0", made_points(4, 1).head(1))
    with pytest.raises(InputError, match="1 points are too few"):
        trained(tmp_path, [folder])


def test_adjacent_tiles() -> None:
    around = adjacent_tiles("x-1_y0")
    assert len(set(around)) == 8
    assert "x-2_y-1" in around
    assert "x0_y1" in around
    assert "x-1_y0" not in around
