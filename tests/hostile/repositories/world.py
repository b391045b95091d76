"""What all hostile repositories are made of: an archive, an honest mirror and clone, a home, and what others have."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse

from dandi_mirror.embedded import Archive, serve
from dandi_mirror.embedded.serving.app import Request
from tests.conftest import run
from tests.hostile.repositories.listening import listening
from tests.hostile.repositories.stage import (
    CLONE,
    DANDISET,
    MARKER,
    MIRROR,
    OTHER,
    OWN_TOKEN,
    ZARR_PATH,
    World,
    live_in,
)
from tests.support.zarrs import a_zarr


@contextmanager
def begin(folder: Path) -> Iterator[World]:
    """Serve an archive, mirror it, clone it, and let it go on."""
    env = live_in(folder / "home")
    archive = Archive(instance_name="DANDI", doi_prefix="10.48324")
    archive.add_user("me@example.org", OWN_TOKEN, name="Olive Owner")
    dandisets = [archive.create_dandiset(name, owners=("me@example.org",)) for name in (DANDISET, OTHER)]
    with serve(archive) as server, listening() as listener, listening() as proxy:
        for dandiset in dandisets:
            for number in range(3):
                _add(dandiset, number)
            dandiset.add_asset("participants.tsv", archive.add_blob(b"participant_id\nsub-0\n"))
            dandiset.publish()
        version = dandisets[0].published[0].version
        a_zarr(dandisets[0], ZARR_PATH)
        world = World(folder, server, listener, proxy, version)
        _make_honest(world, env)
        _add(dandisets[0], 3)
        server.intercept = _read_only
        yield world


def _read_only(request: Request) -> JSONResponse | None:
    """Nobody changes the archive: the next repository is made for it as it is."""
    return None if request.method in {"GET", "HEAD"} else JSONResponse({"detail": "nobody may do this here"}, 403)


def _add(dandiset: Any, number: int) -> None:
    subject = {"schemaKey": "Participant", "identifier": f"sub-{number}"}
    metadata = {"encodingFormat": "application/x-nwb", "wasAttributedTo": [subject]}
    blob = dandiset.archive.add_blob(b"%d" % number * 2000)
    dandiset.add_asset(f"sub-{number}/sub-{number}_behavior.nwb", blob, metadata)


def _make_honest(world: World, env: dict[str, str]) -> None:
    mirror, clone = world.honest / MIRROR, world.honest / CLONE
    world.honest.mkdir()
    run("dandi-mirror", "sync", DANDISET, OTHER, "-d", str(mirror), "-i", world.server.api_url, env=env)
    run("dandi-mirror", "search", "sub", "-d", str(mirror), env=env)
    run("dandi-mirror", "verify", "--offline", "-d", str(mirror), env=env, code=None)  # what it remembers
    run("git", "clone", "-q", str(mirror / DANDISET), str(clone), env=env)
    run("git", "-C", str(clone), "annex", "init", "-q", env=env)
    # the clone came from elsewhere: no folder beside it is its remote
    run("git", "-C", str(clone), "remote", "set-url", "origin", f"{world.listener.origin}/gone.git", env=env)
    run("git", "-C", str(clone), "config", "remote.origin.annex-ignore", "true", env=env)
    _make_victims(world.folder / "victims", env)


def _make_victims(folder: Path, env: dict[str, str]) -> None:
    home, victim, tools = folder / "home", folder / "victim", folder / "tools"
    shutil.copytree(folder.parent / "home", home)
    for name in (".bashrc", ".bash_profile", ".ssh/id_rsa", ".netrc.old", "Documents/patients.csv"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(f"{MARKER} {name}\n")
    for name in ("repository", "files", "empty"):
        (victim / name).mkdir(parents=True)
    for name in ("secret.txt", "settings.toml", "sub-0_behavior.nwb"):
        (victim / "files" / name).write_text(f"# {MARKER} {name}\n")
    database = sqlite3.connect(victim / "files" / "zotero.sqlite")
    database.executescript(f"CREATE TABLE items (title TEXT); INSERT INTO items VALUES ('{MARKER}');")
    database.close()
    run("git", "init", "-q", "-b", "main", str(victim / "repository"), env=env)
    (victim / "repository" / "mine.txt").write_text(f"{MARKER}\n")
    for command in (["add", "."], ["commit", "-q", "-m", "mine"]):
        run("git", "-C", str(victim / "repository"), *command, env=env)
    tools.mkdir()
    for name in ("ran.sh", "ssh", "git-remote-evil", "git-annex-remote-evil"):
        (tools / name).write_text('#!/bin/sh\necho "$0 $*" >>"${0%/*}/../ran"\nexit 1\n')
        (tools / name).chmod(0o755)
