"""Several regions with real roughness and sparse lines, one a tile: where quality is measured.

In: a seed, how many regions hold errors and how many are clean, and an error mix. Out: Bedmap CSV files, one set of
grids that covers all regions, and the truth. Regions differ in terrain, lines, noise and errors. Models are trained on
those with errors, of which dense ones give pseudo-labels, too; into the clean ones the evaluation injects its own, which no training has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from bedsieve.files import write_parquet
from bedsieve.simulate.demo import Region, flawed, write_surveys
from bedsieve.simulate.error_mix import ErrorMix
from bedsieve.simulate.fields import Frame
from bedsieve.simulate.grids import product_fields, write_mosaic
from bedsieve.simulate.lines import Box
from bedsieve.simulate.measure import fly
from bedsieve.simulate.sparse import (
    BLOCK_SURVEYS,
    SPARSE_SURVEYS,
    plan_block,
    plan_sparse,
)
from bedsieve.simulate.terrain import ROUGH, make_terrain

TILE = 140_000.0
"""Side of a region's tile (m)."""

DENSE, CLEAN = "dense", "clean"
_FIRST = (-11, -4)  # column and row of the first tile: inland of the Amundsen Sea
_TERRAIN = 3_000.0  # m from the tile's border to the terrain's
_FLOWN = 15_000.0  # m from the tile's border to the first line: regions are 30 km apart
_STEP = 200.0


def region_surveys(number: int, state: str) -> list[str]:
    """Names of a region's surveys."""
    names = (*SPARSE_SURVEYS, *BLOCK_SURVEYS) if state == DENSE else SPARSE_SURVEYS
    return [f"R{number:02d}_{name}" for name in names]


def simulate_sparse(number: int, state: str, seed: int, mix: ErrorMix) -> Region:
    """Make one region in memory.

    Parameters
    ----------
    number : int
        Which region; decides its place, too.
    state : {"dense", "flawed", "clean"}
        A clean region holds no errors; a dense one holds errors and a densely flown block besides.
    seed : int
        Of the whole set.
    mix : ErrorMix

    Returns
    -------
    Region
    """
    streams = [
        np.random.default_rng(child) for child in np.random.SeedSequence([seed, number]).spawn(4)
    ]
    west, south = ((first + step) * TILE for first, step in zip(_FIRST, (number, 0), strict=True))
    nodes = round((TILE - 2 * _TERRAIN) / _STEP) + 1
    terrain = make_terrain(
        Frame(west + _TERRAIN, south + _TERRAIN, _STEP, nodes), streams[0], ROUGH
    )
    box = Box(west + _FLOWN, south + _FLOWN, west + TILE - _FLOWN, south + TILE - _FLOWN)
    planned = plan_sparse(box, streams[1])
    if state == DENSE:
        planned += plan_block(box, streams[1])
    if state == CLEAN:
        mix = replace(mix, prevalence=0.0)
    surveys = [
        replace(survey, name=name)
        for survey, name in zip(planned, region_surveys(number, state), strict=True)
    ]
    flown = [fly(survey, terrain, streams[2]) for survey in surveys]
    return Region(terrain, surveys, flown, flawed(terrain, surveys, flown, streams[3], mix))


def simulate_regions(
    out_raw: Path,
    out_grids: Path,
    out_truth: Path,
    *,
    seed: int,
    regions: Sequence[str],
    errors: ErrorMix | None = None,
) -> dict[str, int]:
    """Write the surveys and grids of several regions, and the truth.

    Parameters
    ----------
    out_raw, out_grids : Path
        Folders for the surveys and the grids.
    out_truth : Path
        Parquet file as `demo.simulate_demo` writes it.
    seed : int
    regions : sequence of {"dense", "flawed", "clean"}
        What each region holds, from west to east: see `simulate_sparse`.
    errors : ErrorMix, optional
        Of those that are not clean.

    Returns
    -------
    dict of str to int
        Rows of each survey.
    """
    mix = errors or ErrorMix()
    truths: list[pl.DataFrame] = []
    rows: dict[str, int] = {}
    grids = []
    for number, state in enumerate(regions):
        region = simulate_sparse(number, state, seed, mix)
        rng = np.random.default_rng([seed, number, 5])
        grids.append(product_fields(region.terrain, rng))
        truth, written = write_surveys(region, Path(out_raw), seed, rng)
        truths.append(truth)
        rows |= written
    west, south = (first * TILE for first in _FIRST)
    write_mosaic(Path(out_grids), grids, west, south, west + len(regions) * TILE, south + TILE)
    write_parquet(pl.concat(truths), out_truth)
    return rows
