"""Serve a mirror over HTTP until the process is told to end."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Literal

import uvicorn

from dandi_mirror.catalogue.pages import ALL, HERE
from dandi_mirror.config import Settings
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.serve.access import Tokens
from dandi_mirror.serve.app import ServedApp
from dandi_mirror.serve.looking import Looking
from dandi_mirror.serve.pages import Pages
from dandi_mirror.serve.sending import Elsewhere, Sender
from dandi_mirror.workflows.serve.block_cache import cache_of
from dandi_mirror.workflows.serve.catalogue import can_preview, previews_of, site_of


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on an address of this machine.

    Raises:
        OSError: the address is not one of this machine, or the port is taken.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # with its protocol named, or asyncio leaves Nagle's algorithm on, and a small answer takes 40 ms
    listening = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)  # who reads the address may ask at once
    except OSError:
        listening.close()
        raise
    return listening


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine can reach a socket."""
    return ipaddress.ip_address(str(listening.getsockname()[0]).partition("%")[0]).is_loopback


def server_origin(listening: socket.socket, named: str = "") -> str:
    """The address of a server: that which people ``named``, else the socket's."""
    host, port = listening.getsockname()[:2]
    return f"http://{named or _joined(str(host), port)}"


def serve(
    mirror: Mirror,
    settings: Settings,
    listening: socket.socket,
    named: Iterable[str],
    elsewhere: Elsewhere,
    tokens: Tokens | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; ends with KeyboardInterrupt.

    ``named``: names under which people reach the server, besides its address; ``elsewhere``: what happens when
    content is asked for that is not here; ``tokens`` let who sends one see what is under embargo.
    """
    named = [name.lower() for name in named]
    host, port = listening.getsockname()[:2]
    names = {_joined(str(host), port), *(name if _has_port(name) else f"{name}:{port}" for name in named), *named}
    if is_local(listening):
        names |= {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")}
    with ExitStack() as stack:
        offline = elsewhere is Elsewhere.OFFLINE
        cache = stack.enter_context(closing(cache_of(mirror, settings, offline=offline, closed=tokens is not None)))
        origin, hosts = server_origin(listening, named[0] if named else ""), frozenset(settings.content_hosts)
        asks = elsewhere is Elsewhere.FETCH
        looking = Looking(mirror, cache if asks else None, hosts)
        previews = stack.enter_context(previews_of(mirror, looking)) if can_preview() else None
        # a port that is another one at each start must not have all pages made again
        shown = "" if not previews else ALL if asks else HERE
        site = site_of(mirror, url=f"{origin}/" if named else "", served="/api", previews=shown)
        pages = Pages(mirror, site, previews)
        app = ServedApp(mirror, origin, frozenset(names), Sender(cache, elsewhere), hosts, pages, tokens)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)  # the application tells what went wrong

        def at_end() -> None:
            cache.close()
            if previews:
                previews.stop()

        _Server(_config(app), at_end).run(sockets=[listening])
    raise KeyboardInterrupt


class _Server(uvicorn.Server):
    """Ends at the first signal, and does not wait then for what the archive still has to send."""

    def __init__(self, config: uvicorn.Config, at_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._at_end = at_end

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server instead of raising KeyboardInterrupt wherever the program is."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.force_exit = self.should_exit  # the second time
        self.should_exit = True
        self._at_end()


def _config(app: ServedApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_protocol(app),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        server_header=False,
    )


def _protocol(app: ServedApp) -> type[asyncio.Protocol] | Literal["auto"]:
    """What reads the requests; where httptools cannot be loaded, uvicorn's own, which is slower."""
    try:
        from dandi_mirror.serve.protocol import protocol_of
    except ImportError:
        return "auto"
    return protocol_of(app.repeated)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]
