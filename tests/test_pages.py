"""The pages' commands are typed as they stand, in the state that their reader is in, and print what the pages show."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.demo.replay import History, Moment, play, read_history
from dandi_mirror.demo.seed import add_small_dandiset
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.embedded.store.blobs import ETAG, SHA256
from tests.conftest import run
from tests.support.corpus import FROZEN
from tests.support.credentials import TOKEN
from tests.support.nwb import write_nwb
from tests.support.pages import PAGES, TOP, name, page
from tests.support.typing_pages import blocks, differs, replaced, type_page, typed

SUBJECT = "sub-P10HMH/"
ELSEWHERE = {"docs/run-a-mirror.md": "test_run_a_mirror.py", "docs/publish-data.md": "test_publish_data.py",
             "docs/python.md": "test_python.py"} | {
    f"docs/notebooks/{name}.md": "test_notebooks.py" for name in ("compare", "spikes", "stream")
}  # fmt: skip
"""Pages whose commands another test types."""


def with_content(archive: Archive, history: History) -> History:
    """The history as it was recorded, but for one subject's file: a small one, whose content the archive has."""
    blob = archive.add_blob(b"the spikes of P10HMH\n")

    def entry(entry: dict[str, Any]) -> dict[str, Any]:
        if not entry["path"].startswith(SUBJECT):
            return entry
        digest = {ETAG: blob.etag, SHA256: blob.sha256}
        url = [f"{archive.api_url}/assets/{entry['asset_id']}/download/", f"{archive.s3_url}/{blob.key}"]
        metadata = entry["metadata"] | {"contentSize": blob.size, "digest": digest, "contentUrl": url}
        return entry | {"blob": blob.blob_id, "size": blob.size, "metadata": metadata}

    moments = [
        Moment(one.time, one.version, one.metadata, [entry(each) for each in one.assets], one.annex_keys)
        for one in history.moments
    ]
    return History(history.dandiset, moments)


@pytest.fixture
def world(archive: Archive, server: Server) -> Archive:
    """The archive as its readers know it: 000004 with one subject's content, 000027, and an account."""
    for history in (with_content(archive, read_history()), read_history(TOP / "tests" / "data" / "000027.json.gz")):
        for _ in play(archive, history):
            pass
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    return archive


@pytest.fixture
def env(server: Server) -> dict[str, str]:
    """The reader's environment, in which the archive is the one of the test."""
    return {**os.environ, "DANDI_INSTANCE": server.api_url}


def check(file: str, printed: Sequence[str], replace: Mapping[str, str]) -> None:
    """Compare what was printed with what the page shows."""
    for block, output in zip(typed(page(file)), printed, strict=True):
        if block.output is not None:
            assert not differs(replaced(block.output, replace), output)


ALONE = ("README.md", "docs/install.md", "docs/scientist.md", "docs/operator.md")
"""Pages whose reader begins in an empty folder."""


@pytest.mark.parametrize("file", ALONE)
def test_a_tutorial_prints_what_it_shows(file: str, world: Archive, env: dict[str, str], tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    replace = {"/srv": str(tmp_path / "srv")}
    check(file, type_page(page(file), here, env, replace, {"an empty folder": ":"}), replace)


def test_a_lab_publishes_as_the_tutorial_shows(
    archive: Archive, server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    archive.create_dandiset("000122")
    for number in (1, 2):
        write_nwb(tmp_path / "lab" / f"recording-{number}.nwb", subject=f"m{number}", session="s1", day=number)
    file, replace = "docs/lab.md", {"/data/lab": str(tmp_path / "lab")}
    printed = type_page(page(file), tmp_path, env | {token_variable(server.api_url): TOKEN}, replace)
    check(file, printed, replace)


def test_the_commit_that_the_tutorial_cites_is_the_one_of_every_mirror() -> None:
    commits = re.findall(r"commit ([0-9a-f]{40})", page("docs/scientist.md"))
    assert commits
    assert set(commits) <= set(FROZEN.values())


# --- pages whose reader is in several places ---------------------------------------------------------------


@pytest.fixture
def places(world: Archive, env: dict[str, str], tmp_path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What ``/srv`` is here, with a mirror in it; and the states that the pages name."""
    srv = tmp_path / "srv"
    mirror = srv / "dandi" / "mirror"
    run("dandi-mirror", "sync", "000004", "000027", "-d", str(mirror), env=env)
    run("datalad", "clone", str(mirror / "000004"), str(tmp_path / "clone"), env=env)
    states = {
        "an empty folder": f'cd "$(mktemp -d -p {tmp_path})"',
        "a clone": f"cd {tmp_path}/clone; git checkout -q --detach; git checkout -q draft",
        "the mirror": f"cd {mirror}",
        "beside a mirror": f'cd "$(mktemp -d -p {tmp_path})"; cp -a {mirror} dandi',
        "a mirror that knows another": (
            f"cd {mirror}; dandi-mirror sync 000004 -d {srv}/oxford; "
            f'printf \'[sibling.oxford]\\nurl = "{srv}/oxford"\\ntype = "mirror"\\n\' >dandi-mirror.toml'
        ),
        "a mirror with a sibling": f"printf '[sibling.www]\\nurl = \"{srv}/www/dandi\"\\n' >{mirror}/dandi-mirror.toml",
    }
    return {"/srv": str(srv)}, states


SEVERAL = (
    "docs/use-a-mirror.md",
    "docs/publish-a-mirror.md",
    "docs/faq.md",
    "docs/export.md",
    "docs/help.md",
    "docs/verify.md",
    "docs/keep-a-second-copy.md",
    "docs/catalogue.md",
)


@pytest.mark.parametrize("file", SEVERAL)
def test_a_page_can_be_typed_as_it_stands(
    file: str, places: tuple[dict[str, str], dict[str, str]], env: dict[str, str], tmp_path: Path
) -> None:
    replace, states = places
    check(file, type_page(page(file), tmp_path, env, replace, states), replace)


def test_the_archive_on_this_machine_is_mirrored_as_its_page_says(
    archive: Archive, server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    add_small_dandiset(archive)
    file, replace = "docs/embedded.md", {"http://127.0.0.1:8000/api": server.api_url}
    type_page(page(file), tmp_path, env, replace, {"an empty folder": ":"})
    assert list((tmp_path / "trial-clone" / "sub-mouse1").glob("*.nwb"))


TYPED = {*ELSEWHERE, *ALONE, *SEVERAL, "docs/lab.md", "docs/embedded.md"}


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".md"], ids=name)
def test_every_command_of_a_page_is_typed_by_a_test_or_says_why_not(path: Path) -> None:
    for block in blocks(path.read_text()):
        if block.kind in {"sh", "console", "bash", "python"} and not block.not_run:
            assert name(path) in TYPED, f"nobody types this; or say why: <!-- not run: WHY -->\n{block.text}"
            assert block.kind in {"sh", "python"}, f"a block of commands is marked sh\n{block.text}"


def test_a_page_that_shows_other_output_than_its_commands_print_is_found() -> None:
    shown = "000004  87 files, 6.2 GB\n…\ncommit …\n"
    assert not differs(shown, "000004  9 files, 21 bytes\nand\nmore\ncommit 1f\n")
    assert differs(shown, "000004  9 Files, 21 bytes\nand\nmore\ncommit 1f\n")
    assert differs(shown, "")
    (block,) = blocks("<!-- not run: why -->\n```sh\nls\n```\n\ntext\n\n```text\na\n```\n")
    assert (block.not_run, block.output) == ("why", "a\n")
