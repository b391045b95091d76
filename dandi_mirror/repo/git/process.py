"""Start git and git-annex in a folder: with safe settings, without the environment's repository or API keys."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from weakref import WeakValueDictionary

from dandi_mirror.errors import DiskError, IntegrityError, MirrorError, PartError
from dandi_mirror.repo.git import trust
from dandi_mirror.repo.git.git_folder import find_repository
from dandi_mirror.text import end_of, quoted

LOG = logging.getLogger("dandi_mirror")

# git's variables that a child gets; the others (GIT_DIR, GIT_INDEX_FILE, …) would point it at another repository
_GIT_KEPT = re.compile(r"GIT_(CONFIG_|SSH|SSL_|TRACE|CURL_|HTTP_|EXEC_PATH$|TEMPLATE_DIR$)")
_SECRET = re.compile(r"_API_KEY$")
_DISK = re.compile(
    r"No space left on device|Read-only file system|Permission denied|Disk quota exceeded|File too large"
    r"|[Ii]nput/output error"
)
# compiled when git fails, not at each start
_DAMAGE = (
    r"object file \S+ is empty|(?:loose|packed) object \S+ \([^)]*\) is corrupt|missing object [0-9a-f]{40}"
    r"|bad object (?:HEAD|refs/)|trying to write ref \S+ with nonexistent object"
    r"|(?:unable to|could not) read (?:tree |commit |object )?\(?[0-9a-f]{40}"
    r"|packfile \S+ (?:does not match index|cannot be accessed|claims to have)|index file \S+ is too small"
    r"|index file (?:smaller than expected|corrupt)|bad signature 0x|bad config line|unexpected line in \S*packed-refs"
    r"|invalid value for 'submodule\."
    r"|(?:reference|branch appears to be) broken|ignoring broken ref|inflate: data stream error"
)
"""What git says about objects, packs, refs, an index or settings that it cannot read as it wrote them."""
_NOT_ASKED = re.compile(r"transport '([^']*)' not allowed")
"""What git says if it wanted to ask another repository, as it does in a partial clone for what that lacks."""
_OTHER_OWNER = re.compile(r"dubious ownership in repository at '(.*?)'")
_LONGEST = 500
"""Letters of a message that are shown."""
_LITTLE = 1 << 20
"""Bytes; with less free space than this, we blame a full disk for a failure."""

# No child may start a gc without our lock, and whatever we report as done must be on the disk.
GIT_SETTINGS = (
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "core.fsync=all",
    "-c", "core.fsyncMethod=fsync",
    "-c", "core.logAllRefUpdates=false",
)  # fmt: skip


# zlib asks for 256 kB per object; glibc would map and unmap that each time, a sixth of the work of fast-import
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "268435456"}


# git would ask git-annex's filter about every regular file that it is not sure of; the filter changes none of ours,
# needs milliseconds for each, and leaves refs behind
NO_FILTER = ("-c", "filter.annex.process=", "-c", "filter.annex.clean=", "-c", "filter.annex.smudge=")


NAME, EMAIL = "dandi-mirror", "noreply@dandi-mirror.invalid"
"""Who makes the commits of this program."""


_CHILDREN: WeakValueDictionary[int, subprocess.Popen[bytes]] = WeakValueDictionary()


class GitError(MirrorError):
    """A git or git-annex command failed, but not because of the disk."""


class PartialCloneError(PartError):
    """A repository lacks an object, and its own settings say where git should ask for it."""

    def __init__(self, folder: Path, transport: str) -> None:
        """``transport`` is how git would ask, such as ``https``."""
        super().__init__(
            f"{folder}: this is a partial clone, and git would ask its remote ({ascii(transport)[1:-1]}) for what it "
            "lacks; dandi-mirror asks no address that a repository names; if you trust the remote, get the rest of its "
            f"history: git -C {quoted(folder)} fetch --refetch --no-filter"
        )


class OtherOwner(GitError):
    """A repository belongs to another user, and git has not been told to trust it."""

    exit_code = 6


class DamagedError(IntegrityError):
    """git cannot read a repository as it was written: a file of it is lost, cut off or overwritten."""

    def __init__(self, folder: Path, why: str) -> None:
        """``why`` is what git says, or what its files show."""
        super().__init__(
            f"{folder}: this git repository is damaged ({why}); if it is in a mirror, dandi-mirror status says how to"
            " repair it; else clone it again"
        )
        self.why = why


@cache
def find_program(name: str) -> str:
    """The path of a program: from PATH, else from the folder of the Python interpreter (an environment not activated).

    Raises:
        MirrorError: it is in neither of them.
    """
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if not found:
        remedy = "install it from your system's packages" if name == "git" else f"pip install {name}"
        raise MirrorError(f"{name} is not installed; {remedy}")
    return found


def child_environment(*, secrets: bool = False) -> dict[str, str]:
    """The environment of a child: no other repository, no locale, git-annex in PATH; API keys only with ``secrets``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("GIT_") or _GIT_KEPT.match(name)) and (secrets or not _SECRET.search(name))
    }
    beside = str(Path(sys.executable).parent)
    return (
        _ALLOCATOR
        | kept
        | {
            "LC_ALL": "C.UTF-8",
            "GIT_TERMINAL_PROMPT": "0",
            # a command that only reads (git-annex starts `git status`) does not lock the index
            "GIT_OPTIONAL_LOCKS": "0",
            # an object is what its hash says, whatever somebody's refs/replace puts in its place
            "GIT_NO_REPLACE_OBJECTS": "1",
            # we read refs from files, whatever init.defaultRefFormat says
            "GIT_DEFAULT_REF_FORMAT": "files",
            "PATH": os.pathsep.join([kept.get("PATH", os.defpath), beside]),
        }
    )


def start(
    folder: Path,
    arguments: Sequence[str],
    *,
    stderr: int | None = subprocess.PIPE,
    locks: bool = True,
    secrets: bool = False,
    index: Path | None = None,
    remotes: bool = False,
) -> subprocess.Popen[bytes]:
    """Start ``git -C folder arguments`` with pipes on its standard streams.

    The child inherits the ``locks`` that this process holds: while it runs, the dataset stays locked.  With ``secrets``
    it gets the API keys of the environment, to read embargoed content.  ``index`` is a file that git uses instead of
    the repository's index.  Only with ``remotes`` may git and git-annex ask other repositories: the repository's own
    settings could name any address.

    Raises:
        UntrustedRepository: the repository's settings would make git write elsewhere or start a program.
    """
    if LOG.isEnabledFor(logging.DEBUG):
        LOG.debug("git -C %s %s", folder, shlex.join(arguments))
    child = subprocess.Popen(
        [
            find_program("git"),
            "-C",
            str(folder),
            *GIT_SETTINGS,
            *_who_commits(str(folder), arguments),
            *trust.settings_for(folder, arguments),
            *(() if remotes else trust.without_remotes(folder, arguments)),
            *arguments,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=child_environment(secrets=secrets)
        | ({"GIT_INDEX_FILE": str(index)} if index else {})
        | ({} if remotes else trust.NO_TRANSPORT),
        close_fds=not locks,
    )
    _CHILDREN[child.pid] = child
    return child


def _who_commits(folder: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """Settings that give git-annex a name for the commits of its branch, if git knows none for the person."""
    if "annex" not in arguments or "annex.private=true" in arguments or _has_name(folder):
        return ()
    return "-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}"


@cache
def _has_name(folder: str) -> bool:
    command = [find_program("git"), "-C", folder, *trust.SAFE_SETTINGS, "var", "GIT_COMMITTER_IDENT"]
    return not subprocess.run(command, capture_output=True, check=False, env=child_environment()).returncode


def adopt(child: subprocess.Popen[bytes]) -> None:
    """Let :func:`end_children` also end a child that is not git."""
    _CHILDREN[child.pid] = child


def end_children() -> None:
    """End every running child, so that none keeps a lock; call it only right before this process ends."""
    for reference in _CHILDREN.valuerefs():
        child = reference()
        if child is not None and child.poll() is None:
            child.terminate()


def git(folder: Path, *arguments: str, stdin: bytes = b"", index: Path | None = None, remotes: bool = False) -> bytes:
    """The standard output of ``git -C folder arguments``; ``index`` and ``remotes`` as for :func:`start`.

    Raises:
        DiskError: git failed because of the disk or of permissions.
        GitError: git failed for another reason.
        UntrustedRepository: see :func:`start`.
    """
    child = start(folder, arguments, index=index, remotes=remotes)
    output, errors = child.communicate(stdin)
    if child.returncode:
        raise failure(folder, arguments, child.returncode, errors)
    return output


def is_of_disk(folder: Path, said: str) -> bool:
    """Whether a program that worked in a folder, and said this, failed because of the disk or of permissions."""
    return bool(_DISK.search(said)) or _is_full(folder)


def _is_full(folder: Path) -> bool:
    """Whether the disk is full; git and git-annex often report only that they could not write."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _LITTLE or (disk.f_files > 0 and disk.f_favail == 0)


def _other_owner(folder: Path) -> str:
    found = find_repository(folder)
    owner = trust.owner_if_other(found) if found else ""
    return (
        f"{folder} belongs to {owner or 'another user'}, and git works in repositories of other users only if you "
        "allow it; if you trust whoever owns it, type once, for this and all other folders: "
        "git config --global --add safe.directory '*'"
    )


def failure(folder: Path, arguments: Sequence[str], code: int, errors: bytes) -> MirrorError:
    """The error to raise for a failed git command, in one line."""
    whole = " ".join(errors.decode(errors="replace").split())
    said = end_of(whole, _LONGEST)
    if other := _OTHER_OWNER.search(said):
        # a clone's own folder is ours, and git means the repository that it is made from
        place = Path(other[1])
        return OtherOwner(_other_owner(place.parent if place.name == ".git" else place))
    if asked := _NOT_ASKED.search(said):
        return PartialCloneError(folder, asked[1])
    if found := _DISK.search(whole):
        # git says the same about each file
        return DiskError(f"{folder}: {_sentence(whole, found.start())}")
    if _is_full(folder):
        return DiskError(f"{folder}: No space left on device ({said or f'git ended with {code}'})")
    if damage := re.search(_DAMAGE, said, re.I):
        return DamagedError(folder, f"git: {_sentence(said, damage.start())}")
    return GitError(f"{folder}: git {' '.join(arguments[:2])} ended with {code}: {said or 'no message'}")


def _sentence(said: str, place: int) -> str:
    """The message in which a place of git's output stands; git begins each with its kind."""
    starts = [found.start() for found in re.finditer(r"(?:fatal|error|warning): ", said)]
    before = max((start for start in starts if start <= place), default=0)
    sentence = said[before : min((start for start in starts if start > place), default=len(said))].strip()
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST].rpartition(' ')[0]} …"
