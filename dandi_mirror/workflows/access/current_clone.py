"""The clone in which a person is: its archive, and what a command that needs a mirror says there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.text import quoted

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import LocalDandiset


def clone_around(mirror_path: Path, names: Iterable[Name] = ()) -> LocalDandiset | None:
    """Return the clone where the person is, if nobody named a mirror with -d, and the names can mean its Dandiset."""
    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.workflows.access.settings import is_named

    clone = None if is_named(mirror_path) else clone_at(".")
    return clone if clone and all(name.dandiset in {None, clone.name.dandiset} for name in names) else None


def no_dandiset(mirror_path: Path, instead: str = "") -> UsageError:
    """Return the error for a folder without a Dandiset; ``instead`` is what to type in a clone, if anything helps."""
    from dandi_mirror.errors import UsageError
    from dandi_mirror.repo.git.superdataset import new_mirror

    return _is_clone(mirror_path, instead) or UsageError(
        f"{mirror_path} holds no Dandiset; make one: dandi-mirror sync 000004 -d {new_mirror(mirror_path)}; or name a "
        "mirror: -d DIR"
    )


def refuse_clone(mirror_path: Path) -> None:
    """Refuse a command that works on a mirror, before it asks for settings that only a mirror has.

    Raises:
        UsageError: the folder is a clone or in one.
    """
    from dandi_mirror.mirror.state.layout import Mirror

    if (error := _is_clone(mirror_path)) and not Mirror(mirror_path.absolute()).dandisets():
        raise error


def _is_clone(mirror_path: Path, instead: str = "") -> UsageError | None:
    """Return the error for a command that needs a mirror and got a clone, or one dataset of a mirror, if it did."""

    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.mirror.state.layout import mirror_of

    if not (clone := clone_at(str(mirror_path))):
        return None
    mirror = mirror_of(clone.folder, str(clone.name.dandiset))
    kind = "a clone" if mirror.alone else "a mirror's dataset"
    name = "name one: -d DIR" if mirror.alone else f"name that one: -d {quoted(mirror.path)}"
    more = f"; {instead}" if instead else ""
    return UsageError(
        f"{clone.folder} is {kind} of {clone.name.dandiset}, and this command looks into a mirror; {name}{more}"
    )


def api_here(name: Name, mirror_path: Path, folder: Path | None) -> str:
    """Return the API that the dataset of a name on this machine names as its archive; empty if it names none."""
    from dandi_mirror.mirror.contents.local import local_dataset

    dataset = local_dataset(name, mirror_path.absolute(), folder)
    return api_of_dataset(dataset.path) if dataset else ""


def api_of_dataset(folder: Path) -> str:
    """Return the API that the dataset at a folder names as its archive; empty if it names none that counts."""
    from dandi_mirror.addresses import Allowed, is_inside
    from dandi_mirror.archive.instances import known_name
    from dandi_mirror.repo.annex.repository import AnnexRepository

    clone = AnnexRepository(folder)
    api = clone.api()
    if not api or known_name(api):
        return api
    # only the repository names it: its host must be one that git-annex would ask, too
    clone.read_config()
    return "" if is_inside(api, Allowed(addresses=clone.addresses)) else api


def check_archive(clone: LocalDandiset) -> None:
    """Refuse to ask another archive than that of a clone, where what the clone says does not count.

    Raises:
        UsageError: its archive is on this machine or network, and nobody but its git repository says so.
    """
    from urllib.parse import urlsplit

    from dandi_mirror.addresses import private_host
    from dandi_mirror.errors import UsageError
    from dandi_mirror.repo.annex.repository import AnnexRepository

    if api := AnnexRepository(clone.folder).recorded_api():
        reason = private_host(str(urlsplit(api).hostname))
        raise UsageError(
            f"{clone.folder} is a clone from the archive {api}; if you know that archive: -i {api}; {reason}"
        )
