"""What every attack works on: a served archive, a mirror of its past, and where an undisturbed sync ends."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from dandi_mirror.embedded import Archive, Dandiset, Server, generated_zarr, serve
from tests.support.zarrs import a_zarr, change

DANDISET = "000123"
ZARR = "sub-z/sub-z_image.ome.zarr"
FIRST, SECOND, LARGE = "first", "second", "large"
SCENARIOS = (FIRST, SECOND, LARGE)
"""A sync into nothing; one into a mirror that has an older state; one into nothing that takes all for large.

A mirror's folder is called by its scenario.
"""
REPOSITORIES = (".", DANDISET)
"""The superdataset and the dataset, below a mirror."""
_TAKES_ALL_FOR_LARGE = """
from dandi_mirror.cli.main import main
from dandi_mirror.mirror.sync import steps
steps.LARGE = 0
main()
"""
PATIENCE = 20.0
"""Seconds that orphaned children of a killed run may go on holding its lock."""

Point = TypeVar("Point")
Refs = dict[str, dict[str, str]]
"""Repository → ref → object id."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    errors: str
    seconds: float
    computed: float = 0.0
    """Seconds of the processor, of all that it started and waited for."""

    def __str__(self) -> str:
        return f"exit {self.code}: {(self.errors or self.output).strip()[-300:] or 'said nothing'}"


@dataclass(slots=True)
class Outcome:
    """One attack: whether it struck before the sync was through, and what was wrong afterwards."""

    attack: str
    where: str
    struck: bool
    problems: list[str] = field(default_factory=list)


class World:
    """A folder with a home, the old mirror, and as many copies of it as there are attacks."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        (folder / "home").mkdir()
        self.old = folder / "old"
        self.goals: dict[str, Refs] = {}
        self.settings: dict[str, str] = {}
        self.lasts: dict[str, float] = {}
        """Seconds that an undisturbed sync computes, with all that it starts."""
        self.environment = _environment(folder / "home")

    def command(self, mirror: Path) -> list[str]:
        """The sync, as a user types it."""
        program = ["-c", _TAKES_ALL_FOR_LARGE] if mirror.name == LARGE else ["-m", "dandi_mirror"]
        return [sys.executable, *program, "sync", DANDISET, "-d", str(mirror), "-i", self.server.api_url]

    def start(self, mirror: Path, *before: str, **variables: str) -> subprocess.Popen[str]:
        """A sync that runs in a process group of its own; ``before`` stands in front of the command."""
        return subprocess.Popen(
            [*before, *self.command(mirror)], env=self.environment | variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def sync(self, mirror: Path, *before: str, **variables: str) -> Done:
        """Run a sync to its end."""
        began, computed = time.monotonic(), _computed_by_children()
        child = self.start(mirror, *before, **variables)
        output, errors = child.communicate(timeout=120)
        seconds = time.monotonic() - began
        return Done(child.returncode, output, errors, seconds, _computed_by_children() - computed)

    def sync_after(self, mirror: Path) -> Done:
        """The next run; it comes again while orphans of the run before hold the lock, as cron would."""
        until = time.monotonic() + PATIENCE
        while (done := self.sync(mirror)).code == 75 and time.monotonic() < until:
            time.sleep(0.1)
        return done

    def run(self, folder: Path, *command: str) -> Done:
        """Run any command in a folder."""
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    @contextmanager
    def mirror(self, scenario: str, parent: Path | None = None) -> Iterator[Path]:
        """A mirror to attack, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=parent or self.folder, ignore_cleanup_errors=True) as name:
            mirror = Path(name) / scenario
            if scenario == SECOND:
                self.copy_old(mirror)
            yield mirror
            make_removable(mirror)

    def copy_old(self, mirror: Path) -> None:
        """Put the old mirror there, file by file with times and modes."""
        subprocess.run(["cp", "-a", str(self.old), str(mirror)], check=True)

    def moment(self, scenario: str, chance: random.Random) -> float:
        """A random moment of a sync, after the first of it, in which only modules are read.

        In seconds that it has computed, with all that it started: see :func:`tests.moments.reaches`.
        """
        return chance.uniform(0.3, 1.0) * self.lasts[scenario]

    def refs(self, mirror: Path) -> Refs:
        """Every ref of the superdataset and of the dataset."""
        return {name: self._refs(mirror / name) for name in REPOSITORIES}

    def settings_of(self, mirror: Path) -> str:
        """The settings of the repositories, but for the names of the annexes."""
        listed = [self.run(mirror / name, "git", "config", "--local", "--list").output for name in REPOSITORIES]
        lines = [line for text in listed for line in text.splitlines() if not line.startswith("annex.uuid=")]
        return "\n".join(sorted(lines))

    def _refs(self, repository: Path) -> dict[str, str]:
        if not (repository / ".git").exists():
            return {}
        # --git-dir, or a repository that is not yet one would answer for the folder above it
        listing = self.run(repository, "git", "--git-dir=.git", "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ") for line in listing.output.splitlines())


def _computed_by_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _environment(home: Path) -> dict[str, str]:
    settings = {
        "user.name": "Crash", "user.email": "crash@example.org",
        "annex.security.allowed-ip-addresses": "127.0.0.1",
    }  # fmt: skip
    config = {f"GIT_CONFIG_KEY_{place}": name for place, name in enumerate(settings)}
    config |= {f"GIT_CONFIG_VALUE_{place}": text for place, text in enumerate(settings.values())}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # the package's own folder: the command may run where the tests have not installed it
    return {
        "HOME": str(home), "PATH": path, "LANG": "C.UTF-8", "GIT_CONFIG_COUNT": str(len(settings)), **config,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }  # fmt: skip


def make_removable(folder: Path) -> None:
    """git-annex write-protects folders of its own."""
    for name, _, _ in os.walk(folder):
        Path(name).chmod(0o700)


class _Clock:
    """A clock that moves by a second at every look, so that every world has the same archive."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@contextmanager
def begin_world() -> Iterator[tuple[World, Dandiset]]:
    """Serve the archive as it was in the past, and let the old mirror see it."""
    archive = Archive(clock=_Clock(), seed=1)
    dandiset = archive.create_dandiset(DANDISET, name="To be attacked")
    _begin(dandiset)
    with tempfile.TemporaryDirectory(prefix="dandi-mirror-crash-") as name, serve(archive) as server:
        world = World(Path(name), server)
        _check(world.sync(world.old))
        yield world, dandiset
        make_removable(world.folder)


def move_on(world: World, dandiset: Dandiset) -> None:
    """Bring the archive to the present, and sync both scenarios undisturbed."""
    _go_on(dandiset)
    for scenario in SCENARIOS:
        with world.mirror(scenario) as mirror:
            _check(done := world.sync(mirror))
            world.lasts[scenario] = done.computed
            world.goals[scenario] = world.refs(mirror)
            world.settings[scenario] = world.settings_of(mirror)


@contextmanager
def make_world() -> Iterator[World]:
    """A world whose archive is in the present, and whose old mirror has not seen it."""
    with begin_world() as (world, dandiset):
        move_on(world, dandiset)
        yield world


def _check(done: Done) -> None:
    if done.code:
        raise RuntimeError(f"an undisturbed sync failed: {done}")


def _begin(dandiset: Dandiset) -> None:
    for number in range(24):
        _add(dandiset, f"sub-{number % 4}/sub-{number % 4}_ses-{number}.nwb", b"recording %d" % number)
    _add(dandiset, "dataset_description.json", b'{"Name": "before"}\n')
    _add(dandiset, "participants.tsv", b"participant_id\n" + b"sub-0\n" * 500)
    _add(dandiset, "notes/README.md", b"Notes that a later version has no more.\n")
    dandiset.publish()
    a_zarr(dandiset, ZARR)


def _go_on(dandiset: Dandiset) -> None:
    """Adds, replaces, renames, deletes, a changed text; some published, some only in the draft, as all Zarrs are."""
    add_blob = dandiset.archive.add_blob
    (zarr,) = [asset.zarr for asset in dandiset.draft if asset.path == ZARR]
    assert zarr
    dandiset.delete_asset(ZARR)
    for number in range(24, 30):
        _add(dandiset, f"sub-5/sub-5_ses-{number}.nwb", b"recording %d" % number)
    dandiset.replace_asset("sub-0/sub-0_ses-0.nwb", add_blob(b"recorded again"))
    dandiset.replace_asset("dataset_description.json", add_blob(b'{"Name": "after", "Keys": ["more"]}\n'))
    # the server refuses to publish a Dandiset that has ever held a Zarr; this world wants both
    dandiset.publish(unchecked=True)
    dandiset.rename_asset("sub-1/sub-1_ses-1.nwb", "sub-6/sub-6_ses-1.nwb")
    dandiset.delete_asset("sub-2/sub-2_ses-2.nwb")
    dandiset.delete_asset("notes/README.md")
    _add(dandiset, "CHANGES.md", b"What changed.\n" * 300)
    dandiset.add_asset(ZARR, zarr=zarr)
    change(zarr, {"arr/0/0": b"written again", "arr/0/1": None})
    for number in range(3):
        generated_zarr(dandiset, f"sub-z/sub-z_run-{number}.ome.zarr", 1200 if number else 20)


def _add(dandiset: Dandiset, path: str, content: bytes) -> None:
    metadata = None
    if path.endswith(".nwb"):
        subject = {"schemaKey": "Participant", "identifier": path.partition("/")[0]}
        metadata = {"encodingFormat": "application/x-nwb", "wasAttributedTo": [subject]}
    dandiset.add_asset(path, dandiset.archive.add_blob(content), metadata)


def spread(points: Sequence[Point], wanted: int) -> list[Point]:
    """``wanted`` of ``points``, evenly over all of them and in their order."""
    if wanted >= len(points):
        return list(points)
    return [points[place * len(points) // wanted] for place in range(wanted)]
