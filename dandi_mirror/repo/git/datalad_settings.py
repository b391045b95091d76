"""What the files of a dataset tell DataLad, such as where subdatasets come from: those of others are not obeyed.

DataLad takes settings from ``.datalad/config``, which is committed, so a clone brings it along.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path

from dandi_mirror.files.opening import read_file
from dandi_mirror.repo.git.git_folder import UntrustedRepository
from dandi_mirror.repo.git.process import git

_KNOWN = {"datalad.dataset.id", "datalad.dataset.version"}


def check_datalad_settings(folder: Path) -> None:
    """Refuse a dataset whose ``.datalad/config`` sets more than its id: other addresses to ask, for example.

    Raises:
        UntrustedRepository: it does.
        GitError: git cannot read it.
    """
    found = _settings(folder, folder / ".datalad" / "config")
    if strange := next((name for name, _ in found if name.lower() not in _KNOWN), ""):
        raise UntrustedRepository(
            f"{folder}: its .datalad/config sets {ascii(strange)[1:-1]}, and DataLad would follow whoever wrote that; "
            "nothing was done there; if you trust them, use DataLad itself, else remove the line"
        )


def check_member_url(top: Path, member: str, known: Collection[str]) -> None:
    """Refuse a member that would come from elsewhere than from beside its superdataset, or from a ``known`` URL.

    Raises:
        UntrustedRepository: it would.
        GitError: git cannot read ``.gitmodules``.
    """
    found = _settings(top, top / ".gitmodules")
    names = [name.removesuffix("path") for name, value in found if name.endswith(".path") and value == member]
    urls = [value for name, value in found if name.endswith("url") and name.startswith(tuple(names))] if names else []
    strange = next((url for url in urls if url not in {f"./{member}", *known}), "")
    if strange:
        raise UntrustedRepository(
            f"{top}: its .gitmodules takes {member} from {ascii(strange)[1:-1]}, and not from beside it, as a mirror "
            f"does; that address was not asked; if you trust it, type: git clone -- {shlex.quote(strange)}"
        )


def _settings(folder: Path, file: Path) -> list[tuple[str, str]]:
    content = read_file(file) or b""
    listing = git(folder, "config", "--file", "-", "--no-includes", "--list", "-z", stdin=content)
    pairs = (entry.partition("\n") for entry in listing.decode(errors="surrogateescape").split("\0") if entry)
    return [(name, value) for name, _, value in pairs]
