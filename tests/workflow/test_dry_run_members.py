"""Contracts of the plan for each detector: what it asks for as a member, beside the members, or by name."""

from __future__ import annotations

import re
from collections import Counter

from tests.workflow.conftest import ROOT, Project
from tests.workflow.test_dry_run import expected, tables, two_surveys


def assert_six_hops_are_asked_for(project: Project, detector: str) -> None:
    project.configure(graph={"hops": 3})
    done = project.snakemake("--dry-run")
    assert done.returncode == 1
    said = f"ensemble.members or evaluation.beside names {detector}, which needs graph.hops of 6 or more"
    assert said in done.stdout


def test_a_detector_beside_the_members_is_trained_for_the_evaluation_alone(
    project: Project,
) -> None:
    before = project.plan()
    for detector in ("gnsm", "sparker"):
        project.configure(evaluation={"beside": [detector]})
        assert project.plan() == before
        assert project.plan("evaluation")[f"train_{detector}"] == 1
    project.configure(evaluation={"beside": ["gae"]})
    done = project.snakemake("--dry-run")
    assert done.returncode == 1
    assert "evaluation.beside names gae, which needs graph.hops of 6 or more" in done.stdout


def test_the_graph_autoencoder_is_run_where_it_is_a_member(project: Project) -> None:
    members = ["along_track", "pca", "segments", "gnn", "gae"]
    two_surveys(project, ensemble={"members": members}, graph={"hops": 6})
    assert project.plan() == expected(3, 3, gae=3, train_gae=1, gae_training=1)
    assert_six_hops_are_asked_for(project, "gae")


def test_scorecards_are_asked_for_by_name_or_as_a_member(project: Project) -> None:
    surveys, tiles = tables(ROOT / "config" / "demo")
    assert project.plan("survey_scorecards") == Counter(
        {"simulate": 1, "train_sparker": 1, "survey_scorecards": 1, "sparker_toys": 2 * surveys}
        | dict.fromkeys(("harmonise", "along_track", "sparker_sample", "sparker"), surveys)
        | dict.fromkeys(("points", "crossovers", "labels", "segments", "sparker_residuals"), tiles)
    )
    two_surveys(project, ensemble={"members": ["along_track", "pca", "segments", "gnn", "sparker"]})
    assert project.plan() == expected(
        3, 3, sparker=3, sparker_sample=3, sparker_toys=6, sparker_residuals=3, train_sparker=1
    )


def test_the_ensemble_learns_only_where_it_is_told_to(project: Project) -> None:
    two_surveys(project, ensemble={"fdr": 0.1})
    assert project.plan() == expected(3, 3, train_ensemble=1)
    project.configure(ensemble={"weights": "learned", "inputs": "probability"})
    assert project.plan() == expected(3, 3, train_ensemble=1)
    folder = project.path("results/demo/models/v1/ensemble")
    (made,) = re.findall(r"ensemble/(probability-learned-\w+)/manifest", project.run("-n"))[:1]
    (folder / made).mkdir(parents=True)
    for name in ("manifest.json", "model.json", "ranks.parquet", "calibration.parquet"):
        (folder / made / name).write_text("{}")
    assert project.plan() == expected(3, 3)
    project.configure(ensemble={"fdr": 0.2})
    assert project.plan() == expected(3, 3)
    project.configure(ensemble={"inputs": "rank"})
    assert project.plan() == expected(3, 3, train_ensemble=1)


def test_the_ensemble_learns_on_the_tiles_that_models_are_trained_on(project: Project) -> None:
    ensemble = {"weights": "learned", "members": ["along_track", "pca"]}
    two_surveys(project, ensemble=ensemble, models={"tiles": ["x0_y0"]})
    output = project.run("-n")
    (made,) = set(
        re.findall(r"results/demo/models/v1/ensemble/score-learned-\w+/manifest.json", output)
    )
    plan = project.plan(made)
    assert (plan["train_ensemble"], plan["pca"], plan["labels"], plan["along_track"]) == (
        1,
        1,
        1,
        1,
    )


def test_a_graph_network_needs_edges_that_reach_as_far(project: Project) -> None:
    two_surveys(project, graph={"hops": 2})
    done = project.snakemake("--dry-run")
    assert done.returncode == 1
    assert "graph.hops = 2, but the network of detectors.gnn has 3 layers" in done.stdout
    project.configure(ensemble={"members": ["along_track", "pca", "segments"]})
    plan = project.plan()
    assert "ensemble" in plan
    assert not {"gnn", "train_gnn", "gnn_training"} & set(plan)


def test_a_trained_network_is_not_trained_when_a_tile_opens(project: Project) -> None:
    two_surveys(project)
    model = project.path("results/demo/models/v1/gnn")
    model.mkdir(parents=True)
    for name in ("manifest.json", "curves.tsv"):
        (model / name).write_text("")
    plan = project.plan()
    assert "train_gnn" not in plan
    assert plan["gnn"] == 3


def test_carving_runs_only_as_a_member(project: Project) -> None:
    members = ["along_track", "pca", "segments", "gnn", "carving"]
    two_surveys(project, ensemble={"members": members})
    assert project.plan() == expected(3, 3, carving=3, train_carving=1, families=1)
    folder = project.path("results/demo/models/v1/carving")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert project.plan() == expected(3, 3, carving=3, families=1)


def test_pegasus_brings_the_manifold_that_it_stands_on(project: Project) -> None:
    members = ["along_track", "segments", "gnn", "pegasus"]
    two_surveys(project, ensemble={"members": members})
    without = expected(3, 3, pegasus=3, train_pegasus=1)
    del without["pca"]
    assert project.plan() == without
    assert project.plan("evaluation")["train_pegasus"] == 1
    project.configure(detectors={"pegasus": {"manifold": "gae"}}, graph={"hops": 6})
    plan = project.plan()
    assert (plan["train_gae"], plan["gae"], plan["pegasus"]) == (1, 0, 3)
    assert "train_pca" not in plan
    assert_six_hops_are_asked_for(project, "pegasus")


def test_categorical_score_matching_runs_only_as_a_member(project: Project) -> None:
    members = ["along_track", "pca", "segments", "gnn", "gnsm"]
    two_surveys(project, ensemble={"members": members})
    assert project.plan() == expected(3, 3, gnsm=3, train_gnsm=1)
    target = "results/demo/tiles/x1_y0/scores/gnsm.parquet"
    folder = project.path("results/demo/models/v1/gnsm")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert project.plan() == expected(3, 3, gnsm=3)
    assert project.plan(target)["harmonise"] == 2


def test_local_entropy_asks_the_graph_network_be_that_a_member_or_not(project: Project) -> None:
    members = ["along_track", "pca", "segments", "gnn", "local_entropy"]
    own = {"local_entropy": 3, "train_local_entropy": 1, "local_entropy_calibration": 1}
    two_surveys(project, ensemble={"members": members})
    assert project.plan() == expected(3, 3, **own)
    project.configure(ensemble={"members": [*members[:3], "local_entropy"]})
    plan = project.plan()
    assert {rule: plan[rule] for rule in own} == own
    assert plan["train_gnn"] == 1
    assert "gnn" not in plan
    folder = project.path("results/demo/models/v1/local_entropy")
    folder.mkdir(parents=True)
    for name in ("manifest.json", "calibration.parquet"):
        (folder / name).write_text("")
    assert "train_local_entropy" not in project.plan()
