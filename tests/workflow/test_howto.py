"""docs/howto/detector.md, followed word by word."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import polars as pl

from tests.workflow.conftest import ROOT, Project
from tests.workflow.test_dry_run import expected, two_surveys

PAGE = (ROOT / "docs" / "howto" / "detector.md").read_text()
BLOCKS = dict(re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SCHEMA = "config/schemas/config.schema.yaml"
MEMBERS = ["along_track", "pca", "segments", "gnn", "odd"]


def follow(project: Project) -> None:
    """What the page says to write, append, and put below a heading."""
    for name in ("workflow/scripts/bedsieve/detectors/odd.py", "workflow/scripts/odd.py"):
        project.path(name).write_text(BLOCKS[name])
    rules = project.path("rules/detectors.smk")
    rules.write_text(rules.read_text() + "\n\n" + BLOCKS["rules/detectors.smk"])
    schema = project.path(SCHEMA)
    head, below = re.split(r"(?<=^  detectors:\n)", schema.read_text(), flags=re.MULTILINE)
    below = below.replace("    properties:\n", "    properties:\n" + BLOCKS[SCHEMA], 1)
    both = re.sub(r"enum: \[along_track, ", "enum: [odd, along_track, ", head + below)
    assert both.count("[odd, ") == 3
    schema.write_text(both)
    config = project.path("config/config.yaml")
    text = BLOCKS["config/config.yaml"]
    config.write_text(config.read_text().replace("detectors:\n", "detectors:\n" + text, 1))


def test_the_page_adds_a_job_a_tile_and_nothing_else(project: Project) -> None:
    follow(project)
    two_surveys(project)
    assert project.plan() == expected(3, 3)
    project.configure(ensemble={"members": MEMBERS})
    assert project.plan() == expected(3, 3, odd=3)
    project.configure(detectors={"odd": {"usul": 1}})
    assert "unknown key 'usul' at detectors.odd" in project.snakemake("--dry-run").stdout


def test_the_module_of_the_page_scores_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "odd.py"
    path.write_text(BLOCKS["workflow/scripts/bedsieve/detectors/odd.py"])
    spec = spec_from_file_location("odd", path)
    assert spec is not None
    assert spec.loader is not None
    odd = module_from_spec(spec)
    spec.loader.exec_module(odd)
    points = pl.DataFrame({"point_id": [3, 1, 2], "ice_thickness": [900.0, 1000.0, 2000.0]})
    points.write_parquet(tmp_path / "points.parquet")
    odd.score_tile(tmp_path / "points.parquet", tmp_path / "out.parquet", usual=500)
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table["point_id"].to_list() == [3, 1, 2]
    assert table["residual_m"].to_list() == [-100, 0, 1000]
    assert table["score"].is_between(0, 1).all()
    assert table["score"].arg_max() == 2
    assert table.columns[:3] == ["point_id", "score", "code"]
