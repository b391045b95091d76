"""Small requests that come again: a served mirror answers them at once, for as long as the answer is true."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.repo.git.files import stamps_of
from dandi_mirror.serve import repeated
from dandi_mirror.serve.repeated import RepeatedAnswers
from tests.conftest import MirrorOfTest
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed
from tests.support.serving_mirrors import asset_ids, served

PATH = "sub-1/sub-1_ses-1_ecephys.nwb"
NAME = "127.0.0.1:80"


def age(mirror: MirrorOfTest) -> None:
    """Make it an hour since the last sync: what has changed just now is not relied on."""
    git_dir = mirror.path / "000123" / ".git"
    for name in ("packed-refs", "refs/heads", "refs/tags", "annex/journal"):
        if (place := git_dir / name).exists():
            os.utime(place, (0, place.stat().st_mtime - 3600))
    index = mirror.path / ".dandi-mirror" / "index.sqlite"
    os.utime(index, (0, index.stat().st_mtime - 3600))


@pytest.fixture
def dandiset(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A mirrored Dandiset with text, and with the content of its files, synced an hour ago."""
    dandiset = seed(archive)
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    mirror.cli("sync", "000123", "--get", "*")
    age(mirror)
    return dandiset


class Connection:
    """One connection, on which a test sends bytes as it likes."""

    def __init__(self, address: str) -> None:
        self.host = urlsplit(address).netloc
        name, _, port = self.host.partition(":")
        self._socket = socket.create_connection((name, int(port)), timeout=60)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        """End it."""
        self._file.close()
        self._socket.close()

    def send(self, *requests: bytes) -> None:
        """Send bytes at once."""
        self._socket.sendall(b"".join(requests))

    def request(self, target: str, *headers: str, method: str = "GET") -> bytes:
        """The bytes of a request."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: its status, its headers but for the date, and its body."""
        status = int(self._file.readline().split(b" ")[1])
        lines = iter(self._file.readline, b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
        headers.pop("date")
        return status, headers, self._file.read(int(headers["content-length"]))

    def ask(self, target: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request and read its answer."""
        self.send(self.request(target, *headers))
        return self.answer()


@pytest.fixture
def connection(dandiset: Dandiset, mirror: MirrorOfTest) -> Iterator[Connection]:
    with served(mirror, "--offline") as address, closing(Connection(address)) as connection:
        yield connection


def targets(connection: Connection) -> list[str]:
    """A file by WebDAV and by both addresses of the API, a text that git holds, and a record."""
    ids = asset_ids(f"http://{connection.host}/api")
    one = f"/api/assets/{ids[PATH]}/"
    return [
        f"/dav/000123/draft/{PATH}", f"{one}download/", f"{one}download/?content_disposition=inline",
        f"/api/dandisets/000123/versions/draft/assets/{ids[PATH]}/download/", "/dav/000123/draft/README.md", one,
        f"{one}info/",
    ]  # fmt: skip


def test_the_same_request_gets_the_same_answer_each_time(connection: Connection) -> None:
    for target in targets(connection):
        first, *others = (connection.ask(target) for _ in range(3))
        assert first[0] == 200, target
        assert others == [first, first], target
        assert connection.ask(target, "Accept: */*", "User-Agent: me") == first


def test_a_request_that_asks_otherwise_gets_its_own_answer(connection: Connection) -> None:
    target = f"/dav/000123/draft/{PATH}"
    status, headers, body = [connection.ask(target) for _ in range(3)][-1]
    assert (status, body) == (200, b"content 1")
    assert connection.ask(target, "Range: bytes=2-4")[::2] == (206, b"nte")
    connection.send(connection.request(target, f"If-None-Match: {headers['etag']}"))
    assert connection._file.readline().startswith(b"HTTP/1.1 304")
    assert connection._file.readline() and list(iter(connection._file.readline, b"\r\n"))
    connection.send(b"GET %s HTTP/1.1\r\nHost: example.org\r\n\r\n" % target.encode())
    assert connection.answer()[0] == 421
    connection.send(connection.request(target, method="DELETE"))
    assert connection._file.readline().startswith(b"HTTP/1.1 405")


def test_after_a_sync_the_answer_is_the_new_one(
    dandiset: Dandiset, archive: Archive, mirror: MirrorOfTest, connection: Connection
) -> None:
    target, text = f"/dav/000123/draft/{PATH}", "/dav/000123/draft/README.md"
    for place in (target, text, target, text):
        assert connection.ask(place)[0] == 200
    dandiset.delete_asset(PATH)
    dandiset.delete_asset("README.md")
    dandiset.add_asset("README.md", archive.add_blob(b"# Other\n"))
    mirror.cli("sync", "000123")
    assert connection.ask(text)[::2] == (200, b"# Other\n")
    assert connection.ask(target)[0] == 404


def test_content_that_was_dropped_is_not_sent_again(mirror: MirrorOfTest, connection: Connection) -> None:
    target = f"/dav/000123/draft/{PATH}"
    for _ in range(3):
        assert connection.ask(target)[0] == 200
    file = (mirror.path / "000123" / PATH).resolve()
    file.parent.chmod(0o700)
    file.unlink()
    assert connection.ask(target)[0] == 404


def test_a_dandiset_that_has_closed_is_not_shown_again(
    dandiset: Dandiset, archive: Archive, mirror: MirrorOfTest, connection: Connection
) -> None:
    places = targets(connection)
    for place in places * 3:
        assert connection.ask(place)[0] == 200
    dandiset.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    mirror.cli("sync", "000123", "--embargoed", env={token_variable(mirror.server.api_url): TOKEN})
    assert [connection.ask(place)[0] for place in places] == [404] * len(places)


def test_requests_that_come_together_are_answered_in_their_order(connection: Connection) -> None:
    target, other = f"/dav/000123/draft/{PATH}", "/dav/000123/draft/README.md"
    for place in (target, other) * 3:
        connection.ask(place)
    places = [target, "/api/dandisets/000123/versions/draft/assets/", other, target, "/api/info/", other]
    connection.send(*map(connection.request, places[:3]))
    for place in places[3:]:
        connection.send(connection.request(place))
    bodies = [connection.answer()[2] for _ in places]
    assert bodies[0] == bodies[3] == b"content 1"
    assert bodies[2] == bodies[5] == b"# Read me\n"
    assert b"results" in bodies[1]


def test_the_body_of_a_request_is_not_taken_for_another_request(connection: Connection) -> None:
    target = f"/dav/000123/draft/{PATH}"
    for _ in range(3):
        connection.ask(target)
    inside = connection.request(target)
    connection.send(connection.request("/dav/", f"Content-Length: {len(inside)}", method="PROPFIND"))
    connection.send(inside)
    connection.send(connection.request("/api/info/"))
    assert connection.answer()[0] in {403, 405}  # without a depth
    assert b"schema_version" in connection.answer()[2]


def _kept(place: Path) -> RepeatedAnswers:
    """Answers of a server, one of which depends on a file."""
    answers = RepeatedAnswers(frozenset({NAME}))
    basis = repeated.begin()
    repeated.depends_on([(str(place), stamps_of([str(place)])[0])])
    answers.keep(b"/one?a=1", basis, [(b"etag", b"x")], b"body")
    return answers


def test_an_answer_is_kept_until_the_file_changes_on_which_it_depends(tmp_path: Path) -> None:
    (place := tmp_path / "refs").write_text("one")
    request = f"GET /one?a=1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    assert _kept(place).find(request) is None  # the file has changed within this second
    os.utime(place, (0, 1))
    answers = _kept(place)
    assert answers.find(request) == (b"etag: x\r\n", b"body")
    place.write_text("two")
    assert answers.find(request) is None


@pytest.mark.parametrize(
    "request_",
    [
        "GET /one HTTP/1.1\r\nHost: {}\r\n\r\n", "GET /one?a=1 HTTP/1.0\r\nHost: {}\r\n\r\n",
        "HEAD /one?a=1 HTTP/1.1\r\nHost: {}\r\n\r\n", "GET /one?a=1 HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nAccept: */*\r\n\r\n", "GET /one?a=1 HTTP/1.1\r\nHost: {0}\r\nHost: {0}\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\nRange: bytes=0-0\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\nAuthorization: token x\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\nContent-Length: 3\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\n Range: bytes=0-0\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\nRange: bytes=0-0\r\n\r\n",
        "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\n\r\nGET /two HTTP/1.1\r\n\r\n", "GET /one?a=1 HTTP/1.1\r\nHost: {}\r\n",
    ],
)  # fmt: skip
def test_only_a_plain_and_complete_request_gets_a_kept_answer(tmp_path: Path, request_: str) -> None:
    (place := tmp_path / "refs").write_text("one")
    os.utime(place, (0, 1))
    assert _kept(place).find(request_.format(NAME).encode()) is None
