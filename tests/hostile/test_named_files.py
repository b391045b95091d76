"""A file that somebody names for a command may be a link that somebody else made: what it leads to is not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dandi_mirror.errors import UsageError
from dandi_mirror.workflows.names.named_text import named_text
from tests.conftest import run

pytestmark = pytest.mark.quick
SECRET = "TOKEN: 1234"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with links that lead out of it, beside a secret."""
    (tmp_path / "secret").write_text(SECRET)
    run("git", "init", "-q", str(tmp_path / "clone"))
    for name, to in (("dandiset.yaml", tmp_path / "secret"), ("zero", Path("/dev/zero")), ("loop", Path("loop"))):
        (tmp_path / "clone" / name).symlink_to(to)
    return tmp_path / "clone"


@pytest.mark.parametrize("name", ["dandiset.yaml", "zero"])
def test_a_link_out_of_a_clone_is_not_read(name: str, clone: Path) -> None:
    with pytest.raises(UsageError, match=r"leads out of .*clone, to .*; name that file itself") as raised:
        named_text(clone / name, 1000)
    assert SECRET not in str(raised.value)


def test_a_pipe_in_a_clone_is_not_waited_for(clone: Path) -> None:
    os.mkfifo(clone / "pipe")
    with pytest.raises(UsageError, match="is a pipe in a clone"):
        named_text(clone / "pipe", 1000)


def test_edit_and_publish_read_no_link_out_of_a_clone(clone: Path) -> None:
    # nothing listens there: the file is refused first
    away = {"DANDI_INSTANCE": "http://127.0.0.1:1/api"}
    said = run("dandi-mirror", "publish", "000123", "--yes", "--notes", "@dandiset.yaml", cwd=clone, env=away, code=2)
    assert "leads out of" in said.stderr and SECRET not in said.stderr


def test_what_does_not_end_is_not_read_to_the_end_and_a_pipe_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than 1,000 letters"):
        named_text(Path("/dev/zero"), 1000)
    read, write = os.pipe()
    os.write(write, b"a: 1\n")
    os.close(write)
    assert named_text(Path(f"/dev/fd/{read}"), 1000) == "a: 1\n"
    os.close(read)


def test_a_file_of_the_clone_and_a_link_to_one_are_read(clone: Path) -> None:
    (clone / "notes.md").write_text("new")
    (clone / "link").symlink_to("notes.md")
    assert named_text(clone / "notes.md", 3) == named_text(clone / "link", 3) == "new"
    with pytest.raises(UsageError, match="loop"):
        named_text(clone / "loop", 3)
