"""docs/quality.md, written by the command that measured: ``make quality``.

In: the evaluation of a run, its judged tiles and its model version. Out: a Markdown page with every detector a row, the
ensemble against each baseline, which events were found, the networks' weights and how they differed from the full ones.
All numbers come from the run's own tables and manifests.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from safetensors.numpy import load_file

from bedsieve.detectors.carving_settings import CarvingSettings
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.evaluation.table import ALL
from bedsieve.files import write_text
from bedsieve.simulate.error_mix import KINDS

WANTED_PRECISION = 0.45
WANTED_EVENTS = 0.5
WANTED_SHARP = 0.9
SHARP = ("spike", "burst", "unit_slip")
"""Kinds of which at least `WANTED_SHARP` of the events should be found, of the others `WANTED_EVENTS`."""

NETWORKS = {
    "gnn": GnnSettings().to_mapping(),
    "gae": GaeSettings().to_mapping(),
    "carving": CarvingSettings().to_mapping(),
}
"""Settings of the full networks (study B's, and ours where it gives none)."""
_WHERE_IT_RUNS = ("device", "precision", "inference_block", "seed")

_HEAD = """# Quality

Written by `make quality` from `config/quality.yaml`; no number here is typed by hand. The members of the ensemble were
{members}{beside}. {tiles} regions that training never saw were judged with {seeds} draws of errors each: {points:,} points,
{bad:,} of them bad ({share:.2f} %), in {events:,} events. How the set was chosen, what the figures mean and what they
leave open is told under [Evaluation](explanation/evaluation.md).

Every detector flags as many points as are bad. Intervals (95 %) come from drawing whole tracks with replacement.
"""


def quality_page(
    figures: pl.DataFrame,
    differences: pl.DataFrame,
    judged: Sequence[str | Path],
    models: str | Path,
) -> str:
    """The page as Markdown.

    Parameters
    ----------
    figures, differences : DataFrame
        From `table.evaluation_table`.
    judged : sequence of path-like
        The judged tiles, ``tiles/{tile}/seed{seed}.parquet``.
    models : path-like
        The model version that judged them, ``models/{version}``.
    """
    paths = [Path(path) for path in judged]
    points = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in paths)
    everything = figures.filter(kind=ALL)
    bad, events = everything.select("points", "events").row(0)
    beside = _names(everything, "beside")
    head = _HEAD.format(
        members=_names(everything, "member"),
        beside=f"; judged beside them: {beside}" if beside else "",
        tiles=len({path.parent.name for path in paths}),
        seeds=len({path.stem for path in paths}),
        points=points,
        bad=bad,
        share=100 * bad / points,
        events=events,
    )
    parts = [
        head,
        "## Asked and reached\n",
        _asked(figures, differences),
        "\n## Every detector\n",
        _detectors(everything),
        _networks(Path(models)),
        "\n## The ensemble against the others\n\nAverage precision of the ensemble less that of the row's detector, on "
        "the same draws of tracks.\n",
        _differences(differences),
        "\n## Events found, by kind\n\nShare of the events of which at least half of the points are flagged; below each "
        "kind the number of events.\n",
        _events(figures),
        "\n## Average precision, by kind\n\nIn the ranking of a kind the other kinds do not stand, so its bad points are "
        "rarer than all are.\n",
        _by_kind(figures),
    ]
    return "\n".join(parts) + "\n"


def _names(everything: pl.DataFrame, role: str) -> str:
    names = everything.filter(role=role)["detector"].to_list()
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _networks(models: Path) -> str:
    """In what the networks of the run differ from the full ones; nothing where there are none."""
    trained = {name: models / name / "manifest.json" for name in NETWORKS}
    configs = {
        name: json.loads(path.read_text(encoding="utf-8"))["config"]
        for name, path in trained.items()
        if path.exists()
    }
    rows = []
    for name, config in configs.items():
        full = NETWORKS[name]
        rows += [
            [name, key, _setting(value), _setting(full[key])]
            for key, value in sorted(config.items())
            if key not in _WHERE_IT_RUNS and value != full[key]
        ]
    if not configs:
        return ""
    weights = ", ".join(f"{name} {_weights(trained[name].parent):,}" for name in configs)
    head = (
        "\n## The networks\n\nTrained on the regions of `models.tiles`, none of which is judged. "
        f"Weights of one model: {weights}. "
    )
    if not rows:
        return f"{head}All are of their full sizes.\n"
    told = _table(["network", "setting", "here", "full"], rows)
    return f"{head}They differ from the full ones of `config/config.yaml`:\n\n{told}\n"


def _weights(folder: Path) -> int:
    """Weights of a network; those of several folds are alike, so the first stands for all."""
    first = min(folder.glob("*.safetensors"))
    return sum(array.size for array in load_file(first).values())


def _setting(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_interval(row: dict[str, float | None], name: str) -> str:
    if row[name] is None:
        return "–"
    return f"{_number(row[name])} ({_number(row[f'{name}_low'])}–{_number(row[f'{name}_high'])})"


def _asked(figures: pl.DataFrame, differences: pl.DataFrame) -> str:
    ours = {row["kind"]: row for row in figures.filter(detector="ensemble").iter_rows(named=True)}
    precision = ours[ALL]["average_precision"] or 0.0
    baselines = differences.filter(role="baseline")
    beaten = int((baselines["difference_low"].fill_null(0.0) > 0).sum())
    rows = [
        _verdict(
            f"average precision of the ensemble at least {WANTED_PRECISION}",
            _number(precision),
            precision >= WANTED_PRECISION,
        ),
        _verdict(
            "above every baseline, lower 95 % bound of the difference above 0",
            f"{beaten} of {baselines.height}",
            beaten == baselines.height,
        ),
    ]
    for kind in KINDS:
        wanted = WANTED_SHARP if kind in SHARP else WANTED_EVENTS
        found = ours[kind]["event_recall"]
        rows.append(
            _verdict(
                f"events found of kind {kind} at least {wanted}",
                _number(found),
                found is not None and found >= wanted,
            )
        )
    return _table(["asked", "measured", "reached"], rows)


def _verdict(asked: str, measured: str, reached: bool) -> list[str]:
    return [asked, measured, "yes" if reached else "**no**"]


def _detectors(everything: pl.DataFrame) -> str:
    ranked = everything.sort("average_precision", descending=True, nulls_last=True)
    names = (
        "average_precision",
        "auc",
        "precision_at_budget",
        "recall",
        "precision",
        "event_recall",
    )
    rows = [
        [row["detector"], row["role"], *(_with_interval(row, name) for name in names)]
        for row in ranked.iter_rows(named=True)
    ]
    return _table(["detector", "role", *(name.replace("_", " ") for name in names)], rows)


def _differences(differences: pl.DataFrame) -> str:
    rows = [
        [row["detector"], row["role"], _number(row["difference"]), _number(row["difference_low"]),
         _number(row["difference_high"])]
        for row in differences.sort("difference").iter_rows(named=True)
    ]  # fmt: skip
    return _table(["detector", "role", "difference", "lower bound", "upper bound"], rows)


def _events(figures: pl.DataFrame) -> str:
    first = figures["detector"][0]
    counts = {row["kind"]: row for row in figures.filter(detector=first).iter_rows(named=True)}
    rows = [["*events*", *(str(counts[kind]["events"]) for kind in (*KINDS, ALL))]]
    return _by_kind(figures, "event_recall", rows)


def _by_kind(
    figures: pl.DataFrame,
    figure: str = "average_precision",
    first: Sequence[Sequence[str]] = (),
) -> str:
    ranked = figures.filter(kind=ALL).sort(figure, descending=True, nulls_last=True)
    values = {(row["detector"], row["kind"]): row[figure] for row in figures.iter_rows(named=True)}
    rows = [
        [detector, *(_number(values[detector, kind]) for kind in (*KINDS, ALL))]
        for detector in ranked["detector"]
        if values[detector, ALL] is not None
    ]
    return _table(["detector", *(k.replace("_", " ") for k in (*KINDS, ALL))], [*first, *rows])


def main() -> None:
    """Write the page of a run and print it."""
    parser = argparse.ArgumentParser(prog="python -m bedsieve.evaluation.quality_page")
    parser.add_argument("evaluation", type=Path, help="results/{run}/evaluation")
    parser.add_argument("models", type=Path, help="results/{run}/models/{version}")
    parser.add_argument("page", type=Path, help="the page to write")
    options = parser.parse_args()
    text = quality_page(
        pl.read_parquet(options.evaluation / "evaluation.parquet"),
        pl.read_csv(options.evaluation / "differences.tsv", separator="\t"),
        sorted(options.evaluation.glob("tiles/*/seed*.parquet")),
        options.models,
    )
    write_text(text, options.page)
    print(text)


if __name__ == "__main__":
    main()
