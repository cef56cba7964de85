"""Fetching a survey: an address in, a checked CSV in its place out, or a message that says what to do.

Nothing appears under the target's own name before it is whole and its checksum is right, and what stands there is
replaced only if its checksum is another than the expected one.
"""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from pathlib import Path

from bedsieve.errors import BedsieveError, InputError
from bedsieve.files import replacing, sha256_of
from bedsieve.ingest.download import Part, download
from bedsieve.ingest.sheet import check_address

_CHUNK = 1 << 20


def fetch(
    url: str,
    target: str | Path,
    sha256: str = "",
    size: int | None = None,
    note: str = "",
    attempts: int = 6,
    pause: float = 2.0,
) -> None:
    """Download a file, or go on with a download that was broken off; take one that stands as it is.

    Parameters
    ----------
    url : str
        https address (plain http only to this machine). It may hold a zip with the CSV in it.
    target : path-like
        Where the CSV shall lie, named as in the archive.
    sha256 : str
        Expected SHA-256 of the CSV; not checked if blank. A CSV at `target` that has it, or any if it is blank,
        is left untouched, and nothing is asked of the address.
    size : int, optional
        Expected size of what the address holds, in bytes.
    note : str
        Where a person may get the file, for messages.
    attempts : int
        Attempts in a row that may bring nothing before giving up.
    pause : float
        Seconds before the second attempt; doubled after each that brings nothing.

    Raises
    ------
    BedsieveError
        Naming the target, the host, what went wrong and what to do. At `target` stands what stood
        there before.
    """
    target = Path(target)
    if target.is_file() and sha256 in ("", sha256_of(target)):
        print(f"{target} stands: taken as it is.")
        return
    elsewhere = _elsewhere(target, note)
    if not url:
        raise BedsieveError(f"{target}: no address is known for this file. {elsewhere}")
    fault = check_address(url, allow_http=True)
    if fault is not None:
        raise BedsieveError(f"{target}: its address {url!r} {fault}. Correct the sample sheet.")
    with Part(url, target, elsewhere).alone() as part:
        download(part, attempts, pause)
        try:
            _check_size(target, part.path, size)
            _install(part.path, target, sha256, elsewhere)
        except InputError:
            # What arrived whole and is wrong would be wrong again.
            part.discard()
            raise
        part.discard()


def _elsewhere(target: Path, note: str) -> str:
    source = f" from {note}" if note else ""
    return f"Download it in a browser{source}, and put it at {target}; then run the same command again."


def _check_size(target: Path, part: Path, size: int | None) -> None:
    found = part.stat().st_size
    if size is not None and found != size:
        raise InputError(
            target,
            f"{found:,} bytes arrived, {size:,} were expected",
            "Run the same command again; if it persists, the archive's file has changed",
        )


def _install(part: Path, target: Path, sha256: str, elsewhere: str) -> None:
    """Put the CSV in its place if its checksum is right, out of its zip if it came in one."""
    with replacing(target) as ready:
        # An .npz is a zip by itself.
        if zipfile.is_zipfile(part) and target.suffix != ".npz":
            _unzip(part, ready, target, elsewhere)
        else:
            os.replace(part, ready)
        found = sha256_of(ready) if sha256 else ""
        if found != sha256:
            raise InputError(
                target,
                f"its sha256 is {found}, expected {sha256}",
                "Run the same command again; if it persists, the archive's file has changed: "
                "compare it with the data page, then correct the sheet's sha256",
            )


def _unzip(part: Path, ready: Path, target: Path, elsewhere: str) -> None:
    """Write one member out, to a path of ours: the archive's own paths are never followed."""
    try:
        with zipfile.ZipFile(part) as archive:
            member = _member(archive, target, elsewhere)
            _check_room(member, ready, target)
            with archive.open(member) as source, open(ready, "wb") as out:
                shutil.copyfileobj(source, out, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(target, f"its zip cannot be read ({error})", elsewhere) from error


def _check_room(member: zipfile.ZipInfo, ready: Path, target: Path) -> None:
    """Refuse, before a byte is written, what would fill the disk: zeros pack a thousand times smaller."""
    free = shutil.disk_usage(ready.parent).free
    if member.file_size > free:
        raise InputError(
            target,
            f"{member.filename!r} of its zip would take {member.file_size:,} bytes, and {free:,} are free",
            "Free some space if the file is that large, then run the same command again",
        )


def _member(archive: zipfile.ZipFile, target: Path, elsewhere: str) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir()]
    named = [info for info in files if info.filename.rsplit("/", 1)[-1] == target.name]
    tables = [info for info in files if info.filename.lower().endswith(".csv")]
    for found in (named, tables):
        if len(found) == 1:
            return found[0]
    problem = f"its zip holds {len(tables)} CSV files, none of them alone of the name {target.name}"
    raise InputError(target, problem, elsewhere)
