"""The ensemble's members on a tile that lies anywhere: a function each, by name.

In: a folder with a tile's artefacts (points, halo, crossovers, edges) and the frozen models. Out: the member's score
table in that folder. The evaluation scores tiles with injected errors through it; a new detector joins with an entry in
`SCORERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bedsieve.errors import ConfigError


@dataclass(frozen=True)
class TileFolder:
    """Where a tile's artefacts lie, and what scoring it needs to know.

    Parameters
    ----------
    path : Path
        Holds points.parquet, halo.parquet, crossovers.parquet, crossovers_beyond.parquet and edges.arrow;
        scores go into scores/.
    tile : str
        Name of the tile, ``x{ix}_y{iy}``.
    tile_size, reach : float
        Its side and the width of the halo (m).
    surveys : tuple of Path
        Harmonised surveys with points in the tile.
    models : Path
        ``results/models/{version}``.
    settings : mapping of str to mapping
        The configuration's `detectors`.
    seed : int
        The configuration's `models.seed`.
    """

    path: Path
    tile: str
    tile_size: float
    reach: float
    surveys: tuple[Path, ...]
    models: Path
    settings: Mapping[str, Mapping[str, Any]]
    seed: int = 0

    @property
    def points(self) -> Path:
        """The tile's own points."""
        return self.path / "points.parquet"

    @property
    def halo(self) -> Path:
        """The points around it."""
        return self.path / "halo.parquet"

    @property
    def crossovers(self) -> Path:
        """Double hits and crossings that the tile owns."""
        return self.path / "crossovers.parquet"

    @property
    def crossovers_beyond(self) -> Path:
        """Those of its points that lie beyond the tile."""
        return self.path / "crossovers_beyond.parquet"

    @property
    def edges(self) -> Path:
        """The nearest-neighbour table."""
        return self.path / "edges.arrow"

    def scores(self, member: str) -> Path:
        """The member's score table."""
        return self.path / "scores" / f"{member}.parquet"


Scorer: TypeAlias = Callable[[TileFolder], None]
_DEVICE = "cpu"  # the evaluation's jobs ask for no GPU, whatever the networks were trained on


def _along_track(folder: TileFolder) -> None:
    from bedsieve.detectors.along_track import score_tracks

    score_tracks(
        [folder.points, folder.halo],
        folder.scores("along_track"),
        floor=folder.settings["along_track"]["floor"],
    )


def _pca(folder: TileFolder) -> None:
    from bedsieve.detectors.pca_score import score_tile

    score_tile(
        folder.points,
        folder.halo,
        [folder.crossovers, folder.crossovers_beyond],
        folder.models / "pca",
        folder.scores("pca"),
        tile=folder.tile,
    )


def _segments(folder: TileFolder) -> None:
    from bedsieve.detectors.segments_tile import score_tile_segments

    score_tile_segments(
        folder.points,
        folder.halo,
        folder.crossovers,
        folder.scores("segments"),
        folder.scores("segment_runs"),
        tile=folder.tile,
        tile_size=folder.tile_size,
        halo_width=folder.reach,
        **folder.settings["segments"],
    )


def _gnn(folder: TileFolder) -> None:
    from bedsieve.detectors.gnn_score import score_tile

    score_tile(
        folder.points,
        folder.halo,
        folder.edges,
        folder.models / "gnn",
        folder.scores("gnn"),
        device=_DEVICE,
    )


def _gae(folder: TileFolder) -> None:
    from bedsieve.detectors.gae_score import score_tile

    score_tile(
        folder.points, folder.halo, folder.edges, folder.models / "gae", folder.scores("gae")
    )


def _carving(folder: TileFolder) -> None:
    from bedsieve.detectors.carving_model import score_tile

    score_tile(
        folder.points,
        folder.halo,
        folder.edges,
        folder.models / "carving",
        folder.scores("carving"),
    )


def _pegasus(folder: TileFolder) -> None:
    from bedsieve.detectors.pegasus_score import score_tile

    score_tile(
        {"points": folder.points, "halo": folder.halo, "edges": folder.edges},
        folder.models / folder.settings["pegasus"]["manifold"],
        folder.models / "pegasus",
        folder.scores("pegasus"),
        name=folder.tile,
    )


def _gnsm(folder: TileFolder) -> None:
    from bedsieve.detectors.gnsm_score import score_tile

    score_tile(folder.points, folder.models / "gnsm", folder.scores("gnsm"), surveys=folder.surveys)


def _local_entropy(folder: TileFolder) -> None:
    from bedsieve.detectors.local_entropy_score import score_tile

    score_tile(
        folder.points,
        folder.halo,
        folder.edges,
        folder.models / "local_entropy",
        folder.models / "gnn",
        folder.scores("local_entropy"),
        device=_DEVICE,
    )


def _sparker(folder: TileFolder) -> None:
    from bedsieve.detectors.sparker_tile import score_tile

    score_tile(
        folder.points,
        folder.scores("along_track"),
        folder.scores("segments"),
        [folder.crossovers, folder.crossovers_beyond],
        folder.models / "sparker",
        folder.scores("sparker"),
        folder.settings["sparker"],
        seed=folder.seed,
    )


SCORERS: dict[str, Scorer] = {
    "along_track": _along_track,
    "pca": _pca,
    "segments": _segments,
    "gnn": _gnn,
    "gae": _gae,
    "carving": _carving,
    "pegasus": _pegasus,
    "gnsm": _gnsm,
    "local_entropy": _local_entropy,
    "sparker": _sparker,
}
"""How each member scores a tile folder."""

READS: dict[str, tuple[str, ...]] = {"sparker": ("along_track", "segments")}
"""Detectors whose score tables a member looks at."""


def with_what_they_read(members: Sequence[str]) -> list[str]:
    """The members, each once and behind the detectors whose tables it reads."""
    return list(dict.fromkeys(n for member in members for n in (*READS.get(member, ()), member)))


def score_members(folder: TileFolder, members: Sequence[str]) -> dict[str, list[Path]]:
    """Score a tile folder with each member; returns their tables as `ensemble.combine` takes them.

    Raises
    ------
    ConfigError
        If a member has no entry in `SCORERS`.
    """
    for member in members:
        if member not in SCORERS:
            known = ", ".join(SCORERS)
            raise ConfigError(f"evaluation: {member} cannot score a tile folder. Known: {known}.")
    for member in with_what_they_read(members):
        SCORERS[member](folder)
    return {member: [folder.scores(member)] for member in members}
