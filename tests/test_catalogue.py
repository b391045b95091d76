"""The catalogue of a mirror: what its pages hold, what a build writes again, and that no text becomes markup."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest
from tests.support.catalogues import EVIL, EVIL_PATH, V1, V2, Page, build, files, fill, fill_hostile, listed, part
from tests.support.credentials import TOKEN
from tests.support.waiting import wait_until
from tests.support.zarrs import a_zarr

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def dandiset(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A Dandiset that is mirrored."""
    made = fill(archive)
    mirror.cli("sync", "000123")
    return made


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Where the catalogue goes."""
    return tmp_path / "pages"


def test_a_page_tells_what_the_dandiset_is_who_made_it_and_what_changed(
    dandiset: Dandiset, mirror: MirrorOfTest, pages: Path
) -> None:
    assert "1 Dandiset, 1 written" in build(mirror, pages)
    page = Page.of(pages / "d/000123/index.html")
    for told in ("Place cells in mice", "We recorded cells.", "Doe, Jane", "University of Somewhere", "award R01-1",
                 "CC-BY-4.0", "A paper", "Mus musculus - House mouse", "1 added, 1 removed", "README.md", V1, V2,
                 mirror.git("rev-parse", f"{V2}^{{commit}}")):  # fmt: skip
        assert told in page.text, told
    links = page.links()
    assert {"https://example.org/paper", "https://example.org/a", "https://orcid.org/0000-0001-2345-6789"} <= links
    assert not any("ftp" in link for link in links)
    about = json.loads(page.data["application/ld+json"])
    assert (about["@type"], about["name"], about["version"]) == ("Dataset", "Place cells in mice", V2)
    assert about["creator"][0]["name"] == "Doe, Jane"


def test_the_citations_are_those_that_cite_prints(dandiset: Dandiset, mirror: MirrorOfTest, pages: Path) -> None:
    from tests.conftest import run

    build(mirror, pages)
    text = Page.of(pages / "d/000123/index.html").text
    for form in ("text", "bibtex", "ris", "cff"):
        said = run("dandi-mirror", "cite", f"000123@{V2}", "-f", form, "-d", str(mirror.path)).stdout
        assert said.strip() in text, form


def test_the_files_of_the_newest_version_and_the_draft_are_listed_with_what_is_here(
    archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest, pages: Path
) -> None:
    a_zarr(dandiset, "sub-9/img.zarr")
    mirror.cli("sync", "000123")
    build(mirror, pages)
    page = Page.of(pages / "d/000123/index.html")
    assert page.config["listed"] == [V2, "draft"]
    rows = {row[0]: row for row in listed(pages)}
    assert list(rows) == sorted(rows, key=lambda path: path.split("/"))
    assert {path: row[7] for path, row in rows.items()} == {
        "README.md": 3, "sub-9/img.zarr": 2, "sub-m1/sub-m1_ses-1_ecephys.nwb": 3,
        "sub-m2/sub-m2_ses-2_ecephys.nwb": 3, "sub-m9/sub-m9_ecephys.nwb": 2,
    }  # fmt: skip
    assert rows["README.md"][6] == 1 and rows["sub-9/img.zarr"][6] == 2 and rows["sub-9/img.zarr"][1] > 0
    assert rows["sub-m9/sub-m9_ecephys.nwb"][6] == 0
    folder = pages / "d/000123"
    subjects = part(folder / page.config["subjects"])
    assert [entry[:5] for entry in subjects if entry[0] == "m1"] == [
        ["m1", "1", "Mus musculus - House mouse", "Female", "P9D"]
    ]
    known = {row[0]: row[1:3] for row in part(folder / page.config["folders"])["folders"]}
    assert set(known) == {"", "sub-9", "sub-m1", "sub-m2", "sub-m9"} and known[""] == [0, 5]


def test_content_that_comes_is_here_after_the_next_build(dandiset: Dandiset, mirror: MirrorOfTest, pages: Path) -> None:
    build(mirror, pages)
    assert not [row for row in listed(pages) if row[6] == 1 and row[0].startswith("sub-")]
    mirror.cli("sync", "000123", "--get", "sub-m1/*")
    assert "1 written" in build(mirror, pages)
    assert [row[0] for row in listed(pages) if row[6] == 1 and row[0].startswith("sub-")] == [
        "sub-m1/sub-m1_ses-1_ecephys.nwb"
    ]


def test_only_a_dandiset_that_changed_is_written_again(archive: Archive, mirror: MirrorOfTest, pages: Path) -> None:
    first, second = fill(archive, "000123"), fill(archive, "000124", "Grid cells in rats")
    mirror.cli("sync", "--all")
    assert "2 Dandisets, 2 written" in build(mirror, pages)
    before = files(pages)
    times = {name: (pages / name).stat().st_mtime_ns for name in before}
    assert "2 Dandisets, 0 written" in build(mirror, pages)
    assert {name: (pages / name).stat().st_mtime_ns for name in files(pages)} == times
    second.add_asset("sub-new/sub-new_ecephys.nwb", archive.add_blob(b"new"))
    mirror.cli("sync", "--all")
    assert "2 Dandisets, 1 written" in build(mirror, pages)
    changed = {name for name, content in files(pages).items() if before.get(name) != content}
    assert not {name for name in changed if name.startswith("d/000123/")} and "d/000124/index.html" in changed
    assert first


def test_an_incremental_catalogue_is_the_same_as_a_new_one(
    archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest, pages: Path, tmp_path: Path
) -> None:
    build(mirror, pages)
    dandiset.add_asset("sub-new/sub-new_ecephys.nwb", archive.add_blob(b"new"))
    dandiset.publish("0.240301.0000", created="2024-03-01T00:00:00Z")
    fill(archive, "000124", "Grid cells in rats")
    mirror.cli("sync", "--all")
    build(mirror, pages)
    build(mirror, tmp_path / "new")
    assert files(pages) == files(tmp_path / "new")


def test_an_embargoed_dandiset_is_shown_only_when_asked_and_leaves_when_it_closes(
    archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest, pages: Path
) -> None:
    fill(archive, "000124", "Grid cells in rats")
    mirror.cli("sync", "--all")
    build(mirror, pages)
    dandiset.set_embargo("EMBARGOED")
    archive.add_user("me@example.org", TOKEN, admin=True)
    mirror.cli("sync", "--all", "--embargoed", env={token_variable(mirror.server.api_url): TOKEN})
    assert "1 removed" in build(mirror, pages)
    assert not (pages / "d/000123").exists()
    assert not [name for name, content in files(pages).items() if b"000123" in content or b"Place cells" in content]
    assert "2 Dandisets" in build(mirror, pages, "--embargoed")
    assert "under embargo" in Page.of(pages / "d/000123/index.html").text
    assert "000123" not in (pages / "feed.xml").read_text()
    assert "1 removed" in build(mirror, pages)


def test_a_dandiset_that_the_archive_has_closed_meanwhile_leaves_too(
    archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest, pages: Path
) -> None:
    fill(archive, "000124", "Grid cells in rats")
    mirror.cli("sync", "--all")
    build(mirror, pages)
    dandiset.set_embargo("EMBARGOED")
    mirror.cli("sync", "000123", code=4)
    build(mirror, pages)
    assert not (pages / "d/000123").exists()


def test_no_text_of_the_archive_becomes_markup_or_a_link_that_runs(
    archive: Archive, mirror: MirrorOfTest, pages: Path, tmp_path: Path
) -> None:
    fill_hostile(archive)
    mirror.cli("sync", "000666", code=3)
    build(mirror, pages, "--title", EVIL, "--source", "https://x.example/'\"<script>")
    page = Page.of(pages / "d/000666/index.html")
    assert page.text.count(EVIL) >= 8
    for path in (pages / "index.html", pages / "all.html", pages / "d/000666/index.html"):
        found = Page.of(path)
        scripts = [facts for tag, facts in found.elements if tag == "script"]
        assert all("src" in facts or str(facts["type"]).endswith("json") for facts in scripts)
        assert not [facts for tag, facts in found.elements if tag == "img"]
        assert not [name for _, facts in found.elements for name in facts if name.startswith("on") or name == "style"]
        hrefs = [str(facts["href"]) for tag, facts in found.elements if "href" in facts]
        allowed = re.compile(r"https?://.*|#.*|(?:\.\./\.\./|d/[0-9]{6}/)?[a-z/]*\.(?:html|xml|css)|data:,")
        assert all(allowed.fullmatch(href) for href in hrefs), hrefs
        assert "\u202e" not in path.read_text()
        assert json.loads(found.data["application/json"]) if "application/json" in found.data else True
    assert not any("evil" in link and not link.startswith("https://ok.example/") for link in page.links())
    assert "<" not in "".join(page.data.values())
    assert {row[0] for row in listed(pages, "000666")} >= {EVIL_PATH, "__proto__/constructor.nwb"}
    ElementTree.fromstring((pages / "feed.xml").read_text())
    assert not (tmp_path / "escape.nwb").exists()
    assert all(name.split("/")[0] in {"assets", "d", "search", "index.html", "all.html", "feed.xml", "catalogue.json"}
               for name in files(pages))  # fmt: skip


def test_each_page_has_a_policy_that_lets_it_load_nothing_from_elsewhere(
    dandiset: Dandiset, mirror: MirrorOfTest, pages: Path
) -> None:
    build(mirror, pages)
    for path in pages.rglob("*.html"):
        page = Page.of(path)
        policies = [facts["content"] for tag, facts in page.elements if facts.get("http-equiv")]
        assert policies == [policies[0]] and str(policies[0]).startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in str(policies[0])
        for tag, facts in page.elements:
            source = str(facts.get("src") or (facts.get("href") if tag == "link" else None) or "data:,")
            assert source == "data:," or (path.parent / source).resolve().is_relative_to(pages.resolve())


def test_the_feed_names_each_version_with_its_doi(dandiset: Dandiset, mirror: MirrorOfTest, pages: Path) -> None:
    build(mirror, pages, "--url", "https://data.example.org/dandi")
    feed = ElementTree.fromstring((pages / "feed.xml").read_text())
    entries = feed.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}updated") for entry in entries] == ["2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z"]
    assert entries[0].findtext(f"{ATOM}summary") == "1 added, 1 removed"
    link = entries[0].find(f"{ATOM}link")
    assert link is not None and link.get("href") == "https://data.example.org/dandi/d/000123/index.html"


def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(
    dandiset: Dandiset, mirror: MirrorOfTest, pages: Path
) -> None:
    pages.mkdir()
    (pages / "thesis.tex").write_text("mine")
    assert "holds something else than a catalogue" in build(mirror, pages, code=2)
    assert [path.name for path in pages.iterdir()] == ["thesis.tex"]
    assert "not the address" in build(mirror, pages / "new", "--url", "javascript:x", code=2)


def test_no_link_leads_a_build_out_of_its_folder(
    dandiset: Dandiset, mirror: MirrorOfTest, pages: Path, tmp_path: Path
) -> None:
    build(mirror, pages)
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in (pages / "d/000123").iterdir():
        path.unlink()
    (pages / "d/000123").rmdir()
    (pages / "d/000123").symlink_to(outside)
    (pages / "catalogue.json").unlink()
    build(mirror, pages, code=6)
    assert not list(outside.iterdir())


def test_a_damaged_state_is_made_again(dandiset: Dandiset, mirror: MirrorOfTest, pages: Path) -> None:
    build(mirror, pages)
    before = files(pages)
    for damage in (b"", b"{", b'{"made_by": "dandi-mirror catalogue", "dandisets": {"../x": 3}}', b"[" * 100_000):
        (pages / "catalogue.json").write_bytes(damage)
        assert "1 written" in build(mirror, pages)
        assert files(pages) == before


def test_a_build_that_is_killed_leaves_whole_pages_and_the_next_completes_it(
    archive: Archive, mirror: MirrorOfTest, pages: Path, tmp_path: Path
) -> None:
    for number in range(12):
        fill(archive, f"{number + 1:06d}", f"Dandiset number {number}")
    mirror.cli("sync", "--all")
    command = [sys.executable, "-m", "dandi_mirror", "catalogue", "build", str(pages), "-d", str(mirror.path)]
    for count in (1, 5, 9):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: len(list(pages.glob("d/*/index.html"))) >= count or child.poll() is not None)  # noqa: B023
        child.send_signal(signal.SIGKILL)
        child.wait()
        for page in pages.glob("d/*/index.html"):
            config = Page.of(page).config
            assert all((page.parent / name).exists() for name in (*config["parts"], config["folders"]))
    build(mirror, pages)
    build(mirror, tmp_path / "new")
    assert files(pages) == files(tmp_path / "new")
