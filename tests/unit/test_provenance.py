"""Manifests: what they say, what is noticed when files or the workflow differ, and what is deleted then."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bedsieve.errors import BedsieveError, InputError
from bedsieve.provenance import check, mend
from bedsieve.provenance.models import model_folder
from bedsieve.provenance.orphans import delete_orphans, find_orphans, note_orphans
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

RESULTS = Path("results/a")


class Named(list[str]):
    """A list whose items also have names, as Snakemake hands them to a script."""

    def __init__(self, **named: Any) -> None:
        super().__init__(named.values())
        self.named = named

    def items(self) -> list[tuple[str, Any]]:
        return list(self.named.items())


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def put(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def job(output: str, *inputs: str, rule: str = "r", **params: Any) -> SimpleNamespace:
    return SimpleNamespace(
        rule=rule,
        log=["results/a/logs/r/x.log"],
        input=list(inputs),
        output=[output],
        params=Named(code="code of r.py: c0de", **params),
    )


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


def reach(*asked: str, makes: Callable[[str], bool] = lambda name: True) -> mend.Reach:
    return mend.Reach(RESULTS, asked, makes)


MODEL = "results/a/models/v1/d/manifest.json"


@pytest.fixture
def trained(chain: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The chain, whose model declares curves and manifest.json alone, which lists fold_A.safetensors too."""
    fold = put("results/a/models/v1/d/fold_A.safetensors", "fold")
    put(
        MODEL, json.dumps({"files": {"fold_A.safetensors": sha("fold"), "weights": sha("weights")}})
    )
    write_manifests(job(MODEL, "results/a/b.parquet", seed=7))
    assert not manifest_path(RESULTS, fold).exists()
    return check.read_manifests(RESULTS)


def findings(manifests: dict[str, dict[str, Any]]) -> list[str]:
    stands = check.hash_files(manifests, 2)
    return sorted(map(str, check.check_files(manifests, stands, RESULTS)))


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


def test_a_damaged_and_a_missing_file_are_named(chain: dict[str, dict[str, Any]]) -> None:
    put("results/a/b.parquet", "B")
    Path("results/a/c.parquet").unlink()
    assert findings(chain) == [
        "damaged: results/a/b.parquet: its bytes are not those that were written",
        "missing: results/a/c.parquet: is gone; a run makes it again",
    ]


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


def test_a_model_is_one_below_the_results_wherever_these_lie() -> None:
    results = Path("old/models/a")
    assert model_folder("old/models/a/tiles/x0_y0/points.parquet", results) is None
    assert model_folder("old/models/a/models/v1/d/weights", results) == results / "models/v1/d"
    assert model_folder("old/models/a/models/notes", results) is None
    chain = {"old/models/a/b": {"sha256": sha("b"), "inputs": {"raw.csv": sha("raw")}}}
    stands = {"old/models/a/b": sha("b"), "raw.csv": sha("new")}
    (found,) = check.check_files(chain, stands, results)
    assert found.kind == check.STALE


def test_nothing_goes_while_a_run_holds_locks() -> None:
    mend.refuse_beside_a_run()
    put(".snakemake/locks/0.input.lock", "results/a/b.parquet")
    with pytest.raises(BedsieveError, match=r"a run works on this folder.*snakemake --unlock"):
        mend.refuse_beside_a_run()


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


def test_files_that_nothing_asks_for_are_left_over(chain: dict[str, dict[str, Any]]) -> None:
    kept = put("results/a/tiles/x0_y0/points.parquet", "kept")
    gone = put("results/a/tiles/x1_y0/points.parquet", "gone")
    own = put("results/a/products/my_own_notes.txt", "mine")
    for name in (kept, gone):
        write_manifests(job(name, "raw.csv"))
    manifests = check.read_manifests(RESULTS)
    # Neither models nor what was made on request, nor the user's file.
    assert find_orphans(manifests, {kept}, RESULTS, lambda name: False, ()) == [gone]
    assert [str(found) for found in note_orphans([gone])] == [
        f"note: {gone}: nothing asks for it now; `make prune` lists what can go"
    ]
    delete_orphans([gone], RESULTS)
    assert not Path(gone).parent.exists()
    assert not manifest_path(RESULTS, gone).parent.exists()
    assert Path(kept).exists()
    assert Path(own).exists()
    assert gone not in check.read_manifests(RESULTS)


def test_what_is_made_by_name_stays_with_what_it_was_made_from() -> None:
    """Of a former member only what something by name was made from stays."""
    raw = put("raw.csv", "raw")
    tile = "results/a/tiles/x0_y0"
    made = [
        (segments := f"{tile}/scores/segments.parquet", raw, "segments"),
        (pca := f"{tile}/scores/pca.parquet", raw, "pca"),
        (pegasus := f"{tile}/scores/pegasus.parquet", "results/a/models/v1/pca/m.json", "pegasus"),
        (residuals := f"{tile}/residuals.parquet", segments, "sparker_residuals"),
        (card := "results/a/scorecards/A/scorecard.json", residuals, "sparker"),
        (cards := "results/a/products/survey_scorecards.tsv", card, "survey_scorecards"),
        (told := "results/a/products/pca.tsv", "results/a/models/v1/pca/m.json", "told"),
        (retired := "results/a/surveys/B.parquet", raw, "harmonise"),
    ]
    put("results/a/models/v1/pca/m.json", "m")
    for name, source, rule in made:
        write_manifests(job(put(name, name), source, rule=rule))
    manifests = check.read_manifests(RESULTS)
    idle, can_make = {"segments", "pca"}, (lambda name: name != retired)
    assert find_orphans(manifests, (), RESULTS, can_make, idle) == sorted([told, retired, pca])
    assert manifests.keys() >= {pegasus, residuals, cards}
    for name in (card, residuals, cards):
        del manifests[name]
    left = find_orphans(manifests, (), RESULTS, can_make, idle)
    assert left == sorted([told, retired, pca, segments])


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


def test_results_without_manifests_are_named() -> None:
    with pytest.raises(InputError, match="holds no manifest"):
        check.read_manifests(Path("results/b"))


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
