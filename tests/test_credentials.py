"""Where the token comes from, with real keyrings; and who is never asked for one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dandi_mirror.archive import credentials, keyrings
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Server
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import PLAIN, TOKEN, choose, keep_in_plain_file
from tests.support.dandisets import seed
from tests.support.terminal import on_terminal

ENCRYPTED = "keyrings.alt.file.EncryptedKeyring"
NONE = "keyring.backends.null.Keyring"
FAILING = "keyring.backends.fail.Keyring"
PASSWORD = "only for this keyring"
NOSY = """
from pathlib import Path
from time import sleep
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        Path({trace!r}).write_text(service)
        sleep({seconds})

    set_password = delete_password = get_password
"""


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch, archive: Archive) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")


def choose_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keyring takes by itself where there is no desktop: a chain of files."""
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND")


def nosy_keyring(home: Path, monkeypatch: pytest.MonkeyPatch, seconds: int = 0) -> Path:
    """A keyring, by keyring's own settings, that leaves a trace when it is asked; the trace."""
    choose_best(monkeypatch)
    trace, folder = home / "trace", home / "modules"
    folder.mkdir()
    (folder / "nosy.py").write_text(NOSY.format(trace=str(trace), seconds=seconds))
    config = home / ".config" / "python_keyring"
    config.mkdir(parents=True)
    (config / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring=nosy.Keyring\nkeyring-path={folder}\n")
    return trace


def data(home: Path) -> Path:
    return home / ".local" / "share" / "python_keyring"


# --- no terminal --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [NONE, FAILING, PLAIN, ENCRYPTED, ""])
def test_without_a_terminal_nobody_is_asked_and_one_line_names_both_ways(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    choose(monkeypatch, backend) if backend else choose_best(monkeypatch)
    for command in (["login"], ["login", "--check"], ["sync", "000123", "--embargoed"]):
        done = mirror.cli(*command, code=4)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert token_variable(mirror.server.api_url) in done.stderr
        assert "dandi-mirror login" in done.stderr
    assert mirror.server.requests == []


def test_a_variable_comes_before_the_keyring_which_is_not_opened(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    trace = nosy_keyring(home, monkeypatch)
    variable = token_variable(mirror.server.api_url)
    done = mirror.cli("login", "--check", env={variable: TOKEN})
    assert f"Olive Owner (me@example.org), may upload  by {variable}" in done.stdout
    assert not trace.exists()


def test_public_data_never_opens_the_keyring(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    trace = nosy_keyring(home, monkeypatch)
    seed(archive).publish()
    mirror.cli("sync", "000123")
    mirror.cli("sync", "--all", "--mode", "verify")
    mirror.cli("status")
    (mirror.path / "dandi-mirror.toml").write_text(f'[sibling.store]\nurl = "{home}/store"\n')
    mirror.cli("push")
    run("dandi-mirror", "get", "sub-0", cwd=mirror.path / "000123")
    mirror.cli("ls", "000123")
    mirror.cli("download", "000123", "-o", str(home / "files"))
    nowhere = ["-d", str(home), "-i", mirror.server.api_url]
    run("dandi-mirror", "ls", "000123", *nowhere)
    run("dandi-mirror", "download", "000123", "-o", str(home / "others"), *nowhere)
    assert not trace.exists()
    mirror.cli("sync", "--embargoed", code=4)
    assert trace.exists(), "the trace would have been seen"


def test_what_the_dandi_client_keeps_is_found_and_the_other_way_round(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    choose(monkeypatch, PLAIN)
    service = f"dandi-api-{mirror.server.origin.partition('://')[2]}"
    program = f"from dandi.keyring_utils import keyring_save; keyring_save({service!r}, 'key', {TOKEN!r})"
    run(sys.executable, "-c", program)
    done, summary = map(json.loads, mirror.cli("login", "--check", "-f", "json").stdout.splitlines())
    assert summary == {"action": "summary", "status": "ok", "exit_code": 0}
    assert (done["username"], done["may_upload"], done["source"]) == ("me@example.org", True, f"keyring ({PLAIN})")
    mirror.cli("logout")
    program = f"from dandi.keyring_utils import keyring_lookup; print(keyring_lookup({service!r}, 'key')[1])"
    assert run(sys.executable, "-c", program).stdout == "None\n"
    with on_terminal("login", "-i", mirror.server.api_url) as terminal:
        terminal.answer("API key for", TOKEN)
        assert terminal.end() == 0
    assert run(sys.executable, "-c", program).stdout == f"{TOKEN}\n"
    assert (data(home) / "keyring_pass.cfg").stat().st_mode & 0o077 == 0


def test_a_keyring_that_does_not_answer_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    trace = nosy_keyring(home, monkeypatch, seconds=60)
    monkeypatch.setattr(keyrings, "KEYRING_TIMEOUT", 2.0)
    with pytest.raises(keyrings.KeyringTrouble, match="did not answer in 2 seconds"):
        credentials.from_keyring(server.api_url, terminal=False)
    assert trace.exists()


def test_no_module_comes_from_the_folder_where_the_program_was_started(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep_in_plain_file(server, monkeypatch)
    for name in ("keyring", "json", "dandi_mirror"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from a folder of data')")
    monkeypatch.chdir(tmp_path)
    found = credentials.from_keyring(server.api_url, terminal=False)
    assert found
    assert found.value == TOKEN
    assert TOKEN not in repr(found)


def test_a_backend_that_cannot_be_used_is_named(mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "no.such.Keyring")
    assert "No module named 'no'" in mirror.cli("login", "--check", code=4).stderr


def test_a_token_that_the_archive_does_not_know_ends_with_4_and_is_not_shown(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_in_plain_file(mirror.server, monkeypatch)
    archive.users.clear()
    done = mirror.cli("login", "--check", "-l", "debug", code=4)
    assert "does not accept the API key" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_who_waits_for_approval_may_not_upload(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add_user("new@example.org", "a" * 40, approved=False)
    done = mirror.cli("login", "--check", env={token_variable(mirror.server.api_url): "a" * 40})
    assert "may not upload before" in done.stdout


def test_logout_says_what_it_found(mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the keyring has no key" in mirror.cli("logout").stdout, "the null keyring"
    keep_in_plain_file(mirror.server, monkeypatch)
    variable = token_variable(mirror.server.api_url)
    done = mirror.cli("logout", env={variable: TOKEN})
    assert f"taken out of the keyring; {variable} is still set" in done.stdout
    assert "has no key" in mirror.cli("logout").stdout


# --- on a terminal ------------------------------------------------------------------------------------------


def test_a_key_is_tried_before_it_is_kept_and_never_shown(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, PLAIN)
    with on_terminal("login", "-i", mirror.server.api_url, "-l", "debug") as terminal:
        terminal.answer("API key for", "not a key")
        terminal.answer("API key for", "f" * 40)
        terminal.answer("API key for", TOKEN)
        assert terminal.end() == 0
    assert "letters and digits only" in terminal.output
    assert "does not know this key" in terminal.output
    assert f"the key is kept in {PLAIN}" in terminal.output
    assert TOKEN not in terminal.output
    assert "f" * 40 not in terminal.output
    assert {request.path for request in mirror.server.requests} == {"/api/users/me/"}


def test_a_keyring_that_keeps_nothing_is_told(mirror: MirrorOfTest) -> None:
    with on_terminal("login", "-i", mirror.server.api_url) as terminal:
        terminal.answer("API key for", TOKEN)
        assert terminal.end() == 4
    assert "keyring.backends.null.Keyring does not store anything" in terminal.output
    assert TOKEN not in terminal.output


def test_where_the_system_has_no_keyring_an_encrypted_file_is_offered_and_becomes_the_default(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    choose_best(monkeypatch)
    config = home / ".config" / "python_keyring" / "keyringrc.cfg"
    with on_terminal("login", "-i", mirror.server.api_url) as terminal:
        terminal.answer("API key for", TOKEN)
        terminal.answer("encrypted file", "n")
        assert terminal.end() == 4
    assert not config.exists()
    assert not data(home).exists(), "nothing was written, least of all in plain text"
    with on_terminal("login", "-i", mirror.server.api_url) as terminal:
        terminal.answer("API key for", TOKEN)
        terminal.answer("encrypted file", "y")
        terminal.answer("set a password", PASSWORD)
        terminal.answer("confirm", PASSWORD)
        assert terminal.end() == 0
    assert f"default-keyring = {ENCRYPTED}" in config.read_text()
    assert [file.name for file in data(home).iterdir()] == ["crypted_pass.cfg"]
    assert TOKEN not in (data(home) / "crypted_pass.cfg").read_text()
    with on_terminal("login", "--check", "-i", mirror.server.api_url) as terminal:
        terminal.answer("enter password", PASSWORD)
        assert terminal.end() == 0
    assert "Olive Owner" in terminal.output
    # and from cron: told, not asked
    done = mirror.cli("sync", "000123", "--embargoed", code=4)
    assert "it asks for its password, and there is no terminal" in done.stderr


def test_a_wrong_password_for_the_keyring_is_said_before_it_is_asked_for_again(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, ENCRYPTED)
    with on_terminal("login", "-i", mirror.server.api_url) as terminal:
        terminal.answer("API key for", TOKEN)
        terminal.answer("set a password", PASSWORD)
        terminal.answer("confirm", PASSWORD)
        assert terminal.end() == 0
    with on_terminal("login", "--check", "-i", mirror.server.api_url) as terminal:
        terminal.answer("enter password", "wrong")
        terminal.answer("that is not the password of the keyring", "wrong")
        terminal.answer("that is not the password of the keyring", PASSWORD)
        assert terminal.end() == 0
    assert "Olive Owner" in terminal.output
    with on_terminal("sync", "000123", "--embargoed", "-d", str(mirror.path), "-i", mirror.server.api_url) as terminal:
        for _ in range(3):
            terminal.answer("enter password", "wrong")
        terminal.wait_for("the keyring could not be read: its password was wrong 3 times")
        terminal.wait_for("API key for")


def test_a_configured_keyring_that_fails_is_not_passed_over(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    choose(monkeypatch, FAILING)
    with on_terminal("login", "-i", mirror.server.api_url) as terminal:
        terminal.answer("API key for", TOKEN)
        assert terminal.end() == 4
    assert "No recommended backend" in terminal.output
    assert "encrypted file" not in terminal.output
    assert not data(home).exists()


def test_a_sync_on_a_terminal_asks_once_and_keeps_the_key(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, PLAIN)
    seed(archive)
    where = ["-i", mirror.server.api_url, "-d", str(mirror.path)]
    with on_terminal("sync", "000123", "--embargoed", *where) as terminal:
        terminal.answer("API key for", TOKEN)
        assert terminal.end() == 0
    assert "000123  3 files" in terminal.output
    assert mirror.cli("sync", "--embargoed").stderr == ""
