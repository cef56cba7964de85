"""Injection and recovery on one tile: errors of known kinds into its tracks, then all detectors on it.

In: a tile's points and halo, the frozen models and a seed. Out: one table of the tile's points with the truth, each
member's score, the ensemble's, the ensemble's without each member and with each further detector, and the baselines'. Whatever depends on thickness is
made again from the changed points in a scratch folder: edges, crossovers, scores. Positions stay, so that tiles do.
Errors that the data really hold count as honest points: precision is a lower bound.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bedsieve.ensemble.combine import combine, member_scores
from bedsieve.ensemble.frozen import mix_of
from bedsieve.ensemble.settings import EnsembleSettings
from bedsieve.errors import BedsieveError
from bedsieve.evaluation.baselines import line_of, score_baselines
from bedsieve.evaluation.members import TileFolder, score_members
from bedsieve.files import write_parquet
from bedsieve.graph.crossovers import write_crossovers
from bedsieve.graph.edges import read_edges, write_edges
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from bedsieve.simulate.injection import inject
from bedsieve.tile_names import tile_index

WITHOUT = "without_"
"""Prefix of the ensemble's score with one member left out."""
WITH = "with_"
"""Prefix of the ensemble's score with one more member, of weight 1."""
BESIDE = "beside_"
"""Prefix of the score of a detector that is no member."""


@dataclass(frozen=True)
class Settings:
    """What the configuration says about the stages that are run again.

    Parameters
    ----------
    graph, crossovers : mapping
        The sections of the same names.
    ensemble : mapping
        The section of the same name.
    beside : sequence of str
        Detectors to judge that are no members.
    mix : ErrorMix
        What to inject.
    """

    graph: Mapping[str, Any]
    crossovers: Mapping[str, Any]
    ensemble: Mapping[str, Any]
    beside: Sequence[str] = ()
    mix: ErrorMix = field(default_factory=ErrorMix)


def judge_tile(source: TileFolder, out_path: str | Path, settings: Settings, *, seed: int) -> int:
    """Inject errors into a tile, score it with everything, write truth and scores; returns the bad points.

    Parameters
    ----------
    source : TileFolder
        The tile as the workflow made it; only its points and halo are read.
    out_path : path-like
        Table to write, in the order of the tile's points: point_id, line (i64), kind (null for an honest point),
        event (i32, -1 for none), delta_m, score_{member}, score_ensemble, score_without_{member} (null where none),
        flag (of the ensemble), beside_{detector}, score_with_{detector}, baseline_{name}.
    settings : Settings
    seed : int
        Of the errors; the tile's name enters besides, so that tiles differ.

    Raises
    ------
    BedsieveError
        If the tile holds no track that could carry any of the errors.
    """
    core, around, truth = injected_points(source, settings.mix, seed)
    if not truth["kind"].is_not_null().any():
        raise BedsieveError(
            f"{source.points}: no error of the mix fits into the tracks of this tile. "
            "Choose other tiles (evaluation.tiles) or a greater evaluation.errors.prevalence."
        )
    Path(out_path).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".injected-", dir=Path(out_path).parent) as scratch:
        folder = replace(source, path=Path(scratch))
        write_parquet(core, folder.points)
        write_parquet(around, folder.halo)
        _rebuild(folder, settings)
        members = settings.ensemble["members"]
        tables = score_members(folder, [*members, *settings.beside])
        scores = _ensembles(folder, {name: tables[name] for name in members}, settings.ensemble)
        further = _beside(folder, tables, settings)
        baselines = score_baselines(
            core.height,
            pl.concat([core, around.select(core.columns)]),
            read_edges(folder.edges).neighbour,
            pl.read_parquet(folder.crossovers),
            seed,
            folder.settings["along_track"]["floor"],
        )
    judged = pl.concat([truth, scores, further], how="horizontal").with_columns(
        pl.Series(f"baseline_{name}", values, dtype=pl.Float64, nan_to_null=True)
        for name, values in baselines.items()
    )
    write_parquet(judged, out_path)
    return truth["kind"].count()


def injected_points(
    source: TileFolder, mix: ErrorMix, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """A tile's points and halo with errors, and the truth about the points.

    Tracks are followed through the halo, so that an event may cross the border of the tile.

    Parameters
    ----------
    source : TileFolder
    mix : ErrorMix
    seed : int

    Returns
    -------
    core, halo : DataFrame
        As the tile has them, with errors in ice_thickness, bed_elev, surface_alt and, where it stems from them, z.
    truth : DataFrame
        point_id, line, kind, event, delta_m of the core's points.
    """
    core, halo = pl.read_parquet(source.points), pl.read_parquet(source.halo)
    points = pl.concat([core, halo.select(core.columns)])
    line = line_of(points)
    order = np.lexsort((points["track_seq"].to_numpy(), line))
    flown = points[order]
    ix, iy = tile_index(source.tile)
    found = inject(
        flown["ice_thickness"].to_numpy(),
        flown["east"].to_numpy(),
        flown["north"].to_numpy(),
        line[order],
        rng=np.random.default_rng([seed, ix % 2**32, iy % 2**32]),
        mix=mix,
        surface=flown["surface_alt"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        bed=flown["bed_elev"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
    )
    changed = _with_errors(flown, found.ice_thickness, found.surface, found.bed)
    kinds = np.array([*KINDS, None], dtype=object)[found.kind]
    changed = changed.with_columns(
        line=pl.Series(line[order]),
        kind=pl.Series(kinds.tolist(), dtype=pl.String),
        event=pl.Series(found.event, dtype=pl.Int32),
        delta_m=pl.Series(found.delta_m),
    )
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    changed = changed[back]
    truth = changed[: core.height].select("point_id", "line", "kind", "event", "delta_m")
    values = changed.select(core.columns)
    extra = [name for name in halo.columns if name not in core.columns]
    around = values[core.height :].with_columns(
        halo.get_columns()[halo.columns.index(n)] for n in extra
    )
    return values[: core.height], around.select(halo.columns), truth


def _with_errors(flown: pl.DataFrame, thickness: Any, surface: Any, bed: Any) -> pl.DataFrame:
    """The points with changed columns; a bed that was made from the surface follows the thickness."""
    before = flown["ice_thickness"].to_numpy()
    reconstructed = flown["bed_reconstructed"].fill_null(False).to_numpy()
    old_bed = flown["bed_elev"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    bed = np.where(reconstructed, old_bed + before - thickness, bed)
    columns = {"ice_thickness": thickness, "bed_elev": bed, "surface_alt": surface}
    # Without a grid of the surface z is the file's own, and as wrong.
    z, own = flown["z"].cast(pl.Float64), flown["surface_alt"].cast(pl.Float32).cast(pl.Float64)
    from_file = (z == own).fill_null(False).to_numpy()
    columns["z"] = np.where(from_file, surface, z.fill_null(float("nan")).to_numpy())
    return flown.with_columns(
        pl.Series(name, values, nan_to_null=True).cast(flown.schema[name])
        for name, values in columns.items()
    )


def _rebuild(folder: TileFolder, settings: Settings) -> None:
    place: dict[str, Any] = {
        "tile": folder.tile,
        "tile_size": folder.tile_size,
        "reach": folder.reach,
    }
    write_edges(folder.points, folder.halo, folder.edges, **place, **settings.graph)
    write_crossovers(
        folder.points,
        folder.halo,
        folder.crossovers,
        folder.crossovers_beyond,
        **place,
        **settings.crossovers,
    )


def _ensembles(
    folder: TileFolder, tables: dict[str, list[Path]], ensemble: Mapping[str, Any]
) -> pl.DataFrame:
    """Scores of the members, of the ensemble, and of it without each of them."""
    everything = _combined(folder, tables, ensemble)
    columns = [everything[f"score_{member}"] for member in tables]
    columns += [everything["score"].alias("score_ensemble"), everything["flag"]]
    for member in tables if len(tables) > 1 else ():
        others = {name: paths for name, paths in tables.items() if name != member}
        score = _combined(folder, others, ensemble)["score"]
        columns.append(score.alias(f"score_{WITHOUT}{member}"))
    return pl.DataFrame(columns)


def _beside(folder: TileFolder, tables: dict[str, list[Path]], settings: Settings) -> pl.DataFrame:
    """Scores of the detectors that are no members, and of the ensemble with each of them.

    An ensemble that learns knows neither ranks nor weights of a detector that it was not taught, so it is not tried with one.
    """
    learns = EnsembleSettings.from_config(settings.ensemble).learns
    members = settings.ensemble["members"]
    ids = pl.read_parquet(folder.points, columns=["point_id"])["point_id"].to_numpy()
    columns = []
    for name in settings.beside:
        alone = member_scores(name, ids, tables[name])
        columns.append(pl.Series(f"{BESIDE}{name}", alone).fill_nan(None))
        if not learns:
            more = {of: tables[of] for of in (*members, name)}
            score = _combined(folder, more, settings.ensemble)["score"]
            columns.append(score.alias(f"score_{WITH}{name}"))
    return pl.DataFrame(columns)


def _combined(
    folder: TileFolder, tables: dict[str, list[Path]], ensemble: Mapping[str, Any]
) -> pl.DataFrame:
    settings = EnsembleSettings.from_config(ensemble)
    frozen = folder.models / "ensemble" / settings.key if settings.learns else None
    mix = mix_of(settings, folder.tile, frozen)
    out = folder.path / "ensemble.parquet"
    combine(folder.points, tables, out, mix.threshold, mix.weights, inputs=mix.inputs)
    return pl.read_parquet(out)
