"""Damage a repository on disk: flip bytes, write commits and logs as a sync would have written them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.conftest import run

Corruption = Callable[[Path, random.Random], None]
"""Damages the dataset or mirror whose folder it gets."""


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    return run("git", "-C", str(folder), *arguments, stdin=stdin).stdout.strip()


def loosen(folder: Path) -> list[Path]:
    """Let every object of a repository be a file of its own; these files, sorted."""
    script = "for p in .git/packs/*.pack; do git unpack-objects -q < $p; done; rm -rf .git/packs"
    if list((folder / ".git/objects/pack").glob("*.pack")):
        run("sh", "-c", f"mv .git/objects/pack .git/packs; mkdir .git/objects/pack; {script}", cwd=folder)
    return sorted(file for file in (folder / ".git/objects").glob("??/*") if file.is_file())


def packed(folder: Path) -> Path:
    git(folder, "repack", "-adq")
    return next((folder / ".git/objects/pack").glob("*.pack"))


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 0x55
    write(file, bytes(content))


def write(file: Path, content: bytes) -> None:
    file.parent.chmod(0o755)
    if file.exists():
        file.chmod(0o644)
    file.write_bytes(content)


def annexed(folder: Path) -> list[Path]:
    return sorted(file for file in (folder / ".git/annex/objects").rglob("*") if file.is_file())


def log_paths(folder: Path, ending: str) -> list[str]:
    names = git(folder, "ls-tree", "-r", "--name-only", "git-annex").splitlines()
    return [name for name in names if name.endswith(ending) and name.count("/") == 2]


def commit(folder: Path, branch: str, changes: dict[str, tuple[str, str] | None], *, keep_message: bool = True) -> None:
    """Move a branch to a commit with other files, as its sync would have written it: same message, same date."""
    file = (folder / ".git" if (folder / ".git").is_dir() else folder) / "other-index"
    index = {"GIT_INDEX_FILE": str(file)}
    tip = git(folder, "rev-parse", branch)
    run("git", "-C", str(folder), "read-tree", tip, env=index)
    for path, entry in changes.items():
        words = f"0 {'0' * 40}\t{path}\n" if entry is None else f"{entry[0]} {entry[1]}\t{path}\n"
        run("git", "-C", str(folder), "update-index", "--index-info", env=index, stdin=words)
    tree = run("git", "-C", str(folder), "write-tree", env=index).stdout.strip()
    raw = run("git", "-C", str(folder), "cat-file", "commit", tip).stdout
    _, _, rest = raw.partition("\n")
    new = git(folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"tree {tree}\n{rest}")
    git(folder, "update-ref", f"refs/heads/{branch}", new)
    file.unlink()


def blob(folder: Path, content: str) -> str:
    return git(folder, "hash-object", "-w", "--stdin", stdin=content)
