"""config/README.md, made from the schema so that no key goes unexplained: ``python -m bedsieve.config_docs``."""

from __future__ import annotations

from typing import Any

import yaml

from bedsieve.config import SCHEMA_PATH, schema
from bedsieve.ingest.sheet import SURVEY_COLUMNS

_HEAD = """# Configuration

<!-- Made from schemas/config.schema.yaml by `python -m bedsieve.config_docs`; edit the schema instead. -->

`config.yaml` describes the whole of Bedmap. Another region or dataset needs only an overlay with the keys that
differ, for instance `demo.yaml`:

    snakemake --configfile my_region.yaml

Unknown keys are an error that names the nearest known one.
"""

_COVARIATES = """
Study B took its grids from MEaSUREs (NSIDC-0754, 450 m) for `vx` and `vy`, BedMachine v3 for `ith_bm` and `z`, the
RACMO2.3p2 mean of 1979-2021 for `smb` and ERA5 for `temp`. For instance:

    covariates:
      vx: {path: resources/grids/antarctica_ice_velocity_450m_v2.nc, variable: VX}
      vy: {path: resources/grids/antarctica_ice_velocity_450m_v2.nc, variable: VY}
      z: {path: resources/grids/BedMachineAntarctica-v3.nc, variable: surface}
"""

_SHEET = """
## The sample sheet

Tab-separated, one row a survey:

| column | meaning |
|---|---|
"""

COLUMNS = {
    "survey_no": "Number of the survey, given once and never reused: it is part of every point_id.",
    "survey": "Name of the survey and of its file, without .csv; must not end in .dropped.",
    "release": "Bedmap release that the file belongs to.",
    "url": "Address to fetch the file from (https); blank where it has to be dropped in by hand.",
    "sha256": "Expected hash of the file; blank where not known.",
    "platform": "Overrides the file's header, where given.",
    "institution": "Overrides the file's header, where given.",
    "instrument": "Overrides the file's header, where given.",
    "year_start": "First year of the survey; used where the header has none.",
    "year_end": "Last year of the survey; used where the header has none.",
    "order": "`file` (rows stand in the order of the flight) or `chain` (unordered: nearest-neighbour chaining).",
    "status": "`active`, `retired` (removed; its number stays taken) or `superseded` (by a later release).",
    "note": "Free text; shown where the file cannot be fetched.",
}
assert tuple(COLUMNS) == SURVEY_COLUMNS

_COVERAGE = """
## The coverage table

Tab-separated, written by `snakemake register`, which scans each survey's file: never edit it by hand. Its first line says which
tiles it counts in; a run stops where the configuration has others.

| column | meaning |
|---|---|
| `survey` | Name of the survey. |
| `tile` | A tile that holds points of it, or that it comes near. |
| `n` | Points in the tile, before duplicates are merged. |
| `gap_m` | Distance (m) from the survey to the tile; 0 where it has points in it. |
| `sha256` | Hash of the file that was scanned; `provisional` where none was yet and the rows are a guess. |
"""


def config_readme() -> str:
    """The text of config/README.md."""
    parts = [_HEAD]
    for name, section in schema()["properties"].items():
        parts.append(f"\n## `{name}`\n\n{_sentence(section)}\n")
        if section.get("properties"):
            parts.append(_table(section["properties"]))
        if name == "covariates":
            parts.append("\nEach grid is given by:\n\n")
            parts.append(_rows(schema()["$defs"]["grid"]["properties"]))
            parts.append(_COVARIATES)
        if name == "evaluation":
            parts.append("\nErrors, here and in `simulate`, are given by:\n\n")
            parts.append(_rows(schema()["$defs"]["errors"]["properties"]))
    parts.append(_SHEET + "".join(f"| `{name}` | {text} |\n" for name, text in COLUMNS.items()))
    parts.append(_COVERAGE)
    return "".join(parts)


def _table(properties: dict[str, Any], prefix: str = "") -> str:
    return "\n" + _rows(_flat(properties, prefix))


def _flat(properties: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, node in properties.items():
        if node.get("properties"):
            flat |= _flat(node["properties"], f"{prefix}{name}.")
        else:
            flat[prefix + name] = node
    return flat


def _rows(properties: dict[str, Any]) -> str:
    lines = ["| key | type | default | meaning |\n", "|---|---|---|---|\n"]
    for name, node in properties.items():
        default = (
            yaml.safe_dump(node["default"], default_flow_style=True) if "default" in node else ""
        )
        default = default.replace("...", "").strip()
        cell = f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {_type(node)} | {cell} | {_sentence(node)} |\n")
    return "".join(lines)


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        return {"span": "two numbers"}.get(name, name)
    if "enum" in node.get("items", {}):
        return "list of " + ", ".join(f"`{value}`" for value in node["items"]["enum"])
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    kind = node.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _sentence(node: dict[str, Any]) -> str:
    return " ".join(str(node.get("description", "")).split())


if __name__ == "__main__":
    (SCHEMA_PATH.parents[1] / "README.md").write_text(config_readme(), encoding="utf-8")
