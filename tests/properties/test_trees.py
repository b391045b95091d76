"""The tree of a version, from values: what git itself keeps, what git-annex has, and where refused assets stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.tree import (
    AnnexLink,
    Carried,
    ExtraKeyUse,
    Listing,
    VersionTree,
    dandiset_yaml,
    datalad_config,
    git_attributes,
    refused_record,
    version_tree,
)
from dandi_mirror.model import Asset, FindingKind, Instance, ListedVersion
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.git.stream import GITLINK, ExistingObject, Inline

pytestmark = pytest.mark.quick

DANDI = Instance("DANDI", "https://api.dandiarchive.org/api")
NOW = datetime(2024, 1, 2, tzinfo=UTC)
VERSION = ListedVersion("draft", "A", 1, 1, "Valid", NOW, NOW)
SHA = "ab" * 32
COMMIT = "c" * 40
OWN = [".datalad/config", ".gitattributes", "dandiset.yaml"]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path)) as opened:
        yield opened


def asset(spool: Spool, path: str, size: int = 5, zarr: str = "") -> Asset:
    record = json.dumps({"path": path}).encode()
    key = "" if zarr else annex_key(size, SHA, path)
    return Asset(path, "an id", "", size, key, None, "", spool.put(record), len(record), (), False, zarr)


def tree_of(
    spool: Spool,
    *assets: Asset,
    texts: Mapping[str, Inline] | None = None,
    refusals: Sequence[Refusal] = (),
    carried: Sequence[Carried] = (),
    modules: bytes = b"",
) -> VersionTree:
    zarrs = {one.path: COMMIT for one in assets if one.zarr}
    listing = Listing(VERSION, {}, b"yaml", {one.path: one for one in assets}, tuple(refusals), zarrs=zarrs)
    return version_tree(DANDI, "000123", listing, texts or {}, spool, carried, modules=modules)


def test_a_version_has_its_own_files_and_its_assets_and_their_records(spool: Spool) -> None:
    text, data = asset(spool, "sub-1/a.json"), asset(spool, "sub-1/b.nwb")
    tree = tree_of(spool, text, data, texts={SHA: Inline(b"{}\n")})
    entries = tree.entries
    assert sorted(entries) == [".dandi/assets.jsonl", *OWN, "sub-1/a.json", "sub-1/b.nwb"]
    assert entries["dandiset.yaml"] == Inline(b"yaml")
    assert entries[".datalad/config"] == Inline(datalad_config(DANDI, "000123"))
    assert entries[".gitattributes"] == Inline(git_attributes())
    assert entries["sub-1/a.json"] == Inline(b"{}\n")
    assert entries["sub-1/b.nwb"] == AnnexLink(data.key, 1)
    assert tree.annexed == [data]
    assert entries[".dandi/assets.jsonl"].content() == b'{"path": "sub-1/a.json"}\n{"path": "sub-1/b.nwb"}\n'  # type: ignore[attr-defined]


def test_a_text_file_whose_content_did_not_come_is_a_link(spool: Spool) -> None:
    text = asset(spool, "a.json")
    for texts in ({}, {"0" * 64: Inline(b"other")}):
        tree = tree_of(spool, text, texts=texts)
        assert tree.entries["a.json"] == AnnexLink(text.key, 0) and tree.annexed == [text]


def test_a_file_that_is_no_text_is_a_link_though_a_text_has_its_content(spool: Spool) -> None:
    data = asset(spool, "a.nwb")
    assert tree_of(spool, data, texts={SHA: Inline(b"{}\n")}).entries["a.nwb"] == AnnexLink(data.key, 0)


def test_a_zarr_is_the_commit_of_its_state_and_has_a_record_but_no_key(spool: Spool) -> None:
    image, after = asset(spool, "a.zarr", zarr="a Zarr"), asset(spool, "b.nwb")
    tree = tree_of(spool, image, after, modules=b"[submodule]")
    assert tree.entries["a.zarr"] == ExistingObject(COMMIT, GITLINK)
    assert tree.entries[".gitmodules"] == Inline(b"[submodule]")
    assert tree.annexed == [after]
    assert b"a.zarr" in tree.entries[".dandi/assets.jsonl"].content()  # type: ignore[attr-defined]


def test_an_asset_that_cannot_be_written_yet_stays_as_it_was(spool: Spool) -> None:
    before, record = ExistingObject("d" * 40), spool.put(b'{"path":"old"}')
    tree = tree_of(spool, carried=[Carried("old", before, record, 3, ())])
    assert tree.entries["old"] == before
    assert tree.entries[".dandi/assets.jsonl"].content() == b'{"path":"old"}\n'  # type: ignore[attr-defined]
    assert ".gitmodules" not in tree.entries and tree.annexed == []


def test_a_refused_asset_stands_by_its_id_with_its_content_and_the_reason(spool: Spool) -> None:
    refusal = Refusal(FindingKind.REFUSED, ".git/x.nwb", "no", "an id", 5, SHA, b'{"a":1}', "https://h/x")
    tree = tree_of(spool, refusals=[refusal, replace(refusal, size=None), replace(refusal, sha256=None)])
    key = annex_key(5, SHA, ".git/x.nwb")
    top = ".dandi/refused/an id"
    refused = [top, *(f"{top}{end}.json" for end in ("", "-2", "-3"))]
    assert tree.entries.keys() == {".dandi/assets.jsonl", *OWN, *refused}
    assert tree.entries[top] == AnnexLink(key, 2)
    assert tree.entries[f"{top}.json"] == Inline(refused_record(refusal))
    assert tree.annexed == [ExtraKeyUse(key, "an id", "https://h/x", ())]


def test_what_is_only_pending_or_has_no_id_leaves_nothing(spool: Spool) -> None:
    refusal = Refusal(FindingKind.PENDING, "x.nwb", "later", "an id")
    tree = tree_of(spool, refusals=[refusal, replace(refusal, kind=FindingKind.REFUSED, asset_id="")])
    assert sorted(tree.entries) == [".dandi/assets.jsonl", *OWN]


def test_the_record_of_a_refused_asset_tells_path_reason_and_what_the_archive_said() -> None:
    refusal = Refusal(FindingKind.REFUSED, "\ud800/x", "no", "an id", record=b'{"a":1}')
    facts = {"asset_id": "an id", "path": "\\ud800/x", "reason": "no", "record": {"a": 1}}
    assert json.loads(refused_record(refusal)) == facts
    assert json.loads(refused_record(replace(refusal, record=None))) == facts | {"record": None}


def test_the_record_of_a_dandiset_has_no_place_of_its_manifest() -> None:
    record = {"name": "A", "manifestLocation": ["https://h/x"], "version": "draft"}
    assert json.loads(dandiset_yaml(record)) == {"name": "A", "version": "draft"}


def test_the_id_of_a_dataset_depends_on_the_archive_and_the_dandiset() -> None:
    made = [datalad_config(DANDI), datalad_config(DANDI, "000123"), datalad_config(Instance("EMBER", "x"), "000123")]
    assert len(set(made)) == 3
    assert made[1] == f'[datalad "dataset"]\n\tid = {DANDI.dataset_id("000123")}\n'.encode()
