"""Read what git's settings tell git-annex to do in a repository: as values, by their names in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dandi_mirror.repo.annex.pointers import OBJECTS_IN_GIT_DIR
from dandi_mirror.repo.git.process import git

Settings = Mapping[str, str]

ADDRESSES = "annex.security.allowed-ip-addresses"
_UNUSUAL = (
    "annex.crippledfilesystem", "annex.freezecontent-command", "annex.thawcontent-command", "annex.pidlock",
    "annex.private", "annex.secure-erase-command", "core.sharedrepository",
)  # fmt: skip
"""If one of these is set, git-annex does more with an object than this program does."""
_UNSET = {"false", "umask", "0", "no", ""}


def read(folder: Path) -> dict[str, str]:
    """All settings that hold in a folder; of one that is set more than once, the last value.

    Raises:
        GitError: git cannot read them.
    """
    listing = git(folder, "config", "--list", "-z").decode(errors="surrogateescape")
    pairs = (entry.partition("\n") for entry in listing.split("\0") if entry)
    return {name: value for name, _, value in pairs}


def are_usual(settings: Settings) -> bool:
    """Whether this program may write objects and logs itself; otherwise git-annex has to do it."""
    return all(settings.get(name, "false") in _UNSET for name in _UNUSUAL)


def allowed_addresses(settings: Settings) -> frozenset[str]:
    """The IP addresses on this machine or network that git-annex may connect to."""
    return frozenset(settings.get(ADDRESSES, "").split())


def remotes(settings: Settings) -> frozenset[str]:
    """The UUIDs of the remotes that git-annex may ask for content."""
    uuids = (".annex-uuid", ".annex-config-uuid")
    return frozenset(value for name, value in settings.items() if name.startswith("remote.") and name.endswith(uuids))


def named_remotes(settings: Settings) -> list[tuple[str, str]]:
    """The names of the remotes that git-annex knows, with their UUIDs."""
    end = ".annex-uuid"
    named = ((name, uuid) for name, uuid in settings.items() if name.startswith("remote.") and name.endswith(end))
    return [(name.removeprefix("remote.").removesuffix(end), uuid) for name, uuid in named]


def local_remotes(settings: Settings) -> dict[str, Path]:
    """The folder of objects of each remote that is a folder on this machine, by the remote's UUID."""
    found = {}
    for name, value in settings.items():
        if not (name.startswith("remote.") and name.endswith(".url")):
            continue
        remote = name.removesuffix(".url")
        uuid = settings.get(f"{remote}.annex-uuid", "")
        folder = _folder(value)
        if uuid and folder and settings.get(f"{remote}.annex-ignore", "false") == "false":
            git_dir = folder / ".git" if (folder / ".git").is_dir() else folder
            found[uuid] = git_dir / OBJECTS_IN_GIT_DIR
    return found


def web_mirrors(settings: Settings) -> dict[str, str]:
    """The URL of the git folder of each remote that ``dandi-mirror fetch`` made and that is reached by http or https.

    By the remote's UUID.
    """
    found = {}
    for name, value in settings.items():
        remote = name.removesuffix(".url")
        uuid = settings.get(f"{remote}.annex-uuid", "")
        ours = f"dandi-mirror-sibling.{remote.removeprefix('remote.')}.url"
        if remote.startswith("remote.") and uuid and ours in settings and value.startswith(("http://", "https://")):
            found[uuid] = value
    return found


def _folder(url: str) -> Path | None:
    """The folder that a remote's URL names; None if the remote is not on this machine."""
    if url.startswith("file://"):
        url = unquote(urlsplit(url).path)
    path = Path(url)
    return path if path.is_absolute() and path.is_dir() else None
