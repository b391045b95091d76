"""Getting content: ours against DataLad's, dandi's and curl's, of the same files from the same server."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.archive import DANDISET
from benchmarks.content import origin, serving
from dandi_mirror.repo.git.process import child_environment, find_program

PATIENCE = 1800  # seconds for one program


def compare(folder: Path, count: int, size: int, milliseconds: int, peers: list[str]) -> list[tuple[str, ...]]:
    """Rows of a table: how long each program takes for all files, and its rate against ours."""
    (folder / ".gitconfig").write_text('[annex "security"]\n\tallowed-ip-addresses = 127.0.0.1\n')
    with serving(folder / "served", count, size, milliseconds) as (api_url, urls):
        os.environ["DANDI_MIRROR_CONTENT_HOSTS"] = urlsplit(urls[0]).netloc
        run_program(["dandi-mirror", "sync", DANDISET, "-d", "mirror", "-i", api_url], folder)
        seconds = {"dandi-mirror get": statistics.median(_ours(folder, api_url) for _ in range(3))}
        if size >= 1 << 28:
            shell = f"curl -s '{urls[0]}' | sha256sum"
            seconds["curl | sha256sum"] = statistics.median(
                timed_program(["sh", "-c", shell], folder) for _ in range(3)
            )
        else:
            seconds["curl --parallel"] = statistics.median(curl(folder, urls) for _ in range(3))
            seconds["curl --parallel, sync"] = statistics.median(curl(folder, urls, to_disk=True) for _ in range(3))
        if "datalad" in peers:
            seconds["datalad get -J4"] = timed_program(["datalad", "get", "-J4", "."], _clone(folder))
            switched_on = ["datalad", "-c", "datalad.extensions.load=dandi_mirror", "get", "."]
            seconds["datalad get, extension on"] = timed_program(switched_on, _clone(folder))
        if "dandi" in peers and shutil.which("dandi", path=_path()):
            page = f"{origin(api_url)}/dandiset/{DANDISET}/draft"
            (folder / "dandi").mkdir()
            seconds["dandi download -J 6"] = timed_program(["dandi", "download", "-J", "6", page], folder / "dandi")
    own = seconds["dandi-mirror get"]
    name = f"{count:,} × {size:,} bytes, {milliseconds} ms"
    return [
        (name if place == 0 else "", program, f"{took:.2f}", f"{count / took:.0f}", f"{count * size / took / 1e6:.0f}",
         f"{took / own:.2f}")
        for place, (program, took) in enumerate(seconds.items())
    ]  # fmt: skip


def _ours(folder: Path, api_url: str) -> float:
    return timed_program(["dandi-mirror", "get", ".", "-i", api_url], _clone(folder))


def curl(folder: Path, urls: list[str], *, to_disk: bool = False) -> float:
    """Fetch URLs with curl, many at a time, and bring the files ``to_disk`` if so; the seconds that it takes."""
    out = Path(tempfile.mkdtemp(prefix="curl-", dir=folder))
    (folder / "curl.cfg").write_text("".join(f'url="{url}"\noutput="{out}/{n}"\n' for n, url in enumerate(urls)))
    synced = f"&& find '{out}' -type f -exec sync {{}} +" if to_disk else ""
    return timed_program(["sh", "-c", f"curl -s --no-progress-meter --parallel -K curl.cfg {synced}"], folder)


def _clone(folder: Path) -> Path:
    """A fresh clone with an initialised git-annex."""
    # the one before stays: ext4 goes through what was deleted in the last seconds for every file that it makes
    clone = Path(tempfile.mkdtemp(prefix="clone-", dir=folder))
    run_program(["git", "clone", "-q", str(folder / "mirror" / DANDISET), str(clone)], folder)
    run_program(["git", "annex", "init", "-q"], clone)
    return clone


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def path_with_ours(name: str) -> str:
    """The path of a program: one of ours, or one of git's."""
    return shutil.which(name, path=_path()) or find_program(name)


def environment() -> Mapping[str, str]:
    """The environment of a measured program: that of our git, a name for commits, and our programs on the path."""
    who = {
        f"GIT_{role}_{what}": "benchmark@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return child_environment() | who | {"HOME": os.environ["HOME"], "PATH": _path(), "DANDI_NO_ET": "1"}


def run_program(command: list[str], folder: Path) -> None:
    """Run a program to its end.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [path_with_ours(command[0]), *command[1:]], cwd=folder,
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr.decode()[-1000:]}")


def timed_program(command: list[str], folder: Path) -> float:
    """Run a program to its end; the seconds that it takes."""
    start = time.monotonic()
    run_program(command, folder)
    return time.monotonic() - start
