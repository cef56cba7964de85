"""What stands on the disk against what the manifests say: which files are damaged, missing or out of date.

In: the manifests below a results folder, and optionally what the workflow would do now. Out: one finding a fault, which
names the file, what differs and what follows. Nothing is changed here; `delete` removes what a run must make again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedsieve.errors import InputError
from bedsieve.files import sha256_of
from bedsieve.progress import Progress
from bedsieve.provenance.record import manifest_path, read_manifest

# STALE: made from other inputs than stand now. CHANGED: the workflow would make it differently now.
DAMAGED, MISSING, STALE, CHANGED, NOTE = "damaged", "missing", "out of date", "changed", "note"
Manifests = Mapping[str, dict[str, Any]]
_NOT_WHOLE: dict[str, Any] = {"sha256": None, "inputs": {}, "packages": {}}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that differs: its kind, the file, and what is said of it."""

    kind: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.file}: {self.text}"


@dataclass(frozen=True)
class Expected:
    """What the workflow would give to the job of a file if it ran now: digest of its code, and its parameters."""

    code: str | None
    params: Mapping[str, Any]


def read_manifests(results: Path) -> dict[str, dict[str, Any]]:
    """All manifests of a results folder, by the file that each is of: the one whose place it has.

    A manifest that cannot be read, or is of a file that belongs elsewhere, comes back without a checksum.

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
            document = _NOT_WHOLE | {"file": name}
        found[name] = document
    if not found:
        raise InputError(folder, "holds no manifest", "Run the workflow first")
    return found


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


def check_files(manifests: Manifests, stands: Mapping[str, str | None]) -> Iterator[Finding]:
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
            if _of_a_model(name):
                text = f"was trained on another {source} than stands now; its scores stay valid"
                yield Finding(NOTE, name, text)
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


def delete(
    findings: list[Finding], manifests: Manifests, results: Path, asked: Collection[str]
) -> list[str]:
    """Delete what a run must make again: what is damaged or missing, and what was made from other inputs than stand now.

    A model goes with all of its files, so that it is trained again.

    Parameters
    ----------
    findings : list of Finding
    manifests : mapping of str to dict
        Manifest of each file that was made.
    results : Path
        Folder of the results.
    asked : collection of str
        Files that the jobs of a run read or make. Beyond the results, nothing else is deleted, whatever a manifest
        says; and what is missing is let be unless it is one of these.

    Returns
    -------
    list of str
        Files to be made again; none of them stands now.

    Raises
    ------
    InputError
        If a model is damaged that would come out differently, because what it was trained on has changed.
    """
    doomed: set[str] = set()
    folders = {Path(name).parent for name in asked}
    for finding in (finding for finding in findings if finding.kind in (DAMAGED, MISSING, STALE)):
        folder, model = Path(finding.file).parent, _of_a_model(finding.file)
        wanted = finding.file in asked or (model and folder in folders)
        inside = Path(finding.file).is_relative_to(results)
        if not wanted and (finding.kind == MISSING or not inside):
            continue
        if model:
            _refuse_other_model(findings, finding.file, folder)
            doomed |= {name for name in manifests if Path(name).parent == folder}
        else:
            doomed.add(finding.file)
    # The manifest of a model goes first: without it the rule that trains it is there again.
    for name in sorted(doomed, key=lambda name: (Path(name).name != "manifest.json", name)):
        Path(name).unlink(missing_ok=True)
        manifest_path(results, name).unlink(missing_ok=True)
    return sorted(doomed)


def _refuse_other_model(findings: list[Finding], name: str, folder: Path) -> None:
    for finding in findings:
        if finding.kind == NOTE and Path(finding.file).parent == folder:
            raise InputError(
                name,
                f"this model is damaged, and {finding.text.split(';')[0]}",
                "Training it again would give another model under the same name: restore the folder "
                "from a backup, or set another models.version",
            )


def _of_a_model(name: str) -> bool:
    return "models" in Path(name).parts[:-1]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
