"""The archive and its institutions: real mirrors on one machine, of which some are reached over HTTP or by ssh."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dandi_mirror.config import FILE
from dandi_mirror.embedded import Archive, Blob, Dandiset, Server, serve
from tests.conftest import MirrorOfTest, own_home
from tests.institutions import disks, stock
from tests.support.dandisets import participant
from tests.support.institutions import uneven_pledges
from tests.support.serving_mirrors import served
from tests.support.ssh_server import ssh_server
from tests.support.web_server import let_git_read, web_server
from tests.support.zarrs import a_zarr

NAMES = ("oxford", "basel", "turin", "porto", "lund", "ghent", "bonn", "graz", "cork", "nice")
BY_HTTP = ("basel", "turin", "lund", "graz")
"""Those that all others reach over HTTP, if they take part."""
BY_SERVE = "lund"
"""Of these, the one that is shown by ``dandi-mirror serve``; the others are folders that a web server shows."""
BY_SSH = "porto"
"""The one that some of the others reach by ssh."""
ASK_BY_SSH = ("oxford", "fresh")
VERSIONS = (("0.190301.1200", "0.220301.1200"), ("0.210601.1200",), ())
"""The published versions of the Dandisets; all have a draft, too."""
SHARES = (0.5, 0.25, 0.15)
"""How many of the files each has; the others are those of Zarrs in the last one."""
DRAFT = "draft"
GROUP = b'{"zarr_format": 2}'
"""The metadata of the group in each Zarr; all other content is longer."""
METADATA = "a/.zarray"
"""Of the one array of each Zarr."""


@dataclass
class Institution:
    """A mirror, and how much it has pledged."""

    name: str
    mirror: MirrorOfTest
    pledge: int
    """Bytes."""

    @property
    def path(self) -> Path:
        """The folder of the mirror."""
        return self.mirror.path


@dataclass
class World:
    """An archive, its institutions, and a fresh mirror that has nothing but metadata."""

    server: Server
    institutions: dict[str, Institution]
    fresh: MirrorOfTest
    chance: random.Random
    dandisets: dict[str, tuple[str, ...]]
    """The published versions of each."""
    everything: frozenset[disks.Unit] = frozenset()
    """All content of the archive."""
    urls: dict[tuple[str, str], str] = field(default_factory=dict)
    """By who asks, and who is asked; others are reached by the path."""
    liar: str = ""
    """The institution that has less than it claims."""
    without_ssh: str = ""
    """Why nobody is reached by ssh."""

    def url(self, asks: str, name: str) -> str:
        """How one institution reaches another."""
        return self.urls.get((asks, name), str(self.institutions[name].path))

    def know_each_other(self) -> None:
        """Name all institutions in the settings of each other one, and of the fresh mirror."""
        mirrors = {name: one.mirror for name, one in self.institutions.items()} | {"fresh": self.fresh}
        for asks, mirror in mirrors.items():
            tables = [
                f'[sibling.{name}]\nurl = "{self.url(asks, name)}"\ntype = "mirror"\n'
                for name in self.institutions
                if name != asks
            ]
            (mirror.path / FILE).write_text("".join(tables))

    def show(self, name: str) -> None:
        """Do what a mirror needs whose folder a web server shows."""
        if name in BY_HTTP and name != BY_SERVE:
            let_git_read(self.institutions[name].path)

    def zarrs(self, dandiset: str) -> list[tuple[str, str]]:
        """The path and the id of each Zarr of a Dandiset."""
        assets = self.server.archive.dandisets[dandiset].draft
        return [(asset.path, asset.zarr.zarr_id) for asset in assets if asset.zarr]

    def opens(self, zarr_id: str) -> disks.Unit:
        """The metadata of the one array of a Zarr."""
        content = self.server.archive.zarrs[zarr_id].files[METADATA]
        assert isinstance(content, bytes)
        return zarr_id, f"MD5E-s{len(content)}--{hashlib.md5(content).hexdigest()}"

    def holders(self) -> dict[disks.Unit, frozenset[str]]:
        """Which institutions have each content, by their disks."""
        held = {name: disks.held(one.path) for name, one in self.institutions.items()}
        return {unit: frozenset(name for name in held if unit in held[name]) for unit in self.everything}


@contextmanager
def made(institutions: int, keys: int, seed: int, folder: Path | None = None, dandisets: int = 3) -> Iterator[World]:
    """A world in a temporary folder and with a home of its own."""
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for variable, value in own_home(top / "home").items():
            patch.setenv(variable, value)
        archive, chance = Archive(instance_name="DANDI", seed=seed), random.Random(seed)
        _fill(archive, keys, chance, dandisets)
        world = _mirrored(stack.enter_context(serve(archive)), top, institutions, chance)
        _reach(world, stack, top, patch)
        world.know_each_other()
        yield world


def _fill(archive: Archive, keys: int, chance: random.Random, dandisets: int) -> None:
    """Dandisets with so many files in all, of uneven sizes; the last one has Zarrs."""
    shared, shares = _blob(archive, chance), SHARES[-dandisets:]
    for number, versions in enumerate(VERSIONS[-dandisets:]):
        dandiset = archive.create_dandiset(f"{101 + number:06}", name=f"number {number}")
        count = keys * 0.9 * shares[number] / sum(shares)
        for part, version in enumerate((*versions, DRAFT)):
            _add_files(archive, dandiset, part, max(2, round(count / (len(versions) + 1))), chance)
            if version != DRAFT:
                dandiset.publish(version, created=f"20{version[2:4]}-01-01T00:00:00Z")
        if versions:
            dandiset.delete_asset("sub-00000/a.nwb")  # the published version has it
        dandiset.add_asset("shared.nwb", shared, metadata=participant("shared"))
    for number in range(dandisets - 1):
        _add_zarr(dandiset, f"sub-9/{number}.zarr", max(3, keys // 20), chance)


def _add_files(archive: Archive, dandiset: Dandiset, part: int, count: int, chance: random.Random) -> None:
    for number in range(count):
        name = f"{part}{number:04}"
        dandiset.add_asset(f"sub-{name}/a.nwb", _blob(archive, chance), metadata=participant(name))


def _blob(archive: Archive, chance: random.Random) -> Blob:
    return archive.add_blob(_content(chance))


def _content(chance: random.Random) -> bytes:
    return chance.randbytes(int(min(chance.lognormvariate(9, 1.3), 300_000)) + 32)


def _add_zarr(dandiset: Dandiset, path: str, files: int, chance: random.Random) -> None:
    chunks = {f"a/{number}": _content(chance)[:9000] for number in range(files - 2)}
    a_zarr(dandiset, path, {".zgroup": GROUP, METADATA: chance.randbytes(64), **chunks})


def _mirrored(server: Server, top: Path, institutions: int, chance: random.Random) -> World:
    """Let each institution sync for itself; then what the archive has is known, and so what each pledges."""
    fresh = MirrorOfTest(top / "fresh", server)
    mirrors = [MirrorOfTest(top / name, server) for name in NAMES[:institutions]]
    fresh.cli("sync", *server.archive.dandisets)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda mirror: mirror.cli("sync", *server.archive.dandisets), mirrors))
    everything = frozenset((name, key) for name, keys in stock.whereis(fresh.path).items() for key in keys)
    pledges = uneven_pledges(disks.total(everything), institutions)
    named = {
        mirror.path.name: Institution(mirror.path.name, mirror, pledge)
        for mirror, pledge in zip(mirrors, pledges, strict=True)
    }
    dandisets = {
        name: tuple(version.version for version in dandiset.published)
        for name, dandiset in server.archive.dandisets.items()
    }
    return World(server, named, fresh, chance, dandisets, everything)


def _reach(world: World, stack: ExitStack, top: Path, patch: pytest.MonkeyPatch) -> None:
    """Show some institutions by web servers and ssh."""
    for name in (name for name in BY_HTTP if name in world.institutions):
        mirror = world.institutions[name].mirror
        if name == BY_SERVE:
            url = stack.enter_context(served(mirror, "--offline")).removesuffix("/api") + "/git"
        else:
            url, _ = stack.enter_context(web_server(mirror.path))
            world.show(name)
        world.urls |= {(asks, name): url for asks in (*world.institutions, "fresh")}
    if BY_SSH in world.institutions:
        try:
            place = stack.enter_context(ssh_server(top / "ssh", patch))
        except pytest.skip.Exception as why:
            world.without_ssh = str(why)
        else:
            path = world.institutions[BY_SSH].path
            world.urls |= {(asks, BY_SSH): f"ssh://{place}{path}" for asks in ASK_BY_SSH}
