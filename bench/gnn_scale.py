"""The learned detectors on a finished run of any size: what training and scoring take, at study B's sizes.

``python -m bench.gnn_scale RESULTS OUT --steps 1000 --tiles x0_y0`` goes the ways of `train_gnn`, `gnn`, `gae`
and `carving` on the run's own files. It gathers the graph around the seeds of all tiles, takes so many steps with
random seeds (half of them by each model), freezes the version in OUT and scores the tiles named, or ``--tiles all``
of them, by the ``--detectors`` named. ``--detectors logits`` is the gnn's inference alone: a model that few steps have
taught flags far too much, and every flagged point is asked why. `gae` looks six hops far, which the run's edges need
not serve, so its tiles are gathered anew from the surveys. Unless all tiles are scored, what is said of all points but
the gathering is reckoned from a part of them, and says so. Rates are by processor time.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from bedsieve.detectors import carving_model, gae_score, gnn_score
from bedsieve.detectors.carving import train_carving
from bedsieve.detectors.gae_train import train_gae
from bedsieve.detectors.gnn_data import gather
from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.gnn_training import train_fold
from bedsieve.detectors.gnn_version import checkpoint_of, freeze
from bedsieve.files import write_parquet
from bedsieve.graph.edges import write_edges
from bedsieve.graph.tiles import write_tile

KINDS = {kind: f"{kind}.parquet" for kind in ("points", "halo", "labels")} | {
    "edges": "edges.arrow"
}
GAE_HOPS, EDGE = 6, 5000.0
GAE_TRAINING = {"epochs": 1, "cap": 2000, "sample": 100_000}
DETECTORS = ("gnn", "carving", "gae")
LOGITS = "logits"  # of the gnn: one pass of inference, without causes
Tile = dict[str, str | Path]


def memory(field: str) -> float:
    """A field of this process's memory in GiB (Linux): VmHWM is the peak, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


def measured(what: str, work: Callable[[], Any]) -> tuple[float, Any]:
    """Do a piece of work and tell its seconds and peak memory; its processor seconds are returned."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    start, used = time.perf_counter(), time.process_time()
    result = work()
    elapsed, used = time.perf_counter() - start, time.process_time() - used
    parts = ", ".join(f"{name} {memory(f'Rss{name.title()}'):.2f}" for name in ("anon", "file"))
    print(
        f"{what}: {used:.1f} s of processor time ({elapsed:.1f} s elapsed), "
        f"peak {memory('VmHWM'):.2f} GiB (at its end {parts})",
        flush=True,
    )
    return used, result


def tiles_of(results: Path) -> dict[str, Tile]:
    """Tiles of a run that are ready to be trained on, by name."""
    folders = sorted(path.parent for path in results.glob("tiles/*/labels.parquet"))
    found = {f.name: {kind: f / name for kind, name in KINDS.items()} for f in folders}
    return {n: dict(t) for n, t in found.items() if all(p.exists() for p in t.values())}


def rows(tile: Tile) -> int:
    """Points of a tile."""
    return int(pq.read_metadata(tile["points"]).num_rows)


def train(tiles: list[Tile], out: Path, steps: int) -> None:
    """Gather, take the steps, freeze; each told."""
    settings = GnnSettings(device="cpu", steps=-(-steps // 2))
    _, data = measured("gathering", lambda: gather(tiles, settings, 0, out / "checkpoints"))
    nodes = len(data.point_id)
    print(f"  {nodes:,} nodes, {nodes * 184 / 2**30:.1f} GiB on disk", flush=True)
    results = []
    for fold, letter in enumerate("AB"):
        taken = measured(
            f"{settings.steps} steps of {settings.batch} random seeds, model {letter}",
            lambda: train_fold(data, settings, fold, 0, checkpoint_of(out, letter)),  # noqa: B023
        )
        rate = (settings.steps or 0) * settings.batch / taken[0]
        print(f"  {rate:,.0f} seeds/s, validation and checkpoints included", flush=True)
        results.append(taken[1])
    measured(
        "freezing, hashes of all inputs included",
        lambda: freeze(data, results, tiles, out, settings, 0, "bench"),
    )


def gathered(name: str, results: Path, out: Path, size: float) -> Tile:
    """A tile gathered anew with edges that serve six hops."""
    tile: Tile = {kind: out / name / file for kind, file in KINDS.items() if kind != "labels"}
    write_tile(
        sorted(p for p in results.glob("surveys/*.parquet") if ".dropped" not in p.name),
        tile=name, tile_size=size, reach=GAE_HOPS * EDGE, max_neighbour_distance=EDGE,
        points_path=tile["points"], halo_path=tile["halo"],
        duplicates_path=out / name / "duplicates.parquet", ledger_path=out / name / "ledger.json",
    )  # fmt: skip
    write_edges(
        tile["points"], tile["halo"], tile["edges"], tile=name, tile_size=size,
        reach=GAE_HOPS * EDGE, max_neighbour_distance=EDGE, hops=GAE_HOPS,
    )  # fmt: skip
    return tile


def infer_tile(
    points: str | Path, halo: str | Path, edges: str | Path, model_dir: Path, out: Path
) -> None:
    """Read a tile's graph, work out the logit of each of its points and write them."""
    model = GnnModel(model_dir, "cpu")
    graph, fold = model.graph(points, halo, edges)
    write_parquet(pl.DataFrame({"logit": model.logits(graph, np.arange(fold.size), fold)}), out)


def score(detector: str, tile: Tile, model: Path, out: Path, points: int) -> float:
    """Score a tile, and reckon from it what all points take; its processor seconds are returned."""
    works: dict[str, Any] = {
        LOGITS: infer_tile,
        "gnn": gnn_score.score_tile,
        "gae": gae_score.score_tile,
        "carving": carving_model.score_tile,
    }
    paths = (tile["points"], tile["halo"], tile["edges"], model, out / f"{detector}.parquet")
    n = rows(tile)
    paths[-1].parent.mkdir(parents=True, exist_ok=True)
    seconds, _ = measured(f"{detector}: scoring {n:,} points", lambda: works[detector](*paths))
    whole = seconds / n * points / 3600
    print(
        f"  {n / seconds:,.0f} points/s, {1e6 * seconds / n:.1f} s a million; "
        f"all {points:,} points would take {whole:.2f} h at this rate (extrapolated)",
        flush=True,
    )
    return seconds


def score_gae(name: str, results: Path, out: Path, size: float, points: int) -> float:
    """Train an epoch of the autoencoder on a tile and score it; processor seconds of the scoring."""
    _, wide = measured(
        "gae: gathering the tile and its edges with six hops",
        lambda: gathered(name, results, out, size),
    )
    model = out / name / "gae"
    if not (model / "manifest.json").exists():
        measured("gae: one epoch", lambda: train_gae([wide], model, GAE_TRAINING))
    return score("gae", wide, model, out / name, points)


def main() -> int:
    """Train where OUT holds no model yet, then score the tiles."""
    parser = argparse.ArgumentParser(prog="python -m bench.gnn_scale", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--tiles", nargs="*", default=[], help="to score; all for every one")
    parser.add_argument(
        "--detectors", nargs="*", default=list(DETECTORS), choices=[LOGITS, *DETECTORS]
    )
    parser.add_argument("--tile-size", type=float, default=500_000.0)
    options = parser.parse_args()
    tiles, out, wanted = tiles_of(options.results), options.out, options.detectors
    points = sum(map(rows, tiles.values()))
    print(f"{points:,} points in {len(tiles)} tiles: one job of each detector a tile", flush=True)
    if not (out / "gnn" / "manifest.json").exists():
        train(list(tiles.values()), out / "gnn", options.steps)
    names = list(tiles) if options.tiles == ["all"] else options.tiles
    if "carving" in wanted and names and not (out / "carving" / "manifest.json").exists():
        training = lambda: train_carving(list(tiles.values()), out / "carving")  # noqa: E731
        measured("carving: training, all tiles", training)
    used, start = dict.fromkeys(wanted, 0.0), time.perf_counter()
    for name in names:
        for detector in wanted:
            if detector == "gae":
                used[detector] += score_gae(name, options.results, out, options.tile_size, points)
            else:
                folder = out / name
                model = out / ("gnn" if detector == LOGITS else detector)
                used[detector] += score(detector, tiles[name], model, folder, points)
    n, elapsed = sum(rows(tiles[name]) for name in names), time.perf_counter() - start
    for detector, seconds in used.items():
        print(f"{detector}: {n:,} points scored in {seconds / 3600:.2f} h of processor time")
    print(f"all this in {elapsed / 3600:.2f} h")
    return 0


if __name__ == "__main__":
    sys.exit(main())
