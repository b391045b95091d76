"""Restore the manifests and repositories of Zarrs: what is damaged is set aside, and made again from what is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.aside import content_moves, folders_aside, made_folder_aside, move_back
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.mirror.verify.restore_annex import restore_content
from dandi_mirror.mirror.verify.restore_repository import move_into, uuid_in
from dandi_mirror.mirror.verify.zarr_states import NamedZarrState
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.belonging import zarr_of
from dandi_mirror.mirror.zarr.entries import BadEntry, Disorder, entry_of
from dandi_mirror.mirror.zarr.repository import BRANCH, ZarrRepositories, repository_name
from dandi_mirror.model import is_asset_id
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import present, url_path
from dandi_mirror.repo.annex.pointers import OBJECTS_IN_GIT_DIR
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import LINK
from dandi_mirror.zarr_checksum import is_checksum

_OWN = (".dandi/", ".datalad/", ".gitattributes")


def bad_states(found: Iterable[Difference]) -> Iterator[NamedZarrState]:
    """The states whose manifests differ."""
    for difference in found:
        *_, zarr_id, checksum = ("", "", *difference.path.split("/"))
        if difference.kind is DifferenceKind.MANIFEST and is_asset_id(zarr_id) and is_checksum(checksum):
            yield NamedZarrState(zarr_id, checksum)


def bad_repositories(found: Iterable[Difference]) -> list[str]:
    """The Zarrs whose repositories differ."""
    names = {item.path.rpartition("/")[2].removesuffix(".git") for item in found if item.kind is DifferenceKind.ZARR}
    return sorted(filter(is_asset_id, names))


def set_aside(mirror: Mirror, name: str, called: str = "") -> Path | None:
    """Move a manifest or a repository to ``.dandi-mirror/damaged``; its new path, None if it is not there.

    It is ``called`` there as if it had come from that place; empty: from its own.
    """
    path = mirror.path / name
    if not os.path.lexists(path):
        return None
    try:
        return move_into(made_folder_aside(mirror), path, _name_aside(called or name))
    except OSError as error:
        raise DiskError.of(path, error) from error


def set_repository_aside(mirror: Mirror, zarr_id: str) -> None:
    """Set the repository of a Zarr aside, as that of the Zarr whose states it has: its content goes back there."""
    name, belongs = repository_name(zarr_id), ""
    if ZarrRepositories(mirror.path).exists(zarr_id):
        dataset = ZarrRepositories(mirror.path).dataset(zarr_id)
        belongs = zarr_of(dataset, dataset.ref(f"refs/heads/{BRANCH}") or "")
    set_aside(mirror, name, repository_name(belongs or zarr_id))


def _name_aside(name: str) -> str:
    return name.removeprefix("zarr/").replace("/", "-")


def restore_manifest(mirror: Mirror, state: NamedZarrState) -> bool:
    """Make a manifest from the repository of its Zarr, if that gives the checksum; whether it did.

    Most states can be listed again, and then the manifest has more: the times.  An older one cannot.
    """
    repositories = ZarrRepositories(mirror.path)
    dataset = repositories.dataset(state.zarr_id)
    if not repositories.exists(state.zarr_id) or dataset.ref(TAGS + state.checksum) is None:
        return False
    try:
        entries = sorted(_entries(dataset, *state), key=lambda entry: entry.path.encode())
        mirror.manifests.add(*state, entries, "s3" if all(entry.version_id for entry in entries) else "api")
    except DiskError:
        raise
    except (MirrorError, BadEntry, Disorder):
        return False
    return True


def _entries(dataset: Dataset, zarr_id: str, checksum: str) -> Iterator[ZarrEntry]:
    """The entries of a state, as the links and the URL logs of a repository have them."""
    tree = {path: oid for path, (mode, oid) in dataset.tree(TAGS + checksum).items() if mode == LINK}
    with dataset.reader() as reader:
        targets = reader.read(list(tree.values()))
        keys = [(content or b"").decode(errors="replace").rpartition("/")[2] for content in targets]
        logs = reader.read([f"{ANNEX}:{url_path(hash_dir_lower(key), key)}" for key in keys])
        for path, key, log in zip(tree, keys, logs, strict=True):
            if not path.startswith(_OWN) and (entry := entry_of(path, key)):
                yield entry._replace(version_id=_version(f"{zarr_id}/{quote(path)}", log or b""))


def _version(ending: str, log: bytes) -> str | None:
    """The bucket's version of an object, by the URL whose path ends so."""
    for url, there in present(log).items():
        place, _, version = url.partition("?versionId=")
        if there and version and place.endswith(f"/{ending}"):
            return version
    return None


def restore_repository(mirror: Mirror, zarr_id: str, newest: str, sources: Sources) -> None:
    """Make the repository of a Zarr anew from its manifests; content that was in the old one comes along.

    Raises:
        MirrorError: it cannot be written.
    """
    made = ZarrRepositories(mirror.path).write(zarr_id, newest, sources)
    for aside in zarrs_aside(mirror, zarr_id):
        if (uuid := uuid_in(aside)) and not uuid_in(made):
            git(made, "config", "annex.uuid", uuid)
        for source, target in list(content_moves(aside, made)):
            move_back(source, target)
    if (made / OBJECTS_IN_GIT_DIR).is_dir():
        clone = MirrorRepository("", zarr_id).clone(mirror)
        clone.prepare()
        restore_content(clone.dataset, clone.uuid)


def zarrs_aside(mirror: Mirror, zarr_id: str) -> list[Path]:
    """Where the repository of a Zarr was set aside, the last time first."""
    return folders_aside(mirror, _name_aside(repository_name(zarr_id)))


def check_zarr_aside(mirror: Mirror, zarr_id: str) -> Iterator[str]:
    """Whether a repair was cut off before it had moved the content of a Zarr into the repository that it made anew."""
    here = ZarrRepositories(mirror.path).path(zarr_id).path
    for aside in zarrs_aside(mirror, zarr_id):
        if any(content_moves(aside, here)):
            yield f"a repair was cut off before it moved content back from {aside.relative_to(mirror.path)}"
