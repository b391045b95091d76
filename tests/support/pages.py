"""The documentation as tests read it: its code blocks and tables."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
FENCE = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)

PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("cron/*")])


def page(path: str) -> str:
    return (TOP / path).read_text()


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    below = text.split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\|\n)+", below, re.MULTILINE)
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def keys_of(heading: str, end: str = "") -> set[str]:
    text = page("docs/exit-codes.md")
    return {word for row in rows(text, heading) for word in words(row[0])}


def name(page: Path) -> str:
    return str(page.relative_to(TOP))
