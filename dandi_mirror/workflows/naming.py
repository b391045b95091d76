"""What is typed where a command takes an ID: names, read at the thin edge that may look at the disk and ask."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings
    from dandi_mirror.errors import UsageError


Answer = TypeVar("Answer")


def read_names(texts: Iterable[str], *, offline: bool = False) -> list[Name]:
    """Names as they are typed: of any form, or a path in a clone.

    Raises:
        UsageError: one of them is none; or it is a link that has to be asked about, and nothing is to be asked.
    """
    return [read_name(text, offline=offline) for text in texts]


def read_name(text: str, *, offline: bool = False) -> Name:
    """One name; raises as :func:`read_names`."""
    return read_place(text, offline=offline)[0]


def read_file(text: str, mirror_path: Path, archive: str | None = None) -> Name:
    """One name; an asset or blob as the file that it is, by the clone or mirror here, else by the archive.

    Raises:
        UsageError: as :func:`read_names`; or neither knows which file it is.
    """
    name, _ = read_place(text, mirror_path=mirror_path)
    if not name.asset:
        return name
    from dandi_mirror.mirror.search.resolve import resolved
    from dandi_mirror.mirror.state.layout import Mirror

    return resolved(name, Mirror(mirror_path.absolute())) or _asked(name, archive or name.instance)


def _asked(name: Name, archive: str | None) -> Name:
    """An asset of a known Dandiset, by its path, as the archive says."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.remote import remote_contents
    from dandi_mirror.workflows import tokens

    if not name.dandiset or not archive:
        return name
    found = tokens.asked(archive, name.instance, lambda there: remote_contents(name, there))
    return replace(name, version=found.version, path=found.files[0].path, asset=None)


def read_place(text: str, *, offline: bool = False, mirror_path: Path | None = None) -> tuple[Name, Path | None]:
    """One name, and the top of the clone in which it is a path, if it is one; raises as :func:`read_names`.

    With ``mirror_path``, a blob is the file that the mirror there, or the clone around, says it is.
    """
    from dandi_mirror.archive.names import parse
    from dandi_mirror.errors import UsageError

    try:
        name = parse(text)
    except UsageError as error:
        return _path(text, error)
    if name.blob and mirror_path:
        from dandi_mirror.mirror.search.resolve import resolved
        from dandi_mirror.mirror.state.layout import Mirror

        if found := resolved(name, Mirror(mirror_path.absolute())):
            return found, None
    if name.blob and not name.dandiset:
        raise UsageError(f"{text} does not say of which file it is; ask for that first: dandi-mirror which {text}")
    if name.ask and offline:
        raise UsageError(f"{text} has to be asked about, and nothing is to be asked; write its id, as 000004")
    if name.ask:
        from dandi_mirror.archive.api.follow_names import follow

        return follow(name), None
    return name, None


def _path(text: str, error: UsageError) -> tuple[Name, Path]:
    """What is no name, as a path in a clone, and the top of that; ``error`` is why it is none."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at

    if clone := clone_at(text):
        return clone.name, clone.folder
    if (around := clone_at(".")) and _may_be_path(text):
        near = _nearest(text, around.folder)
        hint = f"did you mean {near}?" if near else "see which there are: dandi-mirror ls ."
        raise UsageError(f"{text} is no file or folder here; {hint}") from None
    if os.path.lexists(text):
        top = Path(text).absolute()
        raise UsageError(f"{top} is in no clone of a Dandiset; name one, as 000004, or go to its folder") from None
    raise error


def known(name: Name, mirror_path: Path, ask: Callable[[], Answer]) -> Answer:
    """What the archive answers of a name; of a Dandiset that it has not, what to type next.

    Raises:
        NotFoundError: it has no such Dandiset, version or file; and what ``ask`` raises.
    """
    from dandi_mirror.errors import NotFoundError

    try:
        return ask()
    except NotFoundError as error:
        if not name.dandiset or f"/dandisets/{name.dandiset}/" not in str(error):
            raise
        from difflib import get_close_matches

        from dandi_mirror.mirror.state.layout import Mirror

        here = Mirror(mirror_path.absolute()).dandisets()
        near = get_close_matches(name.dandiset, here, 1, 0.8)
        hint = f"did you mean {near[0]}? or " if near else ""
        words = "dandi-mirror search WORDS" if here else "https://dandiarchive.org/dandiset/search"
        raise NotFoundError(f"{error}; {hint}find it by words: {words}") from None


def _nearest(text: str, top: Path) -> str:
    """The file or folder of a clone that somebody may mean, from the current folder."""
    from dandi_mirror.mirror.contents.selection import nearest
    from dandi_mirror.repo.annex.clone import Clone

    wanted = os.path.relpath(Path.cwd().resolve() / text, top)
    near = nearest(wanted, Clone(top).listing())
    return os.path.relpath(top / near, Path.cwd().resolve()) if near else ""


def _may_be_path(text: str) -> bool:
    """Whether somebody in a clone means a path that is not there: nothing else about it looks like a name."""
    return not re.match(r"[0-9]{4}|[^/]*:|[^/]*@", text)


def dandisets(names: Iterable[Name]) -> list[str]:
    """Their ids, each once, sorted: for commands that take whole Dandisets.

    Raises:
        UsageError: one says more, or less.
    """
    from dandi_mirror.errors import UsageError

    ids = set()
    for name in names:
        if not name.dandiset:
            raise UsageError(f"{name.text} does not say of which Dandiset it is; write its id, as 000004")
        if name.version or not name.whole:
            what = "a version" if name.whole else "a part of it"
            raise UsageError(f"{name.text}: this takes a whole Dandiset, not {what}; write {name.dandiset}")
        ids.add(name.dandiset)
    return sorted(ids)


def api_here(name: Name, mirror_path: Path, folder: Path | None) -> str:
    """The API of the archive that a name's dataset on this machine is of, as it says itself; empty if it does not."""
    from dandi_mirror.addresses import Allowed, is_inside
    from dandi_mirror.archive.instances import known_name
    from dandi_mirror.mirror.contents.local import local_dataset
    from dandi_mirror.repo.annex.clone import Clone

    dataset = local_dataset(name, mirror_path.absolute(), folder)
    clone = Clone(dataset.path) if dataset else None
    api = clone.api() if clone else ""
    if not clone or not api or known_name(api):
        return api
    # nobody named it but the repository: its host must be one that git-annex, too, would ask
    clone.read_config()
    return "" if is_inside(api, Allowed(addresses=clone.addresses)) else api


def settings_for(
    mirror_path: Path, names: Iterable[Name], api: str = "", /, *, needed: bool = False, **flags: object
) -> Settings:
    """The settings, with the archive of the mirror, or the one that the names say where no -i and no setting says one.

    ``api`` comes before what the names say: it is the archive's that their dataset is of.  With ``needed``, a file
    that does not count is refused; see :mod:`dandi_mirror.workflows.settings`.

    Raises:
        UsageError: the mirror, the names, and -i or the settings, are not all of one archive.
    """
    from dandi_mirror.archive.instances import agreed
    from dandi_mirror.workflows.settings import settings_at

    settings, sources = settings_at(mirror_path, needed=needed)
    settings, names = settings.with_flags(**flags), list(names)
    source = "-i" if flags.get("instance") else sources["instance"]
    given = settings.instance if source != "default" else None
    own = own_archive(mirror_path)
    if own and (not api or _is_at(api, own)):
        _check_is_of(mirror_path, own, source, given, names)
        given = given or own
    if api and given is None and _is_api_of(names, api):
        given = api
    for said in dict.fromkeys(name.instance for name in names if name.instance):
        given = agreed(said, given, settings.instance)
    return settings.with_flags(instance=given)


def own_archive(mirror_path: Path) -> str:
    """The archive that a folder is a mirror of, by the name that it is known by, else its API; empty if it is none."""
    from dandi_mirror.archive.instances import KNOWN
    from dandi_mirror.mirror.state.layout import Mirror

    api = Mirror(mirror_path.absolute()).archive()
    return next((name for name, url in KNOWN.items() if url == api), api)


def check_names(mirror_path: Path, names: Iterable[Name]) -> None:
    """See that names are not of another archive than the mirror, where nothing is asked.

    What an archive on this machine stands for, only it could say.

    Raises:
        UsageError: one is.
    """
    from urllib.parse import urlsplit

    from dandi_mirror.addresses import is_loopback
    from dandi_mirror.archive.instances import api_url

    own = own_archive(mirror_path)
    if own and not is_loopback(urlsplit(api_url(own)).hostname):
        _check_is_of(mirror_path, own, "", None, names)


def _check_is_of(mirror_path: Path, own: str, source: str, given: str | None, names: Iterable[Name]) -> None:
    """See that -i or a setting (``source`` says ``given``), and names, say of which archive the mirror here is.

    Raises:
        UsageError: one says another.
    """
    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.errors import UsageError

    other = [(source, given)] if given and not _is_at(given, own) else []
    other += [(name.text, name.instance) for name in names if name.instance and not _is_api_of([name], api_url(own))]
    for who, archive in other:
        raise UsageError(
            f"{mirror_path.absolute()} is a mirror of {own}, and {who} says {archive}; "
            "leave that out, or name a mirror of that archive, or a new folder: -d DIR"
        )


def _is_at(archive: str, own: str) -> bool:
    """Whether two archives are at one place; on this machine, where ports change, any two may be."""
    from urllib.parse import urlsplit

    from dandi_mirror.addresses import is_loopback
    from dandi_mirror.archive.instances import api_url

    one, other = api_url(archive), api_url(own)
    return one == other or all(is_loopback(urlsplit(url).hostname) for url in (one, other))


def _is_api_of(names: Iterable[Name], api: str) -> bool:
    """Whether names do not say another archive than the one with this API, which a repository says is its own.

    A known name stands for its exact URL; on this machine it may stand for a stand-in that git-annex may ask.
    """
    from urllib.parse import urlsplit

    from dandi_mirror.addresses import is_loopback
    from dandi_mirror.archive.instances import KNOWN, agreed
    from dandi_mirror.errors import UsageError

    names = list(names)
    if not is_loopback(urlsplit(api).hostname) and any(KNOWN.get(name.instance or "", api) != api for name in names):
        return False
    try:
        for name in names:
            agreed(name.instance, api, api)
    except UsageError:
        return False
    return True


def said(names: Iterable[Name]) -> str | None:
    """The archive that names say, where they do; of one that is agreed upon, a name comes before a URL."""
    return min((name.instance for name in names if name.instance), key=lambda said: "://" in said, default=None)
