"""Assets are added, replaced, renamed and removed, each once, in an order in which nothing is in the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.responses import Response

from dandi_mirror.archive.api.dandiset_changes import (
    asset_at,
    create_dandiset,
    delete_dandiset,
    publish,
    unembargo,
)
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.embedded import Archive, Dandiset, Server
from dandi_mirror.embedded.serving.app import Request
from dandi_mirror.errors import CredentialsError
from dandi_mirror.upload.change.register import AssetChange, AssetRemoval, Registered, Unregistered, register_assets
from tests.support.sending import DANDISET, Desk, asked

METADATA = {"schemaKey": "Asset", "schemaVersion": "0.7.0", "encodingFormat": "text/plain"}


class Draft:
    """A draft with some files, by letters: a path and the letter of its content."""

    def __init__(self, desk: Desk, archive: Archive, **files: str) -> None:
        self.desk = desk
        self.archive = archive
        self.blobs: dict[str, str] = {}
        list(self.change(*(self.add(path.replace("__", "/"), content) for path, content in files.items())))

    def blob(self, content: str) -> str:
        if content not in self.blobs:
            self.blobs[content] = self.archive.add_blob(content.encode()).blob_id
        return self.blobs[content]

    def id(self, path: str) -> str:
        found = asset_at(self.desk.session, DANDISET, path)
        assert found is not None
        return found.asset_id

    def add(self, path: str, content: str, instead_of: str = "") -> AssetChange:
        return AssetChange({"path": path} | METADATA, self.blob(content), self.id(instead_of) if instead_of else "")

    def remove(self, path: str) -> AssetRemoval:
        return AssetRemoval(self.id(path), path)

    def change(self, *changes: AssetChange | AssetRemoval) -> dict[str, Registered | Unregistered]:
        return {done.change.path: done for done in register_assets(self.desk.session, DANDISET, changes)}

    def made(self, *changes: AssetChange | AssetRemoval) -> dict[str, str]:
        """Path and content of all that the draft then has; every change was made."""
        done = self.change(*changes)
        assert all(isinstance(outcome, Registered) for outcome in done.values()), done
        return self.content

    @property
    def content(self) -> dict[str, str]:
        letters = {blob: letter for letter, blob in self.blobs.items()}
        draft = self.archive.dandisets[DANDISET].draft
        found = [(asset.path, letters[getattr(asset.source, "blob_id", "")]) for asset in draft]
        assert len(dict(found)) == len(found), "no path twice"
        return dict(sorted(found))


def test_assets_are_added_replaced_renamed_and_removed(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, a="A", b="B", c="C")
    made = draft.made(
        draft.add("d", "D"), draft.add("a", "E", "a"), draft.add("e/b", "B", "b"), draft.remove("c"),
    )  # fmt: skip
    assert made == {"a": "E", "d": "D", "e/b": "B"}


def test_the_id_of_what_is_there_is_told(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, a="A")
    done = draft.change(draft.add("b", "A", "a"), draft.add("c", "C"))
    assert all(isinstance(done[path], Registered) and done[path].asset_id == draft.id(path) for path in "bc")  # type: ignore[union-attr]


def test_two_files_swap_their_contents(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, a="A", b="B")
    assert draft.made(draft.add("a", "B", "a"), draft.add("b", "A", "b")) == {"a": "B", "b": "A"}


def test_renames_in_a_row_are_made_from_the_last_to_the_first(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, **{f"n{place}": "ABCDE"[place] for place in range(5)})
    made = draft.made(*(draft.add(f"n{place + 1}", "ABCDE"[place], f"n{place}") for place in range(5)))
    assert made == {f"n{place + 1}": "ABCDE"[place] for place in range(5)}


@pytest.mark.parametrize(
    ("before", "add", "remove"),
    [({"a": "A"}, ("a/x", "B"), "a"), ({"a__x": "A"}, ("a", "B"), "a/x")],
    ids=["a file becomes a folder", "a folder becomes a file"],
)
def test_a_file_where_a_folder_was_comes_after_it(
    desk: Desk, archive: Archive, before: dict[str, str], add: tuple[str, str], remove: str
) -> None:
    draft = Draft(desk, archive, **before)
    assert draft.made(draft.add(*add), draft.remove(remove)) == dict([add])


def test_what_stays_in_the_way_is_said(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, a="A")
    done = draft.change(draft.add("a", "B"), draft.add("a/b", "B"), draft.add("c", "C"))
    for path in ("a", "a/b"):
        outcome = done[path]
        assert isinstance(outcome, Unregistered) and "409" in str(outcome.error) and outcome.error.exit_code == 3
    assert draft.content == {"a": "A", "c": "C"}


def test_what_the_archive_refuses_is_said_and_the_others_are_made(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive)
    done = draft.change(draft.add("a:b", "A"), draft.add("c", "C"))
    assert isinstance(done["a:b"], Unregistered)
    assert draft.content == {"c": "C"}


def test_to_make_a_change_again_is_no_harm(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, a="A", b="B", c="C")
    changes: list[AssetChange | AssetRemoval] = [
        draft.add("d", "D"),
        draft.add("a", "E", "a"),
        draft.add("f", "B", "b"),
        draft.remove("c"),
    ]
    once = draft.made(*changes)
    assert draft.made(*changes) == once == {"a": "E", "d": "D", "f": "B"}


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(desk: Desk, archive: Archive) -> None:
    draft = Draft(desk, archive, a="A")
    mine = draft.add("a", "B", "a")
    draft.made(draft.add("a", "C", "a"))
    outcome = draft.change(mine)["a"]
    assert isinstance(outcome, Unregistered) and "changed in the archive meanwhile" in str(outcome.error)
    assert draft.content == {"a": "C"}


def test_who_may_not_change_it_is_told_once(desk: Desk, server: Server, archive: Archive, dandiset: Dandiset) -> None:
    draft = Draft(desk, archive)
    changes = [draft.add(f"a{number}", "A") for number in range(50)]
    dandiset.owners = ["somebody@nil.nil"]
    with pytest.raises(CredentialsError, match="you do not have permission to change it"):
        list(register_assets(desk.session, DANDISET, changes, jobs=2))
    assert asked(server).count(f"POST /dandisets/{DANDISET}/versions/draft/assets/") < 10


def lose(server: Server, archive: Archive, lost: Callable[[Request], bool]) -> list[str]:
    """Answer the first request of a kind with 502, though it is done; what was so lost."""
    struck: list[str] = []

    def rewrite(request: Request, found: Response) -> Response:
        if not struck and lost(request):
            struck.append(request.path)
            return Response(b"<h1>502</h1>", 502)
        return found

    server.rewrite = rewrite
    return struck


def test_a_dandiset_whose_answer_is_lost_is_created_once(desk: Desk, server: Server, archive: Archive) -> None:
    create_dandiset(desk.session, "Mine", {"description": "the one before"})
    struck = lose(server, archive, lambda request: request.method == "POST" and request.path == "/api/dandisets/")
    entry = create_dandiset(desk.session, "Mine", {"description": "a test"})
    assert struck and entry.draft.name == "Mine"
    assert len(archive.dandisets) == 3 and max(archive.dandisets) == entry.identifier


def test_a_dandiset_is_created_under_embargo_opened_and_deleted(desk: Desk, archive: Archive) -> None:
    entry = create_dandiset(desk.session, "Closed", {"description": "a test"}, {"embargo": "true"})
    assert entry.embargo_status == "EMBARGOED"
    unembargo(desk.session, entry.identifier)
    archive.jobs.settle()
    assert archive.dandisets[entry.identifier].is_open
    delete_dandiset(desk.session, entry.identifier)
    assert entry.identifier not in archive.dandisets
    delete_dandiset(desk.session, entry.identifier)


def test_publishing_is_asked_for_once_or_refused_with_words(desk: Desk, server: Server, archive: Archive) -> None:
    with pytest.raises(RequestRefused) as refusal:
        publish(desk.session, DANDISET)
    assert refusal.value.status in {400, 409} and refusal.value.said[0].isupper()
    Draft(desk, archive, a="A")
    archive.jobs.settle()
    dandiset = archive.dandisets[DANDISET]
    struck = lose(server, archive, lambda request: request.path.endswith("/publish/"))
    publish(desk.session, DANDISET)
    archive.jobs.settle()
    assert struck and len(dandiset.versions) == 2
