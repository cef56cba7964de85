"""The bias network of a model version, and the table of biased lines that users read.

The network is global: one more crossing would move every line a little. So it is solved once for a model version and
frozen; lines that come later are fitted against the frozen ones and move nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from bedsieve.detectors.manifest import hashes, package_versions, read_manifest, write_manifest
from bedsieve.files import replacing, sha256_of, write_parquet
from bedsieve.graph.bias import Unit, fit_new_lines, read_network, solve_bias

UNITS: dict[str, Unit] = {"lines": "line", "surveys": "survey_no"}


def train_bias(crossovers: Sequence[str | Path], folder: str | Path, *, version: str) -> None:
    """Solve for the bias and drift of every line and of every survey, and freeze them.

    Parameters
    ----------
    crossovers : sequence of path
        Crossover tables of all tiles.
    folder : path
        The model's folder: lines.parquet, surveys.parquet and, last, manifest.json.
    version : str
        The model version.
    """
    folder = Path(folder)
    for name, unit in UNITS.items():
        write_parquet(solve_bias(read_network(crossovers, unit=unit), unit), _table(folder, name))
    write_manifest(
        folder / "manifest.json",
        detector="bias",
        version=version,
        config={},
        inputs=hashes(crossovers),
        files={f"{name}.parquet": sha256_of(_table(folder, name)) for name in UNITS},
        packages=package_versions(["numpy", "scipy", "polars"]),
        seed=None,
    )


def write_biases(
    crossovers: Sequence[str | Path],
    folder: str | Path,
    survey_names: Mapping[int, str],
    out: Mapping[str, str | Path],
) -> None:
    """Write the biases of lines and of surveys, the surest first, as tab-separated tables.

    Parameters
    ----------
    crossovers : sequence of path
        Crossover tables of all tiles.
    folder : path
        A model folder that `train_bias` wrote.
    survey_names : mapping of int to str
        Name of each survey number.
    out : mapping of str to path
        Where ``lines`` and ``surveys`` go. Columns: survey, track_id (of lines), n_crossings, agree (share of
        them that the biases explain), bias_m (too thick is positive), drift_m_per_km, sigma (m), z = bias_m / sigma, frozen (false: fitted against the
        frozen ones).

    Raises
    ------
    InputError
        If the model's files are not those that its manifest describes.
    """
    folder = Path(folder)
    read_manifest(folder / "manifest.json", detector="bias")
    for name, unit in UNITS.items():
        frozen = pl.read_parquet(_table(folder, name))
        new = fit_new_lines(frozen, read_network(crossovers, unit=unit), unit)
        both = pl.concat(
            [
                frozen.with_columns(frozen=pl.lit(True)),
                new.select(frozen.columns).with_columns(frozen=pl.lit(False)),
            ]
        )
        with replacing(out[name]) as part:
            _readable(both, unit, survey_names).write_csv(part, separator="\t", float_precision=4)


def _readable(table: pl.DataFrame, unit: Unit, survey_names: Mapping[int, str]) -> pl.DataFrame:
    number = pl.col(unit) if unit == "survey_no" else pl.col("line") // 2**32
    names = number.replace_strict(dict(survey_names), default="?", return_dtype=pl.String)
    track = [] if unit == "survey_no" else [(pl.col("line") % 2**32).alias("track_id")]
    columns = ["n_crossings", "agree", "bias_m", "drift_m_per_km", "sigma", "z", "frozen"]
    return table.sort(pl.col("z").abs(), descending=True, nulls_last=True).select(
        names.alias("survey"), *track, *columns
    )


def _table(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"
