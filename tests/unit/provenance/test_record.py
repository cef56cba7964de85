"""Manifests: where they lie, what they say of a file, and when they are trusted for an input."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bedsieve.provenance.record import (
    digest,
    find_seed,
    input_hashes,
    manifest_path,
    packages,
    read_manifest,
    results_folder,
    write_manifests,
)
from tests.unit.provenance.small_results import RESULTS, findings, job, put, sha


def test_places() -> None:
    assert results_folder("results/a/logs/r/x.log") == RESULTS
    assert results_folder("elsewhere/x.log") is None
    assert results_folder("old/logs/logs/r/x.log") == Path("old/logs")
    assert manifest_path(RESULTS, "results/a/t/b.parquet") == RESULTS / "manifests/t/b.parquet.json"
    for odd in ("/raw/b.csv", "../raw/b.csv", "raw/b.csv"):
        assert manifest_path(RESULTS, odd) == RESULTS / "manifests/outside/raw/b.csv.json"


def test_a_manifest_says_what_a_file_was_made_from(chain: dict[str, dict[str, Any]]) -> None:
    about = chain["results/a/b.parquet"]
    assert about["inputs"] == {"raw.csv": sha("raw")}
    assert (about["sha256"], about["bytes"]) == (sha("b"), 1)
    assert (about["rule"], about["code"], about["params"]) == ("r", "c0de", {"floor": 100})
    assert about["config"] == digest({"floor": 100})
    assert about["packages"]["python"].startswith("3.")
    assert about["seed"] is None
    assert chain["results/a/models/v1/d/weights"]["seed"] == 7
    assert findings(chain) == []


def test_manifests_of_the_same_work_are_the_same_bytes(chain: dict[str, dict[str, Any]]) -> None:
    path = manifest_path(RESULTS, "results/a/b.parquet")
    before = path.read_bytes()
    write_manifests(job("results/a/b.parquet", "raw.csv", floor=100))
    assert path.read_bytes() == before


def test_a_job_without_a_place_for_manifests_has_none() -> None:
    told = job(put("out", "x"))
    told.log = ["x.log"]
    write_manifests(told)
    told.log = []
    write_manifests(told)
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_an_input_is_read_again_when_its_manifest_is_older_or_tells_of_another(
    chain: dict[str, dict[str, Any]],
) -> None:
    name = "results/a/b.parquet"
    assert input_hashes(RESULTS, [name]) == {name: sha("b")}
    path = manifest_path(RESULTS, name)
    # Trusted while it fits: this is what spares the reading.
    document = json.loads(path.read_text()) | {"sha256": "told"}
    path.write_text(json.dumps(document))
    assert input_hashes(RESULTS, [name]) == {name: "told"}
    later = path.stat().st_mtime_ns + 10**9
    os.utime(name, ns=(later, later))
    assert input_hashes(RESULTS, [name]) == {name: sha("b")}
    put(name, "longer")
    os.utime(name, ns=(0, 0))
    assert input_hashes(RESULTS, [name]) == {name: sha("longer")}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0, "sha256": ""}', '{"format": 1}'])
def test_what_is_no_manifest_is_none(text: str) -> None:
    assert read_manifest(Path(put("m.json", text))) is None


def test_seeds_are_found_among_nested_parameters() -> None:
    assert find_seed({"a": [1, {"b": {"random_state": 5}}]}) == 5
    assert find_seed({"seed": "none", "a": None}) is None


def test_the_seed_of_a_job_goes_before_those_of_its_settings() -> None:
    settings = {"carving": {"seed": 1}}
    assert find_seed({"detectors": settings, "seed": 7}) == 7
    # As a wildcard gives it.
    assert find_seed({"detectors": settings, "seed": "7"}) == 7


def test_versions_are_those_of_loaded_packages() -> None:
    import numpy as np

    assert packages()["numpy"] == np.__version__
    assert all(packages().values())
