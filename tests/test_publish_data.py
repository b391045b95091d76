"""The page "Publish your data": what it tells a lab to type is typed, as it stands, up to the tag."""

from __future__ import annotations

import re
from pathlib import Path

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.nwb import write_nwb
from tests.support.pages import FENCE, page

PAGE = page("docs/publish-data.md")


def blocks(kind: str) -> list[str]:
    return [found[2] for found in FENCE.finditer(PAGE) if found[1] == kind]


def test_every_block_can_be_typed_as_it_stands(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    archive.create_dandiset("000122")
    lab = tmp_path / "lab"
    for number in (1, 2):
        write_nwb(lab / f"recording-{number}.nwb", subject=f"m{number}", session="s1", day=number)
    typed = "\necho ---\n".join(blocks("sh")).replace("/data/lab", str(lab))
    env = {"DANDI_INSTANCE": mirror.server.api_url, token_variable(mirror.server.api_url): TOKEN}
    done = run("bash", "-euc", typed, cwd=tmp_path, env=env)
    said = dict(zip((block.splitlines()[0] for block in blocks("sh")), done.stdout.split("---\n"), strict=True))
    created = next(iter(said.values()))
    assert created.startswith("000123  in ")
    assert (tmp_path / "mirror" / "000123" / "sub-m1").is_dir()
    uploaded = said["dandi-mirror upload -n"]
    assert re.search(r"^added 2; sent ", uploaded, re.MULTILINE)
    assert "working tree clean" in uploaded
    (version,) = [one.version for one in archive.dandisets["000123"].published]
    published = said["dandi-mirror publish 000123 -n -d .."]
    assert f"000123@{version} is published and mirrored\nOwner, Olive" in published
    assert published.endswith(f"\n{version}\n")
    assert sorted(path.name for path in lab.iterdir()) == ["recording-1.nwb", "recording-2.nwb"]


def test_what_is_not_typed_here_needs_a_terminal_or_a_package_index() -> None:
    for block in blocks("console"):
        for line in block.splitlines():
            assert line.startswith(("$ pip install ", "$ dandi-mirror login"))
    assert {found[1] for found in FENCE.finditer(PAGE)} <= {"sh", "console", ""}
