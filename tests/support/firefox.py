"""Firefox without a window, by WebDriver BiDi; tests skip where it, or what speaks to it, is not installed."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until

_PROGRAMS = ("firefox", "firefox-esr")
_LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_QUIET = {
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
"""A browser of a test asks nobody."""
_DARK = "layout.css.prefers-color-scheme.content-override"
KEYS = {"Tab": "\ue004", "Enter": "\ue006", "ArrowRight": "\ue014"}
LONG = 300.0
"""Seconds that a page may take on a busy machine."""


class Firefox:
    """A running Firefox with one page, and what it has complained about."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self.complaints: list[str] = []
        self.asked: list[str] = []
        """Every address that the page asked for."""
        self._do("session.new", capabilities={})
        self._page = self._do("browsingContext.getTree")["contexts"][0]["context"]
        self._do("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])

    def _do(self, what: str, **how: Any) -> Any:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": what, "params": how}))
        while True:
            said = json.loads(self._socket.recv(LONG))
            if said.get("method") == "log.entryAdded" and said["params"]["level"] in {"error", "warn"}:
                self.complaints.append(str(said["params"]["text"]))
            elif said.get("method") == "network.beforeRequestSent":
                self.asked.append(said["params"]["request"]["url"])
            elif said.get("id") == self._number:
                assert said["type"] == "success", said
                return said["result"]

    def show(self, address: str, *, width: int = 1280, height: int = 900) -> None:
        """Go to a page, and wait until it is ready."""
        self._do("browsingContext.setViewport", context=self._page, viewport={"width": width, "height": height})
        self._do("browsingContext.navigate", context=self._page, url="about:blank", wait="complete")
        self._do("browsingContext.navigate", context=self._page, url=address, wait="complete")
        self.wait_for("document.documentElement.dataset.ready")

    def tell(self, script: str) -> Any:
        """The value of an expression in the page, as JSON has it."""
        asked = f"Promise.resolve({script}).then(value => JSON.stringify(value ?? null))"
        said = self._do("script.evaluate", expression=asked, target={"context": self._page}, awaitPromise=True)
        assert said["type"] == "success", said
        return json.loads(said["result"]["value"])

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        looking = f"(resolve) => {{ const look = () => ({script}) ? resolve(true) : setTimeout(look, 20); look(); }}"
        assert self.tell(f"new Promise({looking})")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("input.performActions", context=self._page,
                 actions=[{"type": "key", "id": "keyboard", "actions": actions}])  # fmt: skip

    def picture(self, folder: Path, name: str) -> None:
        """A picture of the page, kept with the test's output if that fails."""
        folder.mkdir(exist_ok=True)
        taken = self._do("browsingContext.captureScreenshot", context=self._page, origin="document")
        (folder / f"firefox-{name}.png").write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def firefox(*, dark: bool = False) -> Iterator[Firefox]:
    """A browser, for as long as the block lasts."""
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if not program:
        pytest.skip("no Firefox is installed here (apt-get install firefox-esr)")
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as profile:
        facts = _QUIET | {_DARK: 0 if dark else 1}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in facts.items()]
        (Path(profile) / "user.js").write_text("".join(lines))
        said = Path(profile) / "said"
        with said.open("wb") as errors:
            process = subprocess.Popen(
                [program, "--headless", "--remote-debugging-port=0", "--profile", profile, "--no-remote"],
                stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        try:
            wait_until(lambda: _LISTENS.search(said.read_text(errors="replace")) or process.poll() is not None, LONG)
            found = _LISTENS.search(said.read_text(errors="replace"))
            assert found, "Firefox ended"
            with client.connect(f"{found[1]}/session", max_size=None, open_timeout=LONG) as socket:
                yield Firefox(socket)
        finally:
            process.terminate()
            process.wait(30)
