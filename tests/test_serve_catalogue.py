"""The catalogue at the top of `serve`: pages for people, which never tell of what has closed."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest
from tests.support.browser import browsing, problems
from tests.support.catalogues import fill, fill_hostile
from tests.support.credentials import TOKEN
from tests.support.serving_mirrors import served
from tests.support.waiting import wait_until


@pytest.fixture
def dandisets(archive: Archive, mirror: MirrorOfTest) -> list[Dandiset]:
    """Two Dandisets that are mirrored, one with content."""
    made = [fill(archive), fill(archive, "000124", "Grid cells in rats")]
    mirror.cli("sync", "--all", "--get", "sub-m1/*")
    return made


def page(address: str, path: str = "/") -> requests.Response:
    """What the server shows."""
    return requests.get(address.removesuffix("/api") + path, timeout=60)


def ready(address: str, words: str = "Place cells in mice") -> bool:
    """Whether the first page shows a Dandiset."""
    return words in page(address).text


def test_the_server_shows_the_catalogue_and_says_while_it_is_made(
    dandisets: list[Dandiset], mirror: MirrorOfTest
) -> None:
    with served(mirror) as address:
        first = page(address)
        assert first.status_code in {200, 503} and "text/html" in first.headers["Content-Type"]
        wait_until(lambda: page(address, "/d/000123/").status_code == 200)
        shown = page(address, "/d/000123/")
        assert ready(address) and "We recorded cells." in shown.text
        assert "script-src 'self'" in shown.headers["Content-Security-Policy"]
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        assert page(address, "/assets/common.js").headers["Content-Type"].startswith("text/javascript")
        for path in ("/catalogue.json", "/.lock", "/d/000999/", "/d/000123/../../index.sqlite", "/nothing",
                     "/assets/../catalogue.json", "/d/%2e%2e/index.html", "/d/000123/%2e%2e%2fx.js"):  # fmt: skip
            assert page(address, path).status_code == 404, path
        assert requests.post(address.removesuffix("/api") + "/", timeout=60).status_code == 405


def test_what_a_sync_brings_is_shown_without_a_new_start(
    archive: Archive, dandisets: list[Dandiset], mirror: MirrorOfTest
) -> None:
    with served(mirror) as address:
        wait_until(lambda: ready(address))
        fill(archive, "000125", "Head direction cells")
        mirror.cli("sync", "000125")
        wait_until(lambda: ready(address, "Head direction cells"))
        assert page(address, "/d/000125/").status_code == 200


def test_a_dandiset_that_closes_is_not_shown_for_a_moment_longer(
    archive: Archive, dandisets: list[Dandiset], mirror: MirrorOfTest
) -> None:
    with served(mirror) as address:
        wait_until(lambda: ready(address))
        parts = [line.split('"')[1] for line in page(address).text.split("[") if line.startswith('"part-')]
        dandisets[0].set_embargo("EMBARGOED")
        archive.add_user("me@example.org", TOKEN, admin=True)
        mirror.cli("sync", "000123", "--embargoed", env={token_variable(mirror.server.api_url): TOKEN})
        assert page(address, "/d/000123/").status_code == 404
        for path in ("/", "/all.html", "/feed.xml", *(f"/search/{part}" for part in parts)):
            assert "Place cells" not in page(address, path).text, path
        wait_until(lambda: ready(address, "Grid cells in rats"))
        assert "Place cells" not in page(address).text


def test_a_second_start_writes_no_page_again(dandisets: list[Dandiset], mirror: MirrorOfTest) -> None:
    place = mirror.path / ".dandi-mirror" / "catalogue"
    with served(mirror) as address:
        wait_until(lambda: ready(address))
        wait_until(lambda: (place / "d/000124/index.html").exists())
    times = {path: path.stat().st_mtime_ns for path in place.rglob("*.html")}
    with served(mirror) as address:
        wait_until(lambda: ready(address))
        assert page(address, "/d/000123/").status_code == 200
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*.html")} == times


def test_a_browser_reads_the_pages_and_downloads_what_is_here(
    archive: Archive, dandisets: list[Dandiset], mirror: MirrorOfTest, tmp_path: Path
) -> None:
    fill_hostile(archive)
    mirror.cli("sync", "000666", code=3)
    with served(mirror) as address, browsing() as browser:
        wait_until(lambda: ready(address))
        wait_until(lambda: page(address, "/d/000666/").status_code == 200)
        top = address.removesuffix("/api")
        with browser.page(f"{top}/d/000123/#file=sub-m1%2Fsub-m1_ses-1_ecephys.nwb") as shown:
            with shown.expect_download() as download:
                shown.click("text=Download from this mirror")
            download.value.save_as(tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == b"content 1"
            assert problems(shown) == []
        with browser.page(f"{top}/d/000666/") as shown:
            assert shown.evaluate("() => typeof evil") == "undefined"
        assert not browser.complaints
        assert all(asked.startswith((top, "data:")) for asked in browser.asked)
