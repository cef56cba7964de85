"""The plan: surveys x tiles, by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedsieve.errors import ConfigError
from bedsieve.plan import Plan, reach

SEEING: dict[str, Any] = {
    "crossovers": {"radius": 25},
    "labels": {"support_radius": 2000},
    "detectors": {"segments": {"reach": 1000, "window": 2000}},
    "models": {"tiles": []},
    "evaluation": {"tiles": 2},
}
SHA_A, SHA_B = "a" * 64, "b" * 64


def tables(folder: Path, sheet: str, coverage: str) -> dict[str, Any]:
    (folder / "surveys.tsv").write_text(sheet)
    (folder / "coverage.tsv").write_text("survey\ttile\tn\tgap_m\tsha256\n" + coverage)
    return {
        "paths": {
            "surveys": str(folder / "surveys.tsv"),
            "coverage": str(folder / "coverage.tsv"),
        },
        **SEEING,
        "graph": {"hops": 3, "max_neighbour_distance": 5000},
    }


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan.from_config(
        tables(
            tmp_path,
            "survey_no\tsurvey\tstatus\n7\tOLD\tretired\n3\tB\tactive\n1\tA\tactive\n",
            f"A\tx0_y0\t10\t0\t{SHA_A}\nA\tx1_y0\t0\t14000\t{SHA_A}\nA\tx0_y1\t0\t15001\t{SHA_A}\n"
            f"B\tx1_y0\t5\t0\t{SHA_B}\nB\tx0_y1\t2\t0\t{SHA_B}\nB\tx-1_y0\t1\t0\t{SHA_B}\n"
            f"OLD\tx9_y9\t99\t0\t{SHA_A}\n",
        )
    )


def test_a_table_that_counts_other_tiles_is_refused(tmp_path: Path) -> None:
    row = f"A\tx0_y0\t10\t0\t{SHA_A}\n"
    config = tables(tmp_path, "survey_no\tsurvey\n1\tA\n", row)
    config["region"] = {"tile_size": 500_000, "crs": "EPSG:3031"}
    path = tmp_path / "coverage.tsv"
    text = path.read_text()
    Plan.from_config(config).check()
    path.write_text("# tiles of 500000 m in EPSG:3031\n" + text)
    Plan.from_config(config).check()
    for said in ("250000 m in EPSG:3031", "500000 m in EPSG:3413"):
        path.write_text(f"# tiles of {said}\n{text}")
        with pytest.raises(ConfigError, match=f"coverage.tsv counts tiles of {said}: .*register"):
            Plan.from_config(config).check()


def test_active_surveys_stand_by_number(plan: Plan) -> None:
    assert list(plan.surveys) == ["A", "B"]


def test_tiles_are_those_with_points_of_active_surveys(plan: Plan) -> None:
    assert plan.tiles == ["x-1_y0", "x0_y0", "x1_y0", "x0_y1"]


def test_a_tile_takes_what_lies_within_reach(plan: Plan) -> None:
    assert plan.reach == 15000
    assert plan.surveys_of("x1_y0") == ["B"]
    assert plan.surveys_of("x1_y0", near=True) == ["A", "B"]
    assert plan.surveys_of("x0_y1", near=True) == ["B"]  # A is 1 m too far


def test_counts(plan: Plan) -> None:
    assert plan.points_of_survey("B") == 8
    assert plan.points_of_tile("x0_y0") == 10
    assert plan.points() == 18
    assert plan.tiles_of("B") == ["x-1_y0", "x1_y0", "x0_y1"]


def test_unregistered_surveys_are_named(tmp_path: Path) -> None:
    config = tables(tmp_path, "survey_no\tsurvey\n1\tA\n2\tB\n", f"A\tx0_y0\t1\t0\t{SHA_A}\n")
    with pytest.raises(ConfigError, match=r"no coverage for B\. Run `snakemake register`"):
        Plan.from_config(config).check()


def test_a_sheet_that_expects_another_file_is_named(tmp_path: Path) -> None:
    sheet = f"survey_no\tsurvey\tsha256\n1\tA\t{SHA_B}\n"
    config = tables(tmp_path, sheet, f"A\tx0_y0\t1\t0\t{SHA_A}\n")
    with pytest.raises(ConfigError, match="sha256 differs from the file that was registered for A"):
        Plan.from_config(config).check()


def test_provisional_coverage_is_told_apart(tmp_path: Path) -> None:
    sheet = f"survey_no\tsurvey\tsha256\n1\tA\t{SHA_B}\n2\tB\t\n"
    rows = f"A\tx0_y0\t1\t0\tprovisional\nB\tx0_y0\t1\t0\t{SHA_B}\n"
    plan = Plan.from_config(tables(tmp_path, sheet, rows))
    plan.check()
    assert plan.provisional() == ["A"]


def test_a_reach_beyond_the_coverage_table_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="60000 m, but the coverage table lists tiles within 50000 m"
    ):
        reach(SEEING | {"graph": {"hops": 3, "max_neighbour_distance": 20_000}})


def test_reach_covers_the_neediest_stage() -> None:
    near = {"graph": {"hops": 1, "max_neighbour_distance": 500}}
    assert reach(SEEING | near) == 3600
    wide = {"labels": {"support_radius": 4000}, "crossovers": {"radius": 10}}
    assert reach(SEEING | near | wide) == 4030


def test_models_train_on_all_tiles_or_those_named(plan: Plan) -> None:
    assert plan.training_tiles == plan.tiles
    assert replace(plan, trained_on=("x1_y0",)).training_tiles == ["x1_y0"]


def test_the_evaluation_takes_named_tiles_or_those_with_most_points(plan: Plan) -> None:
    assert plan.evaluation_tiles == ["x0_y0", "x1_y0"]
    assert replace(plan, evaluated=1).evaluation_tiles == ["x0_y0"]
    assert replace(plan, evaluated=("x0_y1",)).evaluation_tiles == ["x0_y1"]


@pytest.mark.parametrize("field", ["trained_on", "evaluated"])
def test_a_tile_that_no_survey_covers_is_named(plan: Plan, field: str) -> None:
    wrong: dict[str, Any] = {field: ("x0_y0", "x7_y7")}
    with pytest.raises(ConfigError, match="no survey has a point in x7_y7"):
        replace(plan, **wrong).check()


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"hops": 5, "k": 8}, "graph.hops of 6 or more, not 5"),
        ({"hops": 6, "k": 7}, "graph.k of 8"),
    ],
)
def test_a_member_that_the_graph_does_not_serve_is_named(
    tmp_path: Path, graph: dict[str, int], words: str
) -> None:
    config = tables(tmp_path, "survey_no\tsurvey\n1\tA\n", f"A\tx0_y0\t10\t0\t{SHA_A}\n")
    config["detectors"] = {**config["detectors"], "gae": {"widths": [32, 16, 3], "neighbours": 8}}
    config["graph"] = {"max_neighbour_distance": 5000, **graph}
    assert Plan.from_config(config).tiles == ["x0_y0"]
    config["ensemble"] = {"members": ["gae"]}
    with pytest.raises(ConfigError, match=re.escape(words)):
        Plan.from_config(config)
    config["graph"] |= {"hops": 6, "k": 8}
    assert Plan.from_config(config).reach == 30_000
