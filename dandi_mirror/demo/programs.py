"""Run the demo's commands as they are printed, in a home folder of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dandi_mirror.errors import DiskError, IntegrityError
from dandi_mirror.repo.git.process import is_of_disk

BIN = Path(sys.executable).parent
"""Where dandi-mirror, datalad and git-annex are if they are installed with this Python."""


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """The folder to work in: the user's own, or a temporary one."""
    if keep is not None:
        try:
            keep.mkdir(parents=True)
        except OSError as error:
            raise DiskError.of(keep, error) from error
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="dandi-mirror-demo-") as name:
        yield Path(name)
        # git-annex write-protects the folders of its objects
        for folder, _, _ in os.walk(name):
            Path(folder).chmod(0o700)


def environment(home: Path) -> dict[str, str]:
    """An environment with its own home and git settings: the demo neither reads nor changes the user's.

    git-annex connects to loopback addresses only if a setting allows it.
    """
    settings = {
        "user.name": "Demo",
        "user.email": "demo@example.org",
        "init.defaultBranch": "draft",
        "annex.security.allowed-ip-addresses": "127.0.0.1",
    }
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "TERM", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    numbered = {f"GIT_CONFIG_{part}_{place}": text
                for place, setting in enumerate(settings.items())
                for part, text in zip(("KEY", "VALUE"), setting, strict=True)}  # fmt: skip
    return {**kept, "HOME": str(home), "PATH": path, "GIT_CONFIG_COUNT": str(len(settings)), **numbered}


def run(folder: Path, *arguments: str, stdin: bytes = b"", stderr: int = subprocess.PIPE) -> str:
    """The output of a command in ``folder``.

    Raises:
        DiskError: the command failed because of the disk.
        IntegrityError: it failed otherwise.
    """
    variables = environment(folder / "home")
    program = [shutil.which(arguments[0], path=variables["PATH"]) or arguments[0]]
    if arguments[0] == "dandi-mirror":
        program = [sys.executable, "-m", "dandi_mirror"]
    done = subprocess.run(
        [*program, *arguments[1:]], cwd=folder, env=variables, input=stdin,
        stdout=subprocess.PIPE, stderr=stderr, check=False,
    )  # fmt: skip
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        said = " ".join((output + (done.stderr or b"").decode(errors="replace")).split())
        failed = f"the demo's command failed with {done.returncode}: {shlex.join(arguments)}: {said[-500:]}"
        of_disk = done.returncode == DiskError.exit_code or is_of_disk(folder, said)
        raise DiskError(failed) if of_disk else IntegrityError(failed)
    return output


def as_typed() -> str:
    """What the user can type to start dandi-mirror: its name if that is on PATH, else its path."""
    if shutil.which("dandi-mirror"):
        return "dandi-mirror"
    program = BIN / "dandi-mirror"
    return shlex.quote(str(program)) if program.exists() else f"{shlex.quote(sys.executable)} -m dandi_mirror"
