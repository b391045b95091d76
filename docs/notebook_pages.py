"""Make a page of each notebook: ``python docs/notebook_pages.py``.

The tests run them with a small archive, whose outputs they have; with another one they print other numbers.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "notebooks"


def main() -> None:
    """Write the pages."""
    for notebook in sorted(FOLDER.glob("*.ipynb")):
        notebook.with_suffix(".md").write_text(page(notebook))


def page(notebook: Path) -> str:
    """Return the page of a notebook, in Markdown."""
    head = f"<!-- Made by docs/notebook_pages.py from {notebook.name}; do not edit. -->"
    foot = f"This page is a notebook: [{notebook.name}]({notebook.name})."
    parts = [part for cell in cells(notebook) for part in _parts(cell)]
    return "\n\n".join([parts[0], head, *parts[1:], foot]) + "\n"


def cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook."""
    found: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return found


def outputs(notebook: Path) -> Iterator[tuple[str, str]]:
    """Run the code of a notebook, cell after cell; yield what each has stored as its output, and what it prints now."""
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in cells(notebook):
        if cell["cell_type"] == "code":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(_text(cell["source"]), notebook.name, "exec"), names)
            yield _shown(cell), said.getvalue()


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    if cell["cell_type"] == "markdown":
        yield _text(cell["source"])
        return
    yield f"```python\n{_text(cell['source'])}\n```"
    if shown := _shown(cell):
        yield f"```text\n{shown.rstrip()}\n```"


def _shown(cell: dict[str, Any]) -> str:
    return "".join(_text(output["text"]) for output in cell["outputs"])


def _text(lines: str | list[str]) -> str:
    return "".join(lines)


if __name__ == "__main__":
    main()
