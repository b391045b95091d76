"""Guards that a run of hours would miss: what git must not start, and what holds a lock when its holder has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import LockedError
from dandi_mirror.repo.git import lock
from tests.conftest import MirrorOfTest

HOOKS = ("reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc", "pre-commit", "post-merge")


def test_a_sync_starts_no_hook_of_a_repository(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = archive.create_dandiset("000123", name="Mice")
    dandiset.add_asset("sub-a/a.nwb", archive.add_blob(b"a"))
    mirror.cli("sync", "000123")
    for git_dir in (mirror.path / ".git", mirror.path / "000123" / ".git"):
        (git_dir / "hooks").mkdir(exist_ok=True)
        for name in HOOKS:
            hook = git_dir / "hooks" / name
            hook.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/hooks-that-ran\n")
            hook.chmod(0o755)
    dandiset.add_asset("sub-b/b.nwb", archive.add_blob(b"b"))
    mirror.cli("sync", "000123")
    assert not (tmp_path / "hooks-that-ran").exists()
    mirror.git("update-ref", "refs/heads/mine", "refs/heads/draft")
    assert (tmp_path / "hooks-that-ran").exists(), "git would have started them"


HOLDER = """
import os, sys
from pathlib import Path
from dandi_mirror.repo.git import lock
from dandi_mirror.repo.git.process import start
with lock.hold(Path(sys.argv[1]), "it"):
    child = start(Path(sys.argv[2]), ["-c", f"alias.wait=!echo > {sys.argv[3]}; read line < {sys.argv[4]}", "wait"])
    open(sys.argv[3]).read()  # the child is at work
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.quick
def test_a_lock_is_held_as_long_as_a_git_of_its_killed_holder_lives(tmp_path: Path) -> None:
    file, began, end = tmp_path / "it.lock", tmp_path / "began", tmp_path / "end"
    os.mkfifo(began)
    os.mkfifo(end)
    arguments = [str(path) for path in (file, tmp_path, began, end)]
    done = subprocess.run([sys.executable, "-c", HOLDER, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(LockedError, match="it is held by process"), lock.hold(file, "it"):
        pass
    with end.open("w") as pipe:
        pipe.write("go on\n")
    with lock.hold(file, "it", wait=30) as killed:
        assert killed is not None
