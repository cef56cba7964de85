"""How far the graph network can be believed under dropout: a table and a picture of the labels held back.

In: the folder of a model version of local entropy. Out: the share of outliers by stated probability, the
share of mistakes by entropy, and how many good and bad points local entropy flags where the network knows
the region. Flags among good points here are false alarms that more training cannot be blamed for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bedsieve.files import write_text
from bedsieve.products.cartography import BACKGROUND, FAINT, FLAGGED, INK, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("fold", "of", "low", "high", "points", "mean", "share")
_BINS = 10
_COLOURS = ("#2171b5", FLAGGED, "#6baed6", "#fdae6b")
_CURVES = {"probability": "dropout off", "mean_probability": "mean over passes"}


def calibration_table(model_dir: str | Path) -> pl.DataFrame:
    """Shares by bin, a row each; bins without a point are left out.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/local_entropy``.

    Returns
    -------
    DataFrame
        fold; of: ``probability`` (dropout off) and ``mean_probability`` (over the passes), share of
        outliers; ``entropy``, share of points that dropout off gets wrong; ``z_inlier`` and
        ``z_outlier``, share of points with z above sigma; low, high: the bin; points; mean of the
        quantity; share.
    """
    folder = Path(model_dir)
    sigma = float(json.loads((folder / "manifest.json").read_text())["config"]["sigma"])
    held = pl.read_parquet(folder / "calibration.parquet").with_columns(
        bad=pl.col("label") == 1,
        wrong=(pl.col("probability") > 0.5) != (pl.col("label") == 1),
        flagged=pl.col("z") > sigma,
    )
    parts = [pl.DataFrame(schema=_SCHEMA)]
    for (fold,), own in held.group_by(["fold"], maintain_order=True):
        for of, share, top in (
            ("probability", "bad", 1.0),
            ("mean_probability", "bad", 1.0),
            ("entropy", "wrong", float(np.log(2))),
        ):
            parts.append(_binned(own, str(fold), of, share, top))
        for of, kind in (("z_inlier", ~pl.col("bad")), ("z_outlier", pl.col("bad"))):
            found = own.filter(kind).select(
                fold=pl.lit(str(fold)),
                of=pl.lit(of),
                low=pl.lit(sigma),
                high=pl.lit(None, pl.Float64),
                points=pl.len(),
                mean=pl.col("z").mean(),
                share=pl.col("flagged").mean(),
            )
            parts.append(_as_rows(found))
    return pl.concat(parts)


_SCHEMA = {
    "fold": pl.String,
    "of": pl.String,
    "low": pl.Float64,
    "high": pl.Float64,
    "points": pl.Int64,
    "mean": pl.Float64,
    "share": pl.Float64,
}


def _binned(held: pl.DataFrame, fold: str, of: str, share: str, top: float) -> pl.DataFrame:
    place = (pl.col(of) / top * _BINS).floor().clip(0, _BINS - 1)
    found = (
        held.group_by(place.alias("bin"))
        .agg(points=pl.len(), mean=pl.col(of).mean(), share=pl.col(share).mean())
        .sort("bin")
        .select(
            fold=pl.lit(fold),
            of=pl.lit(of),
            low=pl.col("bin") * top / _BINS,
            high=(pl.col("bin") + 1) * top / _BINS,
            points="points",
            mean="mean",
            share="share",
        )
    )
    return _as_rows(found)


def _as_rows(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())


def write_calibration(model_dir: str | Path, out: str | Path) -> None:
    """Write `calibration_table` as tab-separated text."""
    table = calibration_table(model_dir)
    lines = ["\t".join(COLUMNS)]
    for row in table.iter_rows():
        told = ("" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in row)
        lines.append("\t".join(told))
    write_text("\n".join(lines) + "\n", out)


def draw_calibration(model_dir: str | Path, title: str, out: str | Path) -> None:
    """Draw share of outliers by probability and share of mistakes by entropy.

    Parameters
    ----------
    model_dir : path-like
    title : str
    out : path-like
        The PNG to write.
    """
    from matplotlib.figure import Figure

    table = calibration_table(model_dir)
    figure = Figure(figsize=(11.5, 4.6), dpi=120, facecolor="white")
    figure.text(0.065, 0.925, title, size=14, weight="bold", color=INK)
    if table.height == 0:
        figure.text(0.065, 0.4, "Nothing to compare with: see the log of training.", color=INK)
        save(figure, out)
        return
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.065, right=0.985, top=0.84, bottom=0.13, wspace=0.18)
    folds = table["fold"].unique().sort().to_list()
    for number, fold in enumerate(folds):
        for style, (of, words) in zip(("--", "-"), _CURVES.items(), strict=True):
            label = f"model {fold}, {words}"
            _line(left, table.filter(fold=fold, of=of), number, style, label)
        _line(right, table.filter(fold=fold, of="entropy"), number, "-", f"model {fold}")
    left.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0)
    _dress(left, "stated probability of being bad", "share of outlier labels")
    _dress(right, "entropy of the mean over passes (nats)", "share of mistakes")
    save(figure, out)


def _line(axes: Axes, rows: pl.DataFrame, number: int, style: str, label: str) -> None:
    colour = _COLOURS[number % len(_COLOURS)]
    mean, share = rows["mean"].to_numpy(), rows["share"].to_numpy()
    axes.plot(mean, share, style, color=colour, linewidth=1.4, label=label)
    size = 6 + 30 * np.sqrt(rows["points"].to_numpy() / max(rows["points"].sum(), 1))
    axes.scatter(mean, share, s=size, color=colour)


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_facecolor(BACKGROUND)
    axes.grid(color="white", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(x, size=8.5, color=INK)
    axes.set_ylabel(y, size=8.5, color=INK)
    axes.tick_params(colors=INK, labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.6)
