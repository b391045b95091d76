"""``diff`` of Zarrs: how many chunks changed, in which level, from the manifests and without asking the archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, only_asked, run
from tests.support.plain_zarrs import PATH, plain
from tests.support.zarrs import SMALL, a_zarr, change

pytest.importorskip("zarr")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorOfTest]:
    """A draft with two commits: in the second a Zarr has other chunks, one is new, one is gone, and one is renamed."""

    def fill(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
        dandiset = archive.create_dandiset("000123", name="A test")
        zarr = a_zarr(dandiset, PATH, plain(tmp_path_factory.mktemp("made"), 2))
        gone = a_zarr(dandiset, "gone.zarr", SMALL)
        moved = a_zarr(dandiset, "old/same.zarr", {**SMALL, "arr/2": b"x"})
        assert mirror.sync().exit_code == 0
        change(zarr, {"0/0.0": b"other", "0/1.1": b"other", "0/2.2": None, "1/0.5": b"new", ".zattrs": b'{"a": 1}'})
        for asset in [asset for asset in dandiset.draft if asset.zarr in (gone, moved)]:
            dandiset.draft.take_out(asset, archive.now())
        dandiset.add_asset("new/same.zarr", zarr=moved)
        a_zarr(dandiset, "added.zarr", {".zgroup": b"{}"})
        assert mirror.sync().exit_code == 0
        mirror.server.requests.clear()
        return mirror

    with only_asked(tmp_path_factory.mktemp("asked"), fill) as mirror:
        yield mirror


def before(mirror: MirrorOfTest) -> str:
    return mirror.git("rev-parse", "--short=7", "draft^")


def diff(mirror: MirrorOfTest, *arguments: str, code: int = 0) -> str:
    done = run("dandi-mirror", "diff", *arguments, "-d", str(mirror.path), code=code)
    assert mirror.server.requests == [], "the archive was not asked"
    return done.stdout if not code else done.stderr


def records(mirror: MirrorOfTest, *options: str) -> list[dict[str, Any]]:
    text = diff(mirror, *options, f"000123@{before(mirror)}..draft", "-f", "json")
    return [json.loads(line) for line in text.splitlines()]


def test_a_zarr_that_changed_says_how_many_chunks_and_in_which_levels(changed: MirrorOfTest) -> None:
    text = diff(changed, f"000123@{before(changed)}..draft")
    words = "2 of 13 chunks changed, 1 added, 1 removed, in levels 0, 1; metadata changed: .zattrs"
    assert f"  {PATH}  " in text and f"({words})\n" in text
    assert "old/same.zarr → new/same.zarr" in text, "a Zarr that moved is renamed, not removed and added"
    assert "\nadded: 1\n  added.zarr" in text and "\nremoved: 1\n  gone.zarr" in text
    assert "\n  changed" not in text, "entries are shown only on request"
    marked = diff(changed, f"000123@{before(changed)}..draft", "-f", "markdown")
    assert "(2 of 13 chunks changed, 1 added, 1 removed, in levels 0, 1; metadata changed: .zattrs)" in marked


def test_each_entry_is_shown_on_request(changed: MirrorOfTest) -> None:
    text = diff(changed, "-r", f"000123@{before(changed)}..draft")
    lines = [line.split() for line in text.partition(f"\nentries of {PATH}\n")[2].splitlines()]
    assert [(line[0], line[-1]) for line in lines] == [
        ("changed", ".zattrs"), ("changed", "0/0.0"), ("changed", "0/1.1"), ("removed", "0/2.2"), ("added", "1/0.5"),
    ]  # fmt: skip


def test_json_has_the_numbers_and_the_entries(changed: MirrorOfTest) -> None:
    found = [
        json.loads(line) for line in diff(changed, "-r", f"000123@{before(changed)}..draft", "-f", "json").splitlines()
    ]
    zarr = next(record for record in found if record.get("file") == PATH and "entry" not in record)
    assert (zarr["state"], zarr["chunks"]) == ("replaced", {"entries": 13, "added": 1, "removed": 1, "changed": 2})
    assert zarr["arrays"] == [
        {"array": "0", "entries": 8, "added": 0, "removed": 1, "changed": 2},
        {"array": "1", "entries": 5, "added": 1, "removed": 0, "changed": 0},
    ]
    assert (zarr["metadata"], zarr["new_bytes"]) == ([".zattrs"], 5 + 5 + 3 + 8)
    assert zarr["checksum"] != zarr["old_checksum"]
    entries = {record["entry"]: record for record in found if "entry" in record}
    assert {path: record["state"] for path, record in entries.items()} == {
        ".zattrs": "changed", "0/0.0": "changed", "0/1.1": "changed", "0/2.2": "removed", "1/0.5": "added",
    }  # fmt: skip
    assert (entries["0/2.2"]["size"], entries["1/0.5"]["old_size"], entries["0/0.0"]["size"]) == (None, None, 5)
    assert found[-1]["replaced"] == 1 and found[-1]["renamed"] == 1
    assert found[-1]["after"]["bytes"] - found[-1]["before"]["bytes"] == sum(
        record.get("size", 0) - record.get("old_size", 0) if record["state"] == "replaced"
        else record["size"] if record["state"] == "added" else -record["size"] if record["state"] == "removed" else 0
        for record in found[:-1] if "entry" not in record
    )  # fmt: skip


def states(mirror: MirrorOfTest) -> list[str]:
    found: list[dict[str, Any]] = [
        json.loads(line) for line in diff(mirror, f"000123@{before(mirror)}..draft", "-f", "json").splitlines()
    ]
    zarr = next(record for record in found if record.get("file") == PATH)
    return [zarr["old_checksum"], zarr["checksum"]]


def test_two_states_of_one_zarr_are_compared_by_their_checksums(changed: MirrorOfTest) -> None:
    old, new = states(changed)
    text = diff(changed, f"000123/{PATH}@{old}..{new}")
    assert text.startswith(f"000123/{PATH}  {old} → {new}\n2 of 13 chunks changed, 1 added, 1 removed, in levels 0, 1")
    assert [line.split() for line in text.splitlines()[3:]] == [["0", "8", "2", "0", "1"], ["1", "5", "0", "1", "0"]]
    assert diff(changed, f"000123/{PATH}@{old}") == diff(changed, f"000123/{PATH}@{old}..") == text
    assert "1 added, 1 removed" in diff(changed, f"000123/{PATH}@{new}..{old}")
    assert ["removed", "0/2.2"] in [line.split() for line in diff(changed, "-r", f"000123/{PATH}@{old}").splitlines()]
    wrong = f"{'0' * 32}-3--5"
    assert f"no mirror on this machine has the entries of its state {wrong}" in diff(
        changed, f"000123/{PATH}@{wrong}", code=3
    )
    assert "is no Zarr" in diff(changed, f"000123/sub-0@{old}", code=2)


def test_a_clone_without_manifests_says_so_and_what_to_type(changed: MirrorOfTest, tmp_path: Path) -> None:
    clone = changed.git_clone(tmp_path / "clone")
    run("git", "-C", str(clone), "remote", "set-url", "origin", "https://example.org/000123")
    name = f"000123@{before(changed)}.."
    text = run("dandi-mirror", "diff", name, cwd=clone).stdout
    assert f"{PATH}  " in text and "no mirror on this machine has the entries of its state" in text
    assert "-d DIR" in text
    record = next(
        json.loads(line) for line in run("dandi-mirror", "diff", name, "-f", "json", cwd=clone).stdout.splitlines()
        if json.loads(line).get("file") == PATH
    )  # fmt: skip
    assert (record["state"], "chunks" in record) == ("replaced", False)
    assert "in levels 0, 1" in run("dandi-mirror", "diff", name, "-d", str(changed.path), cwd=clone).stdout
