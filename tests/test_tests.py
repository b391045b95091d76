"""Rules that the tests themselves keep."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

TESTS = Path(__file__).parent


def imported(file: Path) -> set[str]:
    """Every module that a file imports, by its full name; names from a package as if they were modules."""
    package = [TESTS.name, *file.relative_to(TESTS).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_no_test_module_is_imported_by_another() -> None:
    modules = {
        ".".join([TESTS.name, *file.relative_to(TESTS).with_suffix("").parts]) for file in TESTS.rglob("test_*.py")
    }
    found = [f"{file.name}: {name}" for file in TESTS.rglob("*.py") for name in sorted(imported(file) & modules)]
    assert found == [], "what several tests need belongs into tests/support"


def test_no_file_has_more_than_300_lines() -> None:
    top = TESTS.parent
    files = [*top.glob("dandi_mirror/**/*.py"), *TESTS.rglob("*.py")]
    assert {str(file.relative_to(top)) for file in files if file.read_text().count("\n") > 300} == set()
