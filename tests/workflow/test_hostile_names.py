"""Names and words from the sheet that would be commands if a shell ever saw them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.workflow.conftest import Project
from tests.workflow.small_region import BASE, make_region


@pytest.mark.parametrize("name", ["A;touch owned", "A B", "../A", "$(touch owned)"])
def test_a_hostile_name_stops_before_anything_runs(project: Project, name: str) -> None:
    sheet = project.path("config/demo/surveys.tsv")
    sheet.write_text(f"survey_no\tsurvey\n1\t{name}\n")
    done = project.snakemake()
    assert done.returncode == 1
    assert f"surveys.tsv:2: survey {name!r} cannot be used. Write a name of letters" in done.stdout
    assert not list(project.folder.rglob("owned"))
    assert not project.path("results").exists()


def test_words_of_the_sheet_are_words_and_no_commands(tmp_path: Path) -> None:
    hostile = {
        "platform": "airborne; touch owned",
        "institution": "$(touch owned)",
        "instrument": "`touch owned` {input} {rules} %(asctime)s '\\''",
        "note": "<script>alert(1)</script> && touch owned",
    }
    project = Project(tmp_path, "region.yaml")
    make_region(project)
    lines = ["\t".join(("survey_no", "survey", *hostile))]
    lines += ["\t".join((f"{n}", name, *hostile.values())) for n, name in enumerate(BASE, start=1)]
    project.path("surveys.tsv").write_text("\n".join([*lines, ""]))
    project.run("results/surveys/A.parquet", "--printshellcmds")
    table = pl.read_parquet(project.path("results/surveys/A.parquet"))
    for column in ("platform", "institution", "instrument"):
        assert table[column].unique().to_list() == [hostile[column]]
    assert not list(project.folder.rglob("owned"))
