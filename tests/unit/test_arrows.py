"""Imports of prereq go downwards and never in a circle; nothing below the stages sees the whole Config."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# What stands in a line imports from the lines below it, and from its own package.
LEVELS = [
    {"__main__", "launch"},
    {"command"},
    {"stages"},
    {"report"},
    {"evaluation", "training", "synth", "world", "export"},
    {"model", "tracking"},
    {"artifacts", "data", "clients"},
    {"config"},
    {"runtime"},
    {"errors"},
]
PACKAGE = REPOSITORY / "prereq"
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def level(name: str) -> int:
    return next(number for number, names in enumerate(LEVELS) if name in names)


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "prereq":
                found |= {alias.name for alias in node.names if alias.name != "__version__"}
            elif node.module.startswith("prereq."):
                found.add(node.module.split(".")[1])
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_downwards(file):
    mine = room(file)
    for other in imported(file) - {mine}:
        assert level(other) > level(mine), f"{mine} imports {other}"


def module(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(tree: ast.AST) -> set[str]:
    """The modules of prereq that are imported anywhere in it, functions included, but not for types alone."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & MODULES) or ({node.module} & MODULES)
        found |= modules(node)
    return found


MODULES = {module(file) for file in FILES}


def circle(imports: dict[str, set[str]]) -> list[str]:
    """The first circle of modules that import each other; [] where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_through_others():
    imports = {module(file): modules(ast.parse(file.read_text("utf-8"))) for file in FILES}
    assert not circle(imports)
    beginning, end = "prereq.stages.dpo", "prereq.stages.eval"
    assert circle(imports | {beginning: imports[beginning] | {end}})  # by way of sft


def test_a_circle_within_a_function_is_found_and_one_of_types_is_none():
    function = "def f():\n    from prereq.stages import eval as evaluation"
    assert modules(ast.parse(function)) == {"prereq.stages.eval"}
    assert not modules(ast.parse("if TYPE_CHECKING:\n    from prereq.stages import eval"))


@pytest.mark.parametrize("file", [f for f in FILES if room(f) == "stages"], ids=module)
def test_functions_import_no_stage(file):
    """A stage costs nothing to import, so the only reason would be a circle."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert not {name for name in modules(node) if name.startswith("prereq.stages")}, file


def test_below_the_stages_nothing_takes_the_whole_configuration():
    whole = re.compile(r"\bConfig\b(?!\()")
    for file in FILES:
        if level(room(file)) > level("stages") and room(file) != "config":
            for name in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(name, ast.ImportFrom) and (name.module or "").startswith(
                    "prereq.config"
                ):
                    assert not [a.name for a in name.names if whole.fullmatch(a.name)], file


def test_files_and_folders_stay_small():
    for file in FILES:
        assert len(file.read_text("utf-8").splitlines()) <= 300, file
    for folder in {file.parent for file in FILES}:
        assert len([f for f in folder.glob("*.py") if f.name != "__init__.py"]) <= 12, folder
