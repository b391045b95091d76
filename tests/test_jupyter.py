"""In Jupyter, with a kernel of its own: the notebooks of the docs run as they stand, and progress is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Server
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed
from tests.support.notebooks import NOTEBOOKS, reader

__all__ = ["reader"]

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")


@pytest.fixture(autouse=True)
def no_files_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jupyter keeps its own files in a folder of the test."""
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "jupyter"))


def shown(notebook: Any, folder: Path) -> list[list[Any]]:
    """Run a notebook in a folder; return the outputs of each cell of code: texts, by their kind."""
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return outputs(notebook)


def outputs(notebook: Any) -> list[list[Any]]:
    found: list[list[Any]] = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        found.append([])
        for out in cell.outputs:
            kind, value = out.get("name", out.output_type), out.get("text") or dict(out.data)
            if found[-1] and isinstance(value, str) and found[-1][-1][0] == kind:
                value = found[-1].pop()[1] + value  # what is printed comes in pieces, as the machine has time
            found[-1].append((kind, value))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_jupyter_and_shows_what_it_has_stored(path: Path, reader: Path, server: Server) -> None:
    notebook = nbformat.read(path, as_version=4)
    stored = outputs(notebook)
    assert any(stored) and shown(notebook, reader) == stored, "the same, and nothing on stderr"


def test_what_a_sync_does_is_one_line_of_the_cell(archive: Archive, server: Server, tmp_path: Path) -> None:
    seed(archive)
    typed = (
        f"import dandi_mirror as dm\n_ = dm.Mirror('dandi').sync('000123', instance={server.api_url!r}, progress=True)"
    )
    ((out,),) = shown(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(typed)]), tmp_path)
    assert out == ("display_data", {"text/plain": "✓ sync"})
    assert (tmp_path / "dandi" / "000123" / "sub-0").is_dir()


def test_progress_is_one_line_of_the_cell_without_further_packages(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    typed = [
        f"import dandi_mirror as dm\ndandiset = dm.Mirror({str(mirror.path)!r})['000123']\n"
        "got = dandiset.get('sub-0', 'sub-1', progress=True)",
        "again = dandiset.get('sub-0', progress=True)",
        "try:\n    dandiset.get('sub-2', 'nothing', progress=True)\n"
        "except dm.GetFailed as error:\n    print(len(error.got))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in typed])
    first, second, third = shown(notebook, tmp_path)
    ((kind, line),) = first
    assert kind == "display_data" and line.keys() == {"text/plain"}
    assert line["text/plain"].startswith("get ━━") and " 18/18 bytes " in line["text/plain"]
    assert "\x1b" not in line["text/plain"] and "\n" not in line["text/plain"]
    assert second == [], "all of it is here"
    assert [kind for kind, _ in third] == ["display_data", "stdout"] and third[1][1] == "2\n"
