"""Chromium without a window, for pages; tests skip where it, or what drives it, is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--no-first-run", "--disable-quic")  # fmt: skip
LONG = 120_000
"""Milliseconds that a page may take on a busy machine."""


@dataclass
class Browser:
    """A running browser, and what its pages have complained about."""

    chromium: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Every address that a page asked for."""

    @contextmanager
    def page(
        self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False, trusting: bool = False
    ) -> Iterator[Any]:
        """A page that is ready; ``trusting``: without its own policy, so that a tool of the test can look into it."""
        context = self.chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", bypass_csp=trusting
        )
        context.set_default_timeout(LONG)
        page = context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.asked.append(request.url))
        try:
            page.goto(address)
            page.wait_for_selector("html[data-ready]")
            yield page
        finally:
            context.close()

    def _listen(self, said: Any) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser, for as long as the block lasts."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if not program:
        pytest.skip("no Chromium is installed here (apt-get install chromium)")
    with api.sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=program, args=list(_OPTIONS))
        try:
            yield Browser(chromium)
        finally:
            chromium.close()


def problems(page: Any) -> list[str]:
    """What axe finds on a page: rule, and the elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    found = axe.run(page, options={"preload": False}).response["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}" for one in found]


def picture(page: Any, folder: Path, name: str) -> None:
    """A picture of a page, kept with the test's output if that fails."""
    folder.mkdir(exist_ok=True)
    page.screenshot(path=str(folder / f"{name}.png"), full_page=True)
