"""Configuration: schema, file and reference agree; mistakes are named with the nearest known key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedsieve.config import schema, validate, with_values
from bedsieve.config_docs import config_readme
from bedsieve.errors import ConfigError

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "config.yaml").read_text())


def test_shipped_configuration_is_valid(config: dict[str, Any]) -> None:
    validate(config)


def leaves(node: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, child in node.get("properties", {}).items():
        if child.get("type") == "object" and child.get("properties") and name != "covariates":
            found |= leaves(child, f"{prefix}{name}.")
        else:
            found[prefix + name] = child
    return found


def test_configuration_gives_every_key_at_its_default(config: dict[str, Any]) -> None:
    for dotted, node in leaves(schema()).items():
        value: Any = config
        for part in dotted.split("."):
            assert part in value, f"config.yaml lacks {dotted}"
            value = value[part]
        if "default" in node:
            assert value == node["default"], dotted


def test_every_key_is_explained() -> None:
    for dotted, node in leaves(schema()).items():
        assert len(node.get("description", "")) > 10, dotted


def test_reference_is_up_to_date() -> None:
    assert (CONFIG / "README.md").read_text() == config_readme(), (
        "run: python -m bedsieve.config_docs"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"graf": {}}, ["unknown key 'graf' at the top level", "Did you mean 'graph'?"]),
        ({"graph": {"kk": 3}}, ["unknown key 'kk' at graph", "Did you mean 'k'?"]),
        ({"graph": {"k": "many"}}, ["graph.k = 'many'", "not of type 'integer'"]),
        (
            {"ensemble": {"members": ["along_trak"]}},
            ["'along_trak' at ensemble.members.0 is unknown", "Did you mean 'along_track'?"],
        ),
        (
            {"ensemble": {"weights": {"segmants": 4}}},
            ["'segmants' at ensemble.weights is unknown", "Did you mean 'segments'?"],
        ),
        ({"ensemble": {"threshold": 1.5}}, ["ensemble.threshold = 1.5", "maximum"]),
        ({"paths": {"results": "/scratch/x"}}, ["paths.results", "Must be relative"]),
        ({"paths": {"results": "../shared"}}, ["paths.results", "Must be relative and without"]),
        ({"paths": {"results": "results/.."}}, ["paths.results", "without"]),
        ({"paths": {"results": "a/../../b"}}, ["paths.results", "without"]),
        ({"paths": {"results": ""}}, ["paths.results", "without"]),
        ({"graph": {"hops": 2}}, ["graph.hops = 2", "3 layers", "leave gnn out"]),
        (
            {"evaluation": {"beside": ["gae", "pca"]}},
            ["evaluation.beside names pca", "as a member already"],
        ),
        (
            {"detectors": {"gnn": {"widths": [8, 8], "fanout": [4]}}},
            ["detectors.gnn.widths has 2 entries and fanout 1"],
        ),
    ],
)
def test_mistakes_are_named(
    config: dict[str, Any], change: dict[str, Any], words: list[str]
) -> None:
    broken = copy.deepcopy(config)
    for section, value in change.items():
        broken[section] = broken.get(section, {}) | value
    with pytest.raises(ConfigError) as caught:
        validate(broken, "config.yaml")
    message = str(caught.value)
    assert message.startswith("config.yaml: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize("folder", ["results", "results/demo", "./a..b/..c", "a.b/"])
def test_results_may_lie_anywhere_below(config: dict[str, Any], folder: str) -> None:
    config["paths"]["results"] = folder
    validate(config)


def test_edges_may_be_short_where_no_network_looks_along_them(config: dict[str, Any]) -> None:
    config["graph"]["hops"] = 1
    config["ensemble"]["members"].remove("gnn")
    validate(config)


def test_local_entropy_looks_as_far_as_the_network_that_it_asks(config: dict[str, Any]) -> None:
    config["graph"]["hops"] = 1
    config["ensemble"]["members"].remove("gnn")
    config["ensemble"]["members"].append("local_entropy")
    with pytest.raises(ConfigError, match=r"leave local_entropy out of ensemble\.members"):
        validate(config)


def test_missing_section_is_named(config: dict[str, Any]) -> None:
    del config["region"]
    with pytest.raises(ConfigError, match="'region' is a required property"):
        validate(config)


def test_words_become_values_where_no_words_are_wanted() -> None:
    said = {
        "graph": {"k": "8", "max_neighbour_distance": "5e3", "hops": "many"},
        "crossovers": {"radius": "nan"},
        "region": {"tile_size": "250000", "name": "1978"},
        "ingest": {"split_on_angle": "true"},
        "cluster": {"max_runtime": "null", "max_mem_mb": "180000"},
        "covariates": {"z": {"path": "12", "units": "m"}},
        "detectors": {"gnn": {"widths": ["64", "32"], "per_fold": {"A": {"dropout": "0.2"}}}},
        "models": {"version": "2", "tiles": ["x0_y0"]},
        "nobody": {"knows": "7"},
    }
    found = with_values(said)
    assert found["graph"] == {"k": 8, "max_neighbour_distance": 5000, "hops": "many"}
    assert found["crossovers"] == {"radius": "nan"}
    assert found["region"] == {"tile_size": 250000, "name": "1978"}
    assert found["ingest"] == {"split_on_angle": True}
    assert found["cluster"] == {"max_runtime": None, "max_mem_mb": 180_000}
    assert found["covariates"] == said["covariates"]
    assert found["detectors"] == {"gnn": {"widths": [64, 32], "per_fold": {"A": {"dropout": 0.2}}}}
    assert found["models"] == {"version": "2", "tiles": ["x0_y0"]}
    assert found["nobody"] == {"knows": "7"}
    assert said["graph"]["k"] == "8"


def test_the_shipped_configurations_have_their_values_already() -> None:
    for path in CONFIG.glob("*.yaml"):
        config = yaml.safe_load(path.read_text())
        assert with_values(config) == config
