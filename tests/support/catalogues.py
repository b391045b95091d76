"""A mirror with Dandisets that differ, and what the pages of its catalogue hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant

V1, V2 = "0.240101.0000", "0.240201.0000"
EVIL = "\"'></h1></title></script><script>evil = 1</script><img src=x onerror='evil = 1'>{{ 7 * 6 }}"
"""Text that runs a script where a page forgets that it is text."""
EVIL_PATH = "sub-<script>evil=1</" + 'script>/it\'s "$(evil)" & `x`#?%2e%2e.nwb'
"""A path that an archive may have."""
RECORD: dict[str, Any] = {
    "description": "We recorded cells.\n\nSee https://example.org/paper. And ftp://example.org.",
    "contributor": [
        {"name": "Doe, Jane", "schemaKey": "Person", "identifier": "0000-0001-2345-6789", "includeInCitation": True,
         "roleName": ["dcite:Author", "dcite:ContactPerson"], "affiliation": [{"name": "University of Somewhere"}]},
        {"name": "A Fund", "schemaKey": "Organization", "awardNumber": "R01-1", "roleName": ["dcite:Sponsor"]},
    ],
    "license": ["spdx:CC-BY-4.0"],
    "keywords": ["place cells"],
    "relatedResource": [{"name": "A paper", "url": "https://example.org/a", "relation": "dcite:IsDescribedBy"}],
}  # fmt: skip


def fill(archive: Archive, identifier: str = "000123", name: str = "Place cells in mice") -> Dandiset:
    """A Dandiset with two versions and a newer draft."""
    dandiset = archive.create_dandiset(identifier, name, RECORD)
    for number in range(3):
        path = f"sub-m{number}/sub-m{number}_ses-{number}_ecephys.nwb"
        dandiset.add_asset(path, archive.add_blob(f"content {number}".encode()), metadata=participant(f"m{number}"))
    dandiset.publish(V1, created="2024-01-01T00:00:00Z")
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    dandiset.delete_asset("sub-m0/sub-m0_ses-0_ecephys.nwb")
    dandiset.publish(V2, created="2024-02-01T00:00:00Z")
    dandiset.add_asset("sub-m9/sub-m9_ecephys.nwb", archive.add_blob(b"late"), metadata=participant("m9"))
    return dandiset


def fill_hostile(archive: Archive, identifier: str = "000666") -> Dandiset:
    """A Dandiset whose every text is an attack."""
    evil_links = [{"name": EVIL, "url": url, "relation": EVIL} for url in
                  ("javascript:evil=1", "data:text/html,<script>evil=1</script>", "https://a@evil.example/", " https://x",
                   "https://ok.example/\"onclick='evil=1'")]  # fmt: skip
    record = {
        "description": f"{EVIL}\n\njavascript:evil=1 \u202ereversed\u2028{EVIL}",
        "contributor": [
            {"name": EVIL, "schemaKey": EVIL, "identifier": "javascript:evil=1", "url": "javascript:evil=1",
             "roleName": [EVIL], "includeInCitation": True, "affiliation": [{"name": EVIL}], "awardNumber": EVIL}
        ],
        "license": [EVIL, "javascript:evil=1"],
        "keywords": [EVIL, "\u202egnp.exe"],
        "relatedResource": evil_links,
        "about": [{"name": EVIL, "identifier": "javascript:evil=1"}],
        "acknowledgement": EVIL,
        "doi": "10.1/\"><script>evil=1</script>",
        "ethicsApproval": [{"identifier": EVIL, "contactPoint": {"name": EVIL}}],
    }  # fmt: skip
    dandiset = archive.create_dandiset(identifier, EVIL, record)
    facts = participant(EVIL[:150])
    facts["approach"] = [{"name": EVIL[:150]}]
    facts["encodingFormat"] = EVIL
    dandiset.add_asset(EVIL_PATH, archive.add_blob(b"one"), metadata=facts, unchecked=True)
    dandiset.add_asset("../../escape.nwb", archive.add_blob(b"two"), metadata=facts, unchecked=True)
    dandiset.add_asset("sub-1/\u202egnp.nwb", archive.add_blob(b"three"), metadata=facts, unchecked=True)
    dandiset.add_asset("__proto__/constructor.nwb", archive.add_blob(b"four"), metadata=facts, unchecked=True)
    return dandiset


def build(
    mirror: MirrorOfTest, pages: Path, *options: str, code: int | None = 0, env: Mapping[str, str] | None = None
) -> str:
    """``dandi-mirror catalogue build``; what it printed."""
    from tests.conftest import run

    done = run("dandi-mirror", "catalogue", "build", str(pages), "-d", str(mirror.path), *options, code=code, env=env)
    return done.stdout + done.stderr


def files(pages: Path) -> dict[str, bytes]:
    """Every file of a catalogue."""
    return {
        str(path.relative_to(pages)): path.read_bytes()
        for path in sorted(pages.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@dataclass
class Page(HTMLParser):
    """What a page consists of."""

    text: str = ""
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    """The content of scripts that are data, by their types."""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside = ""

    @classmethod
    def of(cls, path: Path) -> Page:
        """The page in a file."""
        page = cls()
        page.feed(path.read_text())
        page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.elements.append((tag, facts))
        self._inside = str(facts.get("type")) if tag == "script" else ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data[self._inside] = self.data.get(self._inside, "") + data
        else:
            self.text += data

    def links(self) -> set[str]:
        """Where its links lead."""
        return {str(facts["href"]) for tag, facts in self.elements if tag == "a"}

    @property
    def config(self) -> Any:
        """What it tells its scripts."""
        return json.loads(self.data["application/json"])


_DATA = re.compile(r"catalogue\.data\((\"[^\"]*\"), (.*)\);\n", re.DOTALL)


def part(path: Path) -> Any:
    """The value in a script that a page loads."""
    found = _DATA.fullmatch(path.read_text())
    assert found
    return json.loads(found[2])


def listed(pages: Path, identifier: str = "000123") -> list[list[Any]]:
    """The rows of files of a Dandiset's page."""
    folder = pages / "d" / identifier
    names = Page.of(folder / "index.html").config["parts"]
    return [row for name in names for row in part(folder / name)["rows"]]
