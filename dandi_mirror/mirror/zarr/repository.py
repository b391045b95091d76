"""The bare repository of a Zarr, made from its manifests: a tag for each state, ``draft``, and the git-annex branch.

A new one is made beside its place and then renamed; to one that exists, the objects come first and the refs last.  So
whoever looks finds the old or the new, also after a kill.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import DiskError, IntegrityError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.zarr.annex_logs import NOW, Sources, annexed, log_folder, put_branch
from dandi_mirror.mirror.zarr.belonging import other_zarr
from dandi_mirror.mirror.zarr.entries import changed_entries
from dandi_mirror.mirror.zarr.manifest_format import BadManifest
from dandi_mirror.mirror.zarr.manifests import FOLDER, Manifests
from dandi_mirror.mirror.zarr.state import StateBuilder, ZarrState
from dandi_mirror.repo.annex.branch import import_logs
from dandi_mirror.repo.annex.logs import location_path, url_path
from dandi_mirror.repo.git import garbage, lock
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, TEMPORARY, Dataset, RefChange
from dandi_mirror.repo.git.disk import bring_folders_to_disk
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.pack import PackWriter, install, packed_objects
from dandi_mirror.repo.git.stream import Commit

BRANCH = "draft"
_DRAFT = f"refs/heads/{BRANCH}"
_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[annex]\n\tprivate = true\n"
"""The last setting is for old releases of git-annex: they initialise the repository that they clone, and would write
its place on this machine to its git-annex branch.  ``AnnexRepository.prepare`` takes it back when content comes."""
_FOLDERS = ("objects/info", "objects/pack", "refs/heads", "refs/tags")
_WAIT = 600.0  # seconds; another run may just be adding a state


def repository_path(mirror: Path, zarr_id: str) -> OwnPath:
    """Where a mirror has the repository of a Zarr."""
    return OwnPath(mirror, (FOLDER, zarr_id[:3], zarr_id[3:6], f"{zarr_id}.git"))


def repository_name(zarr_id: str) -> str:
    """The same, relative to the mirror."""
    return "/".join(repository_path(Path(), zarr_id).parts)


class ZarrRepositories:
    """The repositories of a mirror's Zarrs."""

    def __init__(self, mirror: Path) -> None:
        self._mirror = mirror
        self._manifests = Manifests(mirror)

    def path(self, zarr_id: str) -> OwnPath:
        """Where the repository of a Zarr is."""
        return repository_path(self._mirror, zarr_id)

    def exists(self, zarr_id: str) -> bool:
        """Whether the mirror has the repository of a Zarr; a link to another one is none."""
        return self.path(zarr_id).is_own_folder() and self.dataset(zarr_id).exists()

    def dataset(self, zarr_id: str) -> Dataset:
        """The repository of a Zarr, for those who read it, if it :meth:`exists`."""
        dataset = Dataset(self.path(zarr_id).path)
        dataset.git_dir = dataset.path  # it is bare
        return dataset

    def is_current(self, zarr_id: str, newest: str) -> bool:
        """Whether there is a repository whose branch is at this state; starts no git.

        Raises:
            NotFoundError, BadManifest: there is no manifest of the state that can be read.
        """
        if not self.path(zarr_id).is_folder():
            return False
        return self.dataset(zarr_id).ref(_DRAFT) == self._manifests.state(zarr_id, newest).commit

    def write(self, zarr_id: str, newest: str, sources: Sources) -> Path:
        """Make the repository of a Zarr, or add to it the states that have come since; its path.

        It has all states that have a manifest; ``newest`` is the one that its branch shows.

        Raises:
            NotFoundError, BadManifest: a manifest is missing or damaged; nothing has changed.
            IntegrityError: what stands there is no complete repository, or that of another Zarr; nothing has changed.
            LockedError: another run is adding to it, and does not end in time.
            DiskError, GitError: nothing has changed, or objects that no ref names are left.
        """
        writing = _Writing(self, self._manifests, zarr_id, sources)
        try:
            if not self.path(zarr_id).is_folder():
                writing.create(newest)
            if not self.dataset(zarr_id).exists():
                # git would take the mirror's own repository, which is above it
                raise IntegrityError(
                    f"{self.path(zarr_id)} is not a complete repository, files of git are missing; remove it, and "
                    "a sync or a get makes it again"
                )
            if not self.is_current(zarr_id, newest):
                with lock.hold(self.path(zarr_id) / "dandi-mirror.lock", f"the Zarr {zarr_id}", wait=_WAIT) as run:
                    if run:
                        self.dataset(zarr_id).clear_stale(run)
                    writing.extend(newest)
        except OSError as error:
            raise DiskError.of(self.path(zarr_id), error) from error
        return self.path(zarr_id).path


class _Writing:
    """One Zarr whose repository is written."""

    def __init__(self, repositories: ZarrRepositories, manifests: Manifests, zarr_id: str, sources: Sources) -> None:
        self._place = repositories.path(zarr_id)
        self._dataset = repositories.dataset(zarr_id)
        self._manifests = manifests
        self._zarr_id = zarr_id
        self._sources = sources

    def _states(self, newest: str) -> list[ZarrState]:
        """The states that have a manifest, ``newest`` last."""
        others = [name for name in self._manifests.states(self._zarr_id) if name != newest]
        return [self._manifests.state(self._zarr_id, name) for name in (*others, newest)]

    def _entries(self, states: Sequence[ZarrState]) -> Iterator[ZarrEntry]:
        return chain.from_iterable(self._manifests.entries(self._zarr_id, state.checksum) for state in states)

    # --- a new repository ---------------------------------------------------------------------------------------

    def create(self, newest: str) -> None:
        """Make the repository beside its place, then let it appear."""
        states = self._states(newest)
        made = self._place.beside(f".{self._place.name}.{os.getpid()}")
        self._clear_leftovers()
        try:
            self._fill(made, states)
            with self._place.parent.opened_folder() as folder:
                try:
                    os.rename(made.name, self._place.name, src_dir_fd=folder, dst_dir_fd=folder)
                except OSError:
                    if not self._place.is_folder():
                        raise  # else another process was quicker
                os.fsync(folder)
        finally:
            made.clear()

    def _clear_leftovers(self) -> None:
        """Remove what killed runs have left."""
        begin = f".{self._place.name}."
        for name in self._place.parent.names():
            if name.startswith(begin) and not _is_running(name.removeprefix(begin)):
                (self._place.parent / name).clear()

    def _fill(self, made: OwnPath, states: Sequence[ZarrState]) -> None:
        for name in _FOLDERS:
            OwnPath(made.top, (*made.parts, *name.split("/"))).make_folder()
        (made / "config").replace(_CONFIG)
        (made / "HEAD").replace(f"ref: {_DRAFT}\n".encode())
        with _temporary() as file:
            pack = PackWriter(file)
            for state in states:
                self._put_state(pack, state)
            count = sum(state.entries for state in states)
            annex = put_branch(pack, self._zarr_id, self._sources, lambda: self._entries(states), count)
            pack.close()
            install(made.path, file)
        (made / "packed-refs").replace(_packed_refs(states, annex))
        bring_folders_to_disk([str(made.path / name) for name in ("", "objects", *_FOLDERS)])

    def _put_state(self, pack: PackWriter, state: ZarrState) -> None:
        """Put the commit of a state, and what it needs, into a pack; so its manifest is verified as well."""
        building = StateBuilder(self._zarr_id, pack.put)
        for entry in self._manifests.entries(self._zarr_id, state.checksum):
            building.add(entry)
        if building.state() != state:
            path = self._manifests.path(self._zarr_id, state.checksum)
            raise BadManifest(f"{path}: its entries do not have its checksum; remove this file, then sync again")

    # --- a repository that exists -------------------------------------------------------------------------------

    def extend(self, newest: str) -> None:
        """Add the states that are missing, and let the branch show the newest."""
        dataset, states = self._dataset, self._states(newest)
        tags = {state.checksum: dataset.ref(TAGS + state.checksum) for state in states}
        new = [state for state in states if not tags[state.checksum]]
        draft, annex = dataset.ref(_DRAFT), dataset.ref(ANNEX)
        self._check_branch(draft, frozenset(state.commit for state in states))
        with garbage.no_gc(dataset.git_dir):
            self._add_objects(new)
            logs = self._add_logs(new, [state for state in states if state.commit == draft][:1], annex)
            changes = [RefChange(TAGS + state.checksum, state.commit, None) for state in new]
            changes += [RefChange(ANNEX, logs, annex)] if logs else []
            changes += [RefChange(_DRAFT, states[-1].commit, draft)] if draft != states[-1].commit else []
            dataset.move_refs(changes)
            dataset.drop_refs([_temporary_ref()] if logs else [])

    def _check_branch(self, draft: str | None, own: frozenset[str]) -> None:
        if other := other_zarr(self._dataset, self._zarr_id, {_DRAFT: draft} if draft else {}, own):
            raise IntegrityError(
                f"{self._place} is the repository of another Zarr, {other}; put both in their places: "
                "dandi-mirror verify --repair"
            )

    def _add_objects(self, new: Sequence[ZarrState]) -> None:
        with _temporary() as file, packed_objects(self._dataset.git_dir) as known:
            pack = PackWriter(file, known)
            for state in new:
                self._put_state(pack, state)
            if pack.count:
                pack.close()
                install(self._dataset.path, file)

    def _add_logs(self, new: Sequence[ZarrState], base: Sequence[ZarrState], annex: str | None) -> str:
        """Import what the git-annex branch has to say about new states; its commit, empty if that is nothing."""
        paths: dict[str, Callable[[bytes], bytes]] = {"remote.log": self._sources.remote_log}
        for key, (folder, urls) in self._new_urls(new, base).items():
            paths[location_path(folder, key)] = self._sources.location_log
            paths[url_path(folder, key)] = partial(self._sources.url_log, urls)
        before = self._existing(list(paths), annex)
        after = ((path, change(before[path])) for path, change in sorted(paths.items()))
        files = [(path, content) for path, content in after if content != before[path]]
        if not files:
            return ""
        commit = Commit(_temporary_ref(), NOW, "update\n", base=annex)
        with Importer(self._dataset.path) as importer:
            import_logs(importer, commit, files, self._dataset.folders(annex))
        return self._dataset.refs()[_temporary_ref()]

    def _new_urls(self, new: Sequence[ZarrState], base: Sequence[ZarrState]) -> dict[str, tuple[str, list[str]]]:
        """The URLs of entries that are not in the state ``base``, by key, with the folder of its logs."""
        found: dict[str, tuple[str, list[str]]] = {}
        for state in new:
            for digest, key, entry in annexed(changed_entries(self._entries([state]), self._entries(base))):
                found.setdefault(key, (log_folder(digest), []))[1].extend(self._sources.urls(self._zarr_id, entry))
        return found

    def _existing(self, paths: list[str], annex: str | None) -> Mapping[str, bytes]:
        if annex is None:
            return dict.fromkeys(paths, b"")
        with self._dataset.reader() as reader:
            contents = reader.read([f"{annex}:{path}" for path in paths])
            return {path: content or b"" for path, content in zip(paths, contents, strict=True)}


def _temporary_ref() -> str:
    return f"{TEMPORARY}git-annex"


@contextmanager
def _temporary() -> Iterator[BinaryIO]:
    """A file for a pack, which is gone afterwards."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    except OSError as error:
        raise DiskError.of(tempfile.gettempdir(), error) from error
    with file:
        yield file


def _packed_refs(states: Sequence[ZarrState], annex: str) -> bytes:
    refs = {f"{TAGS}{state.checksum}": state.commit for state in states}
    refs |= {_DRAFT: states[-1].commit, ANNEX: annex}
    lines = "".join(f"{oid} {ref}\n" for ref, oid in sorted(refs.items()))
    return f"# pack-refs with: peeled fully-peeled sorted \n{lines}".encode()


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
