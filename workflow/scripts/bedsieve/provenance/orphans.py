"""Files that the workflow once made and that nothing asks for now: of a retired survey, a tile without points, a former member.

In: manifests and the files that a run would have. Out: names, and on request no files. Only what has a manifest is an orphan,
so a user's own files never are; models, evaluations and searches stay, because they are asked for by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from bedsieve.provenance.check import NOTE, Finding, Manifests
from bedsieve.provenance.record import manifest_path

_FOLDERS = ("surveys", "tiles", "products", "report")


def find_orphans(manifests: Manifests, asked: Collection[str], results: Path) -> list[str]:
    """Name the orphans of a results folder.

    Parameters
    ----------
    manifests : mapping of str to dict
        Manifest of each file that was made.
    asked : collection of str
        Outputs of all jobs of the default target, whether or not they would run now.
    results : Path
        The folder, relative to the working folder as the names are.
    """
    folders = [results / name for name in _FOLDERS]
    return sorted(
        name
        for name in manifests
        if name not in asked and any(Path(name).is_relative_to(folder) for folder in folders)
    )


def note_orphans(names: Collection[str]) -> Iterator[Finding]:
    """Say of each orphan what it is."""
    for name in names:
        yield Finding(NOTE, name, "nothing asks for it now; `make prune` lists what can go")


def delete_orphans(names: Collection[str], results: Path) -> None:
    """Delete orphans, their manifests, and folders that are empty then."""
    for name in names:
        for path in (Path(name), manifest_path(results, name)):
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, results)


def _remove_empty(folder: Path, results: Path) -> None:
    while folder != results and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
