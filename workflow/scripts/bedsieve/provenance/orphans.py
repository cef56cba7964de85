"""Files that the workflow once made and that nothing asks for now: of a retired survey, a tile without points, a former member.

In: manifests, the files that a run would have, and what else its rules could make. Out: names, and on request no files. Only
what has a manifest is an orphan, so a user's own files never are. What is made when it is asked for by name stays, with what
it was made from, as long as a rule could make it: scorecards, say. Models, evaluations and searches always stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from bedsieve.provenance.check import NOTE, Finding, Manifests
from bedsieve.provenance.models import model_folder
from bedsieve.provenance.record import manifest_path

_FOLDERS = ("surveys", "scorecards", "tiles", "products", "report")


def find_orphans(
    manifests: Manifests,
    asked: Collection[str],
    results: Path,
    can_make: Callable[[str], bool],
    idle: Collection[str],
) -> list[str]:
    """Name the orphans of a results folder.

    Parameters
    ----------
    manifests : mapping of str to dict
        Manifest of each file that was made.
    asked : collection of str
        Outputs of all jobs of the default target, whether or not they would run now.
    results : Path
        The folder, relative to the working folder as the names are.
    can_make : callable
        Whether a rule makes a file of this name, of the surveys and tiles that there are.
    idle : collection of str
        Detectors that the configuration has no use for. A rule could still make their files.
    """
    folders = [results / name for name in _FOLDERS]
    beside = {
        name
        for name in manifests
        if name not in asked and any(Path(name).is_relative_to(folder) for folder in folders)
    }
    makeable = set(filter(can_make, beside))
    by_name = (name for name in makeable if not _of_one(manifests[name], idle, results))
    return sorted(beside - (makeable & _with_sources(by_name, manifests)))


def _of_one(about: dict[str, Any], detectors: Collection[str], results: Path) -> bool:
    """Whether a file holds scores of one of the detectors, or is a product that tells of its model."""
    if about.get("rule") in detectors:
        return True
    read = (model_folder(name, results) for name in about["inputs"])
    # Only of products: a detector's scores may rest on the model of another.
    product = Path(about["file"]).is_relative_to(results / "products")
    return product and any(folder.name in detectors for folder in read if folder is not None)


def _with_sources(names: Iterable[str], manifests: Manifests) -> set[str]:
    """Files and all that they were made from, as far back as manifests tell."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += manifests.get(name, {}).get("inputs", ())
    return found


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
