"""The files of a version that a name identifies, and what a mistyped name may mean if it identifies none.  Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from dandi_mirror.archive.names import Name
from dandi_mirror.errors import NotFoundError
from dandi_mirror.mirror.contents.files import VersionFile
from dandi_mirror.paths import folders_of
from dandi_mirror.text import closest


def matching_files(
    name: Name, version: str, files: Iterable[VersionFile], paths: Iterable[str] = (), mirror_path: Path | None = None
) -> list[VersionFile]:
    """Return the files that a name identifies, sorted by path; ``paths`` are further paths of the version.

    ``mirror_path`` is the mirror that has them, if it is not the current folder.

    Raises:
        NotFoundError: there is no such file; the message suggests the nearest path.
    """
    found = list(files)
    if name.asset:
        chosen = [file for file in found if file.asset_id == name.asset]
    else:
        matched = set(name.chosen(file.path for file in found))
        chosen = [file for file in found if file.path in matched]
    if not chosen and not name.whole:
        wanted = name.path.rstrip("/") or name.prefix or name.glob or str(name.asset)
        places = {place for path in (*paths, *(file.path for file in found)) for place in (path, *folders_of(path))}
        near = closest(wanted, places)
        look = ["dandi-mirror", "ls", f"{name.dandiset}@{version}", *(["-d", str(mirror_path)] if mirror_path else [])]
        hint = f"did you mean {name.dandiset}@{version}/{near}?" if near else f"see {shlex.join(look)}"
        raise NotFoundError(f"{name.dandiset}@{version} has no {wanted}; {hint}")
    return sorted(chosen, key=lambda file: file.path.encode(errors="surrogatepass"))
