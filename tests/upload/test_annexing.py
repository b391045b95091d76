"""What an upload does to the files of a clone with git-annex, also with the oldest one."""

from __future__ import annotations

import signal
from hashlib import sha256
from pathlib import Path

import pytest

from dandi_mirror.repo.annex import reconcile
from dandi_mirror.repo.annex.adding import adding
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.annex.repository import AnnexRepository
from tests.conftest import run
from tests.support.waiting import LONG

pytestmark = pytest.mark.quick

NEW, EDITED, UNLOCKED, TEXT, IGNORED = "-new é.nwb", "edited.nwb", "sub/unlocked.nwb", ".bidsignore", "ignored.nwb"


def test_new_edited_and_unlocked_files_become_links_and_text_stays(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path))
    run("git", "annex", "init", "-q", cwd=tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / ".gitignore").write_text(f"{IGNORED}\n")
    (tmp_path / ".gitattributes").write_text(f"{TEXT} annex.largefiles=nothing\n")
    content = {name: name.encode() for name in (EDITED, UNLOCKED)}
    for name in content:
        (tmp_path / name).write_bytes(content[name])
    run("git", "annex", "add", "--quiet", *content, cwd=tmp_path)
    run("git", "commit", "-qm", "as they were", cwd=tmp_path)
    run("git", "annex", "unlock", "--quiet", *content, cwd=tmp_path)
    content |= {name: b"new " + name.encode() for name in (NEW, EDITED, IGNORED)}
    for name in (NEW, EDITED, IGNORED):
        (tmp_path / name).write_bytes(content[name])
    (tmp_path / TEXT).write_text("words\n")
    keys = {name: annex_key(len(content[name]), sha256(content[name]).hexdigest(), name) for name in content}
    reconcile.annex(AnnexRepository(tmp_path), keys | {TEXT: ""}, {})
    for name in (NEW, EDITED, UNLOCKED):
        assert (tmp_path / name).readlink().name == keys[name]
        assert (tmp_path / name).read_bytes() == content[name]
    # git-annex adds no file that git ignores
    assert all((tmp_path / name).is_file() and not (tmp_path / name).is_symlink() for name in (TEXT, IGNORED))
    tracked = run("git", "ls-files", "-z", cwd=tmp_path).stdout.split("\0")
    assert {NEW, EDITED, UNLOCKED, TEXT} <= set(tracked) and IGNORED not in tracked
    run("git", "annex", "fsck", "--quiet", cwd=tmp_path)


def test_ctrl_c_that_ends_git_annex_too_is_an_interruption_and_no_failure(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path))
    run("git", "annex", "init", "-q", cwd=tmp_path)
    with pytest.raises(KeyboardInterrupt), adding(tmp_path) as adder:
        adder.child.send_signal(signal.SIGINT)
        adder.child.wait(LONG)
        raise KeyboardInterrupt
