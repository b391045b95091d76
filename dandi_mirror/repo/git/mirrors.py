"""Other mirrors as remotes: fetch the git-annex branch of a dataset there, and read one setting of it.

What is fetched goes to a ref that git-annex does not know: it merges every ref whose last part is ``git-annex``, and
would believe all that stands in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from dandi_mirror.config import Sibling
from dandi_mirror.errors import PartError
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.files import git_dir_of
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.repo.git.siblings import run_at, settings_of
from dandi_mirror.text import quoted

_FETCH = (
    "-c", "http.followRedirects=false", "-c", "transfer.bundleURI=false", "-c", "fetch.fsckObjects=true",
    "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance",
    "--refmap=",
)  # fmt: skip
"""Fetch one ref and nothing else, from the address that the settings name and no other."""
_ABSENT = "absent"
_SHELL = "[ ! -e {path} ] || git-annex-shell configlist {path}"
_OBJECTS = "annex/objects"
_ZARRS = 'cd {path} && for found in zarr/*/*/*.git/annex/objects/; do [ -d "$found" ] && echo "$found"; done; true'
_LONGEST = 1 << 16
"""Bytes of a git config."""


def is_http(sibling: Sibling) -> bool:
    """Whether a mirror is reached by http or https."""
    return sibling.url.startswith(("http://", "https://"))


def place_of(sibling: Sibling, place: str) -> str:
    """Where another mirror has a repository, for git: a Dandiset's dataset, or a Zarr's, which ends in ``.git``."""
    return f"{sibling.url}/{place}" + ("/.git" if is_http(sibling) and not _is_bare(place) else "")


def git_dir_there(sibling: Sibling, place: str) -> Path:
    """The git folder of a repository of a mirror on this machine."""
    path = Path(place_of(sibling, place))
    return path if _is_bare(place) else git_dir_of(path)


def git_dir_in_script(place: str) -> str:
    """The git folder of a repository in a script for another machine, where ``{path}`` is the repository's path."""
    return "{path}" if _is_bare(place) else "{path}/.git"


def _is_bare(place: str) -> bool:
    return place.endswith(".git")


def zarrs_there(sibling: Sibling, zarrs: Iterable[tuple[str, str]]) -> frozenset[str] | None:
    """The names of those repositories of Zarrs (name, place) in which another mirror has, or had, content.

    None if it has to be asked for each, because a web server does not list folders.

    Raises:
        PartError: the other machine does not answer.
    """
    if is_http(sibling):
        return None
    if sibling.url.startswith("/"):
        return frozenset(name for name, place in zarrs if (git_dir_there(sibling, place) / _OBJECTS).is_dir())
    wanted = {place: name for name, place in zarrs}
    found = run_at(sibling.url, "", _ZARRS).split() if wanted else []
    return frozenset(wanted[place] for line in found if (place := line.removesuffix(f"/{_OBJECTS}/")) in wanted)


def logs_ref(sibling: Sibling) -> str:
    """The ref of what was fetched of a mirror's git-annex branch."""
    return f"refs/dandi-mirror/siblings/{sibling.name}/logs"


def fetch_logs(dataset: Dataset, sibling: Sibling, place: str) -> str:
    """Fetch another mirror's git-annex branch; returns its commit.  Only under the dataset's lock.

    Raises:
        GitError: it does not answer, or has no such branch.
        PartError: it is a folder on a web server in which git finds no list of branches.
    """
    ref, address = logs_ref(sibling), place_of(sibling, place)
    try:
        git(dataset.path, *_FETCH, address, f"+refs/heads/git-annex:{ref}", remotes=True)
    except GitError as error:
        if is_http(sibling) and "not found" in str(error):
            raise PartError(
                f"{address}: the web server shows no list of branches; whoever runs that mirror has to type in each "
                "of its repositories, after each run: git update-server-info"
            ) from None
        raise
    return dataset.ref(ref) or ""


def uuid_there(dataset: Dataset, sibling: Sibling, place: str) -> str | None:
    """What a mirror at a path or an ssh address says is the UUID of its repository; empty if it does not say.

    None if it does not have the repository.

    Raises:
        PartError: the other machine does not answer.
    """
    if sibling.url.startswith("/"):
        there = git_dir_there(sibling, place) / "config"
        return _uuid_in(dataset, ["--file", str(there)]) if there.parent.is_dir() else None
    lines = run_at(sibling.url, place, f"[ -e {{path}} ] || echo {_ABSENT}; {_SHELL}").splitlines()
    if lines[:1] == [_ABSENT]:
        return None
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("annex.uuid=")), "")


def uuid_of_config(dataset: Dataset, config: bytes) -> str:
    """The UUID in the text of a repository's git config; empty if there is none."""
    return _uuid_in(dataset, ["--file", "-"], config[:_LONGEST])


def _uuid_in(dataset: Dataset, where: list[str], text: bytes = b"") -> str:
    # with --file, git follows no include in it
    try:
        found = git(dataset.path, "config", *where, "--get", "annex.uuid", stdin=text)
    except GitError:
        return ""  # it has none, or is no config
    return found.decode(errors="replace").strip()


def set_up_remote(dataset: Dataset, sibling: Sibling, place: str, uuid: str) -> None:
    """Let git-annex know another mirror as a remote that it may read and never writes to.

    A ``git fetch`` of this remote brings the branches of its files only, so git-annex does not merge its branch.

    Raises:
        PartError: a remote of this name is somebody else's.
    """
    name, ours = f"remote.{sibling.name}", f"dandi-mirror-sibling.{sibling.name}.url"
    now = settings_of(dataset)
    if f"{name}.url" in now and ours not in now:
        raise PartError(
            f"there is a remote {sibling.name} that fetch did not make; give the sibling another name in "
            f"dandi-mirror.toml, or remove it: git -C {quoted(dataset.path)} remote remove {sibling.name}"
        )
    wanted = {
        ours: sibling.url,
        f"{name}.url": place_of(sibling, place),
        f"{name}.fetch": f"+refs/heads/draft:refs/remotes/{sibling.name}/draft",
        f"{name}.tagopt": "--no-tags",
        f"{name}.annex-uuid": uuid,
        f"{name}.annex-sync": "false",
        f"{name}.annex-readonly": "true",
    }
    for setting, value in wanted.items():
        if now.get(setting) != value:
            git(dataset.path, "config", "--replace-all", setting, value)


def host_of_mirror(sibling: Sibling) -> str:
    """The host with its port of a mirror that is reached by http or https; empty for others."""
    return urlsplit(sibling.url).netloc.rpartition("@")[2].lower() if is_http(sibling) else ""
