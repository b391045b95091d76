"""The token goes to the API's own origin and nowhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse, Response

from dandi_mirror.embedded import Archive, Request, Server, serve
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import variable
from tests.support.dandisets import seed

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.quick
def test_it_is_sent_to_the_api_only_and_stands_in_no_file_argument_or_output(
    archive: Archive, server: Server, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    archive.add_user("me", TOKEN)
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    dandiset.publish()
    # every program that is started tells its arguments and its environment
    shims, seen = tmp_path / "shims", tmp_path / "seen"
    shims.mkdir()
    for name in ("git", "git-annex"):
        real = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (shims / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >> {seen}\nenv >> {seen}\nexec {real} "$@"\n')
        (shims / name).chmod(0o755)
    path = os.pathsep.join([str(shims), os.environ["PATH"]])
    done = mirror.cli("sync", "000123", "-l", "debug", env={variable(server): TOKEN, "PATH": path})
    with_token = [request for request in server.requests if "authorization" in request.headers]
    assert with_token
    assert all(request.path.startswith("/api/") for request in with_token)
    assert not [request for request in with_token if "/blobs/" in request.path]
    assert [request for request in server.requests if "/blobs/" in request.path], "content was asked for, without it"
    assert TOKEN not in done.stdout + done.stderr
    assert "fast-import" in seen.read_text()
    assert TOKEN not in seen.read_text()
    assert run("grep", "-rl", TOKEN, str(mirror.path), code=None).stdout == ""
    objects = run(
        "sh", "-c", f"git -C {mirror.path}/000123 cat-file --batch-all-objects --batch | grep -ac {TOKEN}", code=1
    ).stdout
    assert objects.strip() == "0"


def test_a_redirect_of_the_api_to_another_host_is_not_followed(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    archive.add_user("me", TOKEN)
    seed(archive)
    with serve(Archive()) as other:
        server.intercept = lambda request: (
            RedirectResponse(f"{other.api_url}/dandisets/000123/") if "/dandisets/" in request.path else None
        )
        done = mirror.cli("sync", "000123", code=3, env={variable(server): TOKEN})
        assert other.requests == []
    assert TOKEN not in done.stderr


def test_a_next_page_at_another_host_is_not_asked_for(archive: Archive, server: Server, mirror: MirrorOfTest) -> None:
    archive.add_user("me", TOKEN)
    seed(archive)
    with serve(Archive()) as other:

        def foreign(request: Request) -> Response | None:
            if not request.path.endswith("/versions/"):
                return None
            return Response(
                f'{{"count": 2, "next": "{other.api_url}/dandisets/000123/versions/?page=2", "results": []}}',
                media_type="application/json",
            )

        server.intercept = foreign
        mirror.cli("sync", "000123", code=5, env={variable(server): TOKEN})
        assert other.requests == []


def test_a_bad_token_ends_with_4_and_says_so_without_showing_it(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    seed(archive)
    done = mirror.cli("sync", "000123", code=4, env={variable(server): TOKEN})
    assert "token" in done.stderr
    assert TOKEN not in done.stderr
    assert "Traceback" not in done.stderr
    spoilt = mirror.cli("sync", "000123", code=4, env={variable(server): TOKEN + "\nX-Evil: 1"})
    assert "unset it" in spoilt.stderr


def test_the_token_of_dandi_is_not_sent_to_another_instance(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    seed(archive)
    mirror.cli("sync", "000123", env={"DANDI_API_KEY": TOKEN})
    assert not [request for request in server.requests if "authorization" in request.headers]


def test_a_netrc_entry_is_not_sent_either(archive: Archive, server: Server, mirror: MirrorOfTest, home: Path) -> None:
    seed(archive)
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (home / ".netrc").chmod(0o600)
    mirror.cli("sync", "000123")
    assert not [request for request in server.requests if "authorization" in request.headers]
