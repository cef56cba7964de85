"""Manifests: complete, verified on writing and on reading, and plain about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedsieve.detectors.manifest import hashes, package_versions, read_manifest, write_manifest
from bedsieve.errors import InputError
from bedsieve.files import sha256_of


def _write(folder: Path, **changes: Any) -> Path:
    weights = folder / "weights.json"
    if not weights.exists():
        weights.write_text("[1, 2, 3]")
    manifest = folder / "manifest.json"
    fields: dict[str, Any] = {
        "detector": "pca",
        "version": "v1",
        "config": {"variance_kept": 0.95},
        "inputs": {"points.parquet": "ab"},
        "files": {"weights.json": sha256_of(weights)},
        "packages": package_versions(["numpy"]),
        "seed": None,
    }
    write_manifest(manifest, **(fields | changes))
    return manifest


def test_what_is_written_is_read(tmp_path: Path) -> None:
    document = read_manifest(_write(tmp_path, seed=7), detector="pca")
    assert document["seed"] == 7
    assert document["version"] == "v1"
    assert document["config"] == {"variance_kept": 0.95}
    assert document["inputs"] == {"points.parquet": "ab"}
    assert set(document["packages"]) == {"numpy"}


def test_same_training_same_bytes(tmp_path: Path) -> None:
    first = _write(tmp_path).read_bytes()
    assert _write(tmp_path).read_bytes() == first


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    manifest = _write(tmp_path)
    (tmp_path / "weights.json").write_text("[1, 2, 4]")
    with pytest.raises(InputError, match=r"weights\.json: is not the file that manifest\.json"):
        read_manifest(manifest)


def test_missing_weights_are_refused_on_reading_and_on_writing(tmp_path: Path) -> None:
    manifest = _write(tmp_path)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(InputError, match="is missing"):
        read_manifest(manifest)
    manifest.unlink()
    with pytest.raises(InputError, match="is missing"):
        write_manifest(
            manifest,
            detector="pca",
            version="v1",
            config={},
            inputs={},
            files={"weights.json": "00"},
            packages={},
            seed=None,
        )
    assert not manifest.exists()


def test_untrained_version_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not trained"):
        read_manifest(tmp_path / "manifest.json")


def test_another_detectors_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belongs to pca, not to gnn"):
        read_manifest(_write(tmp_path), detector="gnn")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not a JSON document"),
        ("[]", "lacks detector"),
        ('{"detector": "pca"}', "lacks version"),
    ],
)
def test_broken_manifests_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_manifest(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    manifest = _write(tmp_path)
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        read_manifest(manifest)


def test_hashes_are_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hashes([path]) == {str(path): empty}
