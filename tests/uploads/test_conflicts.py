"""Two people change the same file: neither is overwritten, and the second one is told what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.uploading import Person

NEW, OLD = "sub-9/sub-9.dat", "sub-8/sub-8.dat"


def change(kind: str, person: Person, mine: Dandiset, archive: Archive) -> str:
    """The same file is new, or replaced, here and in the archive; the path."""
    path = NEW if kind == "new" else OLD
    person.write(path, b"my bytes" * 20)
    theirs = archive.add_blob(b"their bytes" * 20)
    if kind == "new":
        mine.add_asset(path, theirs)
    else:
        mine.replace_asset(path, theirs)
    return path


CASES = [
    (who, kind, state)
    for who in ("elsewhere", "me") for kind in ("new", "replaced") for state in ("as it is", "annexed", "committed")
]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "kind", "state"),
    [
        pytest.param(*case, marks=() if place % 3 == place // 3 % 3 else pytest.mark.slow)
        for place, case in enumerate(CASES)
    ],
)
def test_a_file_that_two_have_changed_is_not_sent_until_the_second_one_has_decided(
    who: str, kind: str, state: str, mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    mine.add_asset(OLD, archive.add_blob(b"as it was" * 20))
    person: Person = request.getfixturevalue(who)
    path = change(kind, person, mine, archive)
    if state != "as it is":
        run("git", "annex", "add", "--quiet", path, cwd=person.folder)
    if state == "committed":
        run("datalad", "save", "-m", "mine", cwd=person.folder)
    theirs = mine.draft.asset_at(path)

    def upload(*more: str, code: int) -> str:
        where = ["-i", mirror.server.api_url, "--validation", "skip", "--include", "*"]
        done = run("dandi-mirror", "upload", *where, *more, cwd=person.folder, env=token, code=code)
        return done.stdout + done.stderr

    for more in ([], ["--update"], []):
        said = upload(*more, code=3)
        assert path in said and "you and somebody else have changed it" in said, said
        assert "nothing was sent" in said
    assert mine.draft.asset_at(path) is theirs, "the other one's file is still there"
    assert not [name for name in person.git("status", "--porcelain").splitlines() if ".dandi" in name]
    keep_mine(person.folder, path)
    upload("--update", code=0)
    take_mine(person.folder, path)
    assert "replaced 1" in upload(code=0)
    assert person.git("status", "--porcelain") == ""


def keep_mine(folder: Path, path: str) -> None:
    """What the message says to type: put one's own file aside."""
    os.rename(folder / path, folder.parent / "mine.dat")  # noqa: PTH104


def take_mine(folder: Path, path: str) -> None:
    (folder / path).unlink()
    os.rename(folder.parent / "mine.dat", folder / path)  # noqa: PTH104


def test_what_an_update_could_not_bring_into_a_clone_is_not_taken_for_an_edit(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """The old files of the clone would have gone up over the new ones of somebody else."""
    mine.add_asset(OLD, archive.add_blob(b"as it was" * 20))
    clone: Person = request.getfixturevalue("elsewhere")
    clone.write("sub-9", b"a file, where the other one has a folder")
    mine.add_asset(NEW, archive.add_blob(b"their bytes" * 20))
    mine.replace_asset(OLD, theirs := archive.add_blob(b"their bytes, too" * 20))
    where = ["-i", mirror.server.api_url, "--validation", "skip", "--include", "*"]
    for more in (["--update"], [], ["--sync", "--allow-deletes"]):
        done = run("dandi-mirror", "upload", *where, *more, cwd=clone.folder, env=token, code=3)
        assert ("sub-9 is edited here" if more == ["--update"] else "edits are in the way") in done.stderr, more
    asset = mine.draft.asset_at(OLD)
    assert asset and asset.blob is theirs
    (clone.folder / "sub-9").unlink()
    run("dandi-mirror", "upload", *where, "--update", cwd=clone.folder, env=token)
    assert clone.git("status", "--porcelain") == ""
