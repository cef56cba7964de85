"""A working folder for each test, and small results in it: a chain of files with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedsieve.provenance import check
from bedsieve.provenance.record import manifest_path, write_manifests
from tests.unit.provenance.small_results import MODEL, RESULTS, job, put, sha


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chain() -> dict[str, dict[str, Any]]:
    """raw.csv -> b.parquet -> models/v1/d/{weights,manifest.json} and c.parquet."""
    raw = put("raw.csv", "raw")
    b = put("results/a/b.parquet", "b")
    write_manifests(job(b, raw, floor=100))
    for name in ("weights", "manifest.json"):
        write_manifests(job(put(f"results/a/models/v1/d/{name}", name), b, seed=7))
    write_manifests(job(put("results/a/c.parquet", "c"), b))
    return check.read_manifests(RESULTS)


@pytest.fixture
def trained(chain: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The chain, whose model declares weights and manifest.json alone, which lists fold_A.safetensors too."""
    fold = put("results/a/models/v1/d/fold_A.safetensors", "fold")
    put(
        MODEL, json.dumps({"files": {"fold_A.safetensors": sha("fold"), "weights": sha("weights")}})
    )
    write_manifests(job(MODEL, "results/a/b.parquet", seed=7))
    assert not manifest_path(RESULTS, fold).exists()
    return check.read_manifests(RESULTS)
