"""What is on the disks of mirrors: found without the program, and without what git-annex has noted."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

Unit = tuple[str, str]
"""The content of a key in a repository: the Dandiset or the id of the Zarr, and the key."""


def repositories(mirror: Path) -> dict[str, Path]:
    """The git folders of a mirror's datasets and of the repositories of its Zarrs."""
    datasets = {path.parent.name: path for path in mirror.glob("[0-9]*/.git")}
    return datasets | {path.stem: path for path in mirror.glob("zarr/*/*/*.git")}


def files(mirror: Path) -> Iterator[tuple[Unit, Path]]:
    """All content that a mirror has on disk, be it right or not."""
    for name, git_dir in repositories(mirror).items():
        for folder, _, names in os.walk(git_dir / "annex/objects"):
            yield from (((name, file), Path(folder, file)) for file in names if Path(folder).name == file)


def size_of(key: str) -> int:
    """The bytes of a key: ``SHA256E-s12--….nwb``."""
    return int(key.split("-s")[1].split("-")[0])


def is_right(key: str, file: Path) -> bool:
    """Whether a file has the digest that its key names."""
    digest = key.split("--")[1].split(".")[0]
    return hashlib.new(key.split("E-")[0].lower(), file.read_bytes()).hexdigest() == digest


def held(mirror: Path) -> frozenset[Unit]:
    """The content of a mirror whose digest is right."""
    return frozenset(unit for unit, file in files(mirror) if is_right(unit[1], file))


def used(mirror: Path) -> int:
    """The bytes of all content of a mirror."""
    return sum(file.stat().st_size for _, file in files(mirror))


def total(units: Iterable[Unit]) -> int:
    """The bytes of some content."""
    return sum(size_of(key) for _, key in units)


def spoil(mirror: Path, share: float, chance: random.Random) -> frozenset[Unit]:
    """Lose a share of a mirror's content: half is deleted, half replaced by other bytes of the same length."""
    found = sorted(files(mirror))
    lost = chance.sample(found, max(1, round(share * len(found))))
    for number, (_, file) in enumerate(lost):
        file.parent.chmod(0o755)
        size = file.stat().st_size
        file.unlink()
        if number % 2:
            file.write_bytes(chance.randbytes(size))
    return frozenset(unit for unit, _ in lost)


def remove(mirror: Path) -> None:
    """Delete a mirror; git-annex keeps its files from being deleted."""
    for folder, _, _ in os.walk(mirror):
        Path(folder).chmod(0o755)
    shutil.rmtree(mirror)
