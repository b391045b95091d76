"""A plain web server that shows a folder."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import run

PAGE = Path(__file__).parents[2] / "docs/publish-a-mirror.md"


def let_git_read(mirror: Path) -> None:
    """Type what the page says for a web server that shows a mirror's own folder."""
    (command,) = [line for line in PAGE.read_text().splitlines() if "update-server-info" in line]
    run("sh", "-c", command.replace("/srv/dandi/mirror", str(mirror)))


class _Server(ThreadingHTTPServer):
    def handle_error(self, *asked: Any) -> None:
        """Say nothing of a client that did not wait for the whole answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*asked)


@contextmanager
def web_server(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Show a folder at a URL; gives the URL, and the paths that are asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form: str, *words: object) -> None:
            asked.append(self.path)

    with _Server(("127.0.0.1", 0), partial(Handler, directory=str(top))) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_address[1]}", asked
        finally:
            # else the thread asks a socket that is closed, for ever
            served.shutdown()
            thread.join()
