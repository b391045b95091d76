"""From any old tree to any new listing: what the plan writes is exactly the archive's tree."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.errors import UnsafePlan
from dandi_mirror.mirror.format.records import is_asset_path
from dandi_mirror.mirror.format.tree import AnnexLink
from dandi_mirror.mirror.sync.plan import SyncPlan, carried_paths, plan_refs, plan_sync, versions_to_merge
from dandi_mirror.paths import conflicts
from dandi_mirror.repo.git.dataset import ALARM, ANNEX, TEMPORARY, Dataset, RefChange
from dandi_mirror.repo.git.stream import FILE, LINK, Commit, ExistingObject, Inline, TreeEntry
from tests.support.values import QUICK, SLOW

pytestmark = pytest.mark.quick

EARLY = datetime(2024, 1, 2, tzinfo=UTC)
REF = "refs/heads/draft"
NAMES = ["a", "b", "c", "a b", "-x", "é", 'q"', "a.nwb", "A", "~"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
ENTRIES = st.builds(Inline, st.sampled_from([b"1", b"2", b""]), st.sampled_from([FILE, LINK]))
OWN: dict[str, TreeEntry] = {".dandi/assets.jsonl": Inline(b"{}\n"), "dandiset.yaml": Inline(b"{}")}


def no_conflict(files: dict[str, Inline]) -> dict[str, TreeEntry]:
    clashing = conflicts(files)
    return OWN | {path: entry for path, entry in files.items() if path not in clashing}


TREES = st.dictionaries(PATHS, ENTRIES, max_size=25).map(no_conflict)


def facts(files: dict[str, TreeEntry]) -> dict[str, tuple[bytes, str]]:
    return {path: (entry.mode, entry.object_id()) for path, entry in files.items()}


def applied(old: dict[str, tuple[bytes, str]], plan: SyncPlan) -> dict[str, tuple[bytes, str]]:
    """What a plan leaves, by the book: removals first."""
    tree = {path: entry for path, entry in old.items() if path not in plan.removed}
    return tree | {path: (entry.mode, entry.object_id()) for path, entry in plan.files}


@given(TREES, TREES)
@QUICK
def test_a_plan_says_what_differs_and_nothing_else(old: dict[str, TreeEntry], new: dict[str, TreeEntry]) -> None:
    plan = plan_sync(facts(old), new)
    assert applied(facts(old), plan) == facts(new)
    assert plan.empty == (facts(old) == facts(new))
    assert list(plan.removed) == sorted(set(old) - set(new))
    assert set(plan.added) == {path for path in set(new) - set(old) if is_asset_path(path)}
    assert all(facts(old)[path] != facts(new)[path] for path in plan.changed)
    assert plan_sync(facts(new), new).empty


def test_a_file_whose_new_entry_is_refused_stays_unless_it_is_in_the_way() -> None:
    old = {"a.nwb", "b.nwb", "c", "d/e.nwb", "dandiset.yaml", ".dandi/assets.jsonl"}
    assert carried_paths(old, {"a.nwb", "new.nwb"}, {"b.nwb"}) == {"a.nwb"}, "a new one has nothing to keep"
    assert carried_paths(old, set(), {"b.nwb"}) == set()
    assert carried_paths(old, {"a.nwb"}, {"a.nwb"}) == set(), "another entry of this path is taken"
    assert carried_paths(old, {"c"}, {"c/x.nwb"}) == set(), "its place is a folder now"
    assert carried_paths(old, {"d/e.nwb", "a.nwb"}, {"d"}) == {"a.nwb"}, "its folder is a file now"
    assert carried_paths(old, {"dandiset.yaml", ".dandi/assets.jsonl"}, set()) == set(), "they are no assets"


@given(st.lists(TREES, min_size=3, max_size=6))
@SLOW
def test_one_plan_after_the_other_gives_each_tree_in_a_real_repository(tmp_path_factory: Any, trees: list[Any]) -> None:
    dataset = Dataset(tmp_path_factory.mktemp("r"))
    dataset.create("draft")
    for new in trees:
        head = dataset.ref(REF)
        plan = plan_sync(dataset.tree(head), new)
        with dataset.importing() as importer:
            importer.commit(Commit(REF, EARLY, "next\n", base=head), plan.removed, plan.files)
        assert dataset.tree(REF) == facts(new)


def test_a_file_that_becomes_a_folder_and_a_folder_that_becomes_a_file_are_both_whole(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.create("draft")
    one: dict[str, TreeEntry] = {"x": Inline(b"file"), "y/1": Inline(b"1"), "y/2/3": Inline(b"3")}
    two: dict[str, TreeEntry] = {
        "y": Inline(b"file"),
        "x/1": Inline(b"1"),
        "x/2/3": Inline(b"3"),
        "x-": Inline(b"-"),
    }
    for new in (one, two, one):
        head = dataset.ref(REF)
        plan = plan_sync(dataset.tree(head), new)
        with dataset.importing() as importer:
            importer.commit(Commit(REF, EARLY, "next\n", base=head), plan.removed, plan.files)
        assert dataset.tree(REF) == facts(new)


@pytest.mark.parametrize(
    ("held", "going", "refused"),
    [
        (20, 19, False), (20, 20, True), (1, 1, True), (100, 50, False), (100, 51, True),
        (30, 20, False), (30, 21, True), (42, 21, False), (41, 21, True),
    ],
)  # fmt: skip
def test_a_plan_that_would_empty_a_mirror_is_refused(held: int, going: int, refused: bool) -> None:
    old = {f"f{number}": (FILE, "1" * 40) for number in range(held)}
    new: dict[str, TreeEntry] = {path: ExistingObject("1" * 40) for path in list(old)[going:]}
    check(plan_sync(old, new), refused)


def check(plan: SyncPlan, refused: bool) -> None:
    if refused:
        with pytest.raises(UnsafePlan, match="--allow-deletes"):
            plan.check("000123")
    else:
        plan.check("000123")


def test_when_all_go_and_one_comes_it_is_no_outage_but_of_many_it_is_asked_all_the_same() -> None:
    for held, refused in ((20, False), (21, True)):
        old = {f"f{number}": (FILE, "1" * 40) for number in range(held)}
        check(plan_sync(old, {"new": ExistingObject("2" * 40)}), refused)


def link(number: int, depth: int) -> AnnexLink:
    return AnnexLink(f"SHA256E-s{number}--{number:064x}.nwb", depth)


@pytest.mark.parametrize(("gone", "moved", "refused"), [(21, 0, True), (21, 1, False), (22, 1, True), (30, 10, False)])
def test_a_file_that_only_moves_is_not_counted_as_deleted(gone: int, moved: int, refused: bool) -> None:
    old = facts({f"f{number}.nwb": link(number, 0) for number in range(30)})
    kept = {f"f{number}.nwb": link(number, 0) for number in range(gone, 30)}
    elsewhere = {f"sub/of/f{number}.nwb": link(number, 2) for number in range(moved)}
    plan = plan_sync(old, kept | elsewhere)
    assert plan.moved() == {f"f{number}.nwb" for number in range(moved)}
    check(plan, refused)


def test_what_stands_at_a_path_that_was_there_or_is_no_link_has_not_moved() -> None:
    entries: dict[str, TreeEntry] = {"a.nwb": link(1, 0), "b.nwb": link(2, 0), "c": Inline(b"text")}
    # the content of a.nwb now stands at b.nwb, and the text of c at d
    plan = plan_sync(facts(entries), {"b.nwb": link(1, 0), "d": Inline(b"text")})
    assert plan.gone == ("a.nwb", "c")
    assert plan.moved() == set()


# --- refs ----------------------------------------------------------------------------------------------------

ONE, TWO = "0.240101.0000", "0.240102.0000"
A, B, C, D = ("abcd"[place] * 40 for place in range(4))


def test_a_new_version_is_tagged_and_the_branch_and_the_logs_move_from_what_they_were() -> None:
    refs = {f"{TEMPORARY}git-annex": A, f"{TEMPORARY}{ONE}": B, f"{TEMPORARY}draft": C, "refs/heads/draft": D}
    plan = plan_refs(refs, {}, {ONE: A}, ("draft", D), B)
    assert plan.changes == (
        RefChange(ANNEX, A, B), RefChange(f"refs/tags/{ONE}", A, None), RefChange("refs/heads/draft", C, D),
    )  # fmt: skip
    assert set(plan.dropped) == {ref for ref in refs if ref.startswith(TEMPORARY)}
    assert plan.alarms == ()


@pytest.mark.parametrize("before", [None, D])
def test_a_tag_that_the_archive_contradicts_stays_and_the_other_answer_is_kept_as_an_alarm(before: str | None) -> None:
    refs = {f"{TEMPORARY}{ONE}": B} | ({f"{ALARM}{ONE}": before} if before else {})
    plan = plan_refs(refs, {ONE: A}, {ONE: C}, None, None)
    assert plan.changes == (RefChange(f"{ALARM}{ONE}", B, before),)
    assert plan.alarms == (ONE,)
    assert f"{ALARM}{ONE}" not in plan.dropped


def test_an_alarm_ends_when_the_archive_agrees_with_the_tag_again_and_no_other_one_does() -> None:
    refs = {f"{TEMPORARY}{ONE}": B, f"{ALARM}{ONE}": D, f"{ALARM}{TWO}": D}
    plan = plan_refs(refs, {ONE: A, TWO: A}, {ONE: A}, None, None)
    assert (plan.changes, plan.alarms) == ((), ())
    assert plan.dropped == (f"{ALARM}{ONE}", f"{TEMPORARY}{ONE}")


def test_a_branch_and_logs_that_were_not_written_do_not_move() -> None:
    assert plan_refs({"refs/heads/draft": A}, {}, {}, ("draft", A), B) == plan_refs({}, {}, {}, None, None)


def test_the_branch_merges_new_versions_and_those_of_a_killed_run_and_nothing_else() -> None:
    unmerged = {ONE: A, "mine": B, f"{ONE}-superseded-1": C}
    assert versions_to_merge([TWO], {ONE: D}, unmerged) == {ONE: A, TWO: f"{TEMPORARY}{TWO}"}
    assert versions_to_merge([ONE], {ONE: D}, {}) == {}, "a version that is only compared is in the branch already"
