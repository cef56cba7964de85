"""One survey from its CSV to harmonised points: the heart of ingest.

In: a Bedmap CSV. Out: a Parquet file of its good points with positions on the map, tracks and
covariates; a Parquet file of the rows that were dropped and why; and a ledger that adds both up
to the rows of the file. The rows pass three times, in chunks, through a scratch folder: parsed
and judged, copies merged and tracks found, written. Memory does not grow with the file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import ConfigError, InputError
from bedsieve.files import disk_errors, replacing, sha256_of, write_json
from bedsieve.ingest.chain import chain_order
from bedsieve.ingest.copies import settle_copies
from bedsieve.ingest.duplicates import MAX_RELATIVE_STD, Suspects
from bedsieve.ingest.header import Header, ends_with_newline, read_header
from bedsieve.ingest.ledger import CODES, DROPPED_SCHEMA, KEPT, dropped_rows, ledger
from bedsieve.ingest.output import Sampler, Stamp, points, sink, sink_points
from bedsieve.ingest.parsing import SCRATCH_COLUMNS, expected_rows, parse_into
from bedsieve.ingest.scratch import Scratch
from bedsieve.ingest.sheet import ORDERS, PROVISIONAL
from bedsieve.ingest.tracks import Chunk, TrackLimits, Tracks, find_tracks

FEWEST_ON_A_TRACK = 20  # points a track, on the mean, below which rows are taken to be unordered


def harmonise(
    csv_path: str | Path,
    survey: str,
    survey_no: int,
    points_path: str | Path,
    ledger_path: str | Path,
    dropped_path: str | Path,
    *,
    crs: str,
    covariates: Sampler | None = None,
    expected_sha256: str | None = None,
    max_relative_std: float = MAX_RELATIVE_STD,
    limits: TrackLimits | None = None,
    order: str = "file",
    split_on_angle: bool = False,
    sheet: Mapping[str, str | int | None] | None = None,
    threads: int = 2,
    scratch_in: str | Path | None = None,
) -> Mapping[str, Any]:
    """Harmonise one survey: clean, project, merge copies, find tracks, sample covariates.

    Parameters
    ----------
    csv_path : path-like
        The survey's CSV in Bedmap's format.
    survey, survey_no : str, int
        Its name and number in the sample sheet.
    points_path, ledger_path, dropped_path : path-like
        Where to write. The ledger comes last: where it stands, the others are whole.
    crs : str
        CRS of east and north, in metres.
    covariates : Sampler, optional
        Grids to sample at every point.
    expected_sha256 : str, optional
        The file's digest when it was registered.
    max_relative_std : float
        Largest relative standard deviation of copies that are merged.
    limits : TrackLimits, optional
        Constants of the track rules.
    order : {"file", "chain"}
        Whether rows stand in track order, or have to be chained from neighbour to neighbour. Then
        atd is the distance along the chain, and gives the order within a track.
    split_on_angle : bool
        Split tracks at sharp turns too (order "file" only).
    sheet : mapping, optional
        What the sample sheet says of platform, institution and instrument, taken before the file's header,
        and of year_start and year_end, taken where the header has no years.
    threads : int
        Threads for parsing and projecting; the results do not depend on it.
    scratch_in : path-like, optional
        Folder for the parsed rows, about as large as the CSV; beside the points if not given.

    Returns
    -------
    mapping
        The ledger, as written.

    Raises
    ------
    InputError
        If the file cannot be used; nothing is written then.
    ConfigError
        If `crs` or `order` is unknown.
    BedsieveError
        If the results cannot be written.
    """
    if order not in ORDERS:
        raise ConfigError(
            f"{survey}: order {order!r} is unknown; it is one of {', '.join(ORDERS)}."
        )
    header = read_header(csv_path)
    with ExitStack() as stack:
        ledger_part = stack.enter_context(replacing(ledger_path))
        dropped_part = stack.enter_context(replacing(dropped_path))
        points_part = stack.enter_context(replacing(points_path))
        rows = points_part.with_suffix(".scratch")
        if scratch_in is not None:
            with disk_errors(scratch_in):
                Path(scratch_in).mkdir(parents=True, exist_ok=True)
                own = tempfile.TemporaryDirectory(prefix="bedsieve-", dir=scratch_in)
            rows = Path(stack.enter_context(own), "rows")
        scratch = stack.enter_context(Scratch(rows, SCRATCH_COLUMNS))
        suspects = Suspects(expected_rows(csv_path))
        with ThreadPoolExecutor(1) as beside:
            digest = beside.submit(sha256_of, csv_path)
            parse_into(scratch, suspects, csv_path, header, crs, threads)
            sha256 = digest.result()
        _check_digest(csv_path, sha256, expected_sha256)
        settle_copies(scratch, suspects, max_relative_std)
        find = _chain if order == "chain" else _split
        tracks, number = find(scratch, limits or TrackLimits(), split_on_angle)
        stamp = Stamp.of(survey, survey_no, header, tracks.method, sheet or {})
        sink_points(points(scratch, tracks, stamp, covariates), stamp, points_part)
        sink(_dropped(scratch), DROPPED_SCHEMA, dropped_part)
        document = ledger(
            survey=survey,
            survey_no=survey_no,
            file=Path(csv_path).name,
            sha256=sha256,
            counts=_counts(scratch),
            track_method=tracks.method,
            tracks=number,
            order=order,
            header=header,
            notes=_notes(csv_path, header, scratch, order, number, covariates),
        )
        write_json(document, ledger_part)
    return document


def _check_digest(path: str | Path, found: str, expected: str | None) -> None:
    if expected == PROVISIONAL:
        raise InputError(
            path,
            "the file has not been registered: which tiles it lies in is a guess so far",
            "Run `snakemake register` with the same options, then this command again",
        )
    if expected and found != expected.lower():
        raise InputError(
            path,
            f"the file has changed since it was registered: its sha256 is {found}, then it was "
            f"{expected.lower()}",
            "Fetch the registered file again, or run `snakemake register` to take the new one",
        )


def _kept(scratch: Scratch, columns: tuple[str, ...]) -> Iterator[Chunk]:
    for start, stop in scratch.spans():
        kept = np.flatnonzero(scratch.read("code", start, stop) == KEPT)
        yield kept + start, tuple(scratch.read(name, start, stop)[kept] for name in columns)


def _split(scratch: Scratch, limits: TrackLimits, split_on_angle: bool) -> tuple[Tracks, int]:
    tracks = find_tracks(lambda columns: _kept(scratch, columns), limits, split_on_angle)
    return tracks, len(tracks.starts) + 1 if _counts(scratch)[KEPT] else 0


def _chain(scratch: Scratch, limits: TrackLimits, split_on_angle: bool) -> tuple[Tracks, int]:
    # A walk needs all points at once; the surveys that want it are small.
    chunks = list(_kept(scratch, ("east", "north")))
    rows, east, north = (
        np.concatenate([np.empty(0, dtype), *parts])
        for dtype, parts in (
            (np.int64, [rows for rows, _ in chunks]),
            (np.float64, [values[0] for _, values in chunks]),
            (np.float64, [values[1] for _, values in chunks]),
        )
    )
    order, track, distance = chain_order(east, north, limits.step)
    place = np.empty(len(order), np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    scratch.add_column("track_id", "i4", 0)
    scratch.add_column("track_seq", "u4", 0)
    scratch.put("track_id", rows, track)
    scratch.put("track_seq", rows, place)
    scratch.put("atd", rows, distance)
    return Tracks("chain", np.empty(0, np.int64)), int(track.max(initial=-1)) + 1


def _counts(scratch: Scratch) -> NDArray[np.int64]:
    counts = np.zeros(len(CODES), np.int64)
    for span in scratch.spans():
        counts += np.bincount(scratch.read("code", *span), minlength=len(CODES))
    return counts


def _dropped(scratch: Scratch) -> Iterator[pl.DataFrame]:
    for start, stop in scratch.spans():
        merged = scratch.read("kept_row", start, stop) if scratch.has("kept_row") else None
        frame = dropped_rows(start, scratch.read("code", start, stop), merged)
        if len(frame):
            yield frame


def _notes(
    path: str | Path,
    header: Header,
    scratch: Scratch,
    order: str,
    tracks: int,
    covariates: Sampler | None,
) -> list[str]:
    notes = [] if header.fields else ["the file has no #key: value lines"]
    notes += [f"the file has no column {heading}" for heading in header.absent]
    if not scratch.rows:
        notes.append("the file has no rows below its header")
    elif not _counts(scratch)[KEPT]:
        notes.append("no row of the file is left")
    if not ends_with_newline(path):
        notes.append("the last line has no line end: if the file was cut off, its last value is")
    kept = int(_counts(scratch)[KEPT])
    if order == "file" and tracks > 1 and kept < FEWEST_ON_A_TRACK * tracks:
        notes.append(
            f"rows do not stand in track order, it seems ({kept:,} points make {tracks:,} tracks), so "
            "scores along tracks mean little; `order: chain` in the sheet strings them into lines"
        )
    if order == "chain":
        notes.append(
            "rows are chained from neighbour to neighbour; atd is measured along the chain"
        )
    return notes + list(covariates.notes if covariates else ())
