"""The search for better settings: within the training region, shared, taken up again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from bedsieve.detectors.gnn_data import gather
from bedsieve.detectors.gnn_settings import TUNABLE, GnnSettings
from bedsieve.detectors.gnn_training import train_fold
from bedsieve.detectors.gnn_tuning import RANGES, open_study, tune_gnn, write_best
from bedsieve.errors import BedsieveError, ConfigError
from tests.unit.gnn_tiles import made_points, write_tiles

SMALL = {
    "widths": [4, 4],
    "latent": 4,
    "head": 2,
    "fanout": [3, 2],
    "batch": 256,
    "unlabelled": 100,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Path]]:
    points, bad = made_points(800)
    return write_tiles(tmp_path_factory.mktemp("tuning"), points, bad.astype(int), hops=2)


def search(tiles: list[dict[str, Path]], journal: Path, trials: int, worker: int = 0):
    return tune_gnn(tiles, journal, SMALL, trials=trials, epochs=2, seed=1, worker=worker)


def test_a_search_is_shared_taken_up_again_and_adopted(
    tiles: list[dict[str, Path]], tmp_path: Path
) -> None:
    journal = tmp_path / "gnn.journal"
    assert search(tiles, journal, 1) == {"A": 1, "B": 1}
    # Study B's settings come first, so the best is never worse than they are on these labels.
    first = open_study(journal, "A").trials[0].params
    assert first == {name: getattr(GnnSettings(), name) for name in TUNABLE}
    assert search(tiles, journal, 3, worker=1) == {"A": 3, "B": 3}
    before = journal.read_bytes()
    assert search(tiles, journal, 3) == {"A": 3, "B": 3}
    assert len(journal.read_bytes()) - len(before) < 1000  # nothing was trained again
    assert [path.name for path in tmp_path.iterdir()] == ["gnn.journal"]

    overlay, table = tmp_path / "gnn.yaml", tmp_path / "trials.tsv"
    write_best(journal, "AB", "v1", overlay, table)
    trials = pl.read_csv(table, separator="\t")
    assert trials["model"].to_list() == ["A"] * 3 + ["B"] * 3
    document = yaml.safe_load(overlay.read_text())
    assert document["models"] == {"version": "v1_tuned"}
    found = document["detectors"]["gnn"]
    settings = GnnSettings.from_mapping({**SMALL, **found})
    for letter in "AB":
        own = trials.filter(model=letter, state="complete").sort("auc", descending=True)
        chosen = settings.of_fold(letter)
        assert chosen.learning_rate == pytest.approx(own["learning_rate"][0], rel=1e-3)
        for name, (low, high) in RANGES.items():
            assert low <= getattr(chosen, name) <= high


def test_what_is_set_for_one_model_changes_that_one_only(
    tiles: list[dict[str, Path]], tmp_path: Path
) -> None:
    plain = GnnSettings.from_mapping({**SMALL, "epochs": 1})
    other = GnnSettings.from_mapping(
        {**SMALL, "epochs": 1, "per_fold": {"A": {"learning_rate": 0.01}}}
    )
    data = gather(tiles, plain, 0)
    for fold, same in ((0, False), (1, True)):
        one = train_fold(data, plain, fold, 0, tmp_path / f"one{fold}.pt").weights
        two = train_fold(data, other, fold, 0, tmp_path / f"two{fold}.pt").weights
        assert torch.equal(one["jump.weight"], two["jump.weight"]) == same


def test_a_trial_never_sees_the_region_that_its_model_scores(
    tiles: list[dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one" / "gnn.journal", tmp_path / "two" / "gnn.journal"
    search(tiles, one, 1)

    def spoilt(*arguments: object) -> object:
        data = gather(*arguments)  # type: ignore[arg-type]
        data.graph.x[data.region == data.folds.scored_by(0)] = 9.0
        return data

    monkeypatch.setattr("bedsieve.detectors.gnn_tuning.gather", spoilt)
    search(tiles, two, 1)
    values = [[open_study(path, x).trials[0].value for path in (one, two)] for x in "AB"]
    assert values[0][0] == values[0][1]
    assert values[1][0] != values[1][1]


def test_what_a_killed_worker_left_stops_nobody(
    tiles: list[dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedsieve.detectors.gnn_tuning._GRACE", 3)
    monkeypatch.chdir(tmp_path)
    journal = Path("gnn.journal")
    search(tiles, journal, 1)
    # Killed while it held the lock, in the middle of a trial.
    (tmp_path / "gnn.journal.lock").symlink_to(tmp_path / "gnn.journal")
    left = [tmp_path / "gnn.A7.pt", tmp_path / ".gnn.A7.tmp-0123456789ab.pt"]
    for path in left:
        path.write_text("")
    assert search(tiles, journal, 2) == {"A": 2, "B": 2}
    write_best(journal, "AB", "v1", tmp_path / "o.yaml", tmp_path / "t.tsv")
    assert not [path for path in left if path.exists()]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"per_fold\.A sets widths"):
        GnnSettings.from_mapping({"per_fold": {"A": {"widths": 3}}})
    open_study(tmp_path / "gnn.journal", "A")
    with pytest.raises(BedsieveError, match="no trial of model A"):
        write_best(tmp_path / "gnn.journal", "A", "v1", tmp_path / "o.yaml", tmp_path / "t.tsv")
    assert np.all([low < high for low, high in RANGES.values()])
