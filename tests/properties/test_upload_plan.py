"""An upload's plan: carried out, the archive has what is here, and nothing else of it has changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.errors import PartError, UnsafePlan
from dandi_mirror.model import RemoteFile
from dandi_mirror.paths import conflicts
from dandi_mirror.upload.change.plan import Action, LocalFile, UploadPlan, in_order, make_upload_plan
from dandi_mirror.upload.kinds import refuse_upload
from tests.support.values import PATHS, QUICK

pytestmark = pytest.mark.quick

PLACES = ("a", "a/b", "a/b/c", "d/e", "d/f", "x", "y", "z/z")
BYTES = st.integers(0, 3)
FILES = st.dictionaries(st.sampled_from(PLACES), BYTES, max_size=6).filter(lambda files: not conflicts(files))

Files = dict[str, int]


def there(files: Files) -> dict[str, RemoteFile]:
    return {path: RemoteFile(f"id of {path}", 1 + content, f"sha {content}") for path, content in files.items()}


def here(files: Files) -> dict[str, LocalFile]:
    return {path: LocalFile(1 + content, f"sha {content}") for path, content in files.items()}


def carried_out(plan: UploadPlan, theirs: Files) -> Files:
    """The archive after the plan, which takes no step that the server would not take at that point."""
    files = dict(theirs)
    for group in in_order(plan):
        for step in group:
            assert step.path in files or step.do in {Action.ADD, Action.RENAME}
            if step.do is Action.DELETE:
                del files[step.path]
                continue
            assert step.do is Action.REPLACE or step.path not in files
            if step.do is Action.RENAME:
                assert f"sha {files.pop(step.old)}" == step.digest
            files[step.path] = int(step.digest.removeprefix("sha "))
            assert not conflicts(files)
    return files


@given(FILES, FILES)
@QUICK
def test_with_sync_the_archive_has_what_is_here(base: Files, ours: Files) -> None:
    plan = make_upload_plan(there(base), there(base), here(ours), sync=True)
    assert carried_out(plan, base) == ours
    assert plan.behind == ()
    assert plan.unchanged == sum(ours.get(path) == content for path, content in base.items())


@given(FILES, FILES)
@QUICK
def test_without_sync_no_content_is_lost_that_is_nowhere_here(base: Files, ours: Files) -> None:
    plan = make_upload_plan(there(base), there(base), here(ours))
    after = carried_out(plan, base)
    refused = {step.path for step in plan.of(Action.REFUSED)}
    assert {path: content for path, content in ours.items() if path not in refused}.items() <= after.items()
    assert set(base.values()) - set(ours.values()) <= set(after.values()) | {
        content for path, content in base.items() if path in ours
    }
    for path in refused:
        assert path in conflicts({*base, *ours})


@given(FILES, FILES, FILES)
@QUICK
def test_nothing_that_somebody_else_did_is_undone(base: Files, theirs: Files, ours: Files) -> None:
    plan = make_upload_plan(there(base), there(theirs), here(ours), sync=True)
    both = {path for path in {*base, *theirs} if base.get(path) != theirs.get(path)}
    assert {path for path, _ in plan.behind} == {path for path in both if theirs.get(path) != ours.get(path)}
    touched = {path for step in plan.changes for path in (step.path, step.old)}
    assert not touched & both
    if plan.behind:
        with pytest.raises(PartError, match="type this"):
            plan.check_is_current("type this")


@given(FILES, FILES)
@QUICK
def test_what_is_cut_off_anywhere_is_taken_up_again(base: Files, ours: Files) -> None:
    plan = make_upload_plan(there(base), there(base), here(ours), sync=True)
    steps = [step for group in in_order(plan) for step in group]
    for end in range(len(steps) + 1):
        files = dict(base)
        for step in steps[:end]:
            if step.do in {Action.DELETE, Action.RENAME}:
                del files[step.old or step.path]
            if step.do is not Action.DELETE:
                files[step.path] = int(step.digest.removeprefix("sha "))
        again = make_upload_plan(there(base), there(files), here(ours), sync=True)
        assert again.behind == ()
        assert carried_out(again, files) == ours


@given(FILES, FILES)
@QUICK
def test_the_same_bytes_at_another_path_are_a_rename_where_one_went(base: Files, ours: Files) -> None:
    plan = make_upload_plan(there(base), there(base), here(ours), sync=True)
    gone = {path for path in base if path not in ours}
    new = {path for path in ours if path not in base}
    for step in plan.of(Action.RENAME):
        assert step.old in gone
        assert step.path in new
    if not conflicts({*base, *ours}):
        left = {base[step.path] for step in plan.of(Action.DELETE)}
        assert not left & {ours[step.path] for step in plan.of(Action.ADD)}


@given(st.text(max_size=20) | PATHS)
@QUICK
def test_what_is_refused_has_a_reason_and_what_is_not_is_taken_by_both_sides(path: str) -> None:
    from dandi_mirror.embedded.rules.names import check_path
    from dandi_mirror.embedded.rules.refusals import Refused
    from dandi_mirror.paths import refuse_path

    reason = refuse_upload(path)
    try:
        check_path(path)
        taken = refuse_path(path) is None
    except Refused:
        taken = False
    assert taken == (not reason)
    assert reason is None or reason.isprintable()


def test_much_is_not_deleted_unasked() -> None:
    base = {f"f{number}": number for number in range(45)}
    plan = make_upload_plan(there(base), there(base), here({path: base[path] for path in list(base)[:22]}), sync=True)
    with pytest.raises(UnsafePlan, match="23 of 45"):
        plan.check_deletes()
    make_upload_plan(
        there(base), there(base), here({path: base[path] for path in list(base)[:23]}), sync=True
    ).check_deletes()


@given(FILES, FILES)
@QUICK
def test_more_than_half_of_a_draft_is_never_deleted_unasked_however_small_it_is(base: Files, ours: Files) -> None:
    plan = make_upload_plan(there(base), there(base), here(ours), sync=True)
    if 2 * len(plan.of(Action.DELETE)) <= len(base):
        plan.check_deletes()
        return
    with pytest.raises(UnsafePlan, match="--allow-deletes") as refused:
        plan.check_deletes()
    assert plan.of(Action.DELETE)[0].path in str(refused.value)


def rename_of(base: Files, ours: Files) -> dict[str, str]:
    plan = make_upload_plan(there(base), there(base), here(ours), sync=True)
    return {step.old: step.path for step in plan.of(Action.RENAME)}


def test_of_files_with_the_same_bytes_the_one_that_keeps_its_name_is_renamed() -> None:
    base = {"a/one.nwb": 1, "a/two.nwb": 1, "a/z.nwb": 1}
    assert rename_of(base, {"b/two.nwb": 1}) == {"a/two.nwb": "b/two.nwb"}
    assert rename_of(base, {"b/z.nwb": 1, "b/two.nwb": 1}) == {"a/two.nwb": "b/two.nwb", "a/z.nwb": "b/z.nwb"}


def test_no_rename_goes_where_the_archive_has_a_folder_or_a_file_in_the_way() -> None:
    # a becomes a folder, and b/c a file where the archive has two files below
    assert rename_of({"a": 1, "x": 2}, {"a/new": 2, "a/own": 1}) == {"a": "a/own"}
    assert rename_of({"x": 1, "b/c/d": 2, "b/c/e": 3}, {"b/c": 1}) == {}
    assert rename_of({"x": 1, "b/c/e": 3}, {"b/c": 1}) == {}
    # it moves out of the folder that becomes a file, and nothing else is there
    assert rename_of({"b/c/d": 1}, {"b/c": 1}) == {"b/c/d": "b/c"}
    assert rename_of({"b/c/d": 1, "b/c/e": 3}, {"b/c": 1}) == {}


def left_out(path: str) -> str:
    return "nobody asked for it" if path.endswith(".txt") else ""


def test_what_is_new_and_not_asked_for_is_left_out_and_what_is_known_is_not() -> None:
    base = {"known.txt": 1, "old.txt": 2}
    ours = {"known.txt": 3, "moved.txt": 2, "new.txt": 4, "new.nwb": 5}
    plan = make_upload_plan(there(base), there(base), here(ours), unasked=left_out)
    assert {step.path: step.do for step in plan.steps} == {
        "known.txt": Action.REPLACE, "moved.txt": Action.RENAME, "new.txt": Action.LEFT, "new.nwb": Action.ADD,
    }  # fmt: skip
    assert all(step.reason for step in plan.of(Action.LEFT))


def test_what_cannot_go_up_at_its_new_path_is_not_deleted_at_its_old_one() -> None:
    base = {"a": 1, "b": 2, "c": 3}
    # a has another name now, which the archive does not take; c is gone for good
    ours = {"\u00e9": 1, "b": 4}
    plan = make_upload_plan(there(base), there(base), here(ours), sync=True)
    assert {step.path: step.do for step in plan.steps} == {
        "a": Action.KEPT, "b": Action.REPLACE, "c": Action.DELETE, "\u00e9": Action.REFUSED
    }  # fmt: skip
