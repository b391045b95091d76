"""The files of a version that a name identifies, and what a mistyped name may mean if it identifies none.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from dandi_mirror.archive.names import Name
from dandi_mirror.errors import NotFoundError
from dandi_mirror.mirror.contents.files import VersionFile


def matching_files(
    name: Name, version: str, files: Iterable[VersionFile], paths: Iterable[str] = ()
) -> list[VersionFile]:
    """Return the files that a name identifies, sorted by path; ``paths`` are further paths of the version.

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
        places = {place for path in (*paths, *(file.path for file in found)) for place in _with_folders(path)}
        near = get_close_matches(wanted, places, 1)
        hint = f"did you mean {name.dandiset}@{version}/{near[0]}?" if near else f"see dandi-mirror ls {name.dandiset}"
        raise NotFoundError(f"{name.dandiset}@{version} has no {wanted}; {hint}")
    return sorted(chosen, key=lambda file: file.path.encode(errors="surrogatepass"))


def _with_folders(path: str) -> Iterator[str]:
    """Yield a path and the folders that contain it."""
    parts = path.split("/")
    yield from ("/".join(parts[: depth + 1]) for depth in range(len(parts)))
