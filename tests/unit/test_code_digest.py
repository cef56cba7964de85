"""The digest follows exactly the modules that a script can import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bedsieve.code_digest import code_digest, reachable

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
ALL_SCRIPTS = sorted(path.name for path in SCRIPTS.glob("*.py"))


def imported(path: Path) -> set[Path]:
    """Modules of the package that a file imports, found with ast."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = set()
    for name in names:
        if name.split(".")[0] == "bedsieve":
            base = SCRIPTS.joinpath(*name.split("."))
            files |= {
                file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()
            }
    return files


def closure(script: Path) -> set[Path]:
    seen: set[Path] = set()
    todo = [script]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(imported(path))
    return seen


@pytest.mark.parametrize("script", ALL_SCRIPTS)
def test_reachable_modules_are_those_that_ast_finds(script: str) -> None:
    assert reachable(SCRIPTS / script) == closure(SCRIPTS / script)


def test_no_module_imports_relatively() -> None:
    for path in SCRIPTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def made(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_digest_changes_with_a_helper_two_imports_away_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    def digest(folder: str, helper: str, stranger: str) -> str:
        root = made(
            tmp_path / folder,
            run_py="from bedsieve.a import (\n    f,  # why\n)\n",
            bedsieve__a_py="def f():\n    from bedsieve import b\n",
            bedsieve__b_py=helper,
            bedsieve__c_py=stranger,
        )
        return code_digest("run.py", root=root)

    before = digest("one", "x = 1", "y = 1")
    assert digest("two", "x = 1", "y = 2") == before
    assert digest("three", "x = 2", "y = 1") != before


def test_digest_changes_with_the_environment_file(tmp_path: Path) -> None:
    root = made(tmp_path, run_py="")
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("a")
    two.write_text("b")
    assert code_digest("run.py", str(one), root) != code_digest("run.py", str(two), root)


def test_packages_hold_a_docstring_only() -> None:
    for path in (SCRIPTS / "bedsieve").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path
