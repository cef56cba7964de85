"""Local entropy on the demo's ice, where the errors are known and one kind of them is new to the network.

In: a folder to work in, a kind of error, a seed. Out: what two versions of the graph network, alike but for
their seed, say of the same points. Terrain, lines and radar noise are simulated once; errors are put in
twice: without the kind, to learn from (pseudo-labels, unlabelled points and neighbours alike never show
it), and with much of it, to score. As always no point is scored by a model that saw its region.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.benchmarks.local_entropy import Judged
from bedsieve.detectors.gnn_version import train_gnn
from bedsieve.detectors.local_entropy_model import LocalEntropyModel
from bedsieve.detectors.local_entropy_train import train_local_entropy
from bedsieve.files import write_parquet
from bedsieve.graph.crossovers import write_crossovers
from bedsieve.graph.edges import write_edges
from bedsieve.graph.grid import space_order
from bedsieve.labels.pseudo_labels import write_labels
from bedsieve.simulate.demo import Region, flawed
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from bedsieve.simulate.fields import Field, Frame
from bedsieve.simulate.fleet import REGION, Size, plan_fleet
from bedsieve.simulate.grids import product_fields
from bedsieve.simulate.injection import Injected
from bedsieve.simulate.measure import fly
from bedsieve.simulate.terrain import make_terrain

# Two small blocks, flown as densely as the demo's, and little else.
SIZE = Size(block_side=8_000.0, apart=480.0, again=0.75, regional=0.4, coarser=4.0)
PREVALENCE = 0.02
NETWORK = {
    "widths": [32, 32, 16], "fanout": [8, 4, 4], "latent": 16, "head": 8, "batch": 512, "runs": 16,
    "learning_rate": 0.005, "epochs": 6, "patience": 6, "unlabelled": 10_000, "device": "cpu",
}  # fmt: skip
"""The demo's reduced network, trained for about as many steps on a smaller world."""

SETTINGS = {"reference": 5_000}
_PLACE: dict[str, Any] = {"tile": "x-5_y-2", "tile_size": 300_000.0, "reach": 15_000.0}
_MARGIN, _STEP = 12_000.0, 200.0


def judged_ice(folder: Path, kind: str, seed: int) -> tuple[Judged, Judged]:
    """What two models say of a world that holds a kind of error that neither has met.

    Parameters
    ----------
    folder : Path
        Empty; tiles and models are written here.
    kind : str
        One of `KINDS`.
    seed : int
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence([seed, 3]).spawn(6)]
    region = _region(streams)
    injected = {
        "learnt": _errors(region, streams[3], without(kind)),
        "scored": _errors(region, streams[4], much_of(kind)),
    }
    covariates = _covariates(region, streams[5])
    tiles = {}
    for world, errors in injected.items():
        points = _points(region, errors, covariates)
        tiles[world] = _tile(folder / world, points)
    _label(folder / "learnt", tiles["learnt"])
    return (
        _judged(folder / "one", tiles, kind, seed),
        _judged(folder / "two", tiles, kind, seed + 1_000_003),
    )


def without(kind: str) -> ErrorMix:
    """The demo's mix without a kind."""
    default = ErrorMix()
    return replace(default, prevalence=PREVALENCE, share={**default.share, kind: 0.0})


def much_of(kind: str) -> ErrorMix:
    """The demo's mix with the kind as half of all bad points."""
    default = ErrorMix()
    others = {name: share for name, share in default.share.items() if name != kind}
    total = 2 * sum(others.values())
    share = {name: value / total for name, value in others.items()}
    return replace(default, prevalence=PREVALENCE, share={**share, kind: 0.5})


def _region(streams: list[np.random.Generator]) -> Region:
    """Terrain, lines and noise; its own errors are not used."""
    side = REGION.east - REGION.west + 2 * _MARGIN
    frame = Frame(REGION.west - _MARGIN, REGION.south - _MARGIN, _STEP, round(side / _STEP) + 1)
    terrain = make_terrain(frame, streams[0])
    surveys = plan_fleet(SIZE, streams[1])
    flown = [fly(survey, terrain, streams[2]) for survey in surveys]
    clean = replace(ErrorMix(), prevalence=0.0)
    return Region(
        terrain, surveys, flown, flawed(terrain, surveys, flown, np.random.default_rng(0), clean)
    )


def _errors(region: Region, rng: np.random.Generator, mix: ErrorMix) -> Injected:
    return flawed(region.terrain, region.surveys, region.flown, rng, mix)


def _covariates(region: Region, rng: np.random.Generator) -> dict[str, Field]:
    """What is sampled at each point, by its column."""
    fields = product_fields(region.terrain, rng)
    surface = fields["surface"]
    slope = np.hypot(*np.gradient(surface.values, surface.frame.step))
    return {
        "z": surface,
        "s": Field(surface.frame, slope),
        **{name: fields[name] for name in ("vx", "vy", "smb", "temp")},
    }


def _points(region: Region, errors: Injected, covariates: dict[str, Field]) -> pl.DataFrame:
    """Points of all surveys as a tile has them, in the order of space, with the kind of their error."""
    counts = [len(part.east) for part in region.flown]
    survey = np.repeat(np.arange(1, len(counts) + 1), counts)
    row = np.concatenate([np.arange(count) for count in counts])
    surface = {name: field.at(errors.east, errors.north) for name, field in covariates.items()}
    given = np.isfinite(errors.bed)
    bed = np.where(given, errors.bed, surface["z"] - errors.ice_thickness)
    year = np.array([one.year for one in region.surveys], np.float32)
    columns: dict[str, Any] = {
        "point_id": survey.astype(np.uint64) * np.uint64(2**32) + row.astype(np.uint64),
        "survey_no": survey.astype(np.uint32),
        "track_id": np.concatenate([part.line for part in region.flown]).astype(np.int32),
        "track_seq": row.astype(np.int32),
        "east": errors.east,
        "north": errors.north,
        "ice_thickness": errors.ice_thickness,
        "bed_elev": bed,
        "bed_reconstructed": ~given,
        "year": year[survey - 1],
        "timestamp": np.full(row.size, np.nan),
        **{name: values.astype(np.float32) for name, values in surface.items()},
        "kind": errors.kind,
    }
    points = pl.DataFrame(columns).with_columns(pl.col("timestamp").fill_nan(None))
    points = points.filter(pl.col("ice_thickness").is_finite())
    place = (points["east"].to_numpy(), points["north"].to_numpy(), points["point_id"].to_numpy())
    return points[space_order(*place)]


def _tile(folder: Path, points: pl.DataFrame) -> dict[str, Path]:
    """One tile that holds all points, and its edges."""
    paths = {name: folder / f"{name}.parquet" for name in ("points", "halo", "labels")}
    paths["edges"] = folder / "edges.arrow"
    write_parquet(points, paths["points"])
    write_parquet(points.clear().with_columns(ring=pl.lit(1, pl.UInt8)), paths["halo"])
    write_edges(paths["points"], paths["halo"], paths["edges"], **_PLACE)
    return paths


def _label(folder: Path, paths: dict[str, Path]) -> None:
    """Its crossovers and pseudo-labels, which only training needs."""
    both = (paths["points"], paths["halo"])
    crossovers = folder / "crossovers.parquet", folder / "beyond.parquet"
    write_crossovers(*both, *crossovers, **_PLACE)
    made = paths["labels"], folder / "pairs.parquet", folder / "labels.json"
    write_labels(*both, *crossovers, *made, **_PLACE)


def _judged(folder: Path, tiles: dict[str, dict[str, Path]], kind: str, seed: int) -> Judged:
    """Train on the one world, score the other."""
    train_gnn([tiles["learnt"]], folder / "gnn", NETWORK, seed=seed)
    train_local_entropy([tiles["learnt"]], folder / "gnn", folder / "model", SETTINGS, seed=seed)
    model = LocalEntropyModel(folder / "model", folder / "gnn", "cpu")
    tile = tiles["scored"]
    graph, fold = model.gnn.graph(tile["points"], tile["halo"], tile["edges"])
    frame = pl.read_parquet(tile["points"], columns=["point_id", "kind"])
    point_id = frame["point_id"].to_numpy()
    found = {name: np.empty(fold.size) for name in _VARIANTS}
    for number in range(model.gnn.folds.count):
        rows = np.flatnonzero(fold == number)
        seen, reference = (
            model.passes(number).measure(graph, rows, point_id),
            model.reference(number),
        )
        for name, shrink in (("local", False), ("local, sparse", True)):
            settings = replace(model.settings, shrink=shrink)
            found[name][rows] = reference.compare(seen.latent, seen.entropy, settings).z
        found["entropy"][rows] = seen.entropy
        found["mutual information"][rows] = seen.mutual_information
        found["gnn"][rows] = seen.logit / model.gnn.temperature[number]
    bad = frame["kind"].to_numpy()
    return Judged(
        {name: found[name] for name in _VARIANTS[:2]},
        {name: found[name] for name in _VARIANTS[2:]},
        bad >= 0,
        _is(bad, kind),
    )


_VARIANTS = ("local", "local, sparse", "entropy", "mutual information", "gnn")


def _is(bad: npt.NDArray[np.int8], kind: str) -> npt.NDArray[np.bool_]:
    return np.asarray(bad == KINDS.index(kind))
