"""A proxy as a lab's network has one: it records what it is asked, and may want a name and a password.

It finds every host on this machine, so that names need no DNS: what it is told to tunnel to goes to a server that
speaks TLS, the rest to the archive.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

Serve = Callable[[socket.socket], None]
HOST = "archive.test"
"""A name that no DNS knows; the certificate has it."""


class Recorder:
    """What came."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[str] = []
        """The head of each request that was for the proxy itself."""
        self.password = ""
        """``Basic …``; nothing: none is wanted."""

    @property
    def firsts(self) -> list[str]:
        """The first line of each request."""
        return [head.split("\r\n", 1)[0] for head in self.heads]


@contextmanager
def recording_proxy(plain: int, secure: int) -> Iterator[Recorder]:
    """A proxy to the archive at port ``plain``, and to the server that speaks TLS at port ``secure``."""
    made = Recorder()

    def serve(client: socket.socket) -> None:
        while head := _head(client):
            made.heads.append(head.decode("latin-1"))
            if made.password and f"Proxy-Authorization: {made.password}" not in made.heads[-1]:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                continue
            tunnel = head.startswith(b"CONNECT")
            with socket.create_connection(("127.0.0.1", secure if tunnel else plain)) as upstream:
                if tunnel:
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    _both_ways(client, upstream)
                    return
                upstream.sendall(_origin_form(head))
                _pass_on(upstream, client)

    with _listening(serve) as made.port:
        yield made


@contextmanager
def tls_before(port: int, certificate: Path) -> Iterator[int]:
    """A server that speaks TLS before one that does not; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            while head := _head(secured):
                with socket.create_connection(("127.0.0.1", port)) as upstream:
                    upstream.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    _pass_on(upstream, secured)

    with _listening(serve) as made:
        yield made


def make_certificate(path: Path) -> Path:
    """A certificate of the host, with its key, that is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string(f"CN={HOST}")
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + signed.public_bytes(encoding))
    return path


@contextmanager
def _listening(serve: Serve) -> Iterator[int]:
    """Serve each connection in a thread of its own, for as long as the block lasts."""
    clients: list[socket.socket] = []

    def one(client: socket.socket) -> None:
        with suppress(OSError), client:
            serve(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                clients.append(client := listening.accept()[0])
                threading.Thread(target=one, args=[client], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            for place in (listening, *clients):
                with suppress(OSError):
                    place.shutdown(socket.SHUT_RDWR)


def _head(place: socket.socket) -> bytes:
    held = b""
    while b"\r\n\r\n" not in held:
        if not (piece := place.recv(65536)):
            return b""
        held += piece
    return held


def _origin_form(head: bytes) -> bytes:
    """A request as the server itself gets it; what is for the proxy is left out."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, url, version = first.split(" ")
    path = "/" + url.split("/", 3)[3]
    kept = [line for line in lines[:-2] if not line.lower().startswith(("proxy-", "connection:"))]
    return "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close", "", ""]).encode("latin-1")


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """The answer, until its length is reached or its end comes."""
    held = b""
    while piece := source.recv(65536):
        target.sendall(piece)
        held += piece
        head, end, body = held.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if end and lengths and len(body) >= int(lengths[0]):
            return


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    def relay(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=relay, args=[other, one], daemon=True)
    back.start()
    relay(one, other)
    back.join()
