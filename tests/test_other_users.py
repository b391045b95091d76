"""A mirror that another user owns, and one to which two operators of a group write by turns."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.users import GROUP, OWNER, READER, as_user, give, needs_root

pytestmark = needs_root

TAG = "0.240101.0000"
TRUST = ("git", "config", "--global", "--add", "safe.directory", "*")


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    dandiset = seed(archive)
    dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    return dandiset


class Reader:
    """Somebody who may read a mirror that another user owns, and not write to it."""

    def __init__(self, top: Path, mirror: Path) -> None:
        self.home, self.mirror = top / "home", mirror

    def types(self, *command: str, code: int = 0, cwd: Path | None = None) -> str:
        """What a command prints; it must end with ``code``."""
        done = as_user(READER, self.home, *command, cwd=cwd)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def reader(dandiset: Dandiset, mirror: MirrorOfTest, public: Path) -> Reader:
    there = MirrorOfTest(public / "mirror", mirror.server)
    there.sync()
    run("git", "annex", "get", "--quiet", "sub-0", cwd=there.path / "000123")
    give(there.path, OWNER)
    return Reader(public, there.path)


def test_download_copies_what_the_mirror_has_and_fetches_the_rest(reader: Reader) -> None:
    said = reader.types("dandi-mirror", "download", "000123", "-d", str(reader.mirror), "-o", "out")
    assert "downloaded 3 files and dandiset.yaml" in said
    (file,) = (reader.home / "out").rglob("sub-0_ses-1_ecephys.nwb")
    assert file.read_bytes() == b"content 0"


def test_get_by_id_names_the_owner_of_the_mirror_and_the_command_that_allows_it_and_then_works(reader: Reader) -> None:
    get = ("dandi-mirror", "get", "000123/sub-0/", "000123/sub-1/", "-d", str(reader.mirror))
    said = reader.types(*get, code=6)
    assert f"{reader.mirror}/000123 belongs to user {OWNER}" in said
    assert "git config --global --add safe.directory '*'" in said
    assert sorted(path.name for path in reader.home.iterdir()) == [".gitconfig"], "no half clone is left"
    reader.types(*TRUST)
    assert "got 2 files" in reader.types(*get)
    assert (reader.home / "000123/sub-0/sub-0_ses-1_ecephys.nwb").read_bytes() == b"content 0"


def test_a_sound_mirror_of_another_user_verifies_as_sound(reader: Reader) -> None:
    said = reader.types("dandi-mirror", "verify", "--offline", "-d", str(reader.mirror))
    assert said.splitlines()[0].startswith("000123  ok") and "safe.directory" not in said


def test_get_in_the_mirror_itself_says_whose_it_is_and_what_to_do(reader: Reader) -> None:
    folder = reader.mirror / "000123"
    for step in ((), TRUST):
        if step:
            reader.types(*step)
        said = reader.types("dandi-mirror", "get", "sub-1", cwd=folder, code=6)
        assert f"(it belongs to user {OWNER})" in said and f"datalad clone {folder}" in said
        reader.types("dandi-mirror", "get", "sub-0", cwd=folder)
        assert "would get 1 file" in reader.types("dandi-mirror", "get", "sub-1", "-n", cwd=folder)


def test_search_without_an_index_names_who_makes_it_and_with_one_works(reader: Reader) -> None:
    search = ("dandi-mirror", "search", "path:sub-1", "-d", str(reader.mirror))
    said = reader.types(*search, code=6)
    assert "there is no search index yet" in said and f"dandi-mirror search -d {reader.mirror}" in said
    run("dandi-mirror", "search", "-d", str(reader.mirror))
    give(reader.mirror, OWNER)
    assert "sub-1_ses-1_ecephys.nwb" in reader.types(*search)


def test_a_sync_says_whose_the_mirror_is_and_changes_nothing(
    archive: Archive, dandiset: Dandiset, reader: Reader
) -> None:
    sync = ("dandi-mirror", "sync", "-d", str(reader.mirror))
    assert f".dandi-mirror/log: Permission denied (it belongs to user {OWNER})" in reader.types(*sync, code=6)
    dandiset.add_asset("more.nwb", archive.add_blob(b"more"))
    said = reader.types(*sync, code=6)
    assert f"(it belongs to user {OWNER})" in said and "unexpected" not in said


# --- two operators ---------------------------------------------------------------------------------------------


class Operators:
    """Two users of one group, each with a home; what they write, and whether the group can."""

    def __init__(self, top: Path, umask: str, shared: str) -> None:
        self.top, self.umask = top, umask
        self.mirror, self.copy = top / "mirror", top / "copy"
        for folder in (self.mirror, self.copy):
            folder.mkdir()
            os.chown(folder, OWNER, GROUP)
            folder.chmod(0o2775)
        for user in (OWNER, READER):
            self.types(user, *TRUST)
            if shared:
                self.types(user, "git", "config", "--global", "core.sharedRepository", shared)

    def types(self, user: int, *command: str, cwd: Path | None = None) -> None:
        """A command of an operator, which must succeed; afterwards the group can write all that is there."""
        if command[0] == "dandi-mirror" and command[1] != "get":
            command = (*command, "-d", str(self.mirror))
        done = as_user(user, self.top / f"home-{user}", *command, cwd=cwd, group=GROUP, umask=self.umask)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert [*self._not_for_the_group()] == []

    def _not_for_the_group(self) -> Iterator[str]:
        for path in (path for top in (self.mirror, self.copy) for path in (top, *top.rglob("*"))):
            facts = path.lstat()
            # git and git-annex let nobody write to objects
            needed = 0o070 if path.is_dir() else 0o040 if "/objects/" in str(path) else 0o060
            needed = 0o040 if "/annex/objects/" in str(path) else needed
            if not stat.S_ISLNK(facts.st_mode) and (facts.st_mode & needed != needed or facts.st_gid != GROUP):
                yield f"{path} {facts.st_mode:o} {facts.st_gid}"


@pytest.mark.parametrize(("umask", "shared"), [("002", ""), ("077", "group")])
def test_two_operators_of_one_group_write_by_turns_with_every_command(
    umask: str, shared: str, archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest, public: Path
) -> None:
    operators = Operators(public, umask, shared)
    settings = operators.mirror / "dandi-mirror.toml"
    settings.write_text(f'[sibling.copy]\nurl = "{operators.copy}"\n')
    os.chown(settings, OWNER, GROUP)
    settings.chmod(0o664)
    operators.types(OWNER, "dandi-mirror", "sync", "--all", "-i", mirror.server.api_url)
    for number, user in enumerate((READER, OWNER)):
        dandiset.add_asset(f"sub-new/{number}.nwb", archive.add_blob(b"new %d" % number))
        dandiset.add_asset(f"{number}.txt", archive.add_blob(b"text %d" % number))
        operators.types(user, "dandi-mirror", "sync", "--get", "sub-new/*")
        operators.types(user, "dandi-mirror", "search", "path:sub")
        operators.types(user, "dandi-mirror", "get", f"sub-{number}", cwd=operators.mirror / "000123")
        operators.types(user, "dandi-mirror", "worktree", f"000123@{TAG}", str(public / f"home-{user}" / "old"))
        operators.types(user, "dandi-mirror", "push")
