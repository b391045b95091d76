"""Make siblings, repositories elsewhere with the branches, tags and git-annex branch of a dataset, and push to them.

DataLad's own commands make a RIA store or a repository at a service.  For other siblings we use git, because
``datalad create-sibling`` makes work trees, and initialises a git-annex there that writes to our git-annex branch.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dandi_mirror.config import HOSTS, Sibling
from dandi_mirror.errors import DiskError, MirrorError, PartError
from dandi_mirror.repo.git.datalad_settings import check_datalad_settings
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.files import locks_in
from dandi_mirror.repo.git.lock import UnfinishedRun
from dandi_mirror.repo.git.process import LOG, child_environment, find_program, git, start
from dandi_mirror.text import end_of, quoted

_API = {"forgejo": "gitea"}
"""Services that have the API of another one."""

_BARE = """\
set -e; repository={path}
[ -e "$repository/HEAD" ] || for entry in "$repository"/*; do
    case ${{entry##*/}} in
        '*' | [0-9][0-9][0-9][0-9][0-9][0-9] | config* | refs | objects | HEAD.lock) ;;
        *) echo "$repository holds ${{entry##*/}}, so it is not a folder of repositories; name a new one" >&2; exit 1 ;;
    esac
done
git init --quiet --bare --template= "$repository"
git -C "$repository" config receive.updateServerInfo true
git -C "$repository" symbolic-ref HEAD refs/heads/{branch}
"""
"""A script that runs on the sibling's machine.  The folder may already hold repositories of other Dandisets, or what
an interrupted set-up left.  A plain web server needs ``receive.updateServerInfo`` to serve the repository."""


def set_up_sibling(dataset: Dataset, sibling: Sibling, part: str, branch: str) -> None:
    """Make a dataset's repository at a sibling, and a remote for it here; repeats an interrupted set-up.

    ``part`` is the Dandiset's id, empty for the superdataset; ``branch`` is the branch that a clone checks out.
    Only under the dataset's lock.

    Raises:
        PartError: the sibling cannot be reached or refuses; the remote's name is taken.
    """
    ours, settings = f"dandi-mirror-sibling.{sibling.name}", settings_of(dataset)
    mine, url = settings.get(f"{ours}.url"), settings.get(f"remote.{sibling.name}.url")
    if url and not mine:
        raise PartError(
            f"there is a remote {sibling.name} that push did not make; give the sibling another name in "
            f"dandi-mirror.toml, or remove it: git -C {quoted(dataset.path)} remote remove {sibling.name}"
        )
    if mine:
        git(dataset.path, "config", "--remove-section", ours)
    if url and mine != sibling.url:
        git(dataset.path, "remote", "remove", sibling.name)
    git(dataset.path, "config", f"{ours}.url", sibling.url)
    if sibling.type == "bare":
        _make_bare(dataset, sibling, part, branch)
    else:
        _make_by_datalad(dataset, sibling, part, branch)
    git(dataset.path, "config", f"{ours}.ready", "true")


def is_sibling_set_up(dataset: Dataset, sibling: Sibling) -> bool:
    """Whether :func:`set_up_sibling` has finished and nobody has removed the remote since."""
    ours, settings = f"dandi-mirror-sibling.{sibling.name}", settings_of(dataset)
    is_this = settings.get(f"{ours}.url") == sibling.url
    return is_this and f"{ours}.ready" in settings and f"remote.{sibling.name}.url" in settings


def clear_stale(dataset: Dataset, sibling: Sibling, part: str, run: UnfinishedRun) -> None:
    """Remove git's locks that a killed run left at a sibling on this machine; elsewhere git does it.

    Raises:
        DiskError: a lock cannot be removed.
    """
    url = settings_of(dataset).get(f"remote.{sibling.name}.url") or f"{sibling.url}/{part}"
    try:
        for path in locks_in(Path(url)) if url.startswith("/") else ():
            if run.may_have_made(path):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError.of(error.filename, error) from error


def _make_bare(dataset: Dataset, sibling: Sibling, part: str, branch: str) -> None:
    # the folder of the superdataset is itself a bare repository: if it held a .git, git and DataLad would look inside
    # that for the other repositories when they use HTTP
    url = f"{sibling.url}/{part}" if part else sibling.url
    _make_at(url, branch)
    git(dataset.path, "config", f"remote.{sibling.name}.fetch", f"+refs/heads/*:refs/remotes/{sibling.name}/*")
    # otherwise git-annex would initialise itself there and write that to our branch
    git(dataset.path, "config", f"remote.{sibling.name}.annex-ignore", "true")
    git(dataset.path, "config", f"remote.{sibling.name}.url", url)


def _make_by_datalad(dataset: Dataset, sibling: Sibling, part: str, branch: str) -> None:
    common = ["-d", str(dataset.path), "-s", sibling.name, "--existing", "reconfigure"]
    if sibling.type == "ria":
        alias = ["--alias", part or "dandi-mirror"]
        # no storage sibling: content stays at the archive, and our git-annex branch does not mention the store
        run_datalad(
            dataset.path,
            "create-sibling-ria",
            *common,
            *alias,
            "--new-store-ok",
            "--storage-sibling",
            "off",
            sibling.url,
        )
        _make_at(settings_of(dataset)[f"remote.{sibling.name}.url"], branch)
        return
    assert sibling.type in HOSTS
    parts = urlsplit(sibling.url)
    owner, name = parts.path.strip("/").split("/")
    api = [] if sibling.type == "github" else ["--api", f"{parts.scheme}://{parts.netloc}"]
    extra = ["--private"] if sibling.private else []
    extra += ["--credential", sibling.credential] if sibling.credential else []
    command = f"create-sibling-{_API.get(sibling.type, sibling.type)}"
    run_datalad(dataset.path, command, *common, *api, *extra, "--access-protocol", "ssh", f"{owner}/{part or name}")
    git(dataset.path, "config", f"remote.{sibling.name}.annex-ignore", "true")


def run_datalad(folder: Path, *arguments: str) -> None:
    """Run DataLad on a dataset, as a program: importing it takes seconds, and it has its own threads and signals.

    Raises:
        UntrustedRepository: the dataset's own settings would change what DataLad does.
        PartError: DataLad failed.
    """
    check_datalad_settings(folder)
    _run([find_program("datalad"), "-l", "error", *arguments])


def _make_at(url: str, branch: str) -> None:
    """Make or complete the bare repository at a URL."""
    path, ssh = _place(url)
    script = _BARE.format(path=shlex.quote(path), branch=branch)
    _run([*ssh, script] if ssh else ["sh", "-c", script])


def _place(url: str) -> tuple[str, list[str]]:
    """The path of a repository, and the command that runs a script on its machine (empty: this machine)."""
    if url.startswith("/"):
        return url, []
    if "://" in url:
        parts = urlsplit(url)
        host = f"{parts.username}@{parts.hostname}" if parts.username else str(parts.hostname)
        path, port = parts.path, ["-p", str(parts.port)] if parts.port else []
    else:
        (host, _, path), port = url.partition(":"), []
    # start ssh as git does, but without questions, because nobody may be there to answer
    program = shlex.split(os.environ.get("GIT_SSH_COMMAND", "ssh"))
    return path, [*program, "-o", "BatchMode=yes", *port, "--", host]


def run_at(url: str, part: str, script: str) -> str:
    """Run a script on a sibling's machine; ``{path}`` in it is the path of a repository.  Returns what it prints.

    Raises:
        PartError: it fails, or the machine does not answer.
    """
    path, ssh = _place(f"{url}/{part}" if part else url)
    filled = script.replace("{path}", shlex.quote(path))
    return _run([*ssh, filled] if ssh else ["sh", "-c", filled])


def _run(command: list[str]) -> str:
    LOG.debug("%s", shlex.join(command))
    # the program inherits the locks, as git does
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=child_environment(), close_fds=False
    )
    if done.returncode:
        raise PartError(_last_words(done.stderr + done.stdout) or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def settings_of(dataset: Dataset) -> dict[str, str]:
    """The settings in the dataset's own git config."""
    entries = git(dataset.path, "config", "--local", "--null", "--list").decode(errors="replace").split("\0")
    return {name: value for name, _, value in (entry.partition("\n") for entry in entries)}


_LOST = re.compile(r"'.*' does not appear to be a git repository")


class RepositoryLost(PartError):
    """A sibling that was set up has no repository of a dataset any more."""


# --- asking and pushing -------------------------------------------------------------------------------------


def refs_at(dataset: Dataset, sibling: str) -> dict[str, str]:
    """The branches and tags of a sibling with their object ids; this connects to the sibling.

    Raises:
        RepositoryLost: there is no repository any more.
        PartError: it does not answer.
    """
    try:
        lines = _ask(dataset, "ls-remote", "--refs", sibling, "refs/heads/*", "refs/tags/*").splitlines()
    except PartError as error:
        if found := _LOST.search(str(error)):
            raise RepositoryLost(
                f"there is no repository of it at {sibling}, or no disk with it: {found[0]}; to make it again: "
                f"git -C {quoted(dataset.path)} remote remove {sibling}, and push again"
            ) from error
        raise
    return {ref: oid for oid, _, ref in (line.partition("\t") for line in lines)}


def push(dataset: Dataset, sibling: str, refs: Mapping[str, str]) -> None:
    """Set refs of a sibling to these object ids, all or none; never by force.

    Raises:
        PartError: the sibling refuses or does not answer.
    """
    wanted = [f"{oid}:{ref}" for ref, oid in refs.items()]
    _ask(dataset, "push", "--quiet", "--atomic", "--no-follow-tags", "--no-recurse-submodules", sibling, *wanted)


def follows(dataset: Dataset, commit: str, before: str) -> bool:
    """Whether ``before`` is in this repository and an ancestor of ``commit``."""
    child = start(dataset.path, ["merge-base", "--is-ancestor", before, commit])
    child.communicate()
    return child.returncode == 0


def has_trailer(dataset: Dataset, commit: str, name: str) -> bool:
    """Whether a commit or one of its ancestors has this trailer in its message."""
    return bool(git(dataset.path, "rev-list", "-1", f"--grep=^{name}: ", commit))


def _ask(dataset: Dataset, *arguments: str) -> str:
    child = start(dataset.path, arguments, remotes=True)
    output, errors = child.communicate()
    if child.returncode:
        said = _last_words(errors.decode(errors="replace"))
        raise PartError(said or f"git {arguments[0]} ended with {child.returncode}")
    return output.decode(errors="surrogateescape")


def _last_words(text: str) -> str:
    """The end of a program's error message, in one line."""
    return end_of(" ".join(text.split()), 300)


_LACKING = "origin/git-annex"


def lacks_annex_branch(dataset: Dataset) -> str:
    """The git-annex branch that a clone lacks if it was made shallow or with a single branch; empty if it lacks none.

    A mirror's own dataset is not a clone.  If the git-annex branch of a clone knows of any content, it is complete.
    """
    if dataset.ref(f"refs/remotes/{_LACKING}") or dataset.folders(dataset.ref(ANNEX)):
        return ""
    config = git(dataset.path, "config", "--local", "--null", "--list").decode(errors="replace")
    return _LACKING if "remote.origin.url" in {entry.partition("\n")[0] for entry in config.split("\0")} else ""


def fetch_annex_branch(dataset: Dataset) -> str:
    """Fetch the git-annex branch from a clone's origin; returns what to type if that fails, empty if it works."""
    fetch = ("fetch", "--quiet", "origin", f"+refs/heads/git-annex:refs/remotes/{_LACKING}")
    try:
        git(dataset.path, *fetch, remotes=True)
    except MirrorError as error:
        return f"{error}; fetch it yourself: git -C {quoted(dataset.path)} {' '.join(fetch)}"
    return ""
