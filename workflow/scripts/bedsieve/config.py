"""Configuration: validate it against the schema, with messages that say where, what and which key was meant."""

from __future__ import annotations

import difflib
import math
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from bedsieve.errors import ConfigError

_WORDS = {"true": True, "false": False, "null": None, "none": None}
SCHEMA_PATH = Path(__file__).resolve().parents[3] / "config" / "schemas" / "config.schema.yaml"


@cache
def schema() -> dict[str, Any]:
    """The configuration's JSON schema, read once."""
    import yaml

    document: dict[str, Any] = yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))
    return document


def validate(config: dict[str, Any], source: str = "config") -> None:
    """Check a configuration.

    Parameters
    ----------
    config : dict
        The merged configuration.
    source : str
        What to call it in messages.

    Raises
    ------
    ConfigError
        With one line for each mistake: the key, what is wrong, and the nearest known key.
    """
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema()).iter_errors(config)
    lines = [line for error in errors for line in _explain(error, config)]
    if lines:
        raise ConfigError(f"{source}: " + f"\n{source}: ".join(sorted(set(lines))))
    _check_beside(config, source)
    _check_graph_network(config, source)


def with_values(config: Any, node: dict[str, Any] | None = None) -> Any:
    """A configuration whose words are numbers, truth values or nothing where the schema wants these and no words.

    Snakemake reads what is nested in ``--config``, or in the ``config`` of a profile, as words alone: in
    ``graph={k: 8}`` 8 is one.

    Parameters
    ----------
    config : dict, or any part of one
    node : dict, optional
        What the schema says of it; by default the whole schema.

    Returns
    -------
    like `config`
        What is no such word comes back as it is, for `validate` to judge.
    """
    node = schema() if node is None else node
    if "$ref" in node:
        node = schema()["$defs"][node["$ref"].rpartition("/")[2]]
    if isinstance(config, dict):
        others = node.get("additionalProperties")
        known = node.get("properties", {})
        beyond = others if isinstance(others, dict) else {}
        return {key: with_values(value, known.get(key, beyond)) for key, value in config.items()}
    if isinstance(config, list):
        return [with_values(value, node.get("items", {})) for value in config]
    kinds = node.get("type", "string")
    if not isinstance(config, str) or "string" in kinds:
        return config
    if config.lower() in _WORDS:
        return _WORDS[config.lower()]
    with suppress(ValueError):
        return int(config)
    with suppress(ValueError):
        number = float(config)
        return number if math.isfinite(number) else config
    return config


def detectors_asked_for(config: dict[str, Any]) -> list[str]:
    """Members of the ensemble, then the detectors that the evaluation judges beside them."""
    members: list[str] = config.get("ensemble", {}).get("members", [])
    return [*members, *config.get("evaluation", {}).get("beside", [])]


def _check_beside(config: dict[str, Any], source: str) -> None:
    """Make sure that no detector is judged both as a member and beside the members."""
    asked = detectors_asked_for(config)
    both = sorted({name for name in asked if asked.count(name) > 1})
    if both:
        raise ConfigError(
            f"{source}: evaluation.beside names {' and '.join(both)}, which the evaluation judges as a member "
            "already. Take it out of evaluation.beside, or out of ensemble.members."
        )


def _check_graph_network(config: dict[str, Any], source: str) -> None:
    """Make sure, before anything is computed, that the edges will reach as far as the network looks."""
    settings = config["detectors"].get("gnn")
    asking = [name for name in ("gnn", "local_entropy") if name in detectors_asked_for(config)]
    if settings is None or not asking:
        return
    layers, draws = len(settings["widths"]), len(settings["fanout"])
    if layers != draws:
        raise ConfigError(
            f"{source}: detectors.gnn.widths has {layers} entries and fanout {draws}. Give both one for each "
            "layer."
        )
    if config["graph"]["hops"] < layers:
        raise ConfigError(
            f"{source}: graph.hops = {config['graph']['hops']}, but the network of detectors.gnn has {layers} "
            f"layers. Set graph.hops to {layers} or more, or leave {' and '.join(asking)} out of ensemble.members and "
            "evaluation.beside."
        )


def _explain(error: Any, config: dict[str, Any]) -> list[str]:
    place = ".".join(str(part) for part in error.absolute_path) or "the top level"
    if error.validator == "additionalProperties" and isinstance(
        error.schema.get("properties"), dict
    ):
        known = list(error.schema["properties"])
        return [
            f"unknown key '{key}' at {place}. {_nearest(str(key), known)}"
            for key in error.instance
            if key not in known
        ]
    if error.validator == "enum" and isinstance(error.instance, str):
        known = [str(value) for value in error.schema["enum"]]
        return [f"'{error.instance}' at {place} is unknown. {_nearest(error.instance, known)}"]
    if error.validator == "required":
        return [f"{place}: {error.message}. See config/README.md."]
    wanted = error.schema.get("description", "see config/README.md") if error.absolute_path else ""
    return [f"{place} = {error.instance!r}: {error.message}. {wanted}".rstrip()]


def _nearest(name: str, known: list[str]) -> str:
    """The known name that was most likely meant, in words."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."
