"""What pages of the catalogue are made of, for any text and any files."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.catalogue.about import about, http_url
from dandi_mirror.catalogue.listing import PART, file_scripts
from dandi_mirror.catalogue.rows import IndexedAsset, changes_between
from dandi_mirror.catalogue.scripts import data_script, json_text
from dandi_mirror.catalogue.values import FileRow, Presence
from dandi_mirror.paths import is_visible

pytestmark = pytest.mark.quick


class _Reader(HTMLParser):
    """Reads what a script element holds."""

    said = ""

    def handle_data(self, data: str) -> None:
        self.said += data


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.text("ab<>'\"&1é", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(VALUES)
def test_json_in_a_page_means_the_same_ends_no_element_and_is_all_visible(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert not {"<", ">", "&"} & set(text) and all(map(is_visible, text))
    reader = _Reader()
    reader.feed(f"<script type='application/json'>{text}</script>")
    reader.close()
    assert reader.said == text


@given(TEXTS | st.sampled_from(["javascript:x", "http:///x", "//x", "https://a@b/", "https://[", "HTTPS://x.org/y"]))
def test_only_addresses_of_the_web_become_links(text: str) -> None:
    if url := http_url(text):
        parts = urlsplit(url)
        assert parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
        assert all(map(is_visible, url)) and " " not in url
    assert http_url(f"javascript:{text}") == "" and http_url(f" {text}") == ""


@given(st.dictionaries(st.sampled_from(["name", "description", "contributor", "license", "keywords", "about", "doi",
                                        "relatedResource", "ethicsApproval", "assetsSummary", "acknowledgement"]),
                       VALUES, max_size=11))  # fmt: skip
def test_a_record_of_any_form_has_a_page(record: dict[str, object]) -> None:
    found = about(record)
    assert found.title
    links = [
        *found.licenses,
        *found.studied,
        *(link for _, link in found.related),
        *(one.name for one in found.contributors),
    ]
    assert all(link.url == "" or link.url.startswith(("http://", "https://")) for link in links)


@given(st.lists(st.tuples(PATHS, st.integers(1, 3), st.integers(0, 9)), max_size=40))
def test_each_folder_has_the_rows_of_its_files_and_counts_them_by_version(
    some: list[tuple[str, int, int]],
) -> None:
    names = {path for path, _, _ in some}
    files = [one for one in some if not any(other.startswith(f"{one[0]}/") for other in names)]
    rows = sorted(
        (FileRow(path, "", size, "", "", "[]", Presence.HERE, bits) for path, bits, size in files),
        key=lambda row: row.path.split("/"),
    )
    listing = file_scripts(rows)
    value = _value(listing.scripts[listing.index["folders"]])
    folders = {folder[0]: folder for folder in value["folders"]}
    assert len(folders) == len(value["folders"])
    assert set(folders) == {"", *(part for row in rows for part in _above(row.path))}
    for path, start, count, *counts in folders.values():
        inside = [row for row in rows if path == "" or row.path.startswith(f"{path}/")]
        assert rows[start : start + count] == inside
        for bit in (0, 1):
            mine = [row for row in inside if row.versions >> bit & 1]
            assert counts[3 * bit : 3 * bit + 3] == [len(mine), sum(row.size for row in mine), len(mine)]
    assert len(listing.index["parts"]) == -(-len(rows) // PART)


def _above(path: str) -> list[str]:
    names = path.split("/")[:-1]
    return ["/".join(names[: count + 1]) for count in range(len(names))]


def _value(script: bytes) -> dict[str, Any]:
    text = script.decode()
    found = json.loads(text[text.index(", ") + 2 : text.rindex(")")])
    assert isinstance(found, dict) and script == data_script("folders", found)
    return found


ASSETS = st.dictionaries(PATHS, st.sampled_from("abc"), max_size=8)


@given(ASSETS, ASSETS)
def test_the_changes_between_two_versions_lead_from_one_to_the_other(old: dict[str, str], new: dict[str, str]) -> None:
    before, after = (
        [IndexedAsset(number, path, digest, 1, "") for number, (path, digest) in enumerate(some.items())]
        for some in (old, new)
    )
    counts = {change.kind: change.count for change in changes_between(before, after, {}, {})}
    renamed = counts.get("renamed", 0)
    assert len(new.keys() - old.keys()) == counts.get("added", 0) + renamed
    assert len(old.keys() - new.keys()) == counts.get("removed", 0) + renamed
    both = old.keys() & new.keys()
    assert counts.get("replaced", 0) == sum(old[path] != new[path] for path in both)
    assert changes_between(before, before, {}, {}) == () or counts.get("edited", 0) >= 0
