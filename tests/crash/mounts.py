"""Disks of their own for a mirror: an ext4 image whose power can be cut, and a tmpfs that can be full."""

from __future__ import annotations

import filecmp
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

IMAGE_SIZE = 64 << 20
LARGE = 256 << 20


class NotPermitted(Exception):
    """This user, or this container, may not mount."""


@cache
def why_not(kind: str) -> str:
    """Why no ``ext4`` image or ``tmpfs`` can be mounted here; empty when it can be."""
    with tempfile.TemporaryDirectory(prefix="dandi-mirror-crash-") as name:
        try:
            if kind == "tmpfs":
                with tmpfs(Path(name)):
                    return ""
            make_image(Path(name) / "image")
            (Path(name) / "disk").mkdir()
            with mounted(Path(name) / "image", Path(name) / "disk"):
                return ""
        except NotPermitted as error:
            return f"{kind} cannot be mounted here: {error}"


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NotPermitted(str(error)) from None
    if done.returncode:
        raise NotPermitted(" ".join(done.stderr.split()))


def _unmount(folder: Path) -> None:
    # lazily: a child that was just killed may still be going
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# --- ext4 ----------------------------------------------------------------------------------------------


def make_image(image: Path) -> None:
    """A file that holds an empty ext4."""
    with image.open("wb") as file:
        file.truncate(IMAGE_SIZE)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], env=_with_sbin(), check=True)
    except FileNotFoundError as error:
        raise NotPermitted(str(error)) from None


def _with_sbin() -> dict[str, str]:
    return os.environ | {"PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])}


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[None]:
    """The image as a disk at ``folder``."""
    _mount("-o", "loop", str(image), str(folder))
    try:
        yield
    finally:
        _unmount(folder)


def copy_as_it_is(image: Path, to: Path) -> None:
    """What would be left of a mounted image if its power were cut now; all who write to it must be stopped.

    The kernel may still be writing: only a copy that two looks agree on is of one instant.
    """
    for _ in range(20):
        copy(image, to)
        if filecmp.cmp(image, to, shallow=False):
            return
    raise RuntimeError(f"{image} does not hold still")


def copy(image: Path, to: Path) -> None:
    """Another such file."""
    subprocess.run(["cp", "--sparse=always", str(image), str(to)], check=True)


# --- tmpfs ---------------------------------------------------------------------------------------------


@contextmanager
def tmpfs(folder: Path, size: int = LARGE) -> Iterator[None]:
    """A disk in memory at ``folder``."""
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        _unmount(folder)


@contextmanager
def read_only_view(folder: Path, at: Path) -> Iterator[None]:
    """The folder once more, where nobody can write to it."""
    _mount("--bind", str(folder), str(at))
    try:
        _mount("-o", "remount,bind,ro", str(at))
        yield
    finally:
        _unmount(at)


def resize(folder: Path, size: int) -> None:
    """Make a tmpfs larger or smaller."""
    remount(folder, f"size={size}")


def remount(folder: Path, option: str) -> None:
    """Change how a disk is mounted."""
    _mount("-o", f"remount,{option}", str(folder))


def used(folder: Path) -> int:
    """Bytes taken on a disk."""
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize
