"""What a repair deletes, and what it leaves: raw files, what no run makes, all elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedsieve.errors import BedsieveError, InputError
from bedsieve.provenance import check, mend
from bedsieve.provenance.orphans import delete_orphans, find_orphans
from bedsieve.provenance.record import manifest_path, write_manifests
from tests.unit.provenance.small_results import MODEL, RESULTS, job, put, reach, sha


def test_deleting_takes_the_damaged_file_with_its_manifest(
    chain: dict[str, dict[str, Any]],
) -> None:
    put("results/a/c.parquet", "C")
    found = list(check.check_files(chain, check.hash_files(chain, 1), RESULTS))
    assert mend.delete(found, chain, reach()) == ["results/a/c.parquet"]
    assert not Path("results/a/c.parquet").exists()
    assert not manifest_path(RESULTS, "results/a/c.parquet").exists()
    assert Path("results/a/b.parquet").exists()


def test_deleting_takes_a_whole_model(chain: dict[str, dict[str, Any]]) -> None:
    put("results/a/models/v1/d/weights", "cut")
    found = list(check.check_files(chain, check.hash_files(chain, 1), RESULTS))
    assert len(mend.delete(found, chain, reach(MODEL))) == 2
    assert not list(Path("results/a/models/v1/d").iterdir())


def test_a_model_that_no_job_reads_is_left_with_advice(chain: dict[str, dict[str, Any]]) -> None:
    """Of another version, say: no rule trains it now."""
    put("results/a/models/v1/d/weights", "cut")
    put("results/a/c.parquet", "C")
    found = list(check.check_files(chain, check.hash_files(chain, 1), RESULTS))
    now = reach("results/a/models/v2/d/manifest.json", makes=lambda name: "b.par" in name)
    assert mend.delete(found, chain, now) == []
    assert Path("results/a/models/v1/d/weights").exists()
    assert Path(MODEL).exists()
    assert Path("results/a/c.parquet").exists()
    lines = mend.left_alone(found, now)
    assert len(lines) == 2
    assert "c.parquet: no rule of this configuration makes it. Restore it" in lines[0]
    assert "models/v1/d: no job of this plan reads this model. Restore" in lines[1]
    assert mend.left_alone(found, reach(MODEL)) == []


def test_another_version_of_a_package_keeps_no_model_from_being_mended(
    trained: dict[str, dict[str, Any]],
) -> None:
    """Its note names the first file of many, here one of the model."""
    put("results/a/models/v1/d/weights", "cut")
    model = {name: trained[name] for name in trained if "/d/" in name}
    (note,) = check.check_packages(model, {"python": "9.9.9"})
    assert Path(note.file).parent == Path(MODEL).parent
    assert not note.other_model
    found = check.check_files(trained, check.hash_files(trained, 1), RESULTS)
    assert MODEL in mend.delete([note, *found], trained, reach(MODEL))


@pytest.mark.parametrize("part", ["weights", "fold_A.safetensors"])
def test_a_model_that_would_come_out_differently_is_not_deleted(
    trained: dict[str, dict[str, Any]], part: str
) -> None:
    put(f"results/a/models/v1/d/{part}", "cut")
    write_manifests(job(put("results/a/b.parquet", "anew"), "raw.csv"))
    manifests = check.read_manifests(RESULTS)
    found = list(check.check_files(manifests, check.hash_files(manifests, 1), RESULTS))
    said = rf"{part}: this model is damaged, and was trained on another.*models\.version"
    with pytest.raises(InputError, match=said):
        mend.delete(found, manifests, reach(MODEL))
    assert Path(MODEL).exists()


def test_what_is_missing_is_made_again_where_a_run_asks_for_it(
    chain: dict[str, dict[str, Any]],
) -> None:
    for name in ("c.parquet", "models/v1/d/weights"):
        Path("results/a", name).unlink()
    found = list(check.check_files(chain, check.hash_files(chain, 1), RESULTS))
    assert mend.delete(found, chain, reach("results/a/b.parquet")) == []
    assert mend.delete(found, chain, reach("results/a/c.parquet", MODEL)) == [
        *("results/a/c.parquet", "results/a/models/v1/d/manifest.json"),
        "results/a/models/v1/d/weights",
    ]
    # Without its manifest the model is trained again.
    assert not Path("results/a/models/v1/d/manifest.json").exists()


def test_a_raw_file_that_was_fetched_is_never_deleted(chain: dict[str, dict[str, Any]]) -> None:
    write_manifests(job("raw.csv"))
    manifests = check.read_manifests(RESULTS)
    put("raw.csv", "put there by hand")
    stands = check.hash_files(manifests, 2)
    found = list(check.check_files(manifests, stands, RESULTS))
    far = mend.Reach(RESULTS, ("raw.csv",), lambda name: True, raw={"raw.csv"})
    assert "raw.csv" not in mend.delete(found, manifests, far)
    assert Path("raw.csv").read_text() == "put there by hand"
    (line,) = mend.left_alone(found, far)
    assert "raw.csv: a raw file. Delete it to have it fetched again" in line
    Path("raw.csv").unlink()
    stands = check.hash_files(manifests, 2)
    gone = mend.delete(check.check_files(manifests, stands, RESULTS), manifests, far)
    assert "raw.csv" in gone


@pytest.mark.parametrize("name", ["../precious", "/{here}/precious", "results/a/../../precious"])
def test_a_forged_manifest_deletes_nothing_beyond_the_results(
    chain: dict[str, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    own = tmp_path / "precious"
    own.write_text("mine")
    name = name.replace("/{here}", str(tmp_path))
    forged = chain["results/a/c.parquet"] | {"file": name, "sha256": sha("another")}
    for place in ("c.parquet.json", "tiles/precious.json", "outside/precious.json"):
        path = RESULTS / "manifests" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(forged))
    manifest_path(RESULTS, own).parent.mkdir(parents=True, exist_ok=True)
    manifest_path(RESULTS, own).write_text(json.dumps(forged | {"file": str(own)}))
    manifests = check.read_manifests(RESULTS)
    found = list(check.check_files(manifests, check.hash_files(manifests, 1), RESULTS))
    assert f"damaged: {own}: its bytes are not" in "\n".join(map(str, found))
    delete_orphans(find_orphans(manifests, (), RESULTS, lambda name: False, ()), RESULTS)
    mend.delete(found, manifests, reach())
    assert own.read_text() == "mine"


def test_nothing_goes_while_a_run_holds_locks() -> None:
    mend.refuse_beside_a_run()
    put(".snakemake/locks/0.input.lock", "results/a/b.parquet")
    with pytest.raises(BedsieveError, match=r"a run works on this folder.*snakemake --unlock"):
        mend.refuse_beside_a_run()
