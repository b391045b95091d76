"""What every test stands on: a home of its own, an archive on loopback, a mirror to look into."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Server, serve
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.dandiset import sync_dandiset
from dandi_mirror.model import Report
from dandi_mirror.upload.read.worker import Worker
from tests.support import reading
from tests.support.loaded import end_loaded, loaded

GIT_CONFIG = """\
[user]
	name = Test Person
	email = test@example.org
[init]
	defaultBranch = main
[annex "security"]
	allowed-ip-addresses = 127.0.0.1
[protocol "file"]
	allow = always
"""
ROOM = 4 << 30
"""Bytes; what is kept of failed tests, and what passing ones take at a time, is far less."""
IMPATIENT = RetryPolicy(attempts=2, backoff=0.01)
"""Gives up soon where it is refused; the time limits are the program's own, so that a busy machine is no fault."""


settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
"""How long an example takes depends on how busy the machine is, and says nothing."""


def pytest_configure() -> None:
    """Let the tests' folders lie in memory where there is room: what is synced there costs no time."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free >= ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the program once: most tests start it, and where it may write no bytecode each start would compile it."""
    if not hasattr(session.config, "workerinput"):
        compileall.compile_dir(session.config.rootpath / "dandi_mirror", quiet=2)


def pytest_sessionfinish() -> None:
    """Leave no process behind."""
    end_loaded()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process neighbouring tests: what the tests of a file share is made once, and the end comes at once."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m quick``, leave out files without such a test: to import them takes longer than the tests."""
    if config.getoption("markexpr") != "quick" or not collection_path.match("test_*.py"):
        return None
    return True if b"mark.quick" not in collection_path.read_bytes() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that is both quick and slow."""
    both = [item.nodeid for item in items if item.get_closest_marker("quick") and item.get_closest_marker("slow")]
    if both:
        raise pytest.UsageError(f"quick and slow at once: {', '.join(both)}")


def own_home(path: Path) -> dict[str, str]:
    """An environment in which nothing of the user's is read or written."""
    path.mkdir(parents=True, exist_ok=True)
    (path / ".gitconfig").write_text(GIT_CONFIG)
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "COVERAGE_PROCESS_START") if name in os.environ}
    return {
        **kept,
        "HOME": str(path),
        # as the program itself looks: a system's git-annex comes first
        "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "DANDI_NO_ET": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


_NETWORK = ("_api_key", "_proxy", "_ca_bundle", "ssl_cert_file")
"""Ends of variables that say how to reach an archive; of the machine, not of a test."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home, git config and keyring of the test's own."""
    before = {*os.environ, "PYTEST_CURRENT_TEST"}
    path = tmp_path / "home"
    environment = own_home(path)
    for name in list(os.environ):
        if name.startswith(("GIT_", "DANDI", "XDG_", "DATALAD")) or name.lower().endswith(_NETWORK):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield path
    for name in os.environ.keys() - before:
        del os.environ[name]  # dask, for one, leaves PYTHONHASHSEED behind


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """Processes that read files; to start one takes seconds, and they have a home of their own anyway."""
    with Worker(2) as worker:
        yield worker


@pytest.fixture
def archive() -> Archive:
    """An empty archive."""
    return Archive(instance_name="DANDI", doi_prefix="10.48324")


@pytest.fixture
def server(archive: Archive) -> Iterator[Server]:
    """The archive, served on loopback."""
    with serve(archive) as served:
        yield served


@dataclass
class MirrorOfTest:
    """A mirror, and what a test does with it."""

    path: Path
    server: Server
    environment: Mapping[str, str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def sync(self, dandiset: str = "000123", patience: RetryPolicy = IMPATIENT, **options: Any) -> Report:
        """A sync in this process."""
        with closing(Session(self.server.api_url, policy=patience)) as session:
            return sync_dandiset(ArchiveClient(session), Mirror(self.path), dandiset, Options(**options))

    def cli(
        self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """``dandi-mirror ARGUMENTS -d MIRROR -i URL`` as its user runs it."""
        where = ["-d", str(self.path), "-i", self.server.api_url]
        done = run("dandi-mirror", *arguments, *where, env=env, code=None)
        assert done.returncode == code, f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def git(self, *arguments: str, dandiset: str = "000123") -> str:
        """What git says in a dataset."""
        return run("git", "-C", str(self.path / dandiset), *arguments).stdout.strip()

    def git_clone(self, folder: Path, *options: str) -> Path:
        """A clone of Dandiset 000123 by git alone, in a new folder."""
        run("git", "clone", "-q", *options, str(self.path / "000123"), str(folder))
        return folder

    def refs(self, dandiset: str = "000123") -> dict[str, str]:
        """Every ref of a dataset, without those in which an old git-annex notes which index it has read."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", dandiset=dandiset).splitlines()
        return dict(line.split(" ") for line in lines if not line.startswith("refs/annex/"))

    def tree(self, commit: str = "draft", dandiset: str = "000123") -> reading.Tree:
        """Every file of a commit."""
        return reading.tree(self.path / dandiset, commit)

    def asset_paths(self, commit: str = "draft", dandiset: str = "000123") -> list[str]:
        """The assets of a commit."""
        own = (".dandi/", ".datalad/", ".gitattributes", "dandiset.yaml")
        return sorted(path for path in self.tree(commit, dandiset) if not path.startswith(own))

    def keys(self, commit: str = "draft", dandiset: str = "000123") -> dict[str, str]:
        """Path → annex key of every annexed asset of a commit."""
        links = [path for path, (mode, _) in self.tree(commit, dandiset).items() if mode == b"120000"]
        targets = reading.contents(self.path / dandiset, commit, links)
        return {path: target.decode().rpartition("/")[2] for path, target in targets.items()}

    def urls(self, key: str, dandiset: str = "000123") -> set[str]:
        """The URLs that git-annex knows for a key, as it says itself."""
        whereis = self.git("annex", "whereis", "--json", f"--key={key}", dandiset=dandiset)
        return {url for place in json.loads(whereis)["whereis"] for url in place["urls"]}

    def records(self, commit: str = "draft", dandiset: str = "000123") -> list[dict[str, Any]]:
        """The asset records of a commit."""
        paths = [path for path in self.tree(commit, dandiset) if path.startswith(".dandi/assets")]
        found = reading.contents(self.path / dandiset, commit, paths).values()
        lines = [line for content in found for line in content.splitlines()]
        return sorted((json.loads(line) for line in lines), key=lambda record: str(record["path"]))


@pytest.fixture
def mirror(tmp_path: Path, server: Server) -> MirrorOfTest:
    """A mirror that is not there yet."""
    return MirrorOfTest(tmp_path / "mirror", server)


@contextmanager
def only_asked(folder: Path, fill: Callable[[Archive, MirrorOfTest], MirrorOfTest]) -> Iterator[MirrorOfTest]:
    """A mirror that many tests only ask, as ``fill`` makes it of an empty archive."""
    archive = Archive(instance_name="DANDI")
    with pytest.MonkeyPatch.context() as patch, serve(archive) as server:
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        yield fill(archive, MirrorOfTest(folder / "mirror", server))


def run(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    code: int | None = 0,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would; its output as text.  ``code`` is how it must end (None: any)."""
    environment = {**os.environ, **(env or {})}
    command: Sequence[str] = arguments
    if arguments[0] == "dandi-mirror":
        command = (sys.executable, "-m", "dandi_mirror", *arguments[1:])
    if arguments[0] == "dandi-mirror" and loaded().fits(environment):
        done = loaded().run(arguments[1:], cwd, environment, stdin, 600)
    else:
        done = subprocess.run(
            command, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, timeout=600,
            stdin=subprocess.DEVNULL if stdin is None else None,
        )  # fmt: skip
    assert code is None or done.returncode == code, (
        f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    )
    return done
