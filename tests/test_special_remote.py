"""``git-annex-remote-dandi`` word by word: what it answers, and what it never asks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse, Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Request, Server
from dandi_mirror.embedded import serve as serve_archive
from tests.conftest import run
from tests.support.credentials import TOKEN
from tests.support.remote import KEY, talk

ID = "6a2f0f40-0000-4000-8000-000000000000"


@pytest.fixture
def here(server: Server, monkeypatch: pytest.MonkeyPatch, archive: Archive) -> Iterator[Server]:
    archive.add_user("me@example.org", TOKEN)
    monkeypatch.setenv(token_variable(server.api_url), TOKEN)
    yield server


def test_to_be_set_up_imports_nothing_heavy_and_opens_no_keyring(server: Server) -> None:
    program = (
        "import sys\nfrom dandi_mirror.cli.special_remote import main\n"
        "try: main()\nfinally: print(sorted({'requests', 'keyring', 'click', 'orjson'} & set(sys.modules)), "
        "file=sys.stderr)"
    )
    lines = (
        f"EXTENSIONS INFO ASYNC\nLISTCONFIGS\nINITREMOTE\nVALUE {server.api_url}\nPREPARE\nGETCOST\nEXPORTSUPPORTED\n"
    )
    done = run(sys.executable, "-c", program, stdin=lines)
    assert done.stdout.splitlines() == [
        "VERSION 1",
        "EXTENSIONS",
        "CONFIG api URL of the archive's API",
        "CONFIGEND",
        "GETCONFIG api",
        "INITREMOTE-SUCCESS",
        "PREPARE-SUCCESS",
        "COST 250",
        "UNSUPPORTED-REQUEST",
    ]
    assert done.stderr == "[]\n"
    assert server.requests == []


def test_urls_that_are_no_asset_of_the_api_are_never_asked(here: Server, tmp_path: Path) -> None:
    api = here.api_url
    foreign = [
        f"https://evil.example/api/assets/{ID}/download/",
        f"{api}/assets/../dandisets/?x={ID}/download/",
        f"{api}.evil.example/assets/{ID}/download/",
        f"{api}/assets/{ID}/download/?next=https://evil.example",
        f"{api}/zarr/{ID}/download/",
    ]
    values = [f"VALUE {url}" for url in foreign]
    said = talk(f"TRANSFER RETRIEVE {KEY} {tmp_path}/a file", f"VALUE {api}", *values, "VALUE ")
    assert said[-1] == f"TRANSFER-FAILURE RETRIEVE {KEY} the archive has no asset with this content any more"
    assert here.requests == []


def test_the_token_does_not_follow_a_redirect_to_another_host_or_back(here: Server, tmp_path: Path) -> None:
    with serve_archive(Archive()) as other:
        here.intercept = lambda request: (
            RedirectResponse(f"{other.origin}/there") if request.path.endswith("/download/") else None
        )

        def there(request: Request) -> Response:
            back = f"{here.api_url}/assets/{ID}/back/"
            return Response(b"", 302, {"Location": back}) if request.path == "/there" else Response(b"")

        other.intercept = there
        url = f"{here.api_url}/assets/{ID}/download/"
        said = talk(f"CHECKPRESENT {KEY}", f"VALUE {here.api_url}", f"VALUE {url}", "VALUE ")
        assert said[-1].startswith("CHECKPRESENT-FAILURE")
        assert {request.path for request in other.requests} == {"/there"}
        assert not [request for request in other.requests if "authorization" in request.headers]
    back = [request for request in here.requests if request.path != f"/api/assets/{ID}/download/"]
    assert back and not [request for request in back if "authorization" in request.headers]


def test_an_api_that_cannot_be_is_an_error_in_one_line() -> None:
    assert talk(f"WHEREIS {KEY}", "VALUE ftp://example.org")[-1].startswith("ERROR no archive is called")
    assert talk("INITREMOTE", "VALUE ")[-1].startswith("INITREMOTE-FAILURE")


def test_a_store_with_more_bytes_than_the_key_says_is_cut_off(here: Server, tmp_path: Path) -> None:
    url = f"{here.api_url}/assets/{ID}/download/"

    def endless(request: Request) -> Response | None:
        if request.path.endswith("/download/"):
            return RedirectResponse(f"{here.origin}/much")
        return Response(b"x" * (4 << 20)) if request.path == "/much" else None

    here.intercept = endless
    said = talk(f"TRANSFER RETRIEVE {KEY} {tmp_path}/file", f"VALUE {here.api_url}", f"VALUE {url}", "VALUE ")
    assert said[-1].endswith("the server offers 4194304 bytes instead of 9")
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0


def test_a_key_that_no_mirror_makes_is_told(here: Server, tmp_path: Path) -> None:
    said = talk(f"TRANSFER RETRIEVE URL--x {tmp_path}/file")
    assert said[-1].endswith("this key does not come from a DANDI archive")
    assert here.requests == []
