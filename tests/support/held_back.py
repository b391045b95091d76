"""An archive that sends content only when a test lets it: the first request for a blob waits."""

from __future__ import annotations

from threading import Event

from starlette.responses import Response

from dandi_mirror.embedded import Request, Server
from tests.support.waiting import LONG


class HeldBack:
    """Holds the first request for content until :attr:`go` is set."""

    def __init__(self, server: Server, refused: int = 0) -> None:
        """``refused`` is the number of requests that are answered by 404."""
        self.came = Event()
        self.go = Event()
        self.asked: list[str] = []
        self._refused = refused
        server.intercept = self._intercept

    def _intercept(self, request: Request) -> Response | None:
        if "/blobs/" not in request.path and "/download/" not in request.path:
            return None
        self.asked.append(request.path)
        number = len(self.asked)
        if number == 1:
            self.came.set()
            self.go.wait(LONG)
        return Response(status_code=404) if number <= self._refused else None
