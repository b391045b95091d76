"""What was named on the command line of an upload and is in none of its steps: never passed over in silence."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from dandi_mirror.paths import is_own
from dandi_mirror.upload.change.plan import Do, Step


def passed_over(root: Path, names: Iterable[str], known: Collection[str], ignored: Mapping[str, str]) -> Iterator[Step]:
    """A refused step for each name that stands for no file at all.

    ``known`` are the paths that the archive or the work tree has; ``ignored`` names those that git ignores, each with
    the reason.
    """
    for name in names:
        if not any(path == name or path.startswith(f"{name}/") for path in known) and (
            reason := _reason(root, name, ignored)
        ):
            yield Step(Do.REFUSED, name, reason=reason)


def _reason(root: Path, name: str, ignored: Mapping[str, str]) -> str:
    if is_own(name):
        return "it is one of the dataset's own files, and no asset; upload does not send it"
    if name in ignored:
        return ignored[name]
    if not os.path.lexists(root / name):
        return "there is no such file, neither here nor in the archive"
    return "there is no file in it that could go up" if (root / name).is_dir() else ""
