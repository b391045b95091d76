"""Read the names of Dandisets, versions and files that people type, and find the archive and settings they mean."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dandi_mirror.text import quoted

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import LocalDandiset
    from dandi_mirror.mirror.state.layout import Mirror


Answer = TypeVar("Answer")


def read_names(texts: Iterable[str], *, offline: bool = False) -> list[Name]:
    """Read names of any form, or paths in a clone.

    Raises:
        UsageError: one is not a name; or it is a link that only the network can resolve, and this is ``offline``.
    """
    return [read_name(text, offline=offline) for text in texts]


def read_name(text: str, *, offline: bool = False, mirror_path: Path | None = None) -> Name:
    """Read one name; ``mirror_path`` as for :func:`read_place`; raises as :func:`read_names`."""
    return read_place(text, offline=offline, mirror_path=mirror_path)[0]


def read_file(text: str, mirror_path: Path, archive: str | None = None) -> Name:
    """Read one name, and resolve an asset or a blob to its file: by the clone or mirror here, else by the archive.

    Raises:
        UsageError: as :func:`read_names`; or neither knows the file.
    """
    name, _ = read_place(text, mirror_path=mirror_path)
    if not name.asset:
        return name
    from dandi_mirror.mirror.search.resolve import resolved
    from dandi_mirror.mirror.state.layout import Mirror

    return resolved(name, Mirror(mirror_path.absolute())) or _asked(name, archive or name.instance)


def _asked(name: Name, archive: str | None) -> Name:
    """Ask the archive for the path of an asset of a known Dandiset."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.remote import remote_contents
    from dandi_mirror.workflows.access import tokens

    if not name.dandiset or not archive:
        return name
    found = tokens.asked(archive, name.instance, lambda there: remote_contents(name, there))
    return replace(name, version=found.version, path=found.files[0].path, asset=None)


def read_place(text: str, *, offline: bool = False, mirror_path: Path | None = None) -> tuple[Name, Path | None]:
    """Read one name, and find the top of the clone in which it is a path, if it is one; raises as :func:`read_names`.

    With ``mirror_path``, the mirror there or the current clone resolves a blob to its file, and an error about a
    version names those that are there.
    """
    from dandi_mirror.archive.names import parse
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.names.versions_here import with_versions

    try:
        name = parse(text)
    except UsageError as error:
        return _path(text, with_versions(error, mirror_path or Path()))
    if name.blob and mirror_path:
        from dandi_mirror.mirror.search.resolve import resolved
        from dandi_mirror.mirror.state.layout import Mirror

        if found := resolved(name, Mirror(mirror_path.absolute())):
            return found, None
    if name.blob and not name.dandiset:
        raise UsageError(f"{text} does not name a file; to find its file: dandi-mirror which {quoted(text)}")
    if name.ask and offline:
        raise UsageError(f"{text} cannot be resolved without the network; write an id, such as 000004")
    if name.ask:
        from dandi_mirror.archive.api.follow_names import follow

        return follow(name), None
    return name, None


def _path(text: str, error: UsageError) -> tuple[Name, Path]:
    """Read a text that is not a name as a path in a clone; ``error`` says why it is not a name."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at, view_at

    if clone := clone_at(text):
        return clone.name, clone.folder
    if (os.path.lexists(text) or may_be_path(text)) and (view := view_at(Path(text).absolute())):
        raise UsageError(view) from None
    if (around := clone_at(".")) and may_be_path(text) and not text.isdecimal():
        near = _nearest(text, around.folder)
        hint = f"did you mean {near}?" if near else "see which there are: dandi-mirror ls ."
        raise UsageError(f"there is no file or folder {text} here; {hint}") from None
    if os.path.lexists(text):
        top = Path(text).absolute()
        raise UsageError(f"{top} is in no clone of a Dandiset; name one, as 000004, or go to its folder") from None
    raise error


def known(name: Name, mirror_path: Path, ask: Callable[[], Answer]) -> Answer:
    """Call ``ask``; if the archive does not have the Dandiset, say what to type next.

    Raises:
        NotFoundError: the archive does not have the Dandiset, version or file; and what ``ask`` raises.
        TemporaryError: the archive cannot be asked; the message says what a mirror here has instead of a version.
    """
    from dandi_mirror.errors import NotFoundError, TemporaryError
    from dandi_mirror.workflows.names.versions_here import lacking

    try:
        return ask()
    except TemporaryError as error:
        if not (said := lacking(name, mirror_path)):
            raise
        raise TemporaryError(f"{said} The archive was asked, too, but: {error}") from None
    except NotFoundError as error:
        if not name.dandiset or f"/dandisets/{name.dandiset}/" not in str(error):
            raise
        from difflib import get_close_matches

        from dandi_mirror.mirror.state.layout import Mirror

        here = Mirror(mirror_path.absolute()).dandisets()
        near = get_close_matches(name.dandiset, here, 1, 0.8)
        hint = f"did you mean {near[0]}? or " if near else ""
        words = "dandi-mirror search WORDS" if here else _search_page(str(error))
        found = f"{hint}find it by words: {words}" if words else hint.removesuffix(" or ")
        raise NotFoundError("; ".join([str(error), found] if found else [str(error)])) from None


def _search_page(said: str) -> str:
    """Return the page that finds a Dandiset by words, of the archive that an error names; empty if it has none."""
    from dandi_mirror.archive.instances import KNOWN, SITES

    host = next((site for site, name in SITES.items() if said.startswith(KNOWN[name])), "")
    return f"https://{host}/dandiset/search" if "." in host else ""


def _nearest(text: str, top: Path) -> str:
    """Find the most similar path in a clone, relative to the current folder."""
    from dandi_mirror.mirror.contents.selection import nearest
    from dandi_mirror.repo.annex.repository import AnnexRepository

    wanted = os.path.relpath(Path.cwd().resolve() / text, top)
    near = nearest(wanted, AnnexRepository(top).listing())
    return os.path.relpath(top / near, Path.cwd().resolve()) if near else ""


def may_be_path(text: str) -> bool:
    """Whether a person in a clone probably means a path: nothing about the text looks like a name."""
    return not re.match(r"[0-9]{4}|[^/]*:|[^/]*@", text)


def dandisets(names: Iterable[Name]) -> list[str]:
    """Return the ids of whole Dandisets, each once, sorted.

    Raises:
        UsageError: a name means a version or a part of a Dandiset, or no Dandiset.
    """
    from dandi_mirror.errors import UsageError

    ids = set()
    for name in names:
        if not name.dandiset:
            raise UsageError(f"{name.text} does not name a Dandiset; write an id, such as 000004")
        # of a clone, the version is what its record says, and nobody typed it
        if (name.version and not os.path.lexists(name.text)) or not name.whole:
            what = "a version" if name.whole else "a part of it"
            raise UsageError(f"{name.text}: this command takes a whole Dandiset, not {what}; write {name.dandiset}")
        ids.add(name.dandiset)
    return sorted(ids)


def settings_for(
    mirror_path: Path,
    names: Iterable[Name],
    api: str = "",
    asks: LocalDandiset | None = None,
    /,
    *,
    needed: bool = False,
    asks_mirrors: bool = False,
    named: bool = False,
    **flags: object,
) -> Settings:
    """Return the settings, and in them the archive: that of -i, of the settings, of the mirror, or of the names.

    ``api`` is that of the archive from which the names' dataset comes, and counts before the names; without it, that of
    the clone in which the person is.  With ``needed``, a file that does not count is an error, and with ``named`` a
    program named the mirror's folder, as a person does with -d; see :mod:`dandi_mirror.workflows.access.settings`.
    ``asks`` is the clone whose archive the command asks; with ``asks_mirrors`` it asks that of the mirror.

    Raises:
        UsageError: the mirror, the names, and -i or the settings mean different archives; or the archive of ``asks``
            or of the mirror does not count, and nothing else names one.
    """
    from dandi_mirror.archive.instances import agreed
    from dandi_mirror.workflows.access.current_clone import api_here, check_archive, clone_around
    from dandi_mirror.workflows.access.mirror_archive import check_is_of, is_api_of, is_at, own_archive
    from dandi_mirror.workflows.access.mirror_clone import archive_of_clone
    from dandi_mirror.workflows.access.settings import settings_at

    settings, sources = settings_at(mirror_path, needed=needed, named=named)
    settings, names = settings.with_flags(**flags), list(names)
    if not api and not named and (clone := clone_around(mirror_path, names)):
        api = api_here(clone.name, clone.folder.parent, clone.folder)
    source = "-i" if flags.get("instance") else sources["instance"]
    given = settings.instance if source != "default" else None
    own = own_archive(mirror_path)
    if own and (not api or is_at(api, own)):
        check_is_of(mirror_path, own, source, given, names)
        given = given or own
    if api and given is None and is_api_of(names, api):
        given = api
    if asks and not api and given is None:
        check_archive(asks)
    if not own and not api and given is None:
        given = archive_of_clone(mirror_path, names, asked=asks_mirrors)
    for said in dict.fromkeys(name.instance for name in names if name.instance):
        given = agreed(said, given, settings.instance)
    return settings.with_flags(instance=given)


def said(names: Iterable[Name]) -> str | None:
    """Return the archive that the names mean, if they name one; a name comes before a URL."""
    return min((name.instance for name in names if name.instance), key=lambda said: "://" in said, default=None)


def chosen(mirror: Mirror, ids: list[str], everything: bool = False) -> list[str]:
    """The Dandisets that somebody means: those that are named, else all of the mirror.

    Raises:
        UsageError: the mirror does not hold them.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.access.current_clone import no_dandiset

    there = mirror.dandisets()
    if everything and ids:
        raise UsageError("name Dandisets, or give --all, but not both")
    if not there:
        raise no_dandiset(mirror.path)
    if absent := sorted(set(ids) - set(there)):
        raise UsageError(f"{mirror.path} does not hold {absent[0]}; mirror it: dandi-mirror sync {absent[0]}")
    return ids or there
