"""The packages of prereq import downwards only, and nothing below the stages sees the whole Config."""

import ast
import re
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
