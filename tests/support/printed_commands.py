"""The commands that the program's messages tell people to type, found in its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import dandi_mirror

TOP = Path(dandi_mirror.__file__).parent
_COMMAND = re.compile(r"\bdandi-mirror [a-z]")
_VALUES = {"version": "0.220126.1852", "name": "0.220126.1852", "shares": " --content 0.5", "instance": "dandi",
           "kept": __file__}  # fmt: skip
"""What stands for a value in a message, by the name of the variable; for other variables the id of a Dandiset."""


def messages() -> Iterator[tuple[str, str]]:
    """Each text of the program that contains a command, with its place; help texts and docstrings are none."""
    for file in sorted(TOP.rglob("*.py")):
        tree = ast.parse(file.read_text())
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in inside | docs or not isinstance(node, ast.JoinedStr | ast.Constant):
                continue
            if _COMMAND.search(text := _text(node)):
                yield f"{file.relative_to(TOP)}:{node.lineno}", text


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return _VALUES.get(ast.unparse(node.value).rpartition(".")[2], "000123")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


_BEFORE_A_PATH = re.compile(
    r"(?:git -C |datalad -C | -d |rm -r |rm -rf |datalad clone |mv |chmod \S+ "
    r"|dandi-mirror (?:get|upload|validate|download|which) )$"
)
_NO_PATHS = {"dandiset", "name", "ref", "strange[0]", "report.dandiset", "ref.rpartition('/')[2]"}
_QUOTED = {"new_mirror(mirror_path)", "there", "shown", "_mirror", "folder of push.py", "git_dir of ranges.py"}
"""Names of what is quoted before it comes into a message."""


def bare_paths() -> list[str]:
    """The places of messages in which a path stands in a command as it is: a shell reads one with a space as two."""
    found = []
    for file in sorted(TOP.rglob("*.py")):
        texts = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.JoinedStr)]
        for before, value in (pair for text in texts for pair in zip(text.values, text.values[1:], strict=False)):
            if not isinstance(before, ast.Constant) or not isinstance(value, ast.FormattedValue):
                continue
            what = ast.unparse(value.value)
            is_known = "quote" in what or what in _NO_PATHS | _QUOTED or f"{what} of {file.name}" in _QUOTED
            if _BEFORE_A_PATH.search(str(before.value)) and not is_known:
                found.append(f"{file.relative_to(TOP)}:{value.lineno} {what}")
    return found
