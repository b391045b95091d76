"""The page "Run a mirror": what it tells an operator to type is typed, as it stands."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dandi_mirror.config import FILE, read_settings
from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.monitor.metrics import LastSuccess, RunFacts, prometheus_text
from dandi_mirror.mirror.state.remembered import ZarrTotals
from dandi_mirror.mirror.state.verified import Verification
from tests.conftest import MirrorOfTest, run
from tests.support import typing_pages as pages
from tests.support.pages import TOP, page, rows, words

PAGE = page("docs/run-a-mirror.md")
ELSEWHERE = {"useradd", "su", "python3", "/srv/dandi/.venv/bin/pip", "cp", "systemctl", "journalctl", "dask"}
"""What the blocks that are not run may begin with: commands that need the network or root."""


def blocks(kind: str) -> list[str]:
    return [block.text for block in pages.blocks(PAGE) if block.kind == kind and not block.not_run]


@pytest.fixture
def srv(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Path:
    """What ``/srv/dandi`` is here, with the program in it; the archive is the embedded one."""
    for dandiset, name in (("000004", "A dataset"), ("000027", "Mouse cortex"), ("000026", "Human cortex")):
        made = archive.create_dandiset(dandiset, name=name)
        made.add_asset("sub-1/sub-1_ecephys.nwb", archive.add_blob(dandiset.encode()))
    program = tmp_path / "dandi" / ".venv" / "bin" / "dandi-mirror"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dandi_mirror "$@"\n')
    program.chmod(0o755)
    return tmp_path / "dandi"


def test_every_block_can_be_typed_as_it_stands(srv: Path, mirror: MirrorOfTest) -> None:
    typed = "\necho ---\n".join(blocks("sh")).replace("/srv/dandi", str(srv))
    done = run("bash", "-euc", typed, env={"DANDI_INSTANCE": mirror.server.api_url})
    assert done.stderr == ""
    said = [text.strip().splitlines() for text in done.stdout.split("---\n")]
    assert len(said) == len(blocks("sh"))
    told = {block.splitlines()[0]: lines for block, lines in zip(blocks("sh"), said, strict=True)}
    first = next(lines for block, lines in told.items() if block.startswith("dandi-mirror sync 000004 000027 -n"))
    assert [line[:6] for line in first] == ["000004", "000027"] * 3
    assert [line.split("  ")[1] for line in first[4:]] == ["up to date"] * 2
    everything = next(lines for block, lines in told.items() if block.startswith("dandi-mirror sync --all -d"))
    assert [line[:6] for line in everything] == ["000026"]
    brought = next(lines for block, lines in told.items() if block.startswith("dandi-mirror sync 000027 --get"))
    assert brought == ["000027  got 1 file, 6 bytes"]
    assert (srv / "mirror" / "000027" / "sub-1" / "sub-1_ecephys.nwb").read_text() == "000027"
    backup = next(lines for block, lines in told.items() if block.startswith("cp -a"))
    assert [line.split("  ")[1] for line in backup] == ["up to date"] * 3
    assert told["dandi-mirror --version"] == [run("dandi-mirror", "--version").stdout.strip()]
    assert list(text_string_to_metric_families((srv / "metrics" / "dandi-mirror.prom").read_text()))


def test_what_is_not_typed_here_needs_root_or_the_network() -> None:
    for block in pages.blocks(PAGE):
        assert block.kind in {"sh", "toml", "yaml", ""}
        for line in block.text.splitlines() if block.not_run else ():
            assert line.split()[0] in ELSEWHERE or "--scheduler" in line, line


def test_the_settings_that_are_shown_are_settings(tmp_path: Path) -> None:
    for block in blocks("toml"):
        (tmp_path / FILE).write_text(block)
        settings = read_settings(tmp_path)
        for key, value in tomllib.loads(block).items():
            shown = getattr(settings, key.replace("-", "_"))
            assert shown == value or shown in (tuple(value), 500 * 10**9, 50 * 10**9)


def exported() -> set[str]:
    run = RunFacts(1.0, 1.0, 0, 1, 1, 0, 0, 0, {"ok": 1})
    verified = {"000004": Verification(1.0, "urls:1")}
    text = prometheus_text("m", run, LastSuccess(1.0, {"000004": 1.0}), {"alarm": 0}, verified, ZarrTotals())
    return {family.name for family in text_string_to_metric_families(text)}


def test_the_metrics_that_are_described_are_those_that_are_written() -> None:
    assert {f"dandi_mirror_{words(row[0])[0]}" for row in rows(PAGE, "### Prometheus")} == exported()


def test_the_alerts_ask_for_what_is_written() -> None:
    (block,) = blocks("yaml")
    (group,) = yaml.safe_load(block)["groups"]
    for rule in group["rules"]:
        names = set(re.findall(r"dandi_mirror_\w+", rule["expr"]))
        assert names
        assert names <= exported()
        assert rule["alert"]


# --- the man page -----------------------------------------------------------------------------------------


def test_the_man_page_is_that_of_the_commands() -> None:
    made = run(sys.executable, "docs/manpage.py", cwd=TOP, env={"PYTHONPATH": str(TOP)}).stdout
    assert made == page("docs/dandi-mirror.1"), "run: python docs/manpage.py >docs/dandi-mirror.1"


def test_the_man_page_names_every_command_option_and_variable() -> None:
    from dandi_mirror.cli.main import cli
    from dandi_mirror.config import VARIABLES
    from tests.support.commands import commands

    text = page("docs/dandi-mirror.1").replace("\\-", "-")
    for name, command in commands(cli).items():
        place = re.search(rf"^\.SS dandi-mirror {re.escape(name)} .*?(?=^\.S)", text, re.DOTALL | re.MULTILINE)
        assert place, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert re.search(rf"^\.B .*{re.escape(parameter.opts[-1])}( |$)", place[0], re.MULTILINE), parameter
    for variable in (*VARIABLES.values(), "DANDI_MIRROR"):
        assert f"\n.B {variable}\n" in text


def test_the_man_page_comes_with_the_wheel() -> None:
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())
    shared = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/dandi-mirror.1": "share/man/man1/dandi-mirror.1"}
    assert all((TOP / file).is_file() for file in shared)
