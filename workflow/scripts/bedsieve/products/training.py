"""How a network was trained: a table of its folds and a picture of its loss curves.

In: the folder of a model version of a detector that learns from labels in folds (curves.tsv, calibration.json,
folds.json, or untrained.json). Out: a row for each fold, and a panel for each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from bedsieve.files import write_text
from bedsieve.products.cartography import BACKGROUND, FAINT, FLAGGED, INK, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNTRAINED = "untrained.json"
TRAINING = "#2171b5"
_COLUMNS = (
    "fold", "trained_on", "scores", "outliers", "inliers", "unlabelled", "epochs", "best_epoch",
    "validation_loss", "temperature", "calibrated_loss", "note",
)  # fmt: skip


def write_training_table(model_dir: str | Path, out: str | Path) -> None:
    """Write a row for each fold.

    Parameters
    ----------
    model_dir : path-like
    out : path-like
        Tab-separated: the fold, the regions that it trained on and scores, its seeds by kind, epochs
        and the best of them, validation loss there, temperature, loss after calibration; a note in
        their place where the version is untrained.
    """
    folder = Path(model_dir)
    if (folder / UNTRAINED).exists():
        rows = [dict.fromkeys(_COLUMNS, "") | {"note": f"not trained: {why_untrained(folder)}"}]
    else:
        models, calibration = _json(folder / "folds.json")["models"], _calibration(folder)
        rows = [_row(fold, models[fold], found) for fold, found in sorted(calibration.items())]
    lines = ["\t".join(_COLUMNS)] + ["\t".join(map(str, row.values())) for row in rows]
    write_text("\n".join(lines) + "\n", out)


def why_untrained(model_dir: str | Path) -> str | None:
    """Why a model version has no network; None if it has one."""
    path = Path(model_dir, UNTRAINED)
    return str(_json(path)["why"]) if path.exists() else None


def training_notes(tables: Sequence[str | Path]) -> list[str]:
    """A sentence for each network that could not be trained, from its `write_training_table`."""
    notes = []
    for table in tables:
        rows = pl.read_csv(table, separator="\t", infer_schema=False)
        name = Path(table).stem.removesuffix("_training")
        # What learns without labels can always be trained, so its table has no notes.
        found = rows["note"].drop_nulls().to_list() if "note" in rows.columns else []
        notes += [f"{name} was {note}" for note in found if note]
    return notes


def draw_curves(model_dir: str | Path, title: str, out: str | Path) -> None:
    """Draw the losses of each fold by epoch, and the epoch whose weights were kept.

    Parameters
    ----------
    model_dir : path-like
    title : str
    out : path-like
        The PNG to write, at most 1 MB.
    """
    from matplotlib.figure import Figure

    curves = pl.read_csv(Path(model_dir, "curves.tsv"), separator="\t")
    folds = curves["fold"].unique().sort().to_list()
    rows = max((len(folds) + 1) // 2, 1)
    height = 1.0 + 3.0 * rows
    figure = Figure(figsize=(11.5, height), dpi=120, facecolor="white")
    figure.text(0.065, 1 - 0.36 / height, title, size=14, weight="bold", color=INK)
    why = why_untrained(model_dir)
    if why is not None:
        figure.text(0.065, 0.4, f"Not trained: {why}", size=11, color=INK)
        save(figure, out)
        return
    grid = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(
        left=0.065, right=0.985, top=1 - 0.95 / height, bottom=0.55 / height, hspace=0.5
    )
    calibration = _calibration(Path(model_dir))
    for place, axes in enumerate(grid.flat):
        if place < len(folds):
            fold = folds[place]
            _panel(axes, curves.filter(pl.col("fold") == fold), calibration[fold]["best_epoch"])
            axes.set_title(f"Model {fold}", size=10, color=INK, loc="left")
        else:
            axes.set_axis_off()
    save(figure, out)


def _panel(axes: Axes, curve: pl.DataFrame, best: int) -> None:
    epoch = curve["epoch"].to_numpy()
    # In training the unlabelled add to the loss; what compares with validation is the labelled part.
    labelled = (curve["train_outlier"] + curve["train_inlier"]).to_numpy()
    validation = curve["validation"].to_numpy()
    axes.plot(epoch, labelled, color=TRAINING, linewidth=1.4, label="training (labelled part)")
    axes.plot(epoch, validation, color=FLAGGED, linewidth=1.4, label="labels held back")
    axes.axvline(best, color=FAINT, linewidth=1.0, linestyle="--", label=f"kept: epoch {best}")
    axes.legend(fontsize=8, frameon=False)
    dress(axes, "epoch", "loss")


def dress(axes: Axes, across: str, up: str) -> None:
    """Give a panel the look of the report, and name its axes."""
    axes.set_facecolor(BACKGROUND)
    axes.grid(color="white", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(across, size=8.5, color=INK)
    axes.set_ylabel(up, size=8.5, color=INK)
    axes.tick_params(colors=INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.6)


def _row(fold: str, model: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    seeds = found["trained_on"]
    return {
        "fold": fold,
        "trained_on": ",".join(model["trained_on"]),
        "scores": model["scores"],
        **{name: seeds[name] for name in ("outliers", "inliers", "unlabelled")},
        "epochs": found["epochs"],
        "best_epoch": found["best_epoch"],
        "validation_loss": f"{found['loss_before']:.4f}",
        "temperature": f"{found['temperature']:.3f}",
        "calibrated_loss": f"{found['loss_after']:.4f}",
        "note": "",
    }


def _calibration(folder: Path) -> dict[str, Any]:
    return _json(folder / "calibration.json")


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
