"""What an upload does at one path, field by field, for each way in which three states can differ."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from dandi_mirror.errors import PartError, UnsafePlan
from dandi_mirror.model import RemoteFile
from dandi_mirror.upload.change.plan import Action, LocalFile, UploadPlan, UploadStep, in_order, make_upload_plan

pytestmark = pytest.mark.quick

OLD, OTHER, UNKNOWN = RemoteFile("id", 3, "x"), RemoteFile("id 2", 4, "y"), RemoteFile("id 3", 5, "")
OLD_ZARR, OTHER_ZARR = (
    RemoteFile("id", 3, "", zarr="Z", checksum="x"),
    RemoteFile("id 2", 4, "", zarr="Z", checksum="y"),
)
UNFINISHED = RemoteFile("id 3", 5, "", zarr="Z")
SAME, NEW = LocalFile(3, "x"), LocalFile(7, "y")
NEW_ZARR = LocalFile(7, "y", zarr=True)
NOT_COMPARED = "what the archive has there cannot be compared yet (it has no SHA-256); run this again later"
ELSEWHERE = "an upload of this Zarr from elsewhere is not finished; wait, or name the Zarr to finish it from here"
EMPTY = "it is empty, and the archive does not accept empty files"

Remote: TypeAlias = RemoteFile | None
Local: TypeAlias = LocalFile | None


def plan_of(base: Remote, theirs: Remote, ours: Local, sync: bool = False) -> UploadPlan:
    return make_upload_plan(
        {"p": base} if base else {}, {"p": theirs} if theirs else {}, {"p": ours} if ours else {}, sync=sync
    )


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "step"),
    [
        (None, None, NEW, UploadStep(Action.ADD, "p", 7, "y")),
        (None, None, NEW_ZARR, UploadStep(Action.ADD, "p", 7, "y", zarr=True)),
        (OLD, OLD, NEW, UploadStep(Action.REPLACE, "p", 7, "y", "id")),
        (OLD_ZARR, OLD_ZARR, NEW_ZARR, UploadStep(Action.REPLACE, "p", 7, "y", "id", zarr=True)),
        (OLD, OLD, None, UploadStep(Action.DELETE, "p", 3, "x", "id")),
        (OLD, OTHER, NEW, UploadStep(Action.DONE, "p", 7, "y", "id 2")),
        (OLD_ZARR, OTHER_ZARR, NEW_ZARR, UploadStep(Action.DONE, "p", 7, "y", "id 2", zarr=True)),
        (None, OTHER, NEW, UploadStep(Action.DONE, "p", 7, "y", "id 2")),
        (OLD, OLD, SAME, None),
        (OLD, None, None, None),
        (OLD, UNKNOWN, NEW, UploadStep(Action.REFUSED, "p", 7, "y", reason=NOT_COMPARED)),
        (None, UNKNOWN, LocalFile(-1, ""), UploadStep(Action.REFUSED, "p", 0, "", reason=NOT_COMPARED)),
        (OLD, UNKNOWN, SAME, None),
        (OLD, UNKNOWN, None, UploadStep(Action.DELETE, "p", 5, "x", "id 3")),
        (None, UNKNOWN, None, None),
        (OLD_ZARR, UNFINISHED, NEW_ZARR, UploadStep(Action.REFUSED, "p", 7, "y", reason=ELSEWHERE)),
        (None, None, LocalFile(0, "y"), UploadStep(Action.REFUSED, "p", 0, "y", reason=EMPTY)),
        (OLD, OLD, LocalFile(-1, "", "no"), UploadStep(Action.REFUSED, "p", 0, "", reason="no")),
        (OLD, OLD, LocalFile(7, "y", "no", zarr=True), UploadStep(Action.REFUSED, "p", 7, "y", reason="no", zarr=True)),
    ],
)
def test_what_is_done_at_a_path(base: Remote, theirs: Remote, ours: Local, step: UploadStep | None) -> None:
    plan = plan_of(base, theirs, ours, sync=True)
    assert plan.steps == ((step,) if step else ())
    assert plan.behind == ()


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "what"),
    [
        (None, OTHER, None, "new there"), (None, OTHER, SAME, "new there"), (OLD, None, NEW, "deleted there"),
        (OLD, OTHER, None, "another file there"), (OLD, OTHER, SAME, "another file there"),
    ],
)  # fmt: skip
def test_where_somebody_else_has_changed_the_draft_the_plan_says_what(
    base: Remote, theirs: Remote, ours: Local, what: str
) -> None:
    plan = plan_of(base, theirs, ours)
    assert (plan.steps, plan.behind) == ((), (("p", what),))


def test_what_is_gone_here_stays_in_the_archive_without_sync() -> None:
    assert plan_of(OLD, OLD, None).steps == (UploadStep(Action.KEPT, "p", 3, "x", "id"),)


def test_what_is_not_selected_is_not_touched() -> None:
    files = dict.fromkeys(("a", "b"), NEW)
    plan = make_upload_plan({}, {}, files, selected=lambda path: path == "b")
    assert [step.path for step in plan.steps] == ["b"]


def test_a_rename_names_both_paths_and_the_asset_and_prefers_the_same_name() -> None:
    draft = {"a/a/m": OLD, "a/b/n": RemoteFile("id n", 3, "x")}
    plan = make_upload_plan(draft, draft, {"q/n": SAME})
    assert plan.of(Action.RENAME) == [UploadStep(Action.RENAME, "q/n", 3, "x", "id n", "a/b/n")]
    assert plan.of(Action.KEPT) == [UploadStep(Action.KEPT, "a/a/m", 3, "x", "id")]


def test_what_would_be_file_and_folder_at_once_is_refused_as_if_it_had_never_been_a_rename() -> None:
    draft = {"a": OLD, "b": OTHER}
    plan = make_upload_plan(draft, draft, {"a": SAME, "a/c": LocalFile(4, "y")}, sync=True)
    (step,) = plan.of(Action.REFUSED)
    assert (step.path, step.asset_id, step.old, step.size) == ("a/c", "", "", 4)
    assert step.reason == "a file of the same name stands where its folder would be"
    assert plan.of(Action.KEPT) == [UploadStep(Action.KEPT, "b", 4, "y", "id 2")] and plan.changes == []


def test_a_file_that_was_moved_to_where_it_cannot_go_stays_at_its_old_place_in_the_archive() -> None:
    draft = {"a": OLD, "b": OTHER}
    plan = make_upload_plan(draft, draft, {"a/c": LocalFile(4, "y")})  # without sync the archive keeps a
    assert {step.path: step.do for step in plan.steps} == {
        "a": Action.KEPT, "a/c": Action.REFUSED, "b": Action.KEPT,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "do"),
    [
        (LocalFile(0, "y"), Action.LEFT),  # refused as empty, but nobody asked for it
        (LocalFile(7, "y", "no"), Action.REFUSED),
        (LocalFile(7, "y"), Action.LEFT),
        (LocalFile(0, "x"), Action.REFUSED),  # it was moved here from another path
    ],
)
def test_what_is_new_and_unasked_is_left_out_unless_a_person_must_know_why_it_cannot_go(
    ours: LocalFile, do: Action
) -> None:
    plan = make_upload_plan({"gone": OLD}, {"gone": OLD}, {"p": ours}, unasked=lambda path: "nobody asked", sync=True)
    found = {step.path: step for step in plan.steps}["p"]
    assert found.do is do
    assert (found.reason == "nobody asked") == (do is Action.LEFT)


def test_a_plan_takes_further_refusals_in_the_order_of_paths() -> None:
    plan = make_upload_plan({}, {}, {"b": NEW})
    more = plan.with_refused([UploadStep(Action.REFUSED, path, reason="no") for path in ("c", "a")])
    assert [step.path for step in more.steps] == ["a", "b", "c"]
    assert (more.held, more.behind) == (plan.held, plan.behind)


@pytest.mark.parametrize(("count", "more"), [(1, ""), (5, ""), (6, " and 1 more")])
def test_a_message_names_five_paths_and_counts_the_others(count: int, more: str) -> None:
    paths = [f"p{number}" for number in range(count)]
    draft, shown = dict.fromkeys(paths, OLD), paths[:5]
    moved = make_upload_plan({}, draft, {})
    with pytest.raises(PartError) as behind:
        moved.check_is_current("type this")
    there = ", ".join(f"{path} (new there)" for path in shown)
    assert str(behind.value) == (
        f"the archive has moved on since the last sync: {there}{more}; nothing was sent; type this"
    )
    ends = f"files of the archive's draft would be deleted: {', '.join(shown)}{more}; nothing was sent; "
    for held, how_many in ((draft, f"all {count}"), (draft | {"z": OLD}, f"{count} of {count + 1}")):
        plan = make_upload_plan(held, held, {"z": SAME} if "z" in held else {}, sync=True)
        if count == 1 and "z" in held:
            plan.check_deletes()  # half of the draft
            continue
        with pytest.raises(UnsafePlan) as error:
            plan.check_deletes()
        assert str(error.value) == f"{how_many} {ends}if you mean it, run this again with --allow-deletes"


def test_only_the_deletions_that_make_room_come_first() -> None:
    draft = {"a": OLD, "c": RemoteFile("id c", 1, "z")}
    plan = make_upload_plan(draft, draft, {"a/x": NEW}, sync=True)
    assert [[step.path for step in group] for group in in_order(plan)] == [["a"], [], ["a/x"], ["c"]]
