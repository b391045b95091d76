"""What the owner does at the archive, with a stale draft, without the right, killed, and beside a second owner."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest, run
from tests.support.killing import killed
from tests.support.uploading import mine, token
from tests.support.waiting import wait_until

__all__ = ["mine", "token"]

OTHER = "f" * 40
TITLE = "A test"
CHANGES = {
    "edit": ["edit", "000123", "--set", "description=Ours", "--yes"],
    "owners": ["owners", "000123", "--add", "other@example.org"],
    "unembargo": ["unembargo", "000123", "--yes"],
    "delete": ["delete", "000123", "--name", TITLE],
}
METHODS = {"edit": "PUT", "owners": "PUT", "unembargo": "POST", "delete": "DELETE"}
ALL = pytest.mark.parametrize("command", CHANGES)


def state(archive: Archive) -> tuple[object, ...]:
    """What the archive has of the Dandiset."""
    if not (found := archive.dandisets.get("000123")):
        return ("deleted",)
    return found.draft.metadata.get("description"), tuple(found.owners), found.embargo_status


@pytest.fixture
def env(mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str]) -> dict[str, str]:
    """The owner's API key; the mirror has the Dandiset."""
    mirror.sync()
    mirror.server.requests.clear()
    return token


def sent(mirror: MirrorOfTest) -> list[str]:
    return [request.method for request in mirror.server.requests if request.method not in {"GET", "HEAD"}]


# --- the right ------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("key", [OTHER, "9" * 40], ids=["somebody else's", "no key of anybody"])
def test_without_the_right_nothing_changes(
    archive: Archive, mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], command: str, key: str
) -> None:
    if command == "unembargo":
        mine.set_embargo("EMBARGOED")
    before = state(archive)
    done = mirror.cli(*CHANGES[command], env=dict.fromkeys(env, key), code=4)
    assert "403" in done.stderr or "401" in done.stderr
    assert state(archive) == before


@ALL
def test_without_a_key_nothing_is_asked(mirror: MirrorOfTest, env: dict[str, str], command: str) -> None:
    done = mirror.cli(*CHANGES[command], env={}, code=4)
    assert "dandi-mirror login" in done.stderr and sent(mirror) == []


# --- kills ----------------------------------------------------------------------------------------------------


def typed(mirror: MirrorOfTest, env: dict[str, str], command: str) -> subprocess.CompletedProcess[str]:
    """Run a command, which may end as it wants."""
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url]
    return run("dandi-mirror", *CHANGES[command], *where, env=env, code=None)


@ALL
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_killed_run_has_done_it_or_not_and_a_second_run_completes_it(
    archive: Archive, mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], command: str, before: bool
) -> None:
    if command == "unembargo":
        mine.set_embargo("EMBARGOED")
    was = state(archive)
    killed(mirror, env, CHANGES[command], lambda request: request.method == METHODS[command], before=before)
    if before:
        assert state(archive) == was
    else:
        wait_until(lambda: state(archive) != was)
    again = typed(mirror, env, command)
    archive.jobs.settle()
    wanted = {
        "edit": ("Ours", ("me@example.org",), "OPEN"),
        "owners": (was[0], ("me@example.org", "other@example.org"), "OPEN"),
        "unembargo": (was[0], ("me@example.org",), "OPEN"),
        "delete": ("deleted",),
    }
    assert state(archive) == wanted[command], again
    assert (mirror.path / "000123" / "dandiset.yaml").exists()


# --- others at work -------------------------------------------------------------------------------------------


def test_a_file_that_would_take_back_what_others_changed_since_the_last_sync_is_not_sent(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], tmp_path: Path
) -> None:
    stale = tmp_path / "dandiset.yaml"
    stale.write_text(mirror.git("show", "draft:dandiset.yaml").replace(TITLE, "Ours"))
    mine.set_metadata({**mine.draft.given, "keywords": ["theirs"]})
    edit = ["edit", "000123", "--from", str(stale), "--yes"]
    said = mirror.cli(*edit, env=env, code=3).stderr
    assert "what somebody else changed since the last sync (keywords)" in said
    assert "dandi-mirror sync 000123" in said and sent(mirror) == []
    mirror.sync()
    stale.write_text(mirror.git("show", "draft:dandiset.yaml").replace(TITLE, "Ours"))
    mirror.cli(*edit, env=env)
    record = mine.draft.metadata
    assert (record["name"], record["keywords"]) == ("Ours", ["theirs"])


def test_a_field_is_set_also_when_others_have_changed_another_one_since_the_last_sync(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mine.set_metadata({**mine.draft.given, "keywords": ["theirs"]})
    mirror.cli(*CHANGES["edit"], env=env)
    assert (mine.draft.metadata["description"], mine.draft.metadata["keywords"]) == ("Ours", ["theirs"])


def test_owners_that_another_owner_changes_meanwhile_are_not_overwritten(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    archive.add_user("third@example.org", "3" * 40)
    looks: list[Request] = []

    def meanwhile(request: Request) -> None:
        if request.path.endswith("/users/") and request.method == "GET":
            looks.append(request)
            if len(looks) == 2:
                mine.owners.append("third@example.org")

    mirror.server.intercept = meanwhile
    said = mirror.cli(*CHANGES["owners"], env=env, code=3).stderr
    assert "somebody else changed the owners of 000123 meanwhile; nothing was sent" in said
    assert mine.owners == ["me@example.org", "third@example.org"] and sent(mirror) == []
    mirror.server.intercept = None
    mirror.cli(*CHANGES["owners"], env=env)
    assert mine.owners == ["me@example.org", "third@example.org", "other@example.org"]


def test_a_dandiset_that_another_owner_publishes_meanwhile_is_not_deleted(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    def meanwhile(request: Request) -> None:
        if request.method == "DELETE" and not mine.published:
            mine.publish(unchecked=True)

    mirror.server.intercept = meanwhile
    done = typed(mirror, env, "delete")
    assert done.returncode in {3, 4} and "Cannot delete dandisets with published versions" in done.stderr
    assert "000123" in archive.dandisets and done.stdout == ""


def test_a_dandiset_that_another_owner_renames_meanwhile_is_not_deleted(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mine.set_metadata({**mine.draft.given, "name": "Another"})
    assert "its title is another ('Another')" in mirror.cli(*CHANGES["delete"], env=env, code=3).stderr
    assert "000123" in archive.dandisets and sent(mirror) == []


def test_an_embargo_that_another_owner_lifts_meanwhile_is_lifted(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mine.set_embargo("EMBARGOED")

    def meanwhile(request: Request) -> None:
        if request.method == "POST":
            mine.set_embargo("OPEN")

    mirror.server.intercept = meanwhile
    done = typed(mirror, env, "unembargo")
    assert mine.embargo_status == "OPEN"
    assert done.returncode == 0 and "is open to everybody" in done.stdout, done
