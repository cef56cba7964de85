"""A search for better settings of the graph network, by many workers at once, each model on its own region only.

In: the tiles that training reads, and a journal file that all workers share. Out: trials in the journal, and
from it a configuration overlay with the best settings of each model. A model is judged on the labels held back
in its training region, never on the region that it will score: study B chose its settings on the region that it
then reported, which makes its figures optimistic (seed 000, section A.3.1). A worker that is killed loses the
trial at hand and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bedsieve.detectors.gnn_data import Tile, TrainingData, gather
from bedsieve.detectors.gnn_settings import TUNABLE, GnnSettings
from bedsieve.errors import BedsieveError
from bedsieve.files import write_text

if TYPE_CHECKING:
    import optuna

RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-4, 1e-2),
    "weight_decay": (1e-6, 1e-3),
    "dropout": (0.0, 0.4),
    "outlier_weight": (1.0, 10.0),
    "inlier_weight": (0.3, 3.0),
    "prior": (1e-4, 2e-2),
}
"""Where settings are looked for (ours): a decade or more around study B's; on a log scale but dropout."""

_STARTUP, _WARMUP = 5, 3  # trials and epochs before one is given up for being below the median
_GRACE = 30  # s that a lock may stand still before it counts as a dead worker's


def tune_gnn(
    tiles: Sequence[Tile],
    journal: str | Path,
    settings: Mapping[str, Any],
    *,
    trials: int,
    epochs: int,
    seed: int,
    worker: int,
    scratch: str | Path | None = None,
) -> dict[str, int]:
    """Work on the trials of every model until there are enough of them.

    Parameters
    ----------
    tiles : sequence of mapping
        As for `gnn_version.train_gnn`.
    journal : path-like
        File that workers share; trials in it count, so that a search can be taken up again.
    settings : mapping
        What differs from `GnnSettings`; the first trial of each model uses them as they are.
    trials : int
        Finished trials wanted of each model, those given up early included.
    epochs : int
        Most epochs of a trial.
    seed, worker : int
        Of the search and of this worker, so that two workers try different settings.
    scratch : path-like, optional
        Folder for the graph's arrays; beside the journal if not given.

    Returns
    -------
    dict
        Finished trials of each model, by its letter.

    Raises
    ------
    BedsieveError
        If there are too few labels to train on.
    """
    chosen = replace(GnnSettings.from_mapping(settings), epochs=epochs, per_fold={})
    data = gather(tiles, chosen, seed, scratch or Path(journal).parent)
    done = {}
    for fold in range(data.folds.count):
        letter = data.folds.name(fold)
        study = open_study(journal, letter, seed, worker)
        study.enqueue_trial({name: getattr(chosen, name) for name in TUNABLE}, skip_if_exists=True)
        objective = partial(
            _trial, data=data, settings=chosen, fold=fold, seed=seed, journal=journal
        )
        while len(_finished(study)) < trials:
            study.optimize(objective, n_trials=1)
        done[letter] = len(_finished(study))
    return done


def open_study(
    journal: str | Path, letter: str, seed: int = 0, worker: int = 0
) -> optuna.study.Study:
    """The study of one model in a journal, made if it is not there."""
    import optuna
    from optuna.storages.journal import (
        JournalFileBackend,
        JournalFileSymlinkLock,
        JournalStorage,
    )

    # The lock is a link to the journal. From a relative path it would lead nowhere, and a lock that a killed
    # worker left could then not be told from one in use.
    path = str(Path(journal).absolute())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"gnn_{letter}",
        storage=JournalStorage(JournalFileBackend(path, JournalFileSymlinkLock(path, _GRACE))),
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(_STARTUP, _WARMUP),
        load_if_exists=True,
    )
    # A worker that comes back must not try what it tried before.
    words = np.random.SeedSequence([seed, worker, len(study.trials)]).generate_state(1)
    study.sampler = optuna.samplers.TPESampler(seed=int(words[0]), constant_liar=True)
    return study


def write_best(
    journal: str | Path,
    letters: Sequence[str],
    version: str,
    overlay: str | Path,
    table: str | Path,
) -> None:
    """Write the best settings of each model as an overlay, and a table of all trials.

    What killed workers left of their trials is removed, so no worker may be at work any more.

    Parameters
    ----------
    journal : path-like
    letters : sequence of str
        The models.
    version : str
        Model version that the search was made for; the overlay names another one, since a version
        never changes.
    overlay : path-like
        YAML to give to ``snakemake --configfile`` after the others.
    table : path-like
        Tab-separated: model, trial, state, epochs, auc, and the settings.

    Raises
    ------
    BedsieveError
        If a model has no completed trial.
    """
    import yaml

    best: dict[str, dict[str, float]] = {}
    lines = ["\t".join(("model", "trial", "state", "epochs", "auc", *TUNABLE))]
    for letter in letters:
        study = open_study(journal, letter)
        if not [trial for trial in study.trials if trial.state.name == "COMPLETE"]:
            raise BedsieveError(f"{journal}: no trial of model {letter} is complete. Run tune_gnn.")
        best[letter] = {name: float(study.best_params[name]) for name in TUNABLE}
        for trial in _finished(study):
            auc = "" if trial.value is None else f"{trial.value:.5f}"
            told = (f"{trial.params[name]:.4g}" for name in TUNABLE)
            state, epochs = trial.state.name.lower(), str(len(trial.intermediate_values))
            lines.append("\t".join((letter, str(trial.number), state, epochs, auc, *told)))
    document = {
        "models": {"version": f"{version}_tuned"},
        "detectors": {"gnn": {"per_fold": best}},
    }
    head = "# The best settings that tune_gnn found, each model's within its own training region.\n"
    write_text(head + yaml.safe_dump(document, sort_keys=False), overlay)
    write_text("\n".join(lines) + "\n", table)
    journal = Path(journal)
    for pattern in (f"{journal.stem}.*.pt", f".{journal.stem}.*.tmp-*.pt"):
        for left in journal.parent.glob(pattern):
            left.unlink()


def _trial(
    trial: optuna.trial.Trial,
    data: TrainingData,
    settings: GnnSettings,
    fold: int,
    seed: int,
    journal: str | Path,
) -> float:
    """Area under the ROC curve on the labels held back, at the epoch whose weights would be kept."""
    import optuna

    from bedsieve.detectors.gnn_training import train_fold

    values: dict[str, Any] = {
        name: trial.suggest_float(name, *span, log=span[0] > 0) for name, span in RANGES.items()
    }
    kept = 0.0

    def report(row: Mapping[str, Any]) -> None:
        nonlocal kept
        if row["best"]:
            kept = float(row["validation_auc"])
        trial.report(float(row["validation_auc"]), int(row["epoch"]))
        if trial.should_prune():
            raise optuna.TrialPruned

    # A name of its own, since workers share the folder and no trial is taken up again.
    checkpoint = Path(journal).with_suffix(f".{data.folds.name(fold)}{trial.number}.pt")
    try:
        train_fold(data, replace(settings, **values), fold, seed, checkpoint, report)
    finally:
        checkpoint.unlink(missing_ok=True)
    return kept


def _finished(study: optuna.study.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
