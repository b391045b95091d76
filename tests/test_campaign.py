"""The table of all campaigns: each of its commands is there, and the pages name tests that are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests import campaign

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\|.*\| `(tests/[\w/]+\.py)::(test_\w+)` \|$", re.M)


@pytest.mark.quick
@pytest.mark.parametrize("name", campaign.CAMPAIGNS)
@pytest.mark.parametrize("share", [1.0, 0.01])
def test_each_campaign_is_a_command_whose_files_are_there(name: str, share: float) -> None:
    command = campaign.CAMPAIGNS[name].command(share)
    assert command[0] == "-m"
    if command[1] == "pytest":
        assert all((ROOT / word).exists() for word in command if word.startswith("tests/"))
    else:
        assert (ROOT / command[1].replace(".", "/") / "__main__.py").exists()


@pytest.mark.quick
def test_the_list_of_commands_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.main(["--list", "--share", "0.5", "crash", "verify"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "crash         python -m tests.crash --share 0.5"


@pytest.mark.quick
def test_each_row_of_what_can_go_wrong_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs/what-can-go-wrong.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    named = ROW.findall(page)
    assert len(named) == len(rows) > 30
    for file, name in named:
        parsed = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in parsed.body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file} has no {name}"
