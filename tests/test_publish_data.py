"""The page "Publish your data": what it tells a lab to type is typed, as it stands, up to the tag."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support import typing_pages as pages
from tests.support.credentials import TOKEN
from tests.support.nwb import write_nwb
from tests.support.pages import page

PAGE = page("docs/publish-data.md")


def test_every_block_can_be_typed_as_it_stands(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    archive.create_dandiset("000122")
    lab = tmp_path / "lab"
    for number in (1, 2):
        write_nwb(lab / f"recording-{number}.nwb", subject=f"m{number}", session="s1", day=number)
    env = dict(os.environ, DANDI_INSTANCE=mirror.server.api_url)
    env[token_variable(mirror.server.api_url)] = TOKEN
    printed = pages.type_page(PAGE, tmp_path, env, {"/data/lab": str(lab)})
    firsts = (block.text.splitlines()[0] for block in pages.typed(PAGE))
    said = dict(zip(firsts, printed, strict=True))
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
