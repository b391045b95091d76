"""Where a hostile repository stands: its folder, somebody's home, other folders that are none of its business.

::

    home/       what a person has; secrets among it
    victim/     a repository, a database and files that no command is told of
    tools/      programs that note that they were run
    place/      the hostile clone, or the hostile mirror (in ``place/mirror``, beside settings of a shared parent)
    out/        where commands are told to write
    recordings/ new files; none, for to read one takes seconds
    tmp/        temporary files
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Server
from tests.conftest import own_home
from tests.hostile.repositories.listening import Listener

DANDISET, OTHER = "000123", "000124"
ZARR_PATH = "sub-0/x.ome.zarr"
"""A Zarr of the draft."""
MARKER = "CANARY-7f3a"
"""Stands in every file that nobody may read."""
FOREIGN_TOKEN, OWN_TOKEN = "f" * 39 + "1", "a" * 39 + "2"
"""The key for DANDI, which none of the servers here is; and the one for the archive that is served."""
CLONE, MIRROR = "clone", "mirror"
Record = dict[str, Any]


@dataclass(frozen=True)
class World:
    """What all hostile repositories are made of, and who listens."""

    folder: Path
    server: Server
    listener: Listener
    proxy: Listener
    version: str

    @property
    def honest(self) -> Path:
        """The clone and the mirror with which nothing is wrong."""
        return self.folder / "honest"


@dataclass
class Stage:
    """One hostile repository."""

    world: World
    folder: Path
    kind: str
    chance: random.Random
    settings: bool = False
    """Whether the settings are to be read: then no variable names the archive."""
    names: list[str] = field(default_factory=list)
    """Further arguments for commands that take files: names that look like options."""

    @property
    def top(self) -> Path:
        """What commands are told of."""
        return self.folder / "place" / self.kind

    @property
    def dataset(self) -> Path:
        """The repository of the Dandiset."""
        return self.top if self.kind == CLONE else self.top / DANDISET

    @property
    def git_dir(self) -> Path:
        """Its own."""
        return self.dataset / ".git"

    @property
    def home(self) -> Path:
        """Whose key it is."""
        return self.folder / "home"

    @property
    def victim(self) -> Path:
        """What no command is told of."""
        return self.folder / "victim"

    @property
    def tool(self) -> str:
        """A program that notes that it was run."""
        return str(self.folder / "tools" / "ran.sh")

    @property
    def out(self) -> Path:
        """Where commands write."""
        return self.folder / "out"

    @property
    def recordings(self) -> Path:
        """New files, to be organized."""
        return self.folder / "recordings"

    @property
    def environment(self) -> dict[str, str]:
        """That of the person who runs the commands."""
        proxy = self.world.proxy.origin
        named = {} if self.settings else {"DANDI_INSTANCE": self.world.server.api_url}
        return {
            **own_home_variables(self.home),
            "TMPDIR": str(self.folder / "tmp"), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            "DANDI_API_KEY": FOREIGN_TOKEN, token_variable(self.world.server.api_url): OWN_TOKEN,
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"), proxy),
            "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost",
            "PATH": os.pathsep.join([str(self.folder / "tools"), own_home_variables(self.home)["PATH"]]), **named,
        }  # fmt: skip

    def git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        folder: Path | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """What git says in the dataset, by a git that heeds no setting of ours."""
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder or self.dataset, input=stdin, capture_output=True, check=True,
            env={**own_home_variables(self.home), **variables},
        )  # fmt: skip
        return done.stdout.decode(errors="surrogateescape").strip()

    # --- what is committed -----------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """The records of the draft's assets."""
        text = self.git("show", "draft:.dandi/assets.jsonl")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def write_records(self, lines: list[Record] | bytes) -> None:
        """Let draft and version have these records."""
        text = lines if isinstance(lines, bytes) else b"".join(_spelt(line) for line in lines)
        self.commit({".dandi/assets.jsonl": ("100644", text)})

    def commit(self, entries: dict[str, tuple[str, bytes | str | None]]) -> None:
        """Let draft and version have these entries, each a mode and bytes, an object id, or None for none."""
        lines = b""
        for path, (mode, content) in entries.items():
            oid = self.git("hash-object", "-w", "--stdin", stdin=content) if isinstance(content, bytes) else content
            name = path.encode(errors="surrogateescape")
            lines += f"{mode} {oid}\t".encode() + name + b"\0" if oid else b"0 " + b"0" * 40 + b"\t" + name + b"\0"
        index = {"GIT_INDEX_FILE": str(self.folder / "tmp" / "index")}
        self.git("read-tree", "draft", variables=index)
        self.git("update-index", "-z", "--add", "--replace", "--index-info", stdin=lines, variables=index)
        tree = self.git("write-tree", variables=index)
        for ref in ("refs/heads/draft", f"refs/tags/{self.world.version}"):
            self.replace_commit(ref, tree)
        self.git("read-tree", "draft")

    def replace_commit(self, ref: str, tree: str = "", change: Callable[[str], str] = str) -> None:
        """Let a branch or tag have another tree or message, and be as before otherwise."""
        found = self.git("for-each-ref", "--format=%(objectname) %(objecttype)", ref)
        if not found:
            return
        message = change(self.git("log", "-1", "--format=%B", ref))
        tree = tree or self.git("rev-parse", f"{ref}^{{tree}}")
        who = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "1704164645 +0000")
        new = self.git("commit-tree", tree, stdin=message.encode(errors="surrogateescape"), variables=who)
        if found.endswith("tag"):
            head, _, text = self.git("cat-file", "tag", ref).split("\n", 1)[1].partition("\n\n")
            tag = f"object {new}\n{head}\n\n{change(text)}\n"
            new = self.git("mktag", "--no-strict", stdin=tag.encode(errors="surrogateescape"))
        self.git("update-ref", ref, new)

    def annex(self, entries: dict[str, bytes]) -> None:
        """Let the git-annex branch have these files."""
        branches = [name for name in ("git-annex", "origin/git-annex") if self.has(name)]
        for branch in branches:
            index = {"GIT_INDEX_FILE": str(self.folder / "tmp" / "annex-index")}
            self.git("read-tree", branch, variables=index)
            for path, content in entries.items():
                oid = self.git("hash-object", "-w", "--stdin", stdin=content)
                self.git("update-index", "--add", "--cacheinfo", f"100644,{oid},{path}", variables=index)
            commit = self.git("commit-tree", self.git("write-tree", variables=index), "-p", branch, "-m", "update")
            ref = f"refs/{'remotes' if '/' in branch else 'heads'}/{branch}"
            self.git("update-ref", ref, commit)
        shutil.rmtree(self.git_dir / "annex" / "index", ignore_errors=True)

    def annex_text(self, path: str) -> str:
        """A file of the git-annex branch."""
        branch = "git-annex" if self.has("git-annex") else "origin/git-annex"
        return self.git("show", f"{branch}:{path}")

    def has(self, name: str) -> bool:
        """Whether there is such a ref."""
        try:
            return bool(self.git("rev-parse", "--verify", "-q", name))
        except subprocess.CalledProcessError:
            return False

    def web_logs(self) -> list[str]:
        """The logs of URLs."""
        branch = "git-annex" if self.has("git-annex") else "origin/git-annex"
        return [path for path in self.git("ls-tree", "-r", "--name-only", branch).splitlines() if path.endswith(".web")]

    # --- what stands in folders -------------------------------------------------------------------------------

    def put(self, path: Path, content: bytes = b"") -> None:
        """A file in place of whatever is there."""
        self.clear(path).write_bytes(content)

    def link(self, path: Path, to: Path | str) -> None:
        """A link in place of whatever is there."""
        self.clear(path).symlink_to(to)

    def clear(self, path: Path) -> Path:
        """Have nothing at a path, and its folder."""
        if path.is_dir() and not path.is_symlink():
            for name, _, _ in os.walk(path):
                Path(name).chmod(0o700)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def config(self, text: str, git_dir: Path | None = None) -> None:
        """More lines for a repository's own settings."""
        with (git_dir or self.git_dir).joinpath("config").open("a") as file:
            file.write(f"\n{text}\n")


def own_home_variables(home: Path) -> dict[str, str]:
    """The environment of somebody who lives there; nothing is written."""
    return _VARIABLES | {"HOME": str(home)}


def _spelt(record: Record | bytes) -> bytes:
    if isinstance(record, bytes):
        return record + b"\n"
    return json.dumps(record, ensure_ascii=True, sort_keys=True).encode() + b"\n"


_VARIABLES: dict[str, str] = {}


def live_in(home: Path) -> dict[str, str]:
    """Make a home, and have all commands of git and of the stage run by somebody who lives in one like it."""
    _VARIABLES.update(own_home(home))
    _VARIABLES.pop("TMPDIR", None)
    return dict(_VARIABLES)


@contextmanager
def staged(world: World, kind: str, seed: str) -> Iterator[Stage]:
    """An honest clone or mirror in a place of its own, gone afterwards."""
    folder = world.folder / f"case-{seed}"
    folder.mkdir()
    for name in ("home", "victim", "tools"):
        subprocess.run(["cp", "-a", str(world.folder / "victims" / name), str(folder / name)], check=True)
    for name in ("out", "tmp", "place", "recordings"):
        (folder / name).mkdir()
    subprocess.run(["cp", "-a", str(world.honest / kind), str(folder / "place" / kind)], check=True)
    stage = Stage(world, folder, kind, random.Random(seed))
    try:
        yield stage
    finally:
        stage.clear(folder)
