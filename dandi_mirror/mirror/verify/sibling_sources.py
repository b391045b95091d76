"""Siblings as sources of a repair: git objects, manifests of Zarrs and content, each believed only by its hash."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.config import HOSTS, Sibling
from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.content import Held, is_content_whole
from dandi_mirror.mirror.verify.zarr_states import NamedZarrState
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.repo.annex.keys import digest_of, hash_dir_lower, hash_dir_mixed, is_key
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import git

_FETCH = (
    "-c", "http.followRedirects=false", "-c", "transfer.bundleURI=false", "-c", "fetch.fsckObjects=true",
    "fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance", "--no-tags",
)  # fmt: skip
"""Fetch from one address and no other; git computes the hash of each object that comes."""
_REFS = ("refs/heads/*:refs/sibling/heads/*", "refs/tags/*:refs/tags/*")


@dataclass(frozen=True, slots=True)
class SiblingSources:
    """The siblings of a mirror, for the repair of one Dandiset."""

    siblings: tuple[Sibling, ...]
    dandiset: str

    def repositories(self, room: Path) -> Iterator[Dataset]:
        """The branches and tags of each sibling that answers, fetched into a folder ``room`` of this program's own."""
        for sibling in self.siblings:
            for place in self._places(sibling):
                made = Dataset(room / sibling.name)
                shutil.rmtree(made.path, ignore_errors=True)
                made.create("draft")
                try:
                    git(made.path, *_FETCH, "--", place, *_REFS, remotes=True)
                except DiskError:
                    raise
                except MirrorError:
                    continue  # it does not answer, or is no repository
                yield made
                break

    def _places(self, sibling: Sibling) -> tuple[str, ...]:
        """Where a sibling may have the repository: as ``push`` makes it, and as another mirror has it."""
        if sibling.error or sibling.type == "ria":
            return ()
        if sibling.type in HOSTS:
            return (f"{sibling.url.rpartition('/')[0]}/{self.dandiset}",)
        place = f"{sibling.url}/{self.dandiset}"
        return (place, f"{place}/.git") if "://" in sibling.url else (place,)

    def _folders(self) -> Iterator[Path]:
        """Siblings on this machine."""
        yield from (Path(sibling.url) for sibling in self.siblings if sibling.url.startswith("/"))

    def give_manifest(self, mirror: Mirror, state: NamedZarrState) -> bool:
        """Take the manifest of a state from a mirror on this machine, if its entries give the checksum."""
        for folder in self._folders():
            theirs = Manifests(folder)
            try:
                listed = theirs.header(*state).listed
                entries = sorted(theirs.read(*state), key=lambda entry: entry.path.encode())
                mirror.manifests.add(*state, entries, listed)
            except (MirrorError, ValueError):
                continue
            return True
        return False

    def give_content(self, dataset: Dataset, keys: Iterable[str], place: str = "") -> list[str]:
        """Copy the content of keys from mirrors on this machine, if its hash fits; the keys that came.

        ``place`` is where a mirror has the repository, if that is not the Dandiset's.

        Raises:
            GitError, DiskError: git-annex failed, or the disk is full.
        """
        came = []
        for key in keys:
            if (
                is_key(key)
                and digest_of(key)
                and any(self._copy(dataset, key, file) for file in self._files(key, place))
            ):
                came.append(key)
        return came

    def _files(self, key: str, place: str) -> Iterator[Path]:
        for folder in self._folders():
            where = folder / (place or self.dandiset)
            yield where / ".git/annex/objects" / hash_dir_mixed(key) / key / key
            yield where / "annex/objects" / hash_dir_lower(key) / key / key

    def _copy(self, dataset: Dataset, key: str, file: Path) -> bool:
        if not file.is_file() or file.is_symlink() or not is_content_whole(Held(key, file)):
            return False
        room = dataset.git_dir / "annex" / "tmp" / f"{key}.sibling"
        try:
            room.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, room)
            if not is_content_whole(Held(key, room)):
                return False
            git(dataset.path, "annex", "setkey", key, str(room))
        except OSError as error:
            raise DiskError.of(room, error) from error
        finally:
            room.unlink(missing_ok=True)
        return True
