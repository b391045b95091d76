"""An API key goes to the origin (scheme, host and port) for which it was stored or named, and nowhere else."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import requests

from dandi_mirror.archive import credentials
from dandi_mirror.archive.instances import KNOWN, instance_name, token_variable, token_variables
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.repo.annex.logs import api_remote, embargo_remote
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN, keep_in_plain_file, with_token
from tests.support.dandisets import seed
from tests.support.hostile_clone import hostile_clone

URLS = [
    "https://dandi/api", "https://dandi-sandbox/api", "https://linc/api", "https://my-lab.org/api", "https://my.lab.org/api",
    "https://my_lab.org/api", "https://my--lab.org/api", "https://my.-lab.org/api", "https://my-lab.org:8443/api",
    "https://my-lab.org.port.8443/api", "https://my.dash.lab.org/api", "https://api.dandiarchive.org/other",
    "http://127.0.0.1:8000/api", "https://127.0.0.1:8000/api", "http://localhost:8001/api", "https://localhost:8001/api",
    "https://dandi:8000/api", "https://müller.org/api", "https://[2600::1]:80/api", "https://http.my-lab.org/api",
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), list(combinations([*KNOWN, *URLS], 2)))
def test_no_two_archives_share_a_variable_or_an_entry_of_the_keyring(one: str, other: str) -> None:
    assert not set(token_variables(one)) & set(token_variables(other))
    assert credentials.service_name(one) != credentials.service_name(other)
    assert instance_name(one) != instance_name(other)


@pytest.mark.parametrize("url", URLS)
def test_the_variable_that_is_proposed_can_be_set_in_a_shell(url: str) -> None:
    done = run("bash", "-euc", f'export {token_variable(url)}=abc; printenv "{token_variable(url)}"')
    assert done.stdout == "abc\n"


def test_a_known_archives_variable_and_entry_are_those_of_the_dandi_client() -> None:
    for name in ("dandi", "https://api.dandiarchive.org/api", "https://api.dandiarchive.org/api/"):
        assert token_variables(name) == ["DANDI_API_KEY"]
        assert credentials.service_name(name) == "dandi-api-dandi"
    assert token_variables("ember-dandi-sandbox") == ["EMBER_DANDI_SANDBOX_API_KEY"]


def test_of_an_archive_known_by_its_url_what_the_dandi_client_reads_is_read_too(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    archive.add_user("me", TOKEN, name="Olive Owner")
    ours, stock = token_variables(server.api_url)
    assert stock == f"{server.origin.removeprefix('http://')}_API_KEY"
    for name in (ours, stock):
        done = mirror.cli("login", "--check", env={name: TOKEN})
        assert f"by {name}" in done.stdout
    assert f"by {ours}" in mirror.cli("login", "--check", env={stock: "f" * 40, ours: TOKEN}).stdout


@pytest.mark.parametrize("name", ["DANDI_API_KEY", "127_0_0_1_API_KEY", "LOCALHOST_API_KEY"])
def test_the_key_of_one_archive_is_not_sent_to_another(
    archive: Archive, server: Server, mirror: MirrorOfTest, name: str
) -> None:
    seed(archive)
    mirror.cli("sync", "000123", env={name: TOKEN})
    assert server.requests and with_token(server) == []


def test_a_clone_that_names_a_host_called_dandi_gets_no_key_of_dandis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """As stock `git annex get` asks for it, with DANDI's key in the variable and in the keyring."""
    monkeypatch.setenv("DANDI_API_KEY", TOKEN)
    keep_in_plain_file(server, monkeypatch)
    run(sys.executable, "-m", "keyring", "set", "dandi-api-dandi", "key", stdin=TOKEN)
    assert credentials.from_keyring("dandi", terminal=False)
    for url in ("https://dandi/api", "https://dandi:443/api", "https://DANDI/api", "https://api.dandiarchive.org/x"):
        assert credentials.from_variable(url) is None
        assert credentials.from_keyring(url, terminal=False) is None


# --- an archive that is known by its URL only ----------------------------------------------------------------


def own_clone(folder: Path, server: Server, name: str) -> Path:
    remotes = [api_remote(server.api_url), embargo_remote(server.api_url)]
    return hostile_clone(folder, url=f"{server.api_url}/assets/x/download/", remotes=remotes, name=name)


def test_a_clone_of_an_archive_that_has_no_name_knows_its_url(tmp_path: Path, server: Server) -> None:
    clone = own_clone(tmp_path, server, "DEV-DANDI")
    done = run("dandi-mirror", "upload", "-n", cwd=clone, code=4)
    assert "did you mean" not in done.stderr
    assert f"put it into {token_variable(server.api_url)}" in done.stderr
    assert f"dandi-mirror login -i {server.api_url}" in done.stderr


def test_an_archive_that_a_clone_names_and_does_not_say_where_is_not_guessed(tmp_path: Path, server: Server) -> None:
    clone = hostile_clone(tmp_path, url="https://h.example/x", remotes=[], name="DEV-DANDI")
    done = run("dandi-mirror", "upload", "-n", cwd=clone, code=2)
    assert "did you mean" not in done.stderr
    assert "-i https://HOST/api" in done.stderr


def test_a_clone_that_calls_itself_dandis_and_names_another_api_is_not_uploaded_there(tmp_path: Path) -> None:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.workflows.names.naming import settings_for

    settings = settings_for(tmp_path, [Name("x", "dandi", "000123")], "https://evil.example/api")
    assert settings.instance == "dandi"
    mine = settings_for(tmp_path, [Name("x", "dev-dandi", "000123")], "https://lab.example/api")
    assert mine.instance == "https://lab.example/api"


# --- a wrong key ----------------------------------------------------------------------------------------------


def test_a_key_that_is_not_accepted_is_named_by_where_it_came_from(
    archive: Archive, server: Server, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(archive)
    variable = token_variable(server.api_url)
    done = mirror.cli("sync", "000123", code=4, env={variable: TOKEN})
    assert f"does not accept the API key from {variable}" in done.stderr
    assert f"put it into {variable}, or unset that and run dandi-mirror login -i {server.api_url}" in done.stderr
    assert "embargo" not in done.stderr and TOKEN not in done.stderr
    archive.add_user("me", TOKEN)
    keep_in_plain_file(server, monkeypatch)
    archive.users.clear()
    stored = mirror.cli("login", "--check", code=4).stderr
    assert "does not accept the API key from keyring (" in stored
    assert f"dandi-mirror login -i {server.api_url}" in stored and "unset" not in stored


def test_unfinished_uploads_that_would_keep_an_embargo_are_said(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    archive.add_user("me", TOKEN)
    dandiset = archive.create_dandiset("000123", embargo_status="EMBARGOED", owners=("me",))
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    env = {token_variable(server.api_url): TOKEN}
    mirror.cli("sync", "000123", "--embargoed", env=env)
    upload = ("dandi-mirror", "upload", "-i", server.api_url)
    assert "unfinished" not in run(*upload, cwd=mirror.path / "000123", env=env).stderr
    body: Any = {
        "contentSize": 5,
        "digest": {"algorithm": "dandi:dandi-etag", "value": "0" * 32 + "-1"},
        "dandiset": "000123",
    }
    headers = {"Authorization": f"token {TOKEN}"}
    begun = requests.post(f"{server.api_url}/uploads/initialize/", json=body, headers=headers, timeout=10)
    assert begun.status_code == 200
    said = run(*upload, cwd=mirror.path / "000123", env=env).stderr
    assert "1 unfinished upload at the archive" in said and TOKEN not in said
    command = said.partition("clear them: ")[2].strip().replace("YOUR-API-KEY", TOKEN)
    run("bash", "-c", command.replace("curl", "curl -sS"))
    assert "unfinished" not in run(*upload, cwd=mirror.path / "000123", env=env).stderr


def test_what_is_embargoed_is_not_called_a_wrong_key(archive: Archive, server: Server, mirror: MirrorOfTest) -> None:
    archive.add_user("stranger", TOKEN)
    archive.create_dandiset("000123", embargo_status="EMBARGOED", owners=("owner@nil.nil",))
    done = mirror.cli("sync", "000123", "--embargoed", code=4, env={token_variable(server.api_url): TOKEN})
    assert "it is embargoed" in done.stderr and "does not accept" not in done.stderr
