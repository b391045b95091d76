"""A network with a proxy: what the API says and content come the same way, by requests' rules; no password is shown."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.content.scheduler import fetch
from dandi_mirror.archive.content.single import Item
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.archive.http import environment
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Server, serve
from dandi_mirror.errors import MirrorError, SetupError
from tests.conftest import run
from tests.support.recording import HOST, Recorder, make_certificate, recording_proxy, tls_before

CONTENT = b"c" * 100_000
LOOPBACK = Allowed(addresses=frozenset({"127.0.0.1"}))
POLICY = RetryPolicy(attempts=2, backoff=0.01, connect_timeout=5, read_timeout=5)
PATIENT = RetryPolicy()
"""As a user has it: what fails at once does not use it."""
PASSWORD = "s3cret!"
BASIC = "Basic " + b64encode(f"me:{PASSWORD}".encode()).decode()


@dataclass
class Network:
    """An archive, by http and by https, and the proxy on the way."""

    server: Server
    proxy: Recorder
    https_port: int
    certificate: Path
    path: str
    """Of the file, at the archive."""
    folder: Path

    @property
    def plain(self) -> str:
        return self.server.origin

    @property
    def secure(self) -> str:
        return f"https://{HOST}"

    def session(self, origin: str, policy: RetryPolicy = POLICY) -> None:
        """What ``sync`` does: ask the API."""
        with closing(Session(f"{origin}/api", policy=policy)) as asking:
            assert asking.get("/info/")

    def content(self, origin: str, policy: RetryPolicy = POLICY) -> None:
        """What ``get`` and ``download`` do: fetch content."""
        partial = self.folder / "partial"
        partial.unlink(missing_ok=True)
        item = Item((origin + self.path,), len(CONTENT), sha256(CONTENT).hexdigest(), partial)
        [outcome] = fetch([item], TransferSettings("", None, LOOPBACK, policy), jobs=1)
        if outcome.error:
            raise outcome.error
        assert partial.read_bytes() == CONTENT


def port_of(server: Server) -> int:
    return urlsplit(server.origin).port or 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")


@pytest.fixture
def network(tmp_path: Path, certificate: Path) -> Iterator[Network]:
    archive = Archive()
    blob = archive.add_blob(CONTENT)
    with (
        serve(archive) as server,
        tls_before(port_of(server), certificate) as secure,
        recording_proxy(port_of(server), secure) as proxy,
    ):
        server.names |= {HOST, f"{HOST}:8443", f"127.0.0.1:{secure}", f"localhost:{secure}"}
        path = f"{archive.s3_url}/{blob.key}".removeprefix(server.origin)
        yield Network(server, proxy, secure, certificate, path, tmp_path)


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    """Each test has certificates of its own."""
    environment.tls_context.cache_clear()
    yield
    environment.tls_context.cache_clear()


ASKS: dict[str, Callable[..., None]] = {"sync": Network.session, "get": Network.content}
both = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


@both
@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_an_http_request_goes_to_the_proxy_in_whole(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{network.proxy.port}")
    ask(network, network.plain)
    assert network.proxy.firsts, "the proxy is asked"
    assert all(first.startswith(f"GET {network.plain}/") for first in network.proxy.firsts), "the first one, too"


@both
@pytest.mark.parametrize("variable", ["https_proxy", "all_proxy"])
def test_an_https_request_goes_through_a_tunnel(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], variable: str
) -> None:
    monkeypatch.setenv(variable, f"127.0.0.1:{network.proxy.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(network.certificate))
    ask(network, network.secure)
    assert network.proxy.firsts[0].startswith(f"CONNECT {HOST}:443 HTTP/1.")


@both
@pytest.mark.parametrize("kind", ["plain", "secure"])
def test_the_proxy_gets_the_name_and_the_password_and_nobody_else(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], kind: str
) -> None:
    network.proxy.password = BASIC
    monkeypatch.setenv("all_proxy", f"http://me:{PASSWORD.replace('!', '%21')}@127.0.0.1:{network.proxy.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(network.certificate))
    ask(network, getattr(network, kind))
    assert all(BASIC in head for head in network.proxy.heads)
    seen = [dict(request.headers) for request in network.server.requests]
    assert seen
    assert BASIC not in str(seen)


@both
@pytest.mark.parametrize("kind", ["plain", "secure"])
@pytest.mark.parametrize(("given", "says"), [("", "wants a name and a password"), ("me:wrong-one@", "does not accept")])
def test_a_proxy_that_wants_a_password_ends_it_at_once_and_is_named(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], kind: str, given: str, says: str
) -> None:
    network.proxy.password = BASIC
    monkeypatch.setenv("all_proxy", f"http://{given}127.0.0.1:{network.proxy.port}")
    with pytest.raises(SetupError) as failure:
        ask(network, getattr(network, kind), PATIENT)
    assert f"the proxy 127.0.0.1:{network.proxy.port} {says}" in str(failure.value)
    assert "http://NAME:PASSWORD@HOST:PORT" in str(failure.value)
    assert "wrong-one" not in str(failure.value)
    assert len(network.proxy.heads) == 1, "it is not asked again"
    assert not network.server.requests


@both
@pytest.mark.parametrize("said", ["127.0.0.1", "127.0.0.0/8", "example.org, 127.0.0.1", "*"])
def test_no_proxy_names_what_is_asked_itself(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], said: str
) -> None:
    monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{network.proxy.port}")
    monkeypatch.setenv("no_proxy", said)
    ask(network, network.plain)
    assert not network.proxy.heads
    assert network.server.requests


@both
@pytest.mark.parametrize(
    ("said", "port", "direct"),
    [
        (HOST, "", True),
        ("test", "", True),
        (".test", "", True),
        (f"{HOST}:8443", ":8443", True),
        (f"{HOST}:8443", "", False),
        ("10.0.0.0/8", "", False),
        ("other.test", "", False),
    ],
)
def test_no_proxy_names_hosts_by_their_ends_and_by_port(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], said: str, port: str, direct: bool
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{network.proxy.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(network.certificate))
    monkeypatch.setenv("NO_PROXY", said)
    if direct:
        with pytest.raises(MirrorError, match="name not found"):
            ask(network, network.secure + port)
    else:
        ask(network, network.secure + port)
    assert bool(network.proxy.heads) is not direct


@both
@pytest.mark.parametrize("variable", environment.BUNDLES)
def test_certificates_are_those_that_a_variable_names(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], variable: str
) -> None:
    monkeypatch.setenv(variable, str(network.certificate))
    ask(network, f"https://127.0.0.1:{network.https_port}")


@both
def test_a_certificate_that_is_not_trusted_ends_it_at_once_and_says_what_to_set(
    network: Network, ask: Callable[..., None]
) -> None:
    with pytest.raises(SetupError) as failure:
        ask(network, f"https://127.0.0.1:{network.https_port}", PATIENT)
    assert f"certificate of 127.0.0.1:{network.https_port} is not trusted (self-signed certificate" in str(
        failure.value
    )
    assert "export REQUESTS_CA_BUNDLE=FILE" in str(failure.value)
    assert not network.server.requests


@both
def test_a_file_of_certificates_that_is_not_there_is_named(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SetupError, match=r"SSL_CERT_FILE names /nowhere/ca\.pem, which cannot be read"):
        ask(network, f"https://127.0.0.1:{network.https_port}", PATIENT)


@both
@pytest.mark.parametrize("said", ["socks5://me:s3cret@localhost:1", "ftp://me:s3cret@localhost:1", "http://"])
def test_a_proxy_that_cannot_be_used_ends_it_at_once(
    network: Network, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., None], said: str
) -> None:
    monkeypatch.setenv("http_proxy", said)
    with pytest.raises(SetupError, match="http_proxy or all_proxy names") as failure:
        ask(network, network.plain, PATIENT)
    assert "s3cret" not in str(failure.value)


def test_no_command_shows_the_password_of_the_proxy(network: Network, tmp_path: Path) -> None:
    proxy = f"http://me:{PASSWORD}@127.0.0.1:{network.proxy.port}"
    network.server.archive.create_dandiset("000123").add_asset("a.nwb", network.server.archive.add_blob(b"x" * 1000))
    instance = ["-i", network.server.api_url, "-l", "debug"]
    for wanted in (BASIC, "Basic other"):
        network.proxy.password = wanted
        for command in (
            ["sync", "000123", "-d", f"mirror-{wanted[6:8]}"],
            ["download", "DANDI:000123", "-o", f"out-{wanted[6:8]}"],
        ):
            done = run(
                "dandi-mirror", *command, *instance, cwd=tmp_path, env={"all_proxy": proxy},
                code=0 if wanted == BASIC else 2,
            )  # fmt: skip
            assert PASSWORD not in done.stdout + done.stderr
            assert BASIC[6:] not in done.stdout + done.stderr


def test_what_fails_for_one_file_is_not_tried_for_each(network: Network) -> None:
    url = f"https://127.0.0.1:{network.https_port}{network.path}"
    digest = sha256(CONTENT).hexdigest()
    items = [Item((url,), len(CONTENT), digest, network.folder / str(number)) for number in range(200)]
    began = time.monotonic()
    outcomes = list(fetch(items, TransferSettings("", None, LOOPBACK, PATIENT), jobs=2))
    assert {str(outcome.error).partition(" is not trusted")[0] for outcome in outcomes} == {
        f"the certificate of 127.0.0.1:{network.https_port}"
    }
    assert time.monotonic() - began < 30
