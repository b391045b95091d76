"""The words that CONTRIBUTING.md asks to avoid are in no page, and in no message, help text, docstring or comment."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import FENCE, PAGES, TOP, name, page, rows, words

GENERATED = {"docs/commands.md"}
"""Made from the help texts."""


def avoided() -> dict[str, str]:
    """Each phrase to avoid, with what to say instead."""
    return {phrase: row[1] for row in rows(page("CONTRIBUTING.md"), "## English") for phrase in words(row[0])}


def prose(text: str) -> str:
    """A page without its code, the targets of its links, and its comments."""
    for code in (FENCE, re.compile(r"<!--.*?-->", re.DOTALL), re.compile(r"`[^`\n]+`"), re.compile(r"\]\([^)]*\)")):
        text = code.sub(" ` ", text)
    return text


def found_in(text: str) -> Iterator[str]:
    """The phrases to avoid that a text has."""
    for phrase, instead in avoided().items():
        if re.search(rf"\b{re.escape(phrase)}\b".replace(r"\ ", r"\s+"), text, re.IGNORECASE):
            yield f"not {phrase!r} but {instead}"


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".md"], ids=name)
def test_no_page_has_a_word_to_avoid(path: Path) -> None:
    if name(path) not in GENERATED:
        assert not list(found_in(prose(path.read_text())))


@pytest.mark.parametrize("path", sorted(TOP.glob("dandi_mirror/**/*.py")), ids=name)
def test_no_message_help_text_docstring_or_comment_has_a_word_to_avoid(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    texts = [token.string for token in tokens if token.type in {tokenize.STRING, tokenize.COMMENT}]
    assert not [found for text in texts for found in found_in(text)]


def test_a_word_to_avoid_would_be_found_where_it_is_prose() -> None:
    assert len(avoided()) > 20
    assert list(found_in("It has\nGotten it")) == [f"not 'gotten' but {avoided()['gotten']}"]
    assert not list(found_in(prose("`gotten` and [a link](gotten.md)\n```\ngotten\n```\n")))
