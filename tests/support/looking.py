"""What is on disk after a sync, looked at as a user and a receiving server would."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run

OWN = (".dandi/", ".datalad/", ".gitattributes", "dandiset.yaml")


def files_below(folder: Path, *, without: tuple[Path, ...] = ()) -> dict[str, str]:
    """Every path below a folder, with what it holds or points to."""
    found: dict[str, str] = {}
    for top, folders, names in os.walk(folder):
        here = Path(top)
        folders[:] = [name for name in folders if here / name not in without]
        for name in [*names, *folders]:
            path = here / name
            shown = str(path.relative_to(folder))
            if path.is_symlink():
                found[shown] = f"-> {path.readlink()}"
            elif path.is_file():
                found[shown] = path.read_bytes().hex()
            else:
                found[shown] = "folder"
    return found


def assets_in(work_tree: Path) -> dict[str, str]:
    """Path → link target of every asset in a checked-out dataset, by its bytes on disk."""
    found: dict[str, str] = {}
    top = os.fsencode(work_tree)
    for here, folders, names in os.walk(top):
        if here == top:
            folders.remove(b".git")
        for name in [*names, *folders]:
            path = os.path.join(here, name)  # noqa: PTH118
            shown = os.path.relpath(path, top).decode()
            if os.path.islink(path) and not shown.startswith(OWN):  # noqa: PTH114
                found[shown] = os.readlink(path).decode()  # noqa: PTH115
    return found


def check_git_takes_it(mirror: MirrorOfTest, folder: Path, dandiset: str = "000123") -> dict[str, str]:
    """No complaint, a clone that is whole, a strict server that takes all; the clone's assets."""
    source = str(mirror.path / dandiset)
    done = run("git", "-C", source, "fsck", "--strict", "--no-dangling", "--no-progress", code=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert mirror.git("status", "--porcelain", dandiset=dandiset) == ""
    run("git", "clone", "--quiet", source, str(folder / "clone"))
    assert run("git", "-C", str(folder / "clone"), "status", "--porcelain").stdout == ""
    run("git", "init", "--quiet", "--bare", str(folder / "strict"))
    run("git", "-C", str(folder / "strict"), "config", "receive.fsckObjects", "true")
    # from a bare copy: in the dataset itself git-annex (10.2026) stops a push until a person has looked at
    # its special remote (`git annex verifyremote dandiapi`), and that is not what is judged here
    run("git", "clone", "--quiet", "--bare", source, str(folder / "bare"))
    run(
        "git",
        "-C",
        str(folder / "bare"),
        "push",
        "--quiet",
        str(folder / "strict"),
        "draft",
        "git-annex",
        "--tags",
    )
    return assets_in(folder / "clone")


def refused(mirror: MirrorOfTest, commit: str = "draft") -> dict[str, dict[str, Any]]:
    """The records of what was refused, by the names of their files without the suffix."""
    dataset = Mirror(mirror.path).dataset("000123")
    tree = dataset.tree(commit, ".dandi/refused")
    names = [name for name in tree if name.endswith(".json")]
    with dataset.reader() as reader:
        contents = list(reader.read([tree[name][1] for name in names]))
    records = [json.loads(content or b"") for content in contents]
    return {Path(name).stem: record for name, record in zip(names, records, strict=True)}
