"""Each rule's conda environment declares all that its script can import, at the version that is tested."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from bedsieve.benchmarks.methods import METHODS, module_file
from bedsieve.code_digest import reachable

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
PACKAGE_OF = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "torch": "pytorch",
    "torch_geometric": "pytorch_geometric",
}
PIP_NAME = {"pytorch": "torch", "pytorch_geometric": "torch-geometric"}


ENV = r'conda:\s+env\(("[\w-]+"|TORCH)\)'
TORCH = ("torch-cpu", "torch-gpu")  # which of them is the configuration's choice


def rules() -> list[tuple[str, str, str]]:
    """(rule, script, environment) of each rule with a script, for each environment it may have."""
    found = []
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule ", path.read_text(), flags=re.M)[1:]:
            name = block.split(":")[0]
            script = re.search(r'script:\s+"\.\./workflow/scripts/(\w+\.py)"', block)
            env = re.search(ENV, block)
            assert script, f"{name} has no script"
            assert env, f"{name} has no environment"
            choices = TORCH if env[1] == "TORCH" else (env[1].strip('"'),)
            found += [(name, script[1], choice) for choice in choices]
    return found


def declared(env: str) -> dict[str, str]:
    document = yaml.safe_load((ROOT / "envs" / f"{env}.yaml").read_text())
    assert document["channels"] == ["conda-forge", "nodefaults"]
    pairs = {}
    for entry in document["dependencies"]:
        assert isinstance(entry, str), f"{env}: no pip section"
        name, version = re.fullmatch(r"([\w.-]+)=([\w.]+)", entry).groups()  # type: ignore[union-attr]
        pairs[name] = version
    return pairs


def third_party(path: Path) -> set[str]:
    tops: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            tops.add(node.module.split(".")[0])
    return tops - set(sys.stdlib_module_names) - {"bedsieve", "snakemake"}


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.lower().replace("_", "-"): version for name, version in pairs}


@pytest.mark.parametrize("env", sorted(path.stem for path in (ROOT / "envs").glob("*.yaml")))
def test_every_pin_is_the_tested_one(env: str) -> None:
    """Those of packages that only other packages import, too; some names have no counterpart on PyPI."""
    have, tested = declared(env), pinned()
    for package, version in have.items():
        pip_name = PIP_NAME.get(package, package).replace("_", "-")
        assert version == tested.get(pip_name, version), f"envs/{env}.yaml: {package}"
    builds = {package: have[package] for package in have if package.startswith("pytorch-")}
    if (
        "pytorch" in have
    ):  # without one of the two, conda takes the build for GPUs where it sees one
        assert set(builds) <= {"pytorch-cpu", "pytorch-gpu"}
        assert list(builds.values()) == [have["pytorch"]], f"envs/{env}.yaml: pytorch's build"


@pytest.mark.parametrize(("rule", "script", "env"), rules())
def test_everything_imported_is_declared_at_the_tested_version(
    rule: str, script: str, env: str
) -> None:
    have = declared(env)
    methods = map(module_file, METHODS if rule == "benchmark" else ())  # imported by name
    modules = reachable(SCRIPTS / script).union(*(reachable(SCRIPTS / path) for path in methods))
    for module in modules:
        for name in third_party(module):
            package = PACKAGE_OF.get(name, name)
            assert package in have, f"{rule}: {module.name} imports {name}, not in envs/{env}.yaml"
            pip_name = PIP_NAME.get(package, package).replace("_", "-")
            assert have[package] == pinned()[pip_name], f"envs/{env}.yaml: {package}"


def test_code_parameter_names_the_rules_own_script_and_environment() -> None:
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule ", path.read_text(), flags=re.M)[1:]:
            name = block.split(":")[0]
            if name == "register":  # always runs: it has no output
                continue
            if name.startswith("fetch"):  # what is fetched is told by its checksum
                assert "code=" not in block
                continue
            script = re.search(r'script:\s+"\.\./workflow/scripts/(\w+\.py)"', block)
            env = re.search(ENV, block)
            assert script
            assert env
            assert f'code=code("{script[1]}", {env[1]})' in block, name


def test_a_judged_tile_has_the_seed_of_its_errors_as_a_parameter() -> None:
    """Its manifest quotes the parameter seed, or else the first seed among the detectors' settings."""
    text = (ROOT / "rules" / "evaluation.smk").read_text()
    (block,) = re.findall(r"^rule injected_tile:\n(.*?)^rule ", text, re.M | re.S)
    assert "seed=lambda wildcards: int(wildcards.seed)" in block.split("    params:\n")[1]
