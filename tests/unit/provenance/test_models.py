"""Models among the results: which files are theirs, declared or not, trained here or copied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bedsieve.errors import InputError
from bedsieve.provenance import check, mend
from bedsieve.provenance.models import model_folder
from tests.unit.provenance.small_results import MODEL, RESULTS, findings, put, reach, sha


def test_a_model_is_one_below_the_results_wherever_these_lie() -> None:
    results = Path("old/models/a")
    assert model_folder("old/models/a/tiles/x0_y0/points.parquet", results) is None
    assert model_folder("old/models/a/models/v1/d/weights", results) == results / "models/v1/d"
    assert model_folder("old/models/a/models/notes", results) is None
    chain = {"old/models/a/b": {"sha256": sha("b"), "inputs": {"raw.csv": sha("raw")}}}
    stands = {"old/models/a/b": sha("b"), "raw.csv": sha("new")}
    (found,) = check.check_files(chain, stands, results)
    assert found.kind == check.STALE


def test_a_part_of_a_model_that_no_job_declares_is_checked_too(
    trained: dict[str, dict[str, Any]],
) -> None:
    fold = "results/a/models/v1/d/fold_A.safetensors"
    assert findings(trained) == []
    put(fold, "f")
    assert findings(trained) == [f"damaged: {fold}: its bytes are not those that were written"]
    Path(fold).unlink()
    assert findings(trained) == [f"missing: {fold}: is gone; a run makes it again"]
    put(fold, "f")
    found = list(check.check_files(trained, check.hash_files(trained, 1), RESULTS))
    # Snakemake knows no rule for a part: what is asked for is what the rule declares.
    made = mend.delete(found, trained, reach(MODEL))
    assert made == [MODEL, "results/a/models/v1/d/weights"]
    assert not list(Path("results/a/models/v1/d").iterdir())


def test_a_model_that_was_copied_here_is_checked_and_not_trained_again(
    trained: dict[str, dict[str, Any]],
) -> None:
    shutil.copytree("results/a/models/v1/d", "results/a/models/v1/copied")
    copied = "results/a/models/v1/copied/manifest.json"
    put("results/a/models/v1/copied/fold_A.safetensors", "f")
    manifests = check.read_manifests(RESULTS)
    (found,) = check.check_files(manifests, check.hash_files(manifests, 1), RESULTS)
    assert str(found).startswith(
        "damaged: results/a/models/v1/copied/fold_A.safetensors: its bytes"
    )
    with pytest.raises(InputError, match="was not trained here"):
        mend.delete([found], manifests, reach(copied))
    put(copied, "{")
    manifests = check.read_manifests(RESULTS)
    (found,) = check.check_files(manifests, check.hash_files(manifests, 1), RESULTS)
    assert str(found).startswith(f"damaged: {copied}: its manifest is not whole")
    with pytest.raises(InputError, match="was not trained here"):
        mend.delete([found], manifests, reach(copied))
    assert Path(copied).exists()


@pytest.mark.parametrize("name", ["../../../c.parquet", "../../../../../raw.csv", "/etc/passwd"])
def test_a_forged_model_leads_to_no_file_beyond_its_folder(
    trained: dict[str, dict[str, Any]], name: str
) -> None:
    put(MODEL, json.dumps({"files": {name: sha("another")}}))
    manifests = check.read_manifests(RESULTS)
    assert not any(about.get("part_of") for about in manifests.values())
