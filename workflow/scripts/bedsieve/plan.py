"""What there is to do, known before anything runs: surveys x tiles x configuration, each table read once.

The Snakefile asks this object and nothing else, so that a dry run opens no data and two runs of the same tables
give the same jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bedsieve.config import detectors_asked_for
from bedsieve.errors import ConfigError
from bedsieve.ingest.sheet import (
    PROVISIONAL,
    CoverageRow,
    Survey,
    read_coverage,
    read_sheet,
    read_tiling,
    tiling,
)
from bedsieve.tile_names import MAX_REACH, SEGMENT_MARGIN, tile_index


@dataclass(frozen=True)
class Plan:
    """The surveys to work on and the tiles that they cover.

    Parameters
    ----------
    surveys : dict of str to Survey
        Active surveys by name, in the order of their numbers.
    coverage : dict of str to dict of str to CoverageRow
        For each registered survey its tiles: those that it has points in and those that it comes near.
    reach : float
        How far (m) a tile looks beyond its border.
    trained_on : tuple of str
        Tiles that models are trained on; empty for all.
    evaluated : tuple of str or int
        Tiles that the evaluation injects errors into, or how many: those with the most points.
    other_tiles : str
        What the coverage table says of its tiles, if they are not those of the configuration.
    """

    surveys: dict[str, Survey]
    coverage: dict[str, dict[str, CoverageRow]]
    reach: float
    trained_on: tuple[str, ...] = ()
    evaluated: tuple[str, ...] | int = 0
    other_tiles: str = ""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Plan:
        """Read the sample sheet and the coverage that a configuration names.

        Raises
        ------
        ConfigError
            If a table cannot be used; names its file, line and remedy. If the graph is too small for a
            member of the ensemble.
        """
        _check_graph(config)
        sheet = read_sheet(config["paths"]["surveys"])
        tiles = config["evaluation"]["tiles"]
        active = sorted(
            (survey for survey in sheet if survey.status == "active"), key=lambda s: s.survey_no
        )
        return cls(
            surveys={survey.survey: survey for survey in active},
            coverage=_coverage(Path(config["paths"]["coverage"])),
            other_tiles=_other_tiles(Path(config["paths"]["coverage"]), config),
            reach=reach(config),
            trained_on=tuple(config["models"]["tiles"]),
            evaluated=tiles if isinstance(tiles, int) else tuple(tiles),
        )

    @cached_property
    def tiles(self) -> list[str]:
        """Tiles with at least one point, from the south-west row by row."""
        names = {
            tile
            for survey in self.surveys
            for tile, row in self.coverage.get(survey, {}).items()
            if row.n > 0
        }
        return sorted(names, key=_place)

    @property
    def training_tiles(self) -> list[str]:
        """Tiles that models are trained on."""
        return [tile for tile in self.tiles if not self.trained_on or tile in self.trained_on]

    @property
    def evaluation_tiles(self) -> list[str]:
        """Tiles that the evaluation injects errors into."""
        if isinstance(self.evaluated, int):
            ranked = sorted(self.tiles, key=self.points_of_tile, reverse=True)
            return sorted(ranked[: self.evaluated], key=_place)
        return [tile for tile in self.tiles if tile in self.evaluated]

    def tiles_of(self, survey: str) -> list[str]:
        """Tiles that hold points of a survey."""
        rows = self.coverage.get(survey, {})
        return sorted((tile for tile, row in rows.items() if row.n > 0), key=_place)

    def surveys_of(self, tile: str, *, near: bool = False) -> list[str]:
        """Surveys with points in a tile or, where `near`, no farther from it than `reach`."""
        return list(self._near[tile, near])

    @cached_property
    def _near(self) -> dict[tuple[str, bool], list[str]]:
        near: dict[tuple[str, bool], list[str]] = {
            (tile, far): [] for tile in self.tiles for far in (False, True)
        }
        for survey in self.surveys:
            for tile, row in self.coverage.get(survey, {}).items():
                if (tile, True) not in near:
                    continue
                if row.n > 0:
                    near[tile, False].append(survey)
                if row.n > 0 or row.gap_m <= self.reach:
                    near[tile, True].append(survey)
        return near

    def points_of_survey(self, survey: str) -> int:
        """Points of a survey, as scanned (before duplicates are merged)."""
        return sum(row.n for row in self.coverage.get(survey, {}).values())

    def points_of_tile(self, tile: str) -> int:
        """Points of a tile, as scanned (before duplicates are merged)."""
        return sum(self.coverage[survey][tile].n for survey in self.surveys_of(tile))

    def points(self) -> int:
        """Points of all active surveys, as scanned."""
        return sum(self.points_of_survey(survey) for survey in self.surveys)

    def scanned_sha256(self, survey: str) -> str:
        """SHA-256 of the survey's file when it was registered; ``provisional`` before that."""
        for row in self.coverage.get(survey, {}).values():
            return row.sha256
        return ""

    def provisional(self) -> list[str]:
        """Surveys whose coverage is a guess, because their file has not been scanned yet."""
        return [name for name in self.surveys if self.scanned_sha256(name) == PROVISIONAL]

    def check(self) -> None:
        """Make sure that every active survey was registered as the sheet has it.

        Raises
        ------
        ConfigError
            Naming the surveys to register, in one line.
        """
        unknown = [name for name in self.surveys if not self.coverage.get(name)]
        if unknown:
            raise ConfigError(
                f"no coverage for {_some(unknown)}. Run `snakemake register` with the same "
                "options, then this command again."
            )
        if self.other_tiles:
            raise ConfigError(
                f"{self.other_tiles}: region.tile_size and region.crs are others now. Run `snakemake register` with the "
                "same options, then this command again."
            )
        changed = [
            name
            for name, survey in self.surveys.items()
            if survey.sha256 and self.scanned_sha256(name) not in (survey.sha256, PROVISIONAL)
        ]
        if changed:
            raise ConfigError(
                f"the sheet's sha256 differs from the file that was registered for {_some(changed)}. "
                "Run `snakemake register` with the same options, then this command again. If it says the same, the "
                "raw file is another than the sheet's: delete it to have it fetched, put the right one there, or "
                "correct the sheet's sha256."
            )
        if not self.tiles:
            raise ConfigError("no active survey has a point in any tile: nothing to do.")
        named = self.trained_on + (() if isinstance(self.evaluated, int) else self.evaluated)
        absent = [tile for tile in named if tile not in self.tiles]
        if absent:
            raise ConfigError(
                f"models.tiles and evaluation.tiles: no survey has a point in {_some(absent)}. "
                "coverage.tsv lists the tiles that there are."
            )


def _check_graph(config: dict[str, Any]) -> None:
    """Make sure that the edge table serves the graph autoencoder, where a member needs it."""
    asked = detectors_asked_for(config)
    pegasus = config["detectors"].get("pegasus", {}).get("manifold") == "gae"
    needing = [name for name in asked if name == "gae" or (name == "pegasus" and pegasus)]
    if not needing:
        return
    graph, gae = config["graph"], config["detectors"]["gae"]
    needs = {"hops": 2 * len(gae["widths"]), "k": gae["neighbours"]}
    for key, needed in needs.items():
        if graph[key] < needed:
            raise ConfigError(
                f"ensemble.members or evaluation.beside names {needing[0]}, which needs graph.{key} of {needed} or more, not "
                f"{graph[key]}. Set it so, or take {needing[0]} out."
            )


def reach(config: dict[str, Any]) -> float:
    """How far (m) a tile looks beyond its border.

    As far as the detectors' hops times the longest edge, the support of a double hit, and the neighbourhood of
    the segments detector, whichever is most.

    Raises
    ------
    ConfigError
        If the coverage table does not reach as far.
    """
    graph, radius = config["graph"], config["crossovers"]["radius"]
    segments = config["detectors"]["segments"]
    needs = {
        "graph.hops * graph.max_neighbour_distance": graph["hops"]
        * graph["max_neighbour_distance"],
        "labels.support_radius + 3 * crossovers.radius": config["labels"]["support_radius"]
        + 3 * radius,
        f"detectors.segments: reach + window + {SEGMENT_MARGIN:.0f}": segments["reach"]
        + segments["window"]
        + SEGMENT_MARGIN,
    }
    key, needed = max(needs.items(), key=lambda need: need[1])
    if needed > MAX_REACH:
        raise ConfigError(
            f"{key} = {needed:.0f} m, but the coverage table lists tiles within {MAX_REACH:.0f} m of a "
            "survey only. Make it smaller."
        )
    return float(needed)


def _coverage(path: Path) -> dict[str, dict[str, CoverageRow]]:
    """The coverage table; empty before the first survey is registered."""
    return read_coverage(path) if path.exists() else {}


def _other_tiles(path: Path, config: dict[str, Any]) -> str:
    """What the coverage table counts in, by file, where it says so and it is not what the configuration says."""
    said = read_tiling(path) if path.exists() else ""
    wanted = tiling(config["region"]["tile_size"], config["region"]["crs"]) if said else ""
    return "" if said == wanted else f"{path} counts {said.removeprefix('# ')}"


def _place(tile: str) -> tuple[int, int]:
    """Order that tiles are listed in: row by row from the south, each from the west."""
    return tile_index(tile)[::-1]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
