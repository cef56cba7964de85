"""Scores of a tile by Pegasus: off the manifold, on it, or both.

In: a tile's artefacts, a frozen version and the manifold that it stands on. Out: a score table with both
evidences and where each flagged point comes from (seed 001: the union of both sets, its origin recorded).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.pegasus_manifold import POOLED, Tile, load_manifold
from bedsieve.detectors.pegasus_model import Evidence, load_model
from bedsieve.files import write_parquet
from bedsieve.progress import Progress

CHUNK = 1 << 17
"""Points scored at a time."""

FLAGGED = 0.5
"""Evidence from which a point belongs to a set: as rare as the budget or rarer."""


def score_tile(
    tile: Tile,
    manifold_dir: str | Path,
    model_dir: str | Path,
    out_path: str | Path,
    *,
    name: str | None = None,
    chunk: int = CHUNK,
) -> None:
    """Score a tile's points and write its table.

    Parameters
    ----------
    tile : mapping
        Paths by role, as `MANIFOLD_FILES` names them.
    manifold_dir, model_dir : path-like
        ``results/models/{version}/{manifold}`` and ``…/pegasus``.
    out_path : path-like
        Score table, in the order of the points: point_id, score (the larger evidence), code (always null), off and
        on (evidence in [0, 1], ½ at the frozen budget; null where it can't be judged), on_method (that which gave
        `on`), origin (``none``, ``on``, ``off`` or ``both``).
    name : str, optional
        Of the tile; by default that of the points' folder.
    chunk : int
        Points at a time.

    Raises
    ------
    InputError
        If a model is not trained, was changed since, or stands on another manifold.
    """
    model = load_model(model_dir, manifold_dir)
    manifold = load_manifold(model.settings.manifold, manifold_dir)
    key = manifold.key_of(name or Path(tile["points"]).parent.name)
    key = key if key in model.places else POOLED
    place = model.places[key]
    ids, rows = manifold.read(tile)
    fitted = place.fitted(model.settings, model.seed)
    progress = Progress("pegasus: scoring", len(ids))
    parts = []
    for start in range(0, len(ids), chunk):
        part = rows[start : start + chunk]
        latent = manifold.latent(key, place.axes, part)
        found = model.evidence(manifold.error(key, part), latent, place, fitted)
        parts.append(_table(ids[start : start + chunk], found, model.settings.methods))
        progress.advance(len(part))
    nothing = Evidence(np.empty(0), np.empty(0), np.empty(0, np.int64))
    write_parquet(pl.concat([_table(ids[:0], nothing, model.settings.methods), *parts]), out_path)


def _table(ids: npt.NDArray[np.uint64], found: Evidence, methods: tuple[str, ...]) -> pl.DataFrame:
    origin = 2 * (found.off >= FLAGGED) + (found.on >= FLAGGED)
    evidence = {
        name: pl.Series(values.astype(np.float32)).fill_nan(None)
        for name, values in (("off", found.off), ("on", found.on))
    }
    return pl.DataFrame(
        {
            "point_id": ids,
            "score": np.fmax(found.off, found.on).astype(np.float32),
            "code": pl.Series([None] * len(ids), dtype=pl.String),
            **evidence,
            "on_method": pl.Series(np.array(methods, object)[found.method], dtype=pl.String),
            "origin": pl.Series(
                np.array(["none", "on", "off", "both"], object)[origin], dtype=pl.String
            ),
        }
    )
