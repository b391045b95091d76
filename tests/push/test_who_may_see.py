"""Who may see what is pushed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive
from dandi_mirror.model import ListedDandiset
from tests.conftest import run
from tests.support.published import seed
from tests.support.pushing import Published, codes, refuse_to_answer


@pytest.mark.quick
def test_an_embargoed_dandiset_goes_to_a_private_sibling_only(two: Published) -> None:
    two.dandisets["000123"].set_embargo("EMBARGOED")
    reports = two.push()
    assert codes(reports) == {"000027": 0, "000123": 3, "": 0}
    assert "it is not open (" in reports["000123"].message
    assert not (two.target / "000123").exists(), "not even its name"
    assert two.there("") == {}, "nor in the superdataset"
    two.mirror.server.requests.clear()
    assert set(codes(two.push(private=True)).values()) == {0}
    assert [request.path for request in two.mirror.server.requests] == ["/api/info/"], "nobody asked for a list entry"
    assert two.there("000123") == two.here("000123")


def test_a_sibling_that_is_private_no_more_is_asked_about_anew(two: Published) -> None:
    two.push(private=True)
    two.dandisets["000123"].set_embargo("EMBARGOED")
    run("git", "-C", str(two.target / "000123"), "update-ref", "-d", "refs/heads/draft")
    assert two.push()["000123"].exit_code == 3
    assert "refs/heads/draft" not in two.there("000123")


@pytest.mark.parametrize("status", ["EMBARGOED", "UNEMBARGOING", "open", ""])
def test_the_archives_word_right_before_the_push_counts(two: Published, status: str) -> None:
    two.push()
    two.change("000123")
    before, asked = two.there("000123"), []

    def ask(dandiset: str) -> ListedDandiset:
        asked.append(dandiset)
        with closing(Session(two.mirror.server.api_url)) as session:
            entry = ArchiveClient(session).dandiset(dandiset)
        return ListedDandiset(entry.identifier, status, entry.draft, entry.published)

    assert two.push(ask=ask)["000123"].exit_code == 3
    assert asked == ["000123"]
    assert two.there("000123") == before


def test_a_dandiset_that_closes_while_its_repository_is_made_is_not_pushed(two: Published) -> None:
    answers = iter(["OPEN", "EMBARGOED"])

    def ask(dandiset: str) -> ListedDandiset:
        with closing(Session(two.mirror.server.api_url)) as session:
            entry = ArchiveClient(session).dandiset(dandiset)
        return ListedDandiset(entry.identifier, next(answers), entry.draft, entry.published)

    assert two.push("000123", ask=ask)["000123"].exit_code == 3
    assert two.there("000123") == {}


def test_without_the_archives_word_nothing_goes_and_the_exit_code_is_5(two: Published) -> None:
    reports = two.push(ask=refuse_to_answer)
    assert (reports["000123"].exit_code, reports["000027"].exit_code) == (5, 5)
    assert not two.target.exists()
    assert two.push(ask=refuse_to_answer, private=True)["000123"].status == "ok", "to a private one it goes"


def test_the_command_line_ends_with_5_when_the_archive_does_not_speak_its_language(two: Published) -> None:
    two.mirror.server.intercept = lambda request: Response("<html>we are back soon</html>")
    done = two.cli("000123", code=5)
    assert done.stderr.startswith("000123  backup  ")
    assert not two.target.exists()


def test_the_word_of_another_archive_does_not_count(two: Published, tmp_path: Path) -> None:
    from dandi_mirror.embedded import serve

    other = Archive(instance_name="OTHER", doi_prefix="10.48324")
    seed(other, "000123")
    two.configure()
    with serve(other) as served:
        done = run("dandi-mirror", "push", "-d", str(two.mirror.path), "-i", served.api_url, code=None)
        assert done.returncode == 2
        assert f"{two.mirror.path} is a mirror of {two.mirror.server.api_url}" in done.stderr
        assert not two.target.exists()
