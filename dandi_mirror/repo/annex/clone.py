"""A clone of a dataset, or a mirror's own: which annexed files it has, and what its git-annex is told to do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dandi_mirror.addresses import Allowed, is_loopback
from dandi_mirror.errors import DiskError, UsageError
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
from dandi_mirror.repo.git.dataset import ANNEX, Dataset, Tree
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import FILE, LINK

_API = re.compile(r"^\S+ (?=.*\bexternaltype=dandi\b)(?:.* )?api=(\S+)", re.M)
_ADDRESSES = "annex.security.allowed-ip-addresses"
_OBJECTS = "annex/objects/"
_POINTER = b"/annex/objects/"
LONGEST_POINTER = 32 << 10  # bytes, as git-annex has it
_MANY = 50
"""Logs; to read more, the branch is listed first."""
_UNUSUAL = (
    "annex.crippledfilesystem", "annex.freezecontent-command", "annex.thawcontent-command", "annex.pidlock",
    "annex.private", "annex.secure-erase-command", "core.sharedrepository",
)  # fmt: skip
"""Settings with which placing an object takes more than is done here."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """An annexed file of a tree."""

    path: str
    key: str
    """Empty if what it names can be none."""
    pointer: bool
    """Whether it is a file that holds its content or a pointer to it (unlocked), not a link."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the git-annex branch says of a key."""

    urls: tuple[str, ...]
    places: frozenset[str]
    """UUIDs of the repositories that are recorded to have its content."""


class Clone:
    """A repository with a work tree, in which git-annex is at home or can be."""

    def __init__(self, path: Path) -> None:
        """``path`` is the top of the work tree."""
        self.path = path
        self.dataset = Dataset(path)
        self.config: dict[str, str] = {}
        self.git_dir = self.dataset.git_dir
        self._objects = f"{self.git_dir}/{_OBJECTS}"
        self._branch: str | None = None  # where the git-annex branch was when what follows was read
        self._locations: dict[str, bytes] = {}
        self._api: str | None = None

    def prepare(self) -> None:
        """Let git-annex be at home, with all that was fetched from elsewhere merged into its branch.

        Raises:
            UsageError: this is no repository that git-annex keeps.
            DiskError, GitError: git-annex cannot.
        """
        self.read_config()
        if not self.uuid:
            git(self.path, "annex", "init", "--quiet")
            self.read_config()
        elif not self._is_merged():
            git(self.path, "annex", "merge", "--quiet")
        if not self.uuid:
            raise UsageError(f"{self.path} is not a clone that git-annex keeps; run in it: git annex init")

    def read_config(self) -> None:
        """Read git's settings."""
        listing = git(self.path, "config", "--list", "-z").decode(errors="surrogateescape")
        pairs = (entry.partition("\n") for entry in listing.split("\0") if entry)
        self.config = {name: value for name, _, value in pairs}

    def _is_merged(self) -> bool:
        """Whether its branch holds all that git-annex has noted, and that was fetched; starts no git-annex."""
        with suppress(FileNotFoundError):
            if next((self.git_dir / "annex" / "journal").iterdir(), None):
                return False
        try:
            merged = (self.git_dir / "annex" / "mergedrefs").read_text().split()
        except OSError:
            merged = []
        refs = self.dataset.refs_in_files("refs/heads", "refs/remotes")
        return {oid for ref, oid in refs.items() if ref.endswith("/git-annex") and ref != ANNEX} <= set(merged)

    @property
    def uuid(self) -> str:
        """The repository's own UUID; empty if git-annex is not at home."""
        return self.config.get("annex.uuid", "")

    @property
    def plain(self) -> bool:
        """Whether objects and logs may be written here as by git-annex's defaults; else git-annex does it itself."""
        return all(self.config.get(name, "false") in {"false", "umask", "0", "no", ""} for name in _UNUSUAL)

    @property
    def addresses(self) -> frozenset[str]:
        """IP addresses on this machine or network that git-annex may ask."""
        return frozenset(self.config.get(_ADDRESSES, "").split())

    def api(self) -> str:
        """The URL of the archive's API, as the dataset itself says; empty if it does not.

        One that is spelt as an address on this machine or network counts only if git-annex may ask it.
        """
        log = self.dataset.ref(ANNEX) or self.dataset.ref("refs/remotes/origin/git-annex")
        with self.dataset.reader() as reader:
            (content,) = reader.read([f"{log}:remote.log"]) if log else (None,)
        place = api_of(content or b"")
        if not place:
            return ""
        try:
            url = f"{'http' if is_loopback(urlsplit(f'//{place}').hostname) else 'https'}://{place}"
            inside = Allowed().refuses(url)
        except ValueError:
            return ""
        if inside and not self.config:
            self.read_config()
        return "" if inside and Allowed(addresses=self.addresses).refuses(url) else url

    def closed_api(self) -> str:
        """The API that has what is here under embargo, as its special remote says; empty if nothing is."""
        self._forget_what_moved()
        if self._api is None:
            found = _API.search(self.logs(["remote.log"]).get("remote.log", b"").decode(errors="replace"))
            self._api = found[1] if found else ""
        return self._api

    # --- files -----------------------------------------------------------------------------------------------

    def listing(self, commit: str | None = None) -> Tree:
        """Every file of a commit, or of the index."""
        return self.dataset.tree(commit) if commit else self._index()

    def tracked(self, tree: Tree) -> list[Tracked]:
        """The annexed files of a listing, sorted by path."""
        wanted = {path: entry for path, entry in tree.items() if entry[0] in {LINK, FILE} and _may_be_annexed(path)}
        with self.dataset.reader() as reader:
            contents = reader.read([oid for _, oid in wanted.values()], LONGEST_POINTER, b"")
            found = [
                Tracked(path, name if is_key(name) and _stays(path) else "", mode == FILE)
                for (path, (mode, _)), content in zip(wanted.items(), contents, strict=True)
                if (name := _named(mode, content or b""))
            ]
        return sorted(found, key=lambda file: file.path)

    def _index(self) -> Tree:
        listing = git(self.path, "ls-files", "-s", "-z")
        lines = (line.partition(b"\t") for line in listing.split(b"\0")[:-1])
        return {
            path.decode(errors="surrogateescape"): ((words := facts.split(b" "))[0], words[1].decode())
            for facts, _, path in lines
        }

    # --- keys ------------------------------------------------------------------------------------------------

    def object_path(self, key: str) -> str:
        """Where a key's content is, or goes."""
        usual = self.new_object_path(key)
        if os.path.exists(usual):  # noqa: PTH110
            return usual
        lower = f"{self._objects}{hash_dir_lower(key)}/{key}/{key}"
        return lower if os.path.exists(lower) else usual  # noqa: PTH110

    def new_object_path(self, key: str) -> str:
        """Where a key's content goes that is not here."""
        return f"{self._objects}{hash_dir_mixed(key)}/{key}/{key}"

    def has(self, key: str) -> bool:
        """Whether a key's content is here."""
        return os.path.exists(self.object_path(key))  # noqa: PTH110

    def facts(self, keys: Iterable[str]) -> Iterator[tuple[str, Facts]]:
        """What the git-annex branch says of each key."""
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
            # under embargo, the API alone has it
            begin = "" if WEB in there else f"{api}/assets/"
            known = (text for text, is_there in present(url).items() if is_there and text.startswith(begin))
            yield key, Facts(tuple(known) if there & {WEB, closed} else (), there)

    def locations(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Location logs by path; those that were read before are not read again, unless the branch has moved."""
        self._forget_what_moved()
        unknown = [path for path in paths if path not in self._locations]
        return (self.logs(unknown) if unknown else {}) | {
            path: self._locations[path] for path in paths if path in self._locations
        }

    def moved(self, made: str, locations: Mapping[str, bytes]) -> None:
        """The branch has been moved by us, to a commit in which these location logs are new."""
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
            # git looks each name up from the top; to list what is there takes a tenth of that
            tree = self.dataset.tree(ANNEX, *sorted({path.partition("/")[0] for path in paths}))
            names = {path: tree[path][1] for path in paths if path in tree}
        else:
            names = {path: f"{ANNEX}:{path}" for path in paths}
        with self.dataset.reader() as reader:
            found = dict(zip(names, reader.read(list(names.values())), strict=True))
        return {path: found.get(path) or b"" for path in paths}

    # --- other places ----------------------------------------------------------------------------------------

    def remotes(self) -> frozenset[str]:
        """The UUIDs of the remotes that git-annex may ask."""
        named = {name: value for name, value in self.config.items() if name.startswith("remote.")}
        return frozenset(value for name, value in named.items() if name.endswith((".annex-uuid", ".annex-config-uuid")))

    def neighbours(self) -> Mapping[str, Path]:
        """The UUID of each remote that is a folder on this machine, and where its objects are."""
        found = {}
        for name, value in self.config.items():
            if not (name.startswith("remote.") and name.endswith(".url")):
                continue
            remote = name.removesuffix(".url")
            uuid = self.config.get(f"{remote}.annex-uuid", "")
            folder = _folder(value)
            if uuid and folder and self.config.get(f"{remote}.annex-ignore", "false") == "false":
                git_dir = folder / ".git" if (folder / ".git").is_dir() else folder
                found[uuid] = git_dir / _OBJECTS
        return found


def allowed_addresses(folder: Path) -> frozenset[str]:
    """IP addresses on this machine or network that git-annex may ask in a folder, by git's settings."""
    listing = git(folder, "config", "--list", "-z").decode(errors="surrogateescape").split("\0")
    found = [text.partition("\n")[2] for text in listing if text.partition("\n")[0] == _ADDRESSES]
    return frozenset(found[-1].split()) if found else frozenset()


def make_clone(source: str, folder: Path, branch: str) -> None:
    """Clone a dataset, with a branch or tag checked out; the folder is there when it is whole.

    Raises:
        DiskError, GitError: it cannot be.
    """
    making = folder.with_name(f".{folder.name}.cloning-{os.getpid()}")
    try:
        git(folder.parent, "-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", branch, "--", source,
            str(making))  # fmt: skip
        making.rename(folder)
    except OSError as error:
        raise DiskError.of(folder, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def copies(objects: Path, key: str) -> list[Path]:
    """Where another repository may keep a key's content."""
    return [objects / place / key / key for place in (hash_dir_mixed(key), hash_dir_lower(key))]


def _may_be_annexed(path: str) -> bool:
    return not path.startswith((".datalad/", ".git", ".dandi/assets"))


def key_of(mode: bytes, content: bytes) -> str:
    """The key that a link or pointer names; empty if it is something else."""
    return name if is_key(name := _named(mode, content)) else ""


def _stays(path: str) -> bool:
    """Whether a path of a tree stays below its top; git checks that only for what it checks out."""
    return not {"", ".", ".."}.intersection(path.split("/"))


def _named(mode: bytes, content: bytes) -> str:
    """What a link or pointer to git-annex's objects names, whether that can be a key or not."""
    if mode == LINK:
        place, _, name = content.decode(errors="surrogateescape").rpartition("/")
        return name if f"{_OBJECTS}" in place + "/" else ""
    if not content.startswith(_POINTER) or len(content) > LONGEST_POINTER:
        return ""
    return content.split(b"\n", 1)[0].rpartition(b"/")[2].decode(errors="surrogateescape")


def _folder(url: str) -> Path | None:
    """The folder that a remote's URL names, if it is one on this machine."""
    if url.startswith("file://"):
        url = unquote(urlsplit(url).path)
    path = Path(url)
    return path if path.is_absolute() and path.is_dir() else None
