"""Files that nothing asks for: which are left over, and which stay as others came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedsieve.provenance import check
from bedsieve.provenance.orphans import delete_orphans, find_orphans, note_orphans
from bedsieve.provenance.record import manifest_path, write_manifests
from tests.unit.provenance.small_results import RESULTS, job, put


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
