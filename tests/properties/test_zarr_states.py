"""A Zarr's state, judged by DANDI's own library and by git."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zarr_checksum.tree import ZarrChecksumTree

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import BadEntry, Disorder, entry_key, entry_order, in_order, is_odd, refuse_entry
from dandi_mirror.mirror.zarr.state import ATTRIBUTES, StateBuilder, ZarrState, dataset_id, zarr_state_of
from dandi_mirror.repo.annex.keys import link_target
from dandi_mirror.repo.git.stream import blob_id
from dandi_mirror.zarr_checksum import counts_of
from tests.conftest import run
from tests.support.values import PIECES, QUICK, SLOW
from tests.support.zarr_entries import ENTRIES, ZARR, real_looking

pytestmark = pytest.mark.quick

A, B, C = (f"{number:032x}" for number in (10, 11, 12))
EMPTY = "481a2f77ab786a0f45aafd5db0971caa-0--0"


def library(entries: list[ZarrEntry]) -> str:
    """The checksum by DANDI's own library, called as the archive calls it: with the paths of the bucket."""
    tree, prefix = ZarrChecksumTree(), f"zarr/{ZARR}/"
    for entry in entries:
        tree.add_leaf(Path(prefix + entry.path).relative_to(prefix), entry.size, entry.etag)
    return str(tree.process())


def refused(entries: list[ZarrEntry]) -> dict[str, str]:
    """The entries that may not reach git, with the reasons."""
    found: dict[str, str] = {}
    building = StateBuilder(ZARR, on_refused=found.__setitem__)
    for entry in entries:
        building.add(entry)
    assert building.state().refused == len(found)
    return found


def by_git(repository: Path, entries: list[ZarrEntry], checksum: str) -> str:
    """The commit that git itself makes of links to the keys of these entries."""
    config = f'[datalad "dataset"]\n\tid = {dataset_id(ZARR)}\n'.encode()
    own = {".dandi/zarr-checksum": f"{checksum}\n".encode(), ".datalad/config": config, ".gitattributes": ATTRIBUTES}
    lines = [f"100644 {blob_id(content)} 0\t{path}\0" for path, content in own.items()]
    for path, size, etag, _, _ in entries:
        target = link_target(entry_key(path, size, etag), path.count("/"))
        lines.append(f"120000 {blob_id(target.encode())} 0\t{path}\0")
    index = repository / "index"
    index.unlink(missing_ok=True)
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (
            ("NAME", "dandi-mirror"),
            ("EMAIL", "noreply@dandi-mirror.invalid"),
            ("DATE", "1577836800 +0000"),
        )
    }
    env = os.environ | who | {"GIT_INDEX_FILE": str(index), "GIT_DIR": str(repository)}
    run("git", "update-index", "-z", "--index-info", env=env, stdin="".join(lines))
    tree = run("git", "write-tree", "--missing-ok", env=env).stdout.strip()
    message = f"Zarr {ZARR}\n\nZarr-Checksum: {checksum}\nMirror-Format: 1\n"
    return run("git", "commit-tree", tree, env=env, stdin=message).stdout.strip()


@given(ENTRIES)
@example([])
@example(
    in_order([ZarrEntry(f"{name}/{name}", 1, A) for name in PIECES if "\ud800" not in name and "\udcff" not in name])
)
@QUICK
def test_the_checksum_is_that_of_dandi_for_every_name(entries: list[ZarrEntry]) -> None:
    state = zarr_state_of(ZARR, entries)
    assert state.checksum == library(entries)
    assert counts_of(state.checksum) == (state.entries, state.size) == (len(entries), sum(e.size for e in entries))


@given(ENTRIES)
@SLOW
def test_the_commit_is_the_one_that_git_makes(tmp_path_factory: Any, entries: list[ZarrEntry]) -> None:
    repository = tmp_path_factory.mktemp("git")
    run("git", "init", "--quiet", "--bare", str(repository))
    state = zarr_state_of(ZARR, entries)
    left_out = refused(entries)
    admitted = [entry for entry in entries if entry.path not in left_out]
    assert state.commit == by_git(repository, admitted, state.checksum)


def test_the_commit_of_many_entries_is_the_one_that_git_makes(tmp_path: Path) -> None:
    run("git", "init", "--quiet", "--bare", str(tmp_path / "git"))
    names = [".zattrs", ".zgroup", "!first", "-x", "0/.zarray", "0.0", "a-b/c", "a/b", "a0", "zarr.json", ".gix", ".h"]
    entries = in_order([*real_looking(3000), *(ZarrEntry(name, 7, A) for name in names)])
    state = zarr_state_of(ZARR, entries)
    assert not state.refused
    assert state.commit == by_git(tmp_path / "git", entries, state.checksum)
    assert state.checksum == library(entries)


@given(
    ENTRIES, st.lists(st.text("ab ~.-_", min_size=1, max_size=5), unique=True), st.sampled_from(["a", "a/b", "a b/c.d"])
)
@example([], ["x" * length for length in range(240, 256)], "abc/d")
@example([], ["x"], "/".join(["a"] * 62))
@example([], ["x"], "/".join(["a"] * 63))
@example([], ["x"], "/".join(["a"] * 64))
@QUICK
def test_the_short_way_of_plain_names_decides_as_the_long_one(
    entries: list[ZarrEntry], names: list[str], top: str
) -> None:
    more = in_order(
        [*(e for e in entries if not e.path.startswith(top)), *(ZarrEntry(f"{top}/{n}", 1, A) for n in names)]
    )
    ways = []
    for is_long in (False, True):
        found: list[tuple[str, str]] = []
        building = StateBuilder(ZARR, on_refused=lambda path, why, found=found: found.append((path, why)))  # type: ignore[misc]
        for entry in more:
            (building._add_any if is_long else building.add)(entry)
        ways.append((building.state(), found))
    assert ways[0] == ways[1]
    assert {path for path, why in ways[0][1]} >= {entry.path for entry in more if refuse_entry(entry.path)}


@given(ENTRIES)
@QUICK
def test_versions_and_times_of_the_bucket_do_not_change_the_commit(entries: list[ZarrEntry]) -> None:
    other = [entry._replace(version_id="other", modified=None) for entry in entries]
    assert zarr_state_of(ZARR, other) == zarr_state_of(ZARR, entries)


@given(ENTRIES)
@QUICK
def test_exactly_the_paths_that_git_may_not_have_are_refused(entries: list[ZarrEntry]) -> None:
    wanted = {entry.path for entry in entries if refuse_entry(entry.path)}
    files = {entry.path for entry in entries} - wanted
    below = {p for p in files if any(p.startswith(f"{file}/") for file in files)}
    assert refused(entries).keys() == wanted | below


def test_a_file_and_a_folder_of_one_name_leave_the_file() -> None:
    entries = [ZarrEntry(path, 1, A) for path in ("a", "a-b", "a.c/x", "a/b/c", "a/d", "ab")]
    why = "a file of the same name stands where its folder would be"
    assert refused(entries) == {"a/b/c": why, "a/d": why}


def test_entries_that_are_gone_change_nothing_of_a_folder_that_git_has_not() -> None:
    kept = ZarrEntry("0", 1, A)
    with_refused = zarr_state_of(ZARR, [kept, ZarrEntry("x/.git/config", 1, A)])
    assert with_refused.refused == 1 and with_refused.entries == 2
    assert with_refused.checksum != zarr_state_of(ZARR, [kept]).checksum


@pytest.mark.parametrize("paths", [("b", "a"), ("a", "a"), ("a/b", "a"), ("a/b", "a-b"), ("é", "z"), ("a//b", "a/a")])
def test_entries_out_of_order_are_an_error(paths: tuple[str, str]) -> None:
    with pytest.raises(Disorder, match="does not come after the one before it"):
        zarr_state_of(ZARR, [ZarrEntry(path, 1, A) for path in paths])


@pytest.mark.parametrize(
    "entry",
    [
        ZarrEntry("a", -1, A),
        ZarrEntry("a", 2**43, A),
        ZarrEntry("a", True, A),
        ZarrEntry("a", 1, A.upper()),
        ZarrEntry("a", 1, A[1:]),
        ZarrEntry("a", 1, f'"{A}"'),
        ZarrEntry("a", 1, f"{A}-0"),
        ZarrEntry("a", 1, f"{A}-1\n"),
        ZarrEntry("a", 1, ""),
    ],
)
def test_what_no_bucket_lists_is_an_error(entry: ZarrEntry) -> None:
    with pytest.raises(BadEntry):
        zarr_state_of(ZARR, [entry])
    after_another = [ZarrEntry("0/0", 1, A), ZarrEntry("0/1", entry.size, entry.etag)]
    with pytest.raises(BadEntry):
        zarr_state_of(ZARR, after_another)


def test_the_key_says_md5_only_of_an_md5() -> None:
    assert entry_key("0/0.0", 5, A) == f"MD5E-s5--{A}.0"
    assert entry_key("0/.zarray", 5, A) == f"MD5E-s5--{A}"
    assert entry_key("zarr.json", 5, A) == f"MD5E-s5--{A}.json"
    assert entry_key("zarr.json", 5, f"{A}-2") == f"VURL-s5--{A}-2"


def test_odd_paths_are_those_that_the_archive_reads_as_others() -> None:
    for path in ("", ".", "/a", "./a", "a//b", "a/./b", "a/", "a/.", "//"):
        assert is_odd(path) and entry_order(path)[0] == "/".join(Path(path).relative_to(Path(path).anchor).parts)
        assert refuse_entry(path)
    for path in ("a", ".a", "a./b", "..", "../a", "a.b", "a/.b/c"):
        assert not is_odd(path)


def test_states_have_the_hashes_that_are_frozen_in_the_format() -> None:
    some = [
        ZarrEntry(".zattrs", 2, "99914b932bd37a50b983c5e7c90ae93b"),
        ZarrEntry(".zgroup", 24, "e20297935e73dd0154104d4ea53040ab"),
        ZarrEntry("0/.zarray", 300, A),
        ZarrEntry("0/0/0", 1000, B),
        ZarrEntry("0/0/1", 200_000_000, f"{C}-12"),
        ZarrEntry("a/.git/config", 5, A),
    ]
    assert zarr_state_of(ZARR, []) == ZarrState(ZARR, EMPTY, "4c893ab2e966d22ae8a5d96b1f5ebcee5b40001e", 0, 0, 0)
    checksum, commit = "dc29a18d9929ac0b34be49708e65b5db-6--200001331", "5258003415778cc667a8d1e80ab18272a57bd44f"
    assert zarr_state_of(ZARR, some) == ZarrState(ZARR, checksum, commit, 6, 200_001_331, 1)
    page = Path("docs/format.md").read_text()
    assert all(f"`{value}`" in page for value in (ZARR, str(dataset_id(ZARR)), checksum, commit))
