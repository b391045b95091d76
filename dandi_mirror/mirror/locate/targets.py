"""Find the datasets that a command's arguments mean: clones, datasets of a mirror, or clones still to be made."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dandi_mirror.archive.instances import may_be
from dandi_mirror.archive.name_parts import WrongVersion, no_version
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import IntegrityError, MirrorError, PartError, TemporaryError, UsageError
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.locate.versions import commit_of_version, states
from dandi_mirror.mirror.state.damage import damage_of
from dandi_mirror.mirror.state.layout import Mirror, mirror_at, mirror_of
from dandi_mirror.model import DRAFT, is_version_id
from dandi_mirror.repo.git.checkouts import make_clone
from dandi_mirror.repo.git.datalad_settings import check_member_url
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.files import absolute_path
from dandi_mirror.repo.git.lock import turn
from dandi_mirror.repo.git.process import DamagedError, GitError, git
from dandi_mirror.repo.git.siblings import run_datalad
from dandi_mirror.text import quoted

OFFICIAL = {"dandi": "https://github.com/dandisets/{dandiset}"}
"""Public mirrors, by archive; the source of a clone if no mirror on this machine has the Dandiset."""


@dataclass(slots=True)
class Target:
    """A dataset, and the files of it that a command is about."""

    folder: Path
    """The top of its work tree."""
    dandiset: str = ""
    """Its id; empty for a clone that the user names by its path."""
    version: str | None = None
    """The version whose files are meant; None: those that are checked out."""
    source: str = ""
    """The address to clone it from; empty: it exists."""
    paths: list[str] = field(default_factory=list)
    """Files, folders and globs from its top; empty: all."""
    lacking: Path | None = None
    """The mirror here that does not have it, if there is one."""
    member_of: Path | None = None
    """The clone of a mirror in which it has to be installed, as one of its Dandisets; None: it does not have to be."""

    def commit(self, dataset: Dataset) -> str | None:
        """The commit of the dataset whose files are meant; None: what is checked out.

        Raises:
            UsageError: there is no such version.
        """
        if self.version is None:
            return None
        refs = [f"refs/heads/{DRAFT}", f"refs/remotes/origin/{DRAFT}"]
        for ref in refs if self.version == DRAFT else [f"refs/tags/{self.version}"]:
            if dataset.ref(ref):
                return f"{ref}^{{commit}}"
        here = clone_at(str(dataset.path))
        dandiset = self.dandiset or str(here.name.dandiset if here else "")
        raise UsageError(no_version(dandiset, self.version, dataset.path, [one.name for one in states(dataset)]))


def read_targets(
    texts: Iterable[str], read_name: Callable[[str], Name], mirror: Mirror, archive_of: Callable[[Name], str]
) -> list[Target]:
    """The datasets that the arguments mean, each once for a version, in the order of the arguments.

    An argument that exists on this machine is a path, except a folder whose name is its Dandiset's id.  Otherwise it is
    the name of a Dandiset, if it can be one; otherwise a path in the dataset of the argument before it, or in the one
    around the current folder.  ``archive_of`` returns the archive of a name, by its short name or its API's address.

    Raises:
        UsageError: an argument is none of these, there is no source for a Dandiset, or the one here is another
            archive's.
    """
    places: dict[tuple[Path, str | None], Target] = {}
    last: Target | None = None
    whole: set[int] = set()
    for text in texts:
        if top := mirror_at(text):
            for place in _installed(top):
                places.setdefault((place.folder, None), place)
            continue
        # an id stays an id where its folder is, because paths may follow it
        if (last is None or not last.dandiset) and (clone := clone_at(text)) and text.strip("/") != clone.name.dandiset:
            last = places.setdefault((clone.folder, None), Target(clone.folder))
            last.paths.append(clone.name.path or ".")
            continue
        try:
            name = read_name(text)
        except WrongVersion:
            raise
        except UsageError:
            last = last or _around(places)
            if last is None:
                raise
            last.paths.append(text if last.dandiset else _from_top(last.folder, text))
            continue
        made = _named(name, mirror, archive_of(name))
        last = places.setdefault((made.folder, made.version), made)
        parts = [part for part in (name.path, name.prefix and name.prefix + "*", name.glob) if part]
        parts = [f"{part}/{name.entry}" for part in parts] if name.entry else parts
        last.paths += parts
        whole |= set() if parts else {id(last)}
    return list(places.values())


def _installed(mirror: Mirror) -> list[Target]:
    """All installed Dandisets of a mirror."""
    if here := mirror.dandisets():
        return [Target(mirror.dataset(dandiset).path, dandiset, paths=["."]) for dandiset in here]
    raise UsageError(f"none of the Dandisets of {mirror.path} is installed; name one: {mirror.registered()[0]}")


def _around(places: dict[tuple[Path, str | None], Target]) -> Target | None:
    clone = clone_at(".")
    return places.setdefault((clone.folder, None), Target(clone.folder)) if clone else None


def _from_top(folder: Path, text: str) -> str:
    """A path as the user typed it in the current folder, relative to the top of a work tree; it need not exist."""
    path = os.path.relpath(absolute_path(Path.cwd().resolve() / text), folder)
    if path.startswith("../"):
        raise UsageError(f"{text} is not in {folder}")
    return path


def _dandiset(name: Name) -> str:
    """The Dandiset whose files a name means by their paths.

    Raises:
        UsageError: it means something else.
    """
    if name.zarr:
        raise UsageError(
            "get brings a Zarr by its path in a Dandiset; by its id, as plain files: "
            f"dandi-mirror download {quoted(name.text)}"
        )
    if not name.dandiset:
        raise UsageError(f"{name.text} does not say which Dandiset it is in; write its id, as 000004")
    if name.asset or name.blob:
        raise UsageError(f"{name.text} is no file of a version by its path; name the path: {name.dandiset} PATH")
    return name.dandiset


def _named(name: Name, mirror: Mirror, instance: str) -> Target:
    """The dataset of a Dandiset that the user names by its id."""
    dandiset = _dandiset(name)
    here = Path.cwd().resolve()
    known = dandiset in mirror.dandisets() and mirror.dataset(dandiset).exists()
    has = known and _is_of(mirror.path / dandiset, name)
    if has and here.is_relative_to(mirror.path.resolve()):
        return Target(mirror.path / dandiset, dandiset, name.version)
    if (around := clone_at(".")) and around.name.dandiset == dandiset and _is_of(around.folder, name):
        return Target(around.folder, dandiset, name.version)
    folder = here / dandiset
    if not has and dandiset in mirror.registered() and here.is_relative_to(top := mirror.path.resolve()):
        member = top / dandiset
        if os.path.lexists(member / ".git"):
            raise UsageError(
                f"{member}/.git is not a git repository; move {member} away, then: "
                f"dandi-mirror sync {dandiset} -d {quoted(top)}"
            )
        return Target(member, dandiset, name.version, member_of=top)
    if (clone := clone_at(str(folder))) and clone.folder == folder and _is_of(folder, name):
        return Target(folder, dandiset, name.version)
    if folder.exists():
        raise _taken(folder, dandiset)
    if has:
        if name.version:
            commit_of_version(mirror.dataset(dandiset), dandiset, name.version)
        return Target(folder, dandiset, name.version, str(mirror.path.resolve() / dandiset))
    lacking = mirror.path if mirror.dandisets() else None
    return Target(folder, dandiset, name.version, _official(name, instance), lacking=lacking)


def _official(name: Name, instance: str) -> str:
    """The address of a Dandiset in a public mirror."""
    if instance in OFFICIAL:
        return OFFICIAL[instance].format(dandiset=name.dandiset)
    raise UsageError(
        f"no mirror of {name.dandiset} of {instance} is known; make one "
        f"(dandi-mirror sync {name.dandiset} -i {instance} -d DIR) and name it: -d DIR"
    )


def _is_of(folder: Path, name: Name) -> bool:
    """Whether a dataset belongs to the archive of a name.

    Raises:
        UsageError: it is a Dandiset of another archive with the same id.
    """
    clone = clone_at(str(folder))
    called = (clone.name.instance if clone else "") or ""
    if may_be(name.instance, called):
        return True
    raise UsageError(
        f"{folder} is {called.upper()}:{name.dandiset}, and {name.text} says {name.instance}; go to another folder, or "
        "name a mirror of that archive: -d DIR"
    )


def make(place: Target) -> bool:
    """Clone or install a dataset that does not exist yet; false if another run has just done that.

    Raises:
        DiskError, GitError, PartError: that failed.
        UsageError: something else has appeared in its place.
    """
    if place.member_of:
        with turn(Dataset(place.member_of).git_dir, f"the installation of {place.folder}"):
            new = not os.path.lexists(place.folder / ".git")
            if new:
                known = [url.format(dandiset=place.dandiset) for url in OFFICIAL.values()]
                check_member_url(place.member_of, place.dandiset, [*known, *(f"{url}.git" for url in known)])
                _install(place, place.member_of)
        return new
    try:
        made = make_clone(place.source, place.folder, place.version or DRAFT)
    except (GitError, DamagedError) as error:
        raise not_cloned(place, error) from error
    clone = None if made else clone_at(str(place.folder))
    if not made and not (clone and clone.folder == place.folder and clone.name.dandiset == place.dandiset):
        raise _taken(place.folder, place.dandiset)
    return made


def _install(place: Target, member_of: Path) -> None:
    try:
        run_datalad(member_of, "get", "-n", "-d", str(member_of), str(place.folder))
    except PartError as error:
        why = str(error).rpartition("fatal: ")[2].rstrip("]' ")
        raise PartError(
            f"{place.dandiset} could not be installed in {member_of}, from where that was cloned ({why}); "
            "name a mirror that has it: -d DIR"
        ) from error


def not_cloned(place: Target, error: MirrorError) -> MirrorError:
    """The error for a clone that git did not make: its source has no such version or Dandiset, or is out of reach."""
    said, host = str(error), urlsplit(place.source).hostname
    if place.version and "not found in upstream" in said:
        listed = git(place.folder.parent, "ls-remote", "--refs", "--", place.source, remotes=True).decode().split()
        found = {ref.rpartition("/")[2] for ref in listed if ref.startswith(("refs/tags/", "refs/heads/"))}
        there = sorted(name for name in found if is_version_id(name)) + ([DRAFT] if DRAFT in found else [])
        return UsageError(no_version(place.dandiset, place.version, place.source, there))
    if not host:
        why = damage_of(mirror_of(Path(place.source), place.dandiset), place.dandiset, error)
        return IntegrityError(f"{place.source}: {why}") if why else error
    lacking = f"the mirror {place.lacking} does not have {place.dandiset}; and " if place.lacking else ""
    remedy = f"name a mirror that has it: -d DIR; or make one: dandi-mirror sync {place.dandiset} -d DIR"
    if re.search(r"not found|could not read Username|returned error: 40[134]", said):
        return PartError(f"{lacking}{place.source} is not there; {remedy}")
    why = said.rpartition("fatal: ")[2].rstrip(".")
    return TemporaryError(f"{lacking}{host} could not be reached ({why}); try again later, or {remedy}")


def _taken(folder: Path, dandiset: str) -> UsageError:
    return UsageError(f"{folder} is there and is no clone of {dandiset}; go to another folder")
