"""The catalogue in a real browser: from a folder, by keyboard, on a phone, in the dark; hostile text runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, only_asked
from tests.support.browser import Browser, browsing, picture, problems
from tests.support.catalogues import EVIL, EVIL_PATH, V2, build, fill, fill_hostile
from tests.support.firefox import Firefox, firefox

SHOWN = "words => location.hash === '#q=' + encodeURIComponent(words)"
"""The address has the words when their results are shown."""
FILE = "sub-m1/sub-m1_ses-1_ecephys.nwb"


def _world(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    fill(archive)
    fill(archive, "000124", "Grid cells in the entorhinal cortex of rats")
    fill_hostile(archive)
    many = archive.create_dandiset("000500", "Many files")
    for number in range(1300):
        many.add_asset(f"sub-{number // 10:03d}/sub-{number // 10:03d}_run-{number % 10}.dat", archive.add_blob(b"x"))
    mirror.cli("sync", "--all", code=3)
    return mirror


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A catalogue that these tests only look at."""
    folder = tmp_path_factory.mktemp("catalogue")
    with only_asked(folder, _world) as mirror:
        build(mirror, folder / "pages")
        yield folder / "pages"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all."""
    with browsing() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser; its pages must not have complained."""
    chromium.complaints.clear()
    chromium.asked.clear()
    yield chromium
    assert not chromium.complaints
    assert all(address.startswith(("file:", "data:")) for address in chromium.asked), chromium.asked


def address(pages: Path, path: str = "index.html", after: str = "") -> str:
    """The address of a page in a folder."""
    return (pages / path).as_uri() + after


def dandiset(pages: Path, identifier: str, after: str = "") -> str:
    """The address of a Dandiset's page."""
    return address(pages, f"d/{identifier}/index.html", after)


def hits(page: object) -> list[str]:
    """The titles that the search shows."""
    return list(page.locator("#results h2").all_inner_texts())  # type: ignore[attr-defined]


def test_the_search_finds_by_title_people_species_subject_and_with_typing_errors(browser: Browser, pages: Path) -> None:
    with browser.page(address(pages)) as page:
        for words, found in (
            ("grid", ["Grid cells in the entorhinal cortex of rats"]),
            ("entorinal corteks", ["Grid cells in the entorhinal cortex of rats"]),
            ("gri", ["Grid cells in the entorhinal cortex of rats"]),
            ("000500", ["Many files"]),
        ):
            page.fill("#words", words)
            page.wait_for_function(SHOWN, arg=words)
            assert hits(page) == found, words
        for words in ("doe jane", "mus musculus", "m9", "place cells"):
            page.fill("#words", words)
            page.wait_for_function(SHOWN, arg=words)
            assert "Place cells in mice" in hits(page), words
        page.fill("#words", "nothing has this")
        page.wait_for_function("() => document.querySelector('#found').textContent.startsWith('Nothing found')")
        assert hits(page) == []
    with browser.page(address(pages, after="#q=entorinal")) as page:
        page.wait_for_function("() => document.querySelectorAll('#results li.card').length === 1")


def test_files_are_found_by_folder_by_their_paths_and_by_version(browser: Browser, pages: Path) -> None:
    with browser.page(dandiset(pages, "000123")) as page:
        names = page.locator("#entries th")
        assert names.all_inner_texts() == ["sub-m1/", "sub-m2/", "README.md"]
        page.select_option("#version", label="draft")
        page.wait_for_function("() => document.querySelectorAll('#entries tr').length === 4")
        page.click("text=sub-m9/")
        page.wait_for_function("() => document.querySelector('#place').textContent.endsWith('sub-m9')")
        assert names.all_inner_texts() == ["sub-m9_ecephys.nwb"]
    with browser.page(dandiset(pages, "000500")) as page:
        page.fill("#filter", "sub-099_run-7")
        page.wait_for_function("() => document.querySelector('#counted').textContent === '1 file in 1,300 of 1,300'")
        assert page.locator("#entries th").all_inner_texts() == ["sub-099/sub-099_run-7.dat"]
        page.click("text=sub-099/sub-099_run-7.dat")
        assert page.locator("#file h3").inner_text() == "sub-099_run-7.dat"
    loaded = [name for name in browser.asked if "000500/files-" in name]
    assert len(loaded) == 3  # each part once


def test_a_large_dandiset_loads_only_the_parts_that_it_shows(browser: Browser, pages: Path) -> None:
    with browser.page(dandiset(pages, "000500")) as page:
        assert page.locator("#entries tr").count() == 130
        assert not [name for name in browser.asked if "files-" in name]
        page.click("text=sub-129/")
        page.wait_for_function("() => document.querySelectorAll('#entries tr').length === 10")
    assert len([name for name in browser.asked if "files-" in name]) == 1


def test_a_file_has_its_facts_and_commands_that_copy_what_they_show(browser: Browser, pages: Path) -> None:
    with browser.page(dandiset(pages, "000123", f"#file={quote(FILE)}")) as page:
        text = page.locator("#file").inner_text()
        for told in ("m1", "Mus musculus - House mouse", "Female", "SHA-256", f"datalad get {FILE}",
                     f"dandi-mirror download 000123@{V2}/{FILE}", "dm.Mirror"):  # fmt: skip
            assert told in text, told
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.locator("#file button.copy").first.click()
        assert page.evaluate("() => navigator.clipboard.readText()") == f"git checkout {V2}\ndatalad get {FILE}"
        assert page.locator("#file button.copy").first.inner_text() == "Copied"
        page.click("text=Back to the folder")
        page.wait_for_function("() => document.querySelector('#file').hidden")


def test_everything_works_by_keyboard(browser: Browser, pages: Path) -> None:
    with browser.page(address(pages)) as page:
        page.keyboard.press("/")
        page.keyboard.type("grid")
        page.wait_for_function("() => document.querySelectorAll('#results li.card').length === 1")
        for _ in range(3):
            page.keyboard.press("Tab")
        assert (
            page.evaluate("() => document.activeElement.textContent") == "Grid cells in the entorhinal cortex of rats"
        )
        page.keyboard.press("Enter")
        page.wait_for_selector("#citations [role=tab]")
        page.focus("#citations [role=tab][aria-selected=true]")
        page.keyboard.press("ArrowRight")
        assert page.locator("#cite-bibtex").is_visible() and not page.locator("#cite-text").is_visible()


@pytest.mark.parametrize(("width", "dark"), [
    pytest.param(1280, False, marks=pytest.mark.slow), pytest.param(1280, True, marks=pytest.mark.slow),
    pytest.param(375, False, marks=pytest.mark.slow), (375, True),
])  # fmt: skip
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    browser: Browser, pages: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    looked_at = {
        "index": address(pages),
        "search": address(pages, after="#q=cells"),
        "dandiset": dandiset(pages, "000123"),
        "file": dandiset(pages, "000123", f"#file={quote(FILE)}"),
        "hostile": dandiset(pages, "000666", f"#file={quote(EVIL_PATH)}"),
    }
    for name, where in looked_at.items():
        with browser.page(where, width=width, dark=dark, trusting=True) as page:
            picture(page, tmp_path / "pictures", f"{name}-{width}-{'dark' if dark else 'light'}")
            assert problems(page) == [], name
            wide = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide[0] <= wide[1], (name, wide)


def test_hostile_text_stays_text_on_every_page_and_in_commands(browser: Browser, pages: Path) -> None:
    with browser.page(address(pages, after="#q=evil")) as page:
        assert EVIL in page.locator("#results").inner_text()
        assert page.evaluate("() => typeof evil") == "undefined"
    with browser.page(dandiset(pages, "000666")) as page:
        assert {"__proto__/", "sub-<script>evil=1</"} <= set(page.locator("#entries th").all_inner_texts())
        assert page.evaluate("() => typeof evil") == "undefined"
        assert not page.locator("#main img").count()
    with browser.page(dandiset(pages, "000666", f"#file={quote(EVIL_PATH)}")) as page:
        shown = page.locator("#file pre").all_inner_texts()
        assert "datalad get 'sub-<script>evil=1</script>/it'\\''s \"$(evil)\" & `x`#?%2e%2e.nwb'" in shown[0]
        assert page.evaluate("() => typeof evil") == "undefined"
        for link in page.locator("#main a").all():
            assert link.get_attribute("href").startswith(("https://", "#", "http://127.0.0.1")), link
    for after in (
        "#file=%E0%A4%A",
        "#file=..%2F..%2F..%2Fetc%2Fpasswd",
        "#folder=__proto__",
        "#folder=constructor",
        "#q=%",
    ):
        with browser.page(dandiset(pages, "000666", after)) as page:
            assert page.evaluate("() => typeof evil") == "undefined"


def test_the_policy_stops_what_slips_through(browser: Browser, pages: Path) -> None:
    with browser.page(dandiset(pages, "000123")) as page:
        done = page.evaluate(
            "() => { try { document.body.innerHTML += '<img src=x onerror=\"window.evil = 1\">'; return 'done'; }"
            " catch (error) { return error.name; } }"
        )
        assert done == "TypeError"  # trusted types
        page.evaluate(
            "() => { const s = document.createElement('div'); s.setAttribute('id', 'x');"
            " const i = document.createElement('img'); i.src = 'https://evil.example/x.png'; document.body.append(i); }"
        )
        page.wait_for_function("() => document.images.length === 1 && document.images[0].complete")
    assert any("Content Security Policy" in said or "TrustedHTML" in said for said in browser.complaints)
    browser.complaints.clear()
    browser.asked.clear()


# --- in Firefox: on a phone, in the dark ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_fox() -> Iterator[Firefox]:
    """One Firefox for all."""
    with firefox(dark=True) as browser:
        yield browser


@pytest.fixture
def fox(one_fox: Firefox) -> Iterator[Firefox]:
    """The browser; its page must not have complained, nor asked for anything from elsewhere."""
    one_fox.complaints.clear()
    one_fox.asked.clear()
    yield one_fox
    assert not one_fox.complaints
    assert all(address.startswith(("file:", "data:", "about:")) for address in one_fox.asked), one_fox.asked


def test_in_firefox_everything_works_by_keyboard(fox: Firefox, pages: Path) -> None:
    fox.show(address(pages))
    fox.press("/", *"grid")
    fox.wait_for("document.querySelectorAll('#results li.card').length === 1")
    fox.press("Tab", "Tab", "Tab")
    assert fox.tell("document.activeElement.textContent") == "Grid cells in the entorhinal cortex of rats"
    fox.press("Enter")
    fox.wait_for("document.querySelector('#citations [role=tab]')")
    fox.tell("document.querySelector('#citations [role=tab][aria-selected=true]').focus()")
    fox.press("ArrowRight")
    assert fox.tell("['bibtex', 'text'].map(name => document.querySelector(`#cite-${name}`).checkVisibility())") == [
        True, False
    ]  # fmt: skip


def test_in_firefox_nothing_is_wider_than_a_phone_and_the_dark_is_dark(
    fox: Firefox, pages: Path, tmp_path: Path
) -> None:
    for name, where in {
        "index": address(pages, after="#q=cells"),
        "file": dandiset(pages, "000123", f"#file={quote(FILE)}"),
        "hostile": dandiset(pages, "000666", f"#file={quote(EVIL_PATH)}"),
    }.items():
        fox.show(where, width=375)
        fox.picture(tmp_path / "pictures", f"{name}-375-dark")
        wide = fox.tell("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], (name, wide)
        shade = fox.tell("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
        assert sum(shade[:3]) < 200, (name, shade)


def test_in_firefox_hostile_text_stays_text(fox: Firefox, pages: Path) -> None:
    fox.show(address(pages, after="#q=evil"))
    fox.wait_for("document.querySelector('#results li.card')")
    assert EVIL in fox.tell("document.querySelector('#results').innerText")
    assert fox.tell("typeof evil") == "undefined"
    fox.show(dandiset(pages, "000666", f"#file={quote(EVIL_PATH)}"))
    fox.wait_for("document.querySelector('#file pre')")
    assert fox.tell("typeof evil") == "undefined"
    assert fox.tell("document.querySelectorAll('#main img').length") == 0
