"""Disks that people carry about: exFAT, and one that holds ``a`` and ``A`` for one file, on loop devices."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = 256 << 20


@dataclass(frozen=True)
class Disk:
    """How to make such a disk in an image, and how to mount it."""

    make: tuple[str, ...]
    mount: tuple[str, ...]


EXFAT = Disk(("mkfs.exfat",), ("mount.exfat-fuse",))
"""No symbolic links, no hard links, no permissions; ``a`` and ``A`` are one file."""
NO_CASE = Disk(("mkfs.ntfs", "-F", "-Q", "-q"), ("lowntfs-3g", "-o", "ignore_case,permissions"))
"""NTFS, mounted so that it has links and permissions, and that ``a`` and ``A`` are one file, as on a disk of macOS."""


class NotHere(Exception):
    """This machine, or this user, cannot mount such a disk, and why."""


def _run(*command: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    program = shutil.which(command[0], path=path)
    if not program:
        raise NotHere(f"{command[0]} is not installed")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{command[0]}: {' '.join((done.stderr or done.stdout).split())}")
    return done.stdout.strip()


@contextmanager
def mounted(disk: Disk, image: Path, folder: Path) -> Iterator[Path]:
    """A new disk at ``folder``.

    Raises:
        NotHere: it cannot be made or mounted here.
    """
    with image.open("wb") as file:
        file.truncate(SIZE)
    folder.mkdir(exist_ok=True)
    _run(*disk.make, str(image))
    device = _run("losetup", "--find", "--show", str(image))
    try:
        _run(*disk.mount, device, str(folder))
        try:
            yield folder
        finally:
            _run("umount", "--lazy", str(folder))
    finally:
        _run("losetup", "--detach", device)
