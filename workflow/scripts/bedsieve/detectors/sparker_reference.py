"""SparKer's reference: what residuals are like where other tracks confirm the thickness.

In: residuals of the tiles to train on. Out: the inlier seeds' residuals in their surveys' own
standard deviations, and the limits of the classes of roughness, frozen as a model version. And from
them, for one survey: a sample of its points and a pool of seeds that is like it in all but errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.detectors import sparker_residuals as residuals
from bedsieve.detectors.manifest import hashes, package_versions, read_manifest, write_manifest
from bedsieve.detectors.sparker_kernels import Floats
from bedsieve.errors import InputError
from bedsieve.files import sha256_of, write_json, write_parquet

SEEDS_FILE, CLASSES_FILE = "seeds.parquet", "classes.json"
_CLASSES = 4
_TELLING = 0.01  # a class with a smaller share of the survey does not limit the pool


@dataclass(frozen=True)
class Reference:
    """The frozen reference.

    Parameters
    ----------
    point_id : ndarray of uint64, shape (n,)
    X : ndarray of float64, shape (n, 3)
        `sparker_residuals.matrix`; no value is missing.
    noise_m : Series of float32, length n
    edges : list of float
        Limits between the classes of roughness (m).
    """

    point_id: NDArray[np.uint64]
    X: Floats
    noise_m: pl.Series
    edges: list[float]


class Sample(NamedTuple):
    """A survey's inspected points and the pool that its reference and toys come from.

    Attributes
    ----------
    data, pool : ndarray of float64, shapes (n, 3) and (m, 3)
        Missing residuals are 0, in both for the same share of points.
    data_ids, pool_ids : ndarray of uint64
    """

    data: Floats
    pool: Floats
    data_ids: NDArray[np.uint64]
    pool_ids: NDArray[np.uint64]

    @property
    def reference(self) -> Floats:
        """What the inspected points are compared with: as much of the pool as toys leave, too."""
        return self.pool[: len(self.pool) - len(self.data)]

    def suffices(self, kernels: int) -> bool:
        """Whether so many kernels can be fitted: a survey may have a handful of points, or seeds none like it."""
        return len(self.data) >= kernels and len(self.reference) > 0


def train_reference(
    residual_paths: Sequence[str | Path], out_dir: str | Path, *, version: str
) -> Path:
    """Freeze the inlier seeds' residuals; the manifest is written last and returned.

    Raises
    ------
    InputError
        If no inlier seed has all residuals.
    """
    out_dir = Path(out_dir)
    table = pl.scan_parquet(sorted(map(str, residual_paths)))
    parts = []
    numbers = table.select(pl.col("survey_no").unique().sort()).collect().to_series()
    for survey_no in numbers:
        own = table.filter(pl.col("survey_no") == survey_no).collect()
        kept = own.filter(pl.col("seed")).drop_nulls(residuals.FEATURES)
        X = residuals.matrix(kept, residuals.standards(own))
        parts.append(
            kept.select("point_id", "survey_no", "noise_m").with_columns(
                pl.Series(name, X[:, at], dtype=pl.Float32)
                for at, name in enumerate(residuals.FEATURES)
            )
        )
    seeds = pl.concat(parts).sort("point_id") if parts else pl.DataFrame()
    if seeds.height == 0:
        raise InputError(
            residual_paths[0],
            "no inlier seed has residuals along its track, against others and at crossings",
            "Leave sparker out: it needs surveys whose tracks meet",
        )
    shares = np.arange(1, _CLASSES) / _CLASSES
    edges = np.quantile(seeds["noise_m"].to_numpy(), shares).tolist()
    write_parquet(seeds, out_dir / SEEDS_FILE)
    write_json({"edges": edges}, out_dir / CLASSES_FILE)
    manifest = out_dir / "manifest.json"
    write_manifest(
        manifest,
        detector="sparker",
        version=version,
        config={},
        inputs=hashes(sorted(map(str, residual_paths))),
        files={name: sha256_of(out_dir / name) for name in (SEEDS_FILE, CLASSES_FILE)},
        packages=package_versions(["numpy", "polars"]),
        seed=None,
    )
    return manifest


def load_reference(model_dir: str | Path) -> Reference:
    """Read a frozen reference.

    Raises
    ------
    InputError
        If it is not trained or was changed since.
    """
    import json

    model_dir = Path(model_dir)
    read_manifest(model_dir / "manifest.json", detector="sparker")
    seeds = pl.read_parquet(model_dir / SEEDS_FILE)
    edges = json.loads((model_dir / CLASSES_FILE).read_text())["edges"]
    X = seeds.select(residuals.FEATURES).to_numpy().astype(np.float64)
    return Reference(seeds["point_id"].to_numpy(), X, seeds["noise_m"], edges)


def sample(
    survey: pl.DataFrame, reference: Reference, *, inspected: int, n_reference: int, seed: int
) -> Sample:
    """Draw a survey's points, and seeds that have its roughness and lack what it lacks.

    Parameters
    ----------
    survey : DataFrame
        `sparker_residuals.of_survey`.
    reference : Reference
    inspected, n_reference : int
        Points wanted of the survey and of the reference. The pool has as many points as both, or as
        the seeds give; then the inspected ones are at most a third of it.
    seed : int

    Returns
    -------
    Sample
        Empty if no point of the survey has a residual along its track.
    """
    X = residuals.matrix(survey, residuals.standards(survey))
    judged = np.flatnonzero(np.isfinite(X[:, 0]))
    if judged.size == 0:
        nothing, nobody = np.empty((0, len(residuals.FEATURES))), np.empty(0, np.uint64)
        return Sample(nothing, nothing, nobody, nobody)
    rng = np.random.default_rng(seed)
    chosen = judged[rng.permutation(judged.size)[:inspected]]
    data_ids = survey["point_id"].to_numpy()[chosen]
    rough = residuals.roughness(survey["noise_m"][chosen], reference.edges)
    free = np.flatnonzero(~np.isin(reference.point_id, data_ids))
    free_rough = residuals.roughness(reference.noise_m[free], reference.edges)
    share = np.bincount(rough, minlength=_CLASSES) / chosen.size
    have = np.bincount(free_rough, minlength=_CLASSES)
    limits = [have[c] / share[c] for c in range(_CLASSES) if share[c] >= _TELLING]
    size = min(len(chosen) + n_reference, int(min(limits)))
    wanted = np.floor(share * size).astype(np.int64)
    rows, like = [], []
    for c in range(_CLASSES):
        members = free[free_rough == c]
        count = min(int(wanted[c]), members.size)
        rows.append(members[rng.permutation(members.size)[:count]])
        # Each seed is given the gaps of one of the survey's points of its class.
        own = np.flatnonzero(rough == c)
        like.append(own[rng.integers(0, max(own.size, 1), count)] if count else own[:0])
    picked, pattern = np.concatenate(rows), np.concatenate(like)
    order = rng.permutation(picked.size)
    picked, pattern = picked[order], pattern[order]
    gaps = np.isnan(X[chosen])
    pool = np.where(gaps[pattern], 0.0, reference.X[picked])
    take = min(chosen.size, picked.size // 3)
    return Sample(
        np.nan_to_num(X[chosen[:take]]), pool, data_ids[:take], reference.point_id[picked]
    )
