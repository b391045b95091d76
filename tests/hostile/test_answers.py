"""Whole answers that are bad: the dataset stays as it was, the exit code says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.retrying_client import LARGEST_ANSWER
from dandi_mirror.embedded import Archive, Server, serve
from dandi_mirror.errors import MirrorError
from dandi_mirror.model import Report
from tests.conftest import IMPATIENT, MirrorOfTest, own_home
from tests.support.bad_answers import (
    ASSETS,
    CASES,
    VERSIONS,
    Answer,
    _moments,
    bomb,
    long_listing,
    plain,
    version,
    versions,
)
from tests.support.serving import (
    good_entry,
    good_paths,
    json_response,
    served,
)


@dataclass
class Place:
    """A mirror that holds twenty good assets, and the server it is from."""

    mirror: MirrorOfTest
    server: Server
    refs: dict[str, str]

    def sync(self, path: str, answer: Answer, patience: RetryPolicy = IMPATIENT) -> Report | MirrorError:
        """A sync in which one path answers badly; the archive says that something has changed."""
        answers = served(self.server, [good_entry(name) for name in good_paths()])
        answers.modified = f"2024-03-01T00:00:00.{next(_moments):06d}Z"
        answers.special[path] = lambda request: answer(answers, request)
        try:
            return self.mirror.sync(patience=patience)
        except MirrorError as error:
            # the instance itself could not be asked: the command line reports it
            return error


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("answers")
    with pytest.MonkeyPatch.context() as patch, serve(Archive(instance_name="DANDI")) as server:
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        mirror = MirrorOfTest(folder / "mirror", server)
        served(server, [good_entry(path) for path in good_paths()])
        assert mirror.sync().exit_code == 0
        yield Place(mirror, server, mirror.refs())


PATIENCE = RetryPolicy(attempts=2, backoff=0.001, connect_timeout=5, read_timeout=5, total_timeout=20)


@pytest.mark.parametrize(("name", "path", "answer", "code"), CASES, ids=[f"{n} {c[0]}" for n, c in enumerate(CASES)])
def test_a_bad_answer_leaves_the_dataset_as_it_was_and_says_what_to_do(
    place: Place, name: str, path: str, answer: Answer, code: int
) -> None:
    outcome = place.sync(path, answer, PATIENCE)
    message = outcome.message if isinstance(outcome, Report) else str(outcome)
    assert outcome.exit_code == code, message
    assert message and message.isascii() and message.isprintable(), message
    assert len(message) < 600
    assert place.mirror.refs() == place.refs


def test_after_all_of_these_the_next_good_answer_is_taken(mirror: MirrorOfTest, server: Server) -> None:
    answers = served(server, [good_entry(path) for path in good_paths()])
    for number, (_, path, answer, _) in enumerate(CASES[::9]):
        answers.modified = f"2024-03-02T00:00:00.{number:06d}Z"
        answers.special = {path: lambda request, answer=answer: answer(answers, request)}  # type: ignore[misc]
        try:
            mirror.sync(patience=PATIENCE)
        except MirrorError:
            continue
    answers.special = {}
    assert mirror.sync().exit_code == 0
    assert sorted(mirror.asset_paths()) == sorted(good_paths())


def test_a_name_with_half_a_surrogate_pair_or_control_characters_stops_nothing(
    mirror: MirrorOfTest, server: Server
) -> None:
    answers = served(server, [good_entry(path) for path in good_paths()])
    answers.name = "a\ud800b\x00c\nMirror-Format: 9\x1b[2J\r"
    assert mirror.sync().exit_code == 0
    for repository in (mirror.path, mirror.path / "000123"):
        message = mirror.git("-C", str(repository), "log", "-1", "--format=%B")
        assert all(letter == "\n" or letter.isprintable() for letter in message)
        assert mirror.git("-C", str(repository), "fsck", "--strict", "--no-dangling", "--no-progress") == ""


@pytest.mark.parametrize(
    "name",
    [
        "HEAD",
        "../x",
        "0.240101.0000\n",
        "v1",
        "0.\u0662\u0664\u0660\u0661\u0660\u0661.0000",
        "",
        None,
        5,
        "\ud800",
    ],
)
def test_a_version_with_a_strange_name_is_named_and_never_a_tag(
    mirror: MirrorOfTest, server: Server, name: Any
) -> None:
    answers = served(server, [good_entry(path) for path in good_paths()])
    answers.special[VERSIONS] = lambda request: versions(version(name))(answers, request)
    report = mirror.sync()
    assert (report.exit_code, report.tags) == (3, [])
    assert [finding.kind for finding in report.findings] == ["refused"]
    assert report.findings[0].reason.isprintable()
    assert not [ref for ref in mirror.refs() if "tags" in ref]
    assert sorted(mirror.asset_paths()) == sorted(good_paths())


def test_one_dandiset_of_a_list_that_cannot_be_read_does_not_hide_the_others(
    mirror: MirrorOfTest, server: Server
) -> None:
    answers = served(server, [good_entry(path) for path in good_paths()])
    bad = answers.dandiset() | {
        "identifier": "000124",
        "draft_version": {"version": "draft", "asset_count": -1},
    }
    page = {"count": 2, "next": None, "previous": None, "results": [answers.dandiset(), bad]}
    answers.special["/api/dandisets/"] = lambda request: json_response(json.dumps(page).encode())
    answers.special["/api/dandisets/000124/"] = lambda request: json_response(json.dumps(bad).encode())
    done = mirror.cli("sync", "--all", code=5)
    assert "000123" in done.stdout and "000124" in done.stderr
    assert sorted(mirror.asset_paths()) == sorted(good_paths())


def test_an_endless_listing_ends_after_the_pages_that_its_count_needs(place: Place) -> None:
    place.server.requests.clear()
    place.sync(ASSETS, long_listing, PATIENCE)
    assert 0 < len([request for request in place.server.requests if request.path == ASSETS]) <= 3 * 6


def test_a_bomb_is_not_unpacked_whole(place: Place) -> None:
    packed = bomb(300_000_000)
    assert len(packed) < 400_000
    outcome = place.sync(ASSETS, plain(packed, content_encoding="gzip"), PATIENCE)
    assert isinstance(outcome, Report) and str(LARGEST_ANSWER) in outcome.message


def test_an_answer_in_utf_16_is_read_or_refused_but_never_misread(mirror: MirrorOfTest, server: Server) -> None:
    answers = served(server, [good_entry(path) for path in good_paths()])
    answers.special[ASSETS] = lambda request: Response(answers.page(request).decode().encode("utf-16"))
    report = mirror.sync()
    assert report.exit_code in {0, 5}
    assert sorted(mirror.asset_paths()) == (sorted(good_paths()) if report.exit_code == 0 else [])
