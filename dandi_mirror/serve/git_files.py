"""The repositories of a mirror over HTTP, as files: what ``git clone`` and git-annex ask for, and nothing else.

No git answers requests: the client reads refs and objects itself (git's dumb protocol).  The settings of a repository
are not sent, because they may hold passwords; git-annex gets the UUID from settings that are made here.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dandi_mirror.mirror.sync.messages import EMBARGO
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.model import DRAFT, is_asset_id, is_dandiset_id, is_version_id
from dandi_mirror.repo.annex import settings as annex_settings
from dandi_mirror.repo.annex.keys import is_key
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.siblings import has_trailer
from dandi_mirror.serve.access import sees_closed
from dandi_mirror.serve.answers import ErrorAnswer, not_found
from dandi_mirror.serve.content import Content, present_file
from dandi_mirror.serve.sending import Sender
from dandi_mirror.serve.served import ServedMirror
from dandi_mirror.serve.zarrs import Zarrs

PLACE = "/git"
CLOSED = "This repository began under an embargo, so its history may have files that were never open."
_BRANCHES = {f"refs/heads/{DRAFT}", "refs/heads/published"}
_DATASET = re.compile(r"([0-9]{6})(?:/\.git)?/(.+)")
_ZARR = re.compile(r"zarr/([^/]{3})/([^/]{3})/([^/]+)\.git/(.+)")
_OBJECT = re.compile(r"objects/(?:[0-9a-f]{2}/[0-9a-f]{38}|pack/pack-[0-9a-f]{40}\.(?:pack|idx))")
_KEY = re.compile(r"annex/objects/[^/]{2,3}/[^/]{2,3}/([^/]+)/([^/]+)")
_FORMAT = "--format=%(objectname)\t%(refname)%(if)%(*objectname)%(then)\n%(*objectname)\t%(refname)^{}%(end)"
_PLAIN = {"cache-control": "no-cache"}


@dataclass(frozen=True, slots=True)
class _Repository:
    """One of the mirror's repositories, and which of its refs are shown."""

    dataset: Dataset
    refs: Mapping[str, str]

    @property
    def git_dir(self) -> Path:
        return self.dataset.git_dir

    def head(self) -> bytes:
        """The branch that a clone checks out."""
        branch = self.dataset.head_branch()
        shown = branch if f"refs/heads/{branch}" in self.refs else DRAFT
        return f"ref: refs/heads/{shown}\n".encode()

    def packs(self) -> bytes:
        """The packs, one a line."""
        folder = self.git_dir / "objects" / "pack"
        found = sorted(path.name for path in folder.glob("pack-*.pack")) if folder.is_dir() else []
        return "".join(f"P {name}\n" for name in found).encode() + b"\n"

    def config(self) -> bytes:
        """Settings with nothing but what git-annex needs."""
        uuid = annex_settings.read(self.dataset.path).get("annex.uuid", "")
        annex = f"[annex]\n\tuuid = {uuid}\n\tversion = 10\n" if re.fullmatch(r"[0-9a-f-]{36}", uuid) else ""
        return f"[core]\n\trepositoryformatversion = 0\n\tbare = true\n{annex}".encode()


class GitFiles:
    """Answers requests below ``/git``."""

    def __init__(self, served: ServedMirror, zarrs: Zarrs, sender: Sender) -> None:
        self._served = served
        self._zarrs = zarrs
        self._sender = sender
        self._lists: dict[Path, tuple[Mapping[str, str], bytes]] = {}
        self._histories: dict[str, bool] = {}
        """Whether the history of a commit began under an embargo, by its id."""

    def answer(self, request: Request) -> Response:
        """``GET /git/…``: a file of a repository.

        Raises:
            ErrorAnswer: 404, there is no such file, or it is not shown.
        """
        path = request.scope["path"].removeprefix(PLACE).lstrip("/")
        if found := _DATASET.fullmatch(path):
            return self._file(request, self._dataset(found[1]), found[2])
        if found := _ZARR.fullmatch(path):
            return self._file(request, self._zarr(*found.groups()[:3]), found[4])
        return self._file(request, self._superdataset(), path.removeprefix(".git/"))

    def _dataset(self, identifier: str) -> _Repository:
        if not is_dandiset_id(identifier) or not self._served.dandiset(identifier):
            raise not_found()
        dataset = self._served.mirror.dataset(identifier)
        refs = {
            ref: oid
            for ref, oid in dataset.refs_in_files().items()
            if ref in {*_BRANCHES, ANNEX}
            or (ref.startswith("refs/tags/") and is_version_id(ref.removeprefix("refs/tags/")))
        }
        for ref in _BRANCHES & refs.keys():
            if not sees_closed() and self._began_closed(dataset, refs[ref]):
                raise ErrorAnswer(404, CLOSED)
        return _Repository(dataset, refs)

    def _zarr(self, first: str, second: str, zarr_id: str) -> _Repository:
        if not is_asset_id(zarr_id) or (first, second) != (zarr_id[:3], zarr_id[3:6]):
            raise not_found()
        identifier = self._zarrs.owner(zarr_id)
        repositories = ZarrRepositories(self._served.mirror.path)
        if not repositories.exists(zarr_id) or not self._dataset(identifier).refs:
            raise not_found()
        dataset = repositories.dataset(zarr_id)
        return _Repository(dataset, dataset.refs_in_files())

    def _superdataset(self) -> _Repository:
        """The superdataset, if it names only what is open."""
        mirror = self._served.mirror
        if mirror.alone or any(not self._served.dandiset(identifier) for identifier in mirror.registered()):
            raise not_found()
        dataset = Dataset(mirror.path)
        branch = f"refs/heads/{dataset.head_branch()}"
        return _Repository(dataset, {r: o for r, o in dataset.refs_in_files().items() if r in {branch, ANNEX}})

    def _began_closed(self, dataset: Dataset, oid: str) -> bool:
        if oid not in self._histories:
            self._histories[oid] = has_trailer(dataset, oid, EMBARGO)
        return self._histories[oid]

    def _file(self, request: Request, repository: _Repository, path: str) -> Response:
        made = {
            "HEAD": repository.head, "info/refs": lambda: self._refs(repository), "config": repository.config,
            "objects/info/packs": repository.packs,
        }  # fmt: skip
        if path in made:
            return Response(made[path](), media_type="text/plain", headers=_PLAIN)
        if _OBJECT.fullmatch(path):
            return self._sender.send(request, _content(repository.git_dir, path))
        key = _KEY.fullmatch(path)
        file = present_file(repository.git_dir, key[1]) if key and key[1] == key[2] and is_key(key[1]) else None
        if key and file:
            return self._sender.send(request, Content(file.lstat().st_size, key[1], file))
        raise not_found()

    def _refs(self, repository: _Repository) -> bytes:
        """The list of refs, with what each tag is of; git is started only when one has moved."""
        known, lines = self._lists.get(repository.git_dir, ({}, b""))
        if known != repository.refs or not lines:
            if repository.refs:
                listed = git(repository.dataset.path, "for-each-ref", _FORMAT, *repository.refs).splitlines()
                lines = b"".join(line + b"\n" for line in listed)
            self._lists[repository.git_dir] = repository.refs, lines
        return lines


def _content(git_dir: Path, path: str) -> Content:
    """A file of a git folder that no link leads out of."""
    top = git_dir.resolve()
    file = top / path
    try:
        facts = file.lstat()
    except OSError:
        raise not_found() from None
    if not stat.S_ISREG(facts.st_mode) or file.resolve() != file:
        raise not_found()
    return Content(facts.st_size, path.rpartition("/")[2], file)
