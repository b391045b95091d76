"""Install the Zarrs of a dataset: each as a submodule, at the state that is checked out, from a mirror's manifest."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from dandi_mirror.archive.names import split_entry
from dandi_mirror.errors import PartError
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, read_gitmodules
from dandi_mirror.mirror.zarr.installed import is_installed_at
from dandi_mirror.paths import GITMODULES
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git import trust
from dandi_mirror.repo.git.dataset import TAGS
from dandi_mirror.repo.git.git_folder import Repository
from dandi_mirror.repo.git.lock import turn
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import GITLINK
from dandi_mirror.text import quoted


@dataclass(slots=True)
class WantedZarr:
    """A Zarr of a dataset, and what somebody wants of it."""

    module: ZarrModule
    commit: str
    """Of the gitlink."""
    paths: list[str] = field(default_factory=list)
    """Relative to the Zarr; ``.`` is all of it."""


def zarrs_of(clone: AnnexRepository, commit: str | None = None) -> dict[str, WantedZarr]:
    """The Zarrs of a commit, or of the state that is checked out, by path."""
    listing = clone.listing(commit)
    if GITMODULES not in listing:
        return {}
    with clone.dataset.reader() as reader:
        (content,) = reader.read([listing[GITMODULES][1]])
    known = read_gitmodules(content or b"")
    links = {path: oid for path, (mode, oid) in listing.items() if mode == GITLINK}
    return {path: WantedZarr(known[path], oid) for path, oid in links.items() if path in known}


def wanted(zarrs: dict[str, WantedZarr], texts: Iterable[str]) -> tuple[list[WantedZarr], list[str]]:
    """Which Zarrs paths and globs name, also by what is in them, and the texts that are left for the dataset itself.

    A folder or a dataset does not stand for the Zarrs in it: they may be a thousand times as large as all else.
    """
    found: dict[str, WantedZarr] = {}
    rest = []
    for text in texts:
        plain = text.strip("/")
        own = next((path for path in zarrs if plain == path or plain.startswith(path + "/")), None)
        asset, entry = (own, plain[len(own) + 1 :]) if own else split_entry(plain)
        here = [own] if own else [path for path in zarrs if fnmatchcase(path, asset)]
        for path in here:
            found.setdefault(path, zarrs[path]).paths.append(entry or ".")
        rest += [] if own or (here and entry) else [text]
    return list(found.values()), rest


def passed_over(
    clone: AnnexRepository, zarrs: dict[str, WantedZarr], found: Iterable[WantedZarr], texts: Iterable[str]
) -> list[str]:
    """The Zarrs in folders that somebody named, or in the whole dataset, that are not installed and nobody named."""
    folders = [text.strip("/").removeprefix("./") for text in texts] or ["."]
    named = {zarr.module.path for zarr in found}
    return [
        path
        for path, zarr in zarrs.items()
        if path not in named
        and any(folder in {"", "."} or path.startswith(folder + "/") for folder in folders)
        and not is_installed(clone, zarr)
    ]


def is_installed(clone: AnnexRepository, zarr: WantedZarr) -> bool:
    """Whether the repository of a Zarr is in its folder."""
    return is_installed_at(clone.path, zarr.module.path)


def state_of_folder(zarr: AnnexRepository) -> str:
    """The commit that an installed Zarr has checked out."""
    return git(zarr.path, "rev-parse", "HEAD").decode().strip()


def install_zarr(clone: AnnexRepository, zarr: WantedZarr, dandiset: str, named: Path, hosts: frozenset[str]) -> None:
    """Install a Zarr in a dataset, with its repository from a mirror on this machine.

    ``named`` is a mirror to look in; ``hosts`` are those of the settings at which content may be.

    Raises:
        PartError: no mirror here has the state, or the folder is not empty.
        DiskError, GitError, LockedError: the repository cannot be written or cloned.
    """
    _check_places(clone, zarr.module.path)
    folder = clone.path / zarr.module.path
    if os.path.lexists(folder) and (not folder.is_dir() or next(folder.iterdir(), None)):
        raise PartError(f"{folder} is there and is no dataset; move it away")
    source = _repository(clone, zarr, dandiset, named, hosts)
    with turn(clone.git_dir, f"the installation of {zarr.module.path}"):
        if is_installed(clone, zarr):
            return
        git(clone.path, "config", f"submodule.{zarr.module.path}.url", str(source))
        # our own repository on this disk, which git otherwise does not take for a submodule
        git(clone.path, "--literal-pathspecs", "-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false",
            "submodule", "--quiet", "update", "--init", "--", zarr.module.path, remotes=True)  # fmt: skip


def _check_places(clone: AnnexRepository, path: str) -> None:
    """Check that git would put the Zarr's repository and files into the clone, and use no repository of somebody else.

    Raises:
        PartError: it would not.
    """
    kept = clone.git_dir / "modules" / path
    for place, inside in ((clone.path / path, clone.path), (kept, clone.git_dir)):
        if not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(inside)):
            raise PartError(f"{place} leads out of {inside}, through a link; remove the link")
    if os.path.lexists(kept):
        trust.check(Repository(clone.path / path, kept))


def _repository(clone: AnnexRepository, zarr: WantedZarr, dandiset: str, named: Path, hosts: frozenset[str]) -> Path:
    """The repository of a Zarr in a mirror on this machine; it is written if need be."""
    # late: each get looks for Zarrs, and most find none
    from dandi_mirror.mirror.locate.zarr_mirrors import mirrors_of, sources_of
    from dandi_mirror.mirror.zarr.repository import ZarrRepositories

    zarr_id, checksum = zarr.module.zarr_id, zarr.module.checksum
    for mirror in mirrors_of(clone, dandiset, named):
        repositories = ZarrRepositories(mirror.path)
        if repositories.path(zarr_id).is_folder() and repositories.dataset(zarr_id).ref(TAGS + checksum):
            return repositories.path(zarr_id).path
        if mirror.manifests.has(zarr_id, checksum):
            return repositories.write(zarr_id, checksum, sources_of(clone, mirror, dandiset, zarr_id, hosts))
    raise no_mirror(zarr.module.path, dandiset)


def no_mirror(path: str, dandiset: str) -> PartError:
    """The error that there is no mirror here with the manifest of a Zarr's state, and what to type."""
    path = shlex.quote(path)
    return PartError(
        f"no mirror on this machine has the list of entries of this Zarr; make one (dandi-mirror sync {dandiset} "
        f"-d DIR) and name it: dandi-mirror get {quoted(path)} -d DIR; or, as plain files: "
        f"dandi-mirror download {dandiset}/{path}"
    )
