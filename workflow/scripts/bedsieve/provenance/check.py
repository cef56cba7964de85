"""What stands on the disk against what the manifests say: which files are damaged, missing or out of date.

In: the manifests below a results folder, those of its models, and optionally what the workflow would do now. Out: one
finding a fault, which names the file, what differs and what follows. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedsieve.errors import InputError
from bedsieve.files import sha256_of
from bedsieve.progress import Progress
from bedsieve.provenance.models import NOT_WHOLE, model_folder, parts_of_models
from bedsieve.provenance.record import manifest_path, read_manifest

# STALE: made from other inputs than stand now. CHANGED: the workflow would make it differently now.
DAMAGED, MISSING, STALE, CHANGED, NOTE = "damaged", "missing", "out of date", "changed", "note"
Manifests = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that differs: its kind, the file, and what is said of it.

    `other_model` says that it is a file of a model, which would come out differently if it was trained now.
    """

    kind: str
    file: str
    text: str
    other_model: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.file}: {self.text}"


@dataclass(frozen=True)
class Expected:
    """What the workflow would give to the job of a file if it ran now: digest of its code, and its parameters."""

    code: str | None
    params: Mapping[str, Any]


def read_manifests(results: Path) -> dict[str, dict[str, Any]]:
    """All manifests of a results folder, by the file that each is of: the one whose place it has.

    A manifest that cannot be read, or is of a file that belongs elsewhere, comes back without a checksum. Files that only the
    manifest of a model tells of are there too (`bedsieve.provenance.models.parts_of_models`).

    Raises
    ------
    InputError
        If there is none.
    """
    found = {}
    folder = results / "manifests"
    for path in sorted(folder.rglob("*.json")):
        document = read_manifest(path)
        name = "" if document is None else str(document["file"])
        if document is None or ".." in Path(name).parts or manifest_path(results, name) != path:
            inside = path.relative_to(folder).with_suffix("")
            outside = inside.parts[0] == "outside"
            name = str(inside.relative_to("outside") if outside else results / inside)
            document = NOT_WHOLE | {"file": name}
        found[name] = document
    if not found:
        raise InputError(folder, "holds no manifest", "Run the workflow first")
    return parts_of_models(results) | found


def hash_files(manifests: Manifests, threads: int) -> dict[str, str | None]:
    """SHA-256 of each file that a manifest is of or names as an input; None where there is no file."""
    names = sorted(
        {*manifests, *(name for about in manifests.values() for name in about["inputs"])}
    )
    progress = Progress("verify", len(names), unit="files")

    def hashed(name: str) -> str | None:
        return sha256_of(name) if Path(name).is_file() else None

    found: dict[str, str | None] = {}
    with ThreadPoolExecutor(threads) as pool:
        for name, sha256 in zip(names, pool.map(hashed, names), strict=True):
            found[name] = sha256
            progress.advance(1)
    return found


def check_files(
    manifests: Manifests, stands: Mapping[str, str | None], results: Path
) -> Iterator[Finding]:
    """Compare files, and the inputs that they were made from, with what stands on the disk."""
    for name, about in manifests.items():
        if about["sha256"] is None:
            yield Finding(DAMAGED, name, "its manifest is not whole: nothing tells how it was made")
        elif stands[name] is None:
            yield Finding(MISSING, name, "is gone; a run makes it again")
        elif stands[name] != about["sha256"]:
            yield Finding(DAMAGED, name, "its bytes are not those that were written")
        for source, sha256 in about["inputs"].items():
            now = (manifests[source]["sha256"] if source in manifests else None) or stands[source]
            if now == sha256:
                continue
            if model_folder(name, results):
                text = f"was trained on another {source} than stands now; its scores stay valid"
                yield Finding(NOTE, name, text, other_model=True)
            elif now is None:
                yield Finding(NOTE, name, f"its input {source} is gone")
            else:
                yield Finding(STALE, name, f"was made from another {source} than stands now")


def check_plan(manifests: Manifests, expected: Mapping[str, Expected]) -> Iterator[Finding]:
    """Compare code and parameters with what the workflow has now."""
    for name, now in expected.items():
        about = manifests.get(name)
        if about is None:
            if Path(name).is_file():
                yield Finding(NOTE, name, "has no manifest: nothing is known of how it was made")
            continue
        if about["sha256"] is None:
            continue
        if now.code != about["code"]:
            yield Finding(CHANGED, name, f"its code was {about['code']} and is {now.code} now")
        for key in sorted({*now.params, *about["params"]}):
            before, after = about["params"].get(key), now.params.get(key)
            if before != after:
                text = f"its parameter {key} was {_short(before)} and is {_short(after)} now"
                yield Finding(CHANGED, name, text)


def check_packages(manifests: Manifests, installed: Mapping[str, str]) -> Iterator[Finding]:
    """Note, once a package, where files were made with another version than is installed here."""
    used: dict[tuple[str, str], list[str]] = {}
    for name, about in manifests.items():
        for package, version in about["packages"].items():
            if installed.get(package, version) != version:
                used.setdefault((package, version), []).append(name)
    for (package, version), names in sorted(used.items()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        text = f"made with {package} {version}; {installed[package]} is installed here"
        yield Finding(NOTE, names[0] + more, text)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
