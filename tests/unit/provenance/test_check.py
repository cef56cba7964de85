"""What is noticed when files, code, parameters or packages are not what the manifests say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedsieve.errors import InputError
from bedsieve.provenance import check, mend
from bedsieve.provenance.record import manifest_path, write_manifests
from tests.unit.provenance.small_results import RESULTS, findings, job, put, reach


def test_results_without_manifests_are_named() -> None:
    with pytest.raises(InputError, match="holds no manifest"):
        check.read_manifests(Path("results/b"))


def test_a_damaged_and_a_missing_file_are_named(chain: dict[str, dict[str, Any]]) -> None:
    put("results/a/b.parquet", "B")
    Path("results/a/c.parquet").unlink()
    assert findings(chain) == [
        "damaged: results/a/b.parquet: its bytes are not those that were written",
        "missing: results/a/c.parquet: is gone; a run makes it again",
    ]


@pytest.mark.parametrize("text", ["{", "", '{"format": 1, "sha256": "0", "file": "results/a/c"}'])
def test_a_broken_manifest_is_named_and_goes_with_its_file(
    chain: dict[str, dict[str, Any]], text: str
) -> None:
    manifest_path(RESULTS, "results/a/c.parquet").write_text(text)
    manifests = check.read_manifests(RESULTS)
    assert manifests.keys() == chain.keys()
    found = list(check.check_files(manifests, check.hash_files(manifests, 1), RESULTS))
    words = "its manifest is not whole: nothing tells how it was made"
    assert list(map(str, found)) == [f"damaged: results/a/c.parquet: {words}"]
    assert not list(
        check.check_plan(manifests, {"results/a/c.parquet": check.Expected("0ther", {})})
    )
    assert mend.delete(found, manifests, reach()) == ["results/a/c.parquet"]
    assert not Path("results/a/c.parquet").exists()
    assert findings(check.read_manifests(RESULTS)) == []


def test_a_changed_input_puts_out_of_date_what_was_made_from_it(
    chain: dict[str, dict[str, Any]],
) -> None:
    put("raw.csv", "new")
    words = "out of date: results/a/b.parquet: was made from another raw.csv than stands now"
    assert findings(chain) == [words]


def test_a_model_is_only_noted_when_what_it_was_trained_on_is_made_anew(
    chain: dict[str, dict[str, Any]],
) -> None:
    write_manifests(job(put("results/a/b.parquet", "anew"), "raw.csv", floor=100))
    kinds = [found.split(":")[0] for found in findings(check.read_manifests(RESULTS))]
    assert kinds == ["note", "note", "out of date"]


def test_changed_code_and_parameters_are_named(chain: dict[str, dict[str, Any]]) -> None:
    put("results/a/stranger", "")
    expected = {
        "results/a/b.parquet": check.Expected("0ther", {"floor": 50}),
        "results/a/c.parquet": check.Expected("c0de", {}),
        "results/a/stranger": check.Expected("c0de", {}),
        "results/a/never_made": check.Expected("c0de", {}),
    }
    assert [str(found) for found in check.check_plan(chain, expected)] == [
        "changed: results/a/b.parquet: its code was c0de and is 0ther now",
        "changed: results/a/b.parquet: its parameter floor was 100 and is 50 now",
        "note: results/a/stranger: has no manifest: nothing is known of how it was made",
    ]


def test_other_versions_are_noted_once_a_package(chain: dict[str, dict[str, Any]]) -> None:
    used = chain["results/a/b.parquet"]["packages"]["python"]
    (found,) = check.check_packages(chain, {"python": "9.9.9"})
    assert f"made with python {used}; 9.9.9 is installed here" in str(found)
    assert "and 3 more" in str(found)
    assert not list(check.check_packages(chain, {"python": used}))
