"""How the graph autoencoder was trained: a table of one row, and a picture of its loss and its strata.

In: the folder of a model version (curves.tsv, nodes.parquet, strata.json). Out: what it learnt from and how far
the loss fell; the loss by epoch beside the training nodes of each terrain type, which should be even. Nothing is
held back in its training (study B), so there is one curve.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from bedsieve.files import write_rows
from bedsieve.products.cartography import INK, save
from bedsieve.products.training import TRAINING, dress


def write_gae_table(model_dir: str | Path, out: str | Path) -> None:
    """Write what the network learnt from and how.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/gae``.
    out : path-like
        Tab-separated, one row: training nodes, those of them in the loss, terrain types, nodes of the smallest
        and largest of these, difference (m) to the neighbours up to which a point is clean, epochs, and the
        loss (mean squared error of scaled features) of the first and of the last.
    """
    folder = Path(model_dir)
    curve, nodes = _curve(folder), pl.read_parquet(folder / "nodes.parquet")
    strata = json.loads((folder / "strata.json").read_text(encoding="utf-8"))
    sizes = _sizes(nodes, len(strata["centres"]))
    row: dict[str, Any] = {
        "nodes": nodes.height,
        "clean": int(nodes["clean"].sum()),
        "strata": len(sizes),
        "smallest_stratum": sizes[-1],
        "largest_stratum": sizes[0],
        "clean_within_m": f"{strata['clean_within_m']:.1f}",
        "epochs": curve.height,
        "first_loss": f"{curve['loss'][0]:.4f}",
        "last_loss": f"{curve['loss'][-1]:.4f}",
    }
    write_rows([row], out)


def draw_gae_curve(model_dir: str | Path, title: str, out: str | Path) -> None:
    """Draw the loss by epoch, and the training nodes of each terrain type, the largest first.

    Parameters
    ----------
    model_dir : path-like
    title : str
    out : path-like
        The PNG to write, at most 1 MB.
    """
    from matplotlib.figure import Figure

    folder = Path(model_dir)
    curve, nodes = _curve(folder), pl.read_parquet(folder / "nodes.parquet")
    strata = json.loads((folder / "strata.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(11.5, 4.0), dpi=120, facecolor="white")
    figure.text(0.065, 0.91, title, size=14, weight="bold", color=INK)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.065, right=0.985, top=0.8, bottom=0.14)
    left.plot(curve["epoch"].to_numpy(), curve["loss"].to_numpy(), color=TRAINING, linewidth=1.4)
    left.set_yscale("log")
    dress(left, "epoch", "loss")
    sizes = _sizes(nodes, len(strata["centres"]))
    right.bar(range(1, len(sizes) + 1), sizes, width=0.8, color=TRAINING)
    dress(right, "terrain type, by size", "training nodes")
    save(figure, out)


def _curve(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "curves.tsv", separator="\t")


def _sizes(nodes: pl.DataFrame, strata: int) -> list[int]:
    """Training nodes of each stratum, the most first; 0 for one that gave none."""
    sizes: list[int] = nodes.group_by("stratum").len()["len"].sort(descending=True).to_list()
    return sizes + [0] * (strata - len(sizes))
