"""A dataset with git-annex, in a mirror or a clone: its annexed files, keys, logs and archive."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from dandi_mirror.addresses import Allowed, is_loopback
from dandi_mirror.errors import UsageError
from dandi_mirror.files.opening import read_text
from dandi_mirror.repo.annex import settings
from dandi_mirror.repo.annex.initialise_in_clone import initialise_in_clone, is_initialised
from dandi_mirror.repo.annex.keys import hash_dir_lower, hash_dir_mixed, is_key
from dandi_mirror.repo.annex.logs import (
    WEB,
    api_of,
    embargo_remote,
    fields,
    location_path,
    metadata_path,
    present,
    url_path,
)
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, OBJECTS_IN_GIT_DIR, name_in
from dandi_mirror.repo.git.dataset import ANNEX, Dataset, Tree
from dandi_mirror.repo.git.disk import share_as
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import FILE, LINK

_API = re.compile(r"^\S+ (?=.*\bexternaltype=dandi\b)(?:.* )?api=(\S+)", re.M)
_MANY = 50
"""Logs; to read more than this, list the branch first."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """An annexed file of a tree."""

    path: str
    key: str
    """Empty if the file names no valid key."""
    pointer: bool
    """Whether it is unlocked: a file that holds its content or a pointer to it, not a link."""


@dataclass(frozen=True, slots=True)
class KeyLocations:
    """What the git-annex branch records about a key."""

    urls: tuple[str, ...]
    places: frozenset[str]
    """UUIDs of the repositories that have its content, as recorded."""


class AnnexRepository:
    """A repository in which git-annex is, or can be, initialised."""

    def __init__(self, path: Path, dataset: Dataset | None = None) -> None:
        """``path`` is the top of the work tree, or a bare repository, whose ``dataset`` is then given."""
        self.path = path
        self.dataset = dataset or Dataset(path)
        self.config: dict[str, str] = {}
        self.git_dir = self.dataset.git_dir
        self._objects = f"{self.git_dir}/{OBJECTS_IN_GIT_DIR}"
        # git-annex keeps the objects of a bare repository in other folders
        self._folder_of = hash_dir_lower if self.git_dir == path else hash_dir_mixed
        self._branch: str | None = None  # the git-annex branch when the following were read
        self._locations: dict[str, bytes] = {}
        self._api: str | None = None

    def prepare(self) -> None:
        """Initialise git-annex if need be, and merge into its branch whatever was fetched.

        Raises:
            UsageError: git-annex cannot be initialised here.
            DiskError, GitError: git-annex failed.
            LockedError: another run initialises it for minutes.
        """
        self.read_config()
        if self.git_dir == self.path and self.config.get("annex.private"):
            # the bare repository of a Zarr, which now gets content: others learn from its branch what it holds
            git(self.path, "config", "--unset-all", "annex.private")
            self.read_config()
        if not is_initialised(self.dataset, self.config):
            initialise_in_clone(self.dataset)
            self.read_config()
        elif not self._is_merged():
            git(self.path, "annex", "merge", "--quiet")
        if not self.uuid:
            raise UsageError(f"{self.path} is not initialised for git-annex; type in that folder: git annex init")

    def read_config(self) -> None:
        """Read git's settings; if a group shares the git folder, all that this process makes is for the group."""
        self.config = settings.read(self.path)
        share_as(self.git_dir.stat().st_mode)

    def _is_merged(self) -> bool:
        """Whether the branch holds all that git-annex has in its journal and all that was fetched.

        Starts no git-annex.
        """
        with suppress(FileNotFoundError):
            if next((self.git_dir / "annex" / "journal").iterdir(), None):
                return False
        merged = read_text(self.git_dir / "annex" / "mergedrefs").split()
        refs = self.dataset.refs_in_files("refs/heads", "refs/remotes")
        return {oid for ref, oid in refs.items() if ref.endswith("/git-annex") and ref != ANNEX} <= set(merged)

    @property
    def uuid(self) -> str:
        """The repository's own UUID; empty if git-annex is not initialised."""
        return self.config.get("annex.uuid", "")

    @property
    def plain(self) -> bool:
        """Whether this program may write objects and logs itself; otherwise git-annex has to do it."""
        return settings.are_usual(self.config)

    @property
    def unlocked_only(self) -> bool:
        """Whether git-annex found that the disk has no symbolic links or no permissions, so that it keeps no links."""
        return self.config.get("annex.crippledfilesystem") == "true"

    @property
    def addresses(self) -> frozenset[str]:
        """The IP addresses on this machine or network that git-annex may connect to."""
        return settings.allowed_addresses(self.config)

    def api(self) -> str:
        """The URL of the archive's API that the dataset records; empty if it records none.

        An address on this machine or network counts only if git-annex may connect to it.
        """
        url = self.recorded_api()
        inside = bool(url) and Allowed().refuses(url)
        if inside and not self.config:
            self.read_config()
        return "" if inside and Allowed(addresses=self.addresses).refuses(url) else url

    def recorded_api(self) -> str:
        """The URL of the archive's API that the dataset records, wherever it leads; empty if it records none."""
        log = self.dataset.ref(ANNEX) or self.dataset.ref("refs/remotes/origin/git-annex")
        with self.dataset.reader() as reader:
            (content,) = reader.read([f"{log}:remote.log"]) if log else (None,)
        place = api_of(content or b"")
        if not place:
            return ""
        try:
            url = f"{'http' if is_loopback(urlsplit(f'//{place}').hostname) else 'https'}://{place}"
            Allowed().refuses(url)
        except ValueError:
            return ""
        return url

    def closed_api(self) -> str:
        """The API of the special remote for embargoed content; empty if there is no such remote."""
        self._forget_what_moved()
        if self._api is None:
            found = _API.search(self.logs(["remote.log"]).get("remote.log", b"").decode(errors="replace"))
            self._api = found[1] if found else ""
        return self._api

    # --- files -----------------------------------------------------------------------------------------------

    def listing(self, commit: str | None = None, *paths: str) -> Tree:
        """Every file of a commit, or those at ``paths``; without ``commit``, of the index."""
        return self.dataset.tree(commit, *paths) if commit else self._index(*paths)

    def tracked(self, tree: Tree) -> list[Tracked]:
        """The annexed files of a listing, sorted by path."""
        wanted = {path: entry for path, entry in tree.items() if entry[0] in {LINK, FILE} and _may_be_annexed(path)}
        with self.dataset.reader() as reader:
            contents = reader.read([oid for _, oid in wanted.values()], LONGEST_POINTER, b"")
            found = [
                Tracked(path, name if is_key(name) and _stays(path) else "", mode == FILE)
                for (path, (mode, _)), content in zip(wanted.items(), contents, strict=True)
                if (name := name_in(mode, content or b""))
            ]
        return sorted(found, key=lambda file: file.path)

    def _index(self, *paths: str) -> Tree:
        listing = git(self.path, "--literal-pathspecs", "ls-files", "-s", "-z", "--", *paths)
        lines = (line.partition(b"\t") for line in listing.split(b"\0")[:-1])
        return {
            path.decode(errors="surrogateescape"): ((words := facts.split(b" "))[0], words[1].decode())
            for facts, _, path in lines
        }

    # --- keys ------------------------------------------------------------------------------------------------

    def object_path(self, key: str) -> str:
        """Where the content of a key is; if it is not present, where it goes."""
        return self._present_at(key) or self.new_object_path(key)

    def new_object_path(self, key: str) -> str:
        """Where the content of a key goes if it is not present."""
        return f"{self._objects}{self._folder_of(key)}/{key}/{key}"

    def has(self, key: str) -> bool:
        """Whether the content of a key is present."""
        return bool(self._present_at(key))

    def _present_at(self, key: str) -> str:
        """Where the content of a key is; empty if it is not present."""
        usual = self.new_object_path(key)
        if os.access(usual, os.F_OK):  # a third of the time of os.path.exists, for a file that does not exist
            return usual
        other = hash_dir_lower if self._folder_of is hash_dir_mixed else hash_dir_mixed
        found = f"{self._objects}{other(key)}/{key}/{key}"
        return found if os.access(found, os.F_OK) else ""

    def facts(self, keys: Iterable[str]) -> Iterator[tuple[str, KeyLocations]]:
        """Each key with what the git-annex branch records about it."""
        if not (keys := list(keys)):
            return
        api = self.closed_api()
        closed = embargo_remote(api)[0]
        places = [(key, hash_dir_lower(key)) for key in keys]
        logs = self.logs([path(place, key) for key, place in places for path in (location_path, url_path)])
        self._locations |= {path: log for path, log in logs.items() if path.endswith(".log")}
        for key, place in places:
            location, url = logs[location_path(place, key)], logs[url_path(place, key)]
            there = frozenset(place for place, is_there in present(location).items() if is_there)
            # embargoed content comes from the API alone
            begin = "" if WEB in there else (f"{api}/assets/", f"{api}/zarr/")
            known = (text for text, is_there in present(url).items() if is_there and text.startswith(begin))
            yield key, KeyLocations(tuple(known) if there & {WEB, closed} else (), there)

    def locations(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Location logs by path.  A log that was read before is read again only if the branch has moved."""
        self._forget_what_moved()
        unknown = [path for path in paths if path not in self._locations]
        return (self.logs(unknown) if unknown else {}) | {
            path: self._locations[path] for path in paths if path in self._locations
        }

    def moved(self, made: str, locations: Mapping[str, bytes]) -> None:
        """Note that we moved the branch to commit ``made``, in which these location logs are new."""
        self._branch = made
        self._locations |= locations

    def _forget_what_moved(self) -> None:
        if (branch := self.dataset.ref(ANNEX)) != self._branch:
            self._branch, self._locations, self._api = branch, {}, None

    def fields(self, keys: Iterable[str]) -> dict[str, set[tuple[str, str]]]:
        """The metadata of each key: (field, value) pairs."""
        paths = {key: metadata_path(hash_dir_lower(key), key) for key in keys}
        logs = self.logs(list(paths.values()))
        return {key: fields(logs[path]) for key, path in paths.items()}

    def logs(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Files of the git-annex branch by path; empty for one that is not there."""
        if len(paths) > _MANY:
            # git searches each name from the top; listing the folders takes a tenth of that time
            tree = self.dataset.tree(ANNEX, *sorted({path.partition("/")[0] for path in paths}))
            names = {path: tree[path][1] for path in paths if path in tree}
        else:
            names = {path: f"{ANNEX}:{path}" for path in paths}
        with self.dataset.reader() as reader:
            found = dict(zip(names, reader.read(list(names.values())), strict=True))
        return {path: found.get(path) or b"" for path in paths}


def copies(objects: Path, key: str) -> list[Path]:
    """The two places at which another repository may keep the content of a key."""
    return [objects / place / key / key for place in (hash_dir_mixed(key), hash_dir_lower(key))]


def copy_urls(git_folder: str, key: str) -> list[str]:
    """The two URLs at which a repository behind a web server may show the content of a key."""
    name = quote(key)
    return [
        f"{git_folder}/{OBJECTS_IN_GIT_DIR}{place}/{name}/{name}"
        for place in (hash_dir_mixed(key), hash_dir_lower(key))
    ]


def _may_be_annexed(path: str) -> bool:
    return not path.startswith((".datalad/", ".git", ".dandi/assets"))


def _stays(path: str) -> bool:
    """Whether a path of a tree stays below its top; git checks this only when it checks files out."""
    return not {"", ".", ".."}.intersection(path.split("/"))
