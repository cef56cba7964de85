"""The manifest of a file: what it was made from, by which code, with which parameters, packages and seed.

In: what Snakemake told a script, after the script has done its work. Out: one JSON document for each file that it made,
under ``manifests/`` of the results, at the file's own place with ``.json`` appended. It holds no times, so that two runs of
the same inputs give the same manifests. `bedsieve.provenance.check` compares them with what stands on the disk.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bedsieve.files import sha256_of, write_json

FORMAT = 1
# Distributions whose code can change a number, by the name under which they are imported.
_PACKAGES = {
    "faiss": "faiss-cpu",
    "fast_hdbscan": "fast-hdbscan",
    "h5netcdf": "h5netcdf",
    "hdbscan": "hdbscan",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "numpy": "numpy",
    "optuna": "optuna",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "pyproj": "pyproj",
    "rasterio": "rasterio",
    "rioxarray": "rioxarray",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "torch_geometric": "torch-geometric",
    "xarray": "xarray",
}


def results_folder(log: str | Path) -> Path | None:
    """The folder of results that a job's log belongs to: the one above ``logs``; None if there is none."""
    parts = Path(log).parts[:-1]
    # The last one: the results folder may lie in a folder of that name, or have it itself.
    place = max((place for place, part in enumerate(parts) if part == "logs"), default=None)
    return None if place is None else Path(*parts[:place])


def manifest_path(results: Path, name: str | Path) -> Path:
    """Place of a file's manifest: under ``manifests/`` of the results, whether or not the file lies there."""
    path = Path(name)
    if path.is_relative_to(results):
        return results / "manifests" / f"{path.relative_to(results)}.json"
    inside = (part for part in path.parts if part not in (path.anchor, ".."))
    return results / "manifests" / "outside" / f"{Path(*inside)}.json"


def write_manifests(job: Any) -> None:
    """Write the manifest of each file that a job has made.

    Parameters
    ----------
    job : object
        The `snakemake` object of the job's script: its rule, input, output, params and log.
    """
    results = results_folder(job.log[0]) if job.log else None
    if results is None:
        return
    params = plain(dict(job.params.items()))
    common = {
        "format": FORMAT,
        "rule": job.rule,
        "inputs": input_hashes(results, map(str, job.input)),
        "code": code_of(params),
        "params": params,
        "config": digest(params),
        "packages": packages(),
        "seed": find_seed(params),
    }
    for name in map(str, job.output):
        about = {"file": name, "sha256": sha256_of(name), "bytes": Path(name).stat().st_size}
        write_json(common | about, manifest_path(results, name))


def input_hashes(results: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each input, from its own manifest where that tells of the file as it stands.

    A file that has another size than its manifest says, or is newer, is read: what is recorded is what was used.
    """
    return {name: _known_hash(results, name) or sha256_of(name) for name in sorted(set(names))}


def damaged_inputs(job: Any) -> list[str]:
    """Inputs of a job that are not what their manifests tell of; those without a manifest are not judged."""
    results = results_folder(job.log[0]) if job.log else None
    if results is None:
        return []
    told = {str(name): read_manifest(manifest_path(results, str(name))) for name in job.input}
    return [
        name
        for name, about in told.items()
        if about is not None and Path(name).is_file() and sha256_of(name) != about["sha256"]
    ]


def _known_hash(results: Path, name: str) -> str | None:
    path = manifest_path(results, name)
    document = read_manifest(path)
    if document is None:
        return None
    stands, told = Path(name).stat(), path.stat()
    same = stands.st_size == document["bytes"] and stands.st_mtime_ns <= told.st_mtime_ns
    return str(document["sha256"]) if same else None


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A file's manifest; None if there is none, or none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(document, dict) and document.get("format") == FORMAT and "sha256" in document
    return document if whole else None


def code_of(params: dict[str, Any]) -> str | None:
    """Take the parameter `code` out of a job's parameters: its last word, the digest. None if there is none."""
    said = params.pop("code", None)
    return None if said is None else str(said).split()[-1]


def digest(params: Mapping[str, Any]) -> str:
    """Digest of a job's parameters, 16 hexadecimal digits."""
    text = json.dumps(plain(params), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """A value as JSON gives it back: tuples as lists, keys and all else that is no JSON as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def find_seed(value: Any) -> int | None:
    """The first seed among nested parameters, a job's own before those of its settings; None where nothing is random."""
    if isinstance(value, dict):
        for key in ("seed", "random_state"):
            # As a wildcard it comes as text.
            if isinstance(value.get(key), int) or str(value.get(key)).isdecimal():
                return int(value[key])
        value = list(value.values())
    if isinstance(value, list):
        return next((seed for seed in map(find_seed, value) if seed is not None), None)
    return None


def packages() -> dict[str, str]:
    """Versions of Python and of those packages, among the ones that matter, that this process has loaded."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for module, name in _PACKAGES.items():
        if module in sys.modules:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = str(getattr(sys.modules[module], "__version__", "unknown"))
    return found
