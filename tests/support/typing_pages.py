"""The commands of a page of Markdown: read from it, typed in one shell, and compared with what the page shows.

A block ``sh`` is typed as it stands.  The block ``text`` after it, if there is one, is what it prints: numbers and
commits may differ, and ``…`` stands for anything.  A comment before a block changes that: ``<!-- not run: WHY -->``
leaves it out, ``<!-- in: STATE -->`` puts the reader into a state that the test knows first, and
``<!-- needs: git-annex VERSION -->`` leaves it out, with a warning, if the git-annex of the run is older.
"""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.repo.git.programs import version_numbers
from tests.support.versions import git_annex, is_older

FENCE = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
NOTES = re.compile(r"(?:<!-- (?:not run|in|needs): [^>]+ -->\s*)+\Z")
NOTE = re.compile(r"<!-- (not run|in|needs): ([^>]+) -->")
NUMBER = re.compile(r"[0-9a-f]{40}|\d+(?:\.\d+)*(?: (?:[kMGT]?B|bytes)\b)?")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    kind: str
    text: str
    not_run: str = ""
    """Why it is not run, or empty."""
    state: str = ""
    """The state in which it is typed; empty: as the block before it has left things."""
    output: str | None = None


def blocks(page: str) -> list[Block]:
    """Every block of a page; those of the kind ``text`` are with the commands that print them."""
    found: list[Block] = []
    end = 0
    for fence in FENCE.finditer(page):
        notes = NOTES.search(page[end : fence.start()])
        end = fence.end()
        said = dict(NOTE.findall(notes[0])) if notes else {}
        block = Block(fence[1], fence[2], said.get("not run", "") or _lacks(said.get("needs", "")), said.get("in", ""))
        before = found[-1] if found else None
        if block.kind == "text" and before and before.kind == "sh" and before.output is None:
            found[-1] = Block(before.kind, before.text, before.not_run, before.state, block.text)
        else:
            found.append(block)
    return found


def _lacks(needs: str) -> str:
    """Why a block that needs a newer git-annex is not run; empty if this one will do."""
    if not needs or not is_older(version_numbers(needs)):
        return ""
    why = f"not typed, for git-annex here is {git_annex()}: a block that needs {needs}"
    warnings.warn(why, stacklevel=2)
    return why


def typed(page: str) -> list[Block]:
    """The blocks that a reader types, and a test with them."""
    return [block for block in blocks(page) if block.kind == "sh" and not block.not_run]


def type_page(
    page: str, cwd: Path, env: Mapping[str, str], replace: Mapping[str, str], states: Mapping[str, str] | None = None
) -> list[str]:
    """Type all of a page in one shell; what each block printed.  It fails where a command does."""
    script = ["set -eu", "exec 2>&1"]
    for block in typed(page):
        if block.state:
            script.append(f"{{ {(states or {})[block.state]}\n}} >/dev/null")
        script += [replaced(block.text, replace), "printf '\\036'"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    said = done.stdout.split("\036")
    assert done.returncode == 0, f"after {typed(page)[len(said) - 1].text}:\n{said[-1]}{done.stderr}"
    return said[:-1]


def replaced(text: str, replace: Mapping[str, str]) -> str:
    for old, new in replace.items():
        text = text.replace(old, new)
    return text


def pattern(shown: str) -> str:
    """What a block of output allows, as a regular expression."""

    def parts() -> Iterator[str]:
        end = 0
        for found in re.finditer(rf"…|{NUMBER.pattern}|\s+", shown):
            yield re.escape(shown[end : found.start()])
            end = found.end()
            yield ".*?" if found[0] == "…" else r"\s+" if found[0].isspace() else f"(?:{NUMBER.pattern})"
        yield re.escape(shown[end:])

    return "".join(parts())


def differs(shown: str, printed: str) -> str:
    """How output differs from what the page shows; empty if it does not."""
    if re.fullmatch(pattern(shown.strip()), printed.strip(), re.DOTALL):
        return ""
    return f"the page shows\n{shown}\nand it prints\n{printed}"
