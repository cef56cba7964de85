"""What the gates bring to the graph network, and what seeds in stretches cost it, on a run with a known truth.

``python -m bench.gnn_choices results/demo`` trains the network three ways over several seeds on a finished run: as
study B does, without gates, and with each step's seeds taken from 8 stretches of the space order. All have the same
labels, the same number of steps and the same size, by default a sixth of the study's widths so that five seeds take
half an hour of a core. Each model scores the region that it never saw; scores are held against the true errors, labels held back
against the logits of the model that trained beside them. Differences are paired over seeds, with t intervals.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from bedsieve.detectors.gnn_score import score_tile
from bedsieve.detectors.gnn_version import train_gnn
from bedsieve.evaluation.label_truth import truth_of_run
from bedsieve.evaluation.metrics import Ranking, area_under_roc, average_precision
from bench.gnn_scale import Tile, tiles_of

STUDY = "as study B"
CHOICES: dict[str, dict[str, Any]] = {
    STUDY: {},
    "without gates": {"gated": False},
    "8 stretches a step": {"runs": 8},
}
FIGURES = ("AP on truth", "AUC on truth", "AUC on labels held back", "seconds")


def figures(
    tiles: list[Tile], kinds: pl.DataFrame, settings: dict[str, Any], seed: int
) -> tuple[float, ...]:
    """Train, score every tile and judge; processor seconds of the training last."""
    with tempfile.TemporaryDirectory() as folder:
        model, used = Path(folder) / "gnn", time.process_time()
        train_gnn(tiles, model, settings, seed=seed)
        used = time.process_time() - used
        curves = pl.read_csv(model / "curves.tsv", separator="\t")
        best = curves.filter(pl.col("best") == 1).group_by("fold").last()
        scores = []
        for number, tile in enumerate(tiles):
            out = Path(folder) / f"{number}.parquet"
            score_tile(tile["points"], tile["halo"], tile["edges"], model, out)
            scores.append(pl.read_parquet(out, columns=["point_id", "score"]))
    judged = pl.concat(scores).join(kinds, on="point_id", how="left")
    ranking = Ranking(judged["score"].to_numpy(), judged["kind"].is_not_null().to_numpy())
    held = float(np.mean(best["validation_auc"].to_numpy()))
    return average_precision(ranking), area_under_roc(ranking), held, used


def difference(one: list[float], other: list[float]) -> str:
    """Mean of the paired difference and its 95 % interval."""
    apart = np.subtract(one, other)
    low, high = stats.t.interval(0.95, apart.size - 1, apart.mean(), stats.sem(apart))
    return f"{apart.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> int:
    """Print a row a choice."""
    parser = argparse.ArgumentParser(prog="python -m bench.gnn_choices", description=__doc__)
    parser.add_argument("results", type=Path, help="of the demo, or another run with a truth")
    parser.add_argument("--seeds", type=int, default=5, help="two at least, for an interval")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--widths", type=int, nargs=3, default=[64, 64, 32])
    options = parser.parse_args()
    tiles = list(tiles_of(options.results).values())
    kinds = truth_of_run(options.results).select("point_id", "kind")
    base = {
        "widths": options.widths, "latent": 32, "head": 16, "batch": 2048, "learning_rate": 0.005,
        "unlabelled": 100_000, "epochs": options.epochs, "patience": options.epochs, "device": "cpu",
    }  # fmt: skip
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in CHOICES}
    for seed in range(options.seeds):
        for name, choice in CHOICES.items():
            found[name].append(figures(tiles, kinds, base | choice, seed))
            told = ", ".join(f"{f} {v:.3f}" for f, v in zip(FIGURES, found[name][-1], strict=True))
            print(f"seed {seed}, {name}: {told}", flush=True)
    columns = {name: list(map(list, zip(*rows, strict=True))) for name, rows in found.items()}
    for name, values in columns.items():
        print(name)
        for number, figure in enumerate(FIGURES):
            beside = ""
            if name != STUDY and figure != "seconds":
                beside = f", difference {difference(values[number], columns[STUDY][number])}"
            print(f"  {figure}: mean {statistics.fmean(values[number]):.3f}{beside}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
