"""``create`` that is killed: the archive has one Dandiset or none, and what `create` says next completes it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable

import pytest

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.killing import killed
from tests.support.waiting import wait_until

TYPED = ["create", "--name", "Units of mouse 7", "--license", "CC-BY-4.0"]
FUNDER = ["--funder", "National Institutes of Health", "--award", "1 R01 CA 123456-01A1"]
OPEN, EMBARGOED = [*TYPED], [*TYPED, "--embargo", *FUNDER]


@pytest.fixture
def env(archive: Archive, mirror: MirrorOfTest) -> dict[str, str]:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    return {token_variable(mirror.server.api_url): TOKEN}


def gets(moment: str) -> Callable[[Request], bool]:
    """Whether a request has this method, or its path this end."""
    return lambda request: request.method == moment or request.path.endswith(moment)


@pytest.mark.parametrize("typed", [OPEN, EMBARGOED], ids=["open", "embargoed"])
def test_a_run_that_is_killed_before_the_archive_has_registered_anything_can_be_repeated(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str], typed: list[str]
) -> None:
    killed(mirror, env, typed, gets("POST"), before=True)
    assert archive.dandisets == {}
    mirror.cli(*typed, env=env)
    assert only(archive).draft.metadata["name"] == "Units of mouse 7"


@pytest.mark.parametrize(
    ("typed", "moment", "before", "people"),
    [
        (OPEN, "POST", False, 1), (OPEN, "versions/", False, 1), (OPEN, "assets/", False, 1),
        (EMBARGOED, "POST", False, 1), (EMBARGOED, "PUT", True, 1), (EMBARGOED, "PUT", False, 2),
        (EMBARGOED, "assets/", False, 2),
    ],
)  # fmt: skip
def test_after_a_killed_run_the_next_one_registers_nothing_and_says_how_to_complete_it(
    archive: Archive,
    mirror: MirrorOfTest,
    env: dict[str, str],
    typed: list[str],
    moment: str,
    before: bool,
    people: int,
) -> None:
    killed(mirror, env, typed, gets(moment), before=before)
    wait_until(lambda: [len(one.draft.metadata["contributor"]) for one in archive.dandisets.values()] == [people])
    made = only(archive)
    said = mirror.cli(*typed, env=env, code=2).stderr
    assert f"you own {made.identifier} with this title already; to mirror it: dandi-mirror sync" in said
    assert "--yes" in said and only(archive) is made
    assert ("it lacks this funder, to add it: dandi-mirror edit" in said) == (typed is EMBARGOED and people == 1)
    command = said.partition("to mirror it: dandi-mirror ")[2].partition(";")[0]
    run("dandi-mirror", *shlex.split(command), "-i", mirror.server.api_url, env=env)
    kept = json.loads(mirror.git("show", "draft:dandiset.yaml", dandiset=made.identifier))
    assert kept["contributor"] == made.draft.metadata["contributor"]
    assert mirror.git("status", "--porcelain", dandiset=made.identifier) == ""


def test_another_one_that_is_asked_for_is_not_registered_in_silence(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    killed(mirror, env, [*OPEN, "--yes"], gets("versions/"), before=False)
    first = only(archive).identifier
    said = mirror.cli(*OPEN, "--yes", env=env).stderr
    assert said == f"you own {first} with this title already; another one is registered\n"
    assert len(archive.dandisets) == 2
    newest = max(archive.dandisets)
    said = mirror.cli(*OPEN, env=env, code=2).stderr
    assert f"you own {first}, {newest} with this title already; to mirror it: dandi-mirror sync {newest}" in said


def only(archive: Archive) -> Dandiset:
    (dandiset,) = archive.dandisets.values()
    return dandiset
