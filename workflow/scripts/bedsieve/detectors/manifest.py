"""The last file of a model version: what it was made from, and the hashes of what it is made of.

In: configuration, inputs' and weights' SHA-256, package versions, seed. Out: manifest.json, written
after the weights, so that a version with a manifest is complete; reading it checks the weights, so
that scores never come from files that changed after training.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from bedsieve.errors import BedsieveError, InputError
from bedsieve.files import sha256_of, write_json

FORMAT = 1
_FIELDS = ("detector", "version", "config", "inputs", "files", "packages", "seed")


def hashes(paths: Iterable[str | Path]) -> dict[str, str]:
    """SHA-256 of each file, by its path as given."""
    return {str(path): sha256_of(path) for path in paths}


def refuse_trained(folder: Path) -> None:
    """Stop before a model version is trained a second time.

    Raises
    ------
    BedsieveError
        If its manifest stands.
    """
    if (folder / "manifest.json").exists():
        raise BedsieveError(
            f"{folder}: this model version is trained already, and a version never changes. Choose "
            "another models.version to train again."
        )


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed version of each distribution, by its name."""
    return {name: installed_version(name) for name in sorted(names)}


def write_manifest(
    path: str | Path,
    *,
    detector: str,
    version: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    files: Mapping[str, str],
    packages: Mapping[str, str],
    seed: int | None,
) -> None:
    """Write a model's manifest; call it last, when every file of the model stands.

    Parameters
    ----------
    path : path-like
        manifest.json in the model's folder.
    detector, version : str
        Whose weights these are, and of which model version.
    config : mapping
        Everything that training was told; JSON values.
    inputs : mapping of str to str
        SHA-256 of each file that training read, by path.
    files : mapping of str to str
        SHA-256 of each file of the model, by its path relative to the manifest's folder.
    packages : mapping of str to str
        Versions of the packages that matter for the numbers.
    seed : int or None
        None where nothing in training is random.

    Raises
    ------
    InputError
        If a file of the model is missing or is not what `files` says.
    """
    path = Path(path)
    _verify(path, files, "Finish writing the model before its manifest")
    document = {
        "format": FORMAT,
        "detector": detector,
        "version": version,
        "config": dict(config),
        "inputs": dict(inputs),
        "files": dict(files),
        "packages": dict(packages),
        "seed": seed,
    }
    write_json(document, path)


def read_manifest(path: str | Path, detector: str | None = None) -> dict[str, Any]:
    """Read a manifest and check every file of the model against it.

    Parameters
    ----------
    path : path-like
        manifest.json in the model's folder.
    detector : str, optional
        Whose manifest it must be.

    Returns
    -------
    dict
        Fields as in `write_manifest`, and ``format``.

    Raises
    ------
    InputError
        If the manifest is missing, incomplete, of another detector or format, or a file of the
        model is missing or was changed since training.
    """
    path = Path(path)
    retrain = "Train this model version again, or restore its folder from a backup"
    if not path.is_file():
        raise InputError(path, "this model version has no manifest, so it is not trained", retrain)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, f"not a JSON document ({error})", retrain) from None
    absent = [name for name in _FIELDS if not isinstance(document, dict) or name not in document]
    if absent:
        raise InputError(path, f"lacks {', '.join(absent)}", retrain)
    if document.get("format") != FORMAT:
        raise InputError(path, f"has format {document.get('format')}, not {FORMAT}", retrain)
    if detector is not None and document["detector"] != detector:
        problem = f"belongs to {document['detector']}, not to {detector}"
        raise InputError(path, problem, "Point the rule at the folder of the right detector")
    _verify(path, document["files"], retrain)
    return dict(document)


def _verify(manifest: Path, files: Mapping[str, str], remedy: str) -> None:
    for name, sha256 in files.items():
        weights = manifest.parent / name
        if not weights.is_file():
            raise InputError(weights, f"is missing, but {manifest.name} lists it", remedy)
        if sha256_of(weights) != sha256:
            raise InputError(weights, f"is not the file that {manifest.name} describes", remedy)
