"""A stand-in for Forgejo, Gitea or Gogs: it answers as their API documents; repositories and ssh are real.

No package of PyPI, npm or Debian brings one of these services, so the tests cannot start a real one.
"""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

TOKEN = "a-token-of-the-service"


@dataclass
class Forge:
    """A service whose organizations are folders below ``folder``, reached by ssh at ``ssh``."""

    folder: Path
    ssh: str
    taken: int = 409
    """The status for a name that is taken; Gogs has 422."""
    url: str = ""
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    """OWNER/NAME → what the API says of it."""

    def create(self, owner: str, name: str, private: bool) -> tuple[int, dict[str, Any]]:
        """Answer a request for a new repository: POST /api/v1/org/OWNER/repos."""
        full = f"{owner}/{name}"
        if full in self.repositories:
            return self.taken, {"message": "The repository with the same name already exists."}
        path = self.folder / f"{full}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
        self.repositories[full] = {
            "name": name, "full_name": full, "private": private, "empty": True,
            "html_url": f"{self.url}/{full}", "clone_url": f"{self.url}/{full}.git", "ssh_url": f"ssh://{self.ssh}{path}",
        }  # fmt: skip
        return 201, self.repositories[full]

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a request of a user whose token is right."""
        match method, path.removeprefix("/api/v1/").split("/"):
            case "POST", ["org" | "orgs", owner, "repos"]:
                return self.create(owner, body["name"], body.get("private", False))
            case "GET", ["repos", owner, name] if found := self.repositories.get(f"{owner}/{name}"):
                return 200, found
            case "GET", ["user"]:
                return 200, {"login": "me"}
        return 404, {"message": "not found"}


@contextmanager
def serving(forge: Forge, certificate: Path) -> Iterator[Forge]:
    """Serve it by https on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            known = self.headers.get("authorization") == f"token {TOKEN}"
            code, said = forge.answer(self.command, self.path, body) if known else (401, {"message": "unauthorized"})
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        do_GET = do_POST = do

        def log_message(self, form: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    forge.url = f"https://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
