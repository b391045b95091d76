"""The notebooks of the docs run as they stand, and print what their pages show."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import dandi_mirror as dm
from dandi_mirror.embedded import Server
from tests.support.notebooks import NOTEBOOKS, reader
from tests.support.pages import TOP

__all__ = ["reader"]


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """What makes the pages."""
    spec = importlib.util.spec_from_file_location("notebook_pages", TOP / "docs" / "notebook_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(
    notebook: Path, pages: ModuleType, reader: Path, server: Server
) -> None:
    before = {cell["id"] for cell in pages.cells(notebook)}
    assert len(before) == len(pages.cells(notebook)) and json.loads(notebook.read_text())["nbformat"] == 4
    for shown, printed in pages.outputs(notebook):
        assert printed == shown
    assert (reader / "dandi" / "000004").is_dir()
    if notebook.stem == "compare":
        assert not [asked for asked in server.requests if "sub-" in str(asked)], "nothing was downloaded"


def test_the_spikes_of_one_subject_take_ten_lines(pages: ModuleType) -> None:
    first = next(cell for cell in pages.cells(NOTEBOOKS[1]) if cell["cell_type"] == "code")
    assert NOTEBOOKS[1].stem == "spikes" and len([line for line in first["source"] if line.strip()]) <= 10


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_is_made_of_it(notebook: Path, pages: ModuleType) -> None:
    assert notebook.with_suffix(".md").read_text() == pages.page(notebook), "run: python docs/notebook_pages.py"


def test_all_that_the_notebooks_use_is_public(pages: ModuleType) -> None:
    assert [path.stem for path in NOTEBOOKS] == ["compare", "spikes", "stream"]
    for notebook in NOTEBOOKS:
        code = "".join("".join(cell["source"]) for cell in pages.cells(notebook) if cell["cell_type"] == "code")
        assert "dandi_mirror as dm" in code and "._" not in code
    assert {"Mirror", "Dandiset"} <= set(dm.__all__)
