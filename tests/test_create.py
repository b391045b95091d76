"""``create`` with all that the archive's form asks for: checked first, sent once, complete."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest
from starlette.responses import Response

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.cli.commands.create import LICENSES
from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest
from tests.support.credentials import TOKEN
from tests.support.pages import TOP
from tests.support.terminal import on_terminal

NIH = ["--funder", "National Institutes of Health", "--award", "1 R01 CA 123456-01A1"]


@pytest.fixture
def env(archive: Archive, mirror: MirrorOfTest) -> dict[str, str]:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    return {token_variable(mirror.server.api_url): TOKEN}


def changes(mirror: MirrorOfTest) -> list[str]:
    return [request.method for request in mirror.server.requests if request.method not in {"GET", "HEAD"}]


def only(archive: Archive) -> Dandiset:
    (dandiset,) = archive.dandisets.values()
    return dandiset


def funders(dandiset: Dandiset) -> list[object]:
    people = dandiset.draft.metadata["contributor"]
    return [(one["name"], one["awardNumber"]) for one in people if "dcite:Funder" in one["roleName"]]


def test_all_that_the_form_asks_for_is_in_the_record_and_in_the_mirror(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    typed = ["--name", "Units", "--description", "Words.", "--license", "CC-BY-4.0", *NIH]
    more = ["--embargo-until", "2099-01-31", "--set", "keywords=[mouse, hippocampus]"]
    mirror.cli("create", *typed, *more, "--contributor", "Owner, Olive <olive@example.org>", env=env)
    made = only(archive)
    record = made.draft.metadata
    assert (record["name"], record["description"], record["license"]) == ("Units", "Words.", ["spdx:CC-BY-4.0"])
    assert record["keywords"] == ["mouse", "hippocampus"]
    assert [one["name"] for one in record["contributor"]] == ["Owner, Olive", NIH[1]]
    assert funders(made) == [(NIH[1], NIH[3])]
    assert made.embargo_status == "EMBARGOED" and record["access"][0]["embargoedUntil"] == "2099-01-31"
    (posted,) = (request for request in mirror.server.requests if request.method == "POST")
    assert parse_qs(posted.query) == {
        "embargo": ["true"], "embargo_end_date": ["2099-01-31"], "funding_source": [NIH[1]], "award_number": [NIH[3]],
    }  # fmt: skip
    kept = json.loads(mirror.git("show", "draft:dandiset.yaml", dandiset=made.identifier))
    assert kept["contributor"] == record["contributor"], "the mirror has the funder, too"


def test_a_funder_of_an_open_dandiset_comes_beside_its_owner(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mirror.cli("create", "--name", "Units", *NIH[:2], env=env)
    people = only(archive).draft.metadata["contributor"]
    assert [one["name"] for one in people] == ["Owner, Olive", NIH[1]] and "awardNumber" not in people[1]
    assert only(archive).is_open


def test_a_funder_that_the_archive_has_added_itself_is_not_added_again(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    def add(request: Request) -> None:
        if request.path.endswith("/draft/info/") and not funders(only(archive)):
            given = only(archive).draft.given
            funder = {"schemaKey": "Organization", "name": NIH[1], "awardNumber": NIH[3], "roleName": ["dcite:Funder"]}
            given["contributor"] = [*given["contributor"], funder]

    mirror.server.intercept = add
    said = mirror.cli("create", "--name", "Units", "--embargo", *NIH, env=env).stderr
    assert f" --embargoed -d {mirror.path}; for each sync: embargoed = true in {mirror.path}/dandi-mirror.toml" in said
    assert len(funders(only(archive))) == 1 and changes(mirror) == ["POST"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--name", "x" * 151], "name: 'xxx"),
        (["--name", "x", "--description", "y" * 10_001], "description: 'yyy"),
        (["--name", "x", "--set", "license=[GPL]"], "license.0: 'GPL' is not one of"),
        (["--name", "x", "--set", "keywords=mouse"], "keywords: 'mouse' is not a list; write it as [mouse]"),
        (["--name", "x", "--set", "descripion=3"], "descripion: no such field; did you mean description?"),
        (["--name", "x", "--set", "about=[{nam: x}]", "-n"], "about.0.nam: no such field; did you mean about.0.name?"),
    ],
)
def test_what_the_schema_does_not_allow_is_named_and_nothing_is_registered(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str], typed: list[str], words: str
) -> None:
    said = mirror.cli("create", *typed, env=env, code=3).stderr
    assert f"nothing was registered: {words}" in said
    assert archive.dandisets == {} and changes(mirror) == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ([], "needs a title: --name TITLE"),
        (["--name", " "], "needs a title"),
        (["--name", "x", "--award", "1"], "an award needs its funder"),
        (["--name", "x", "--embargo-until", "soon"], "write a day as 2028-01-31"),
        (["--name", "x", "--embargo-until", "2020-01-01"], "not in the future"),
        (["--name", "x", "--set", "identifier=DANDI:000001"], "the archive itself writes the field identifier"),
        (["--name", "x", "--set", "keywords"], "to take a field out, FIELD= alone: --set keywords="),
        (["--name", "x", "--contributor", "Olive"], "write a contributor as"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    mirror: MirrorOfTest, env: dict[str, str], typed: list[str], words: str
) -> None:
    assert words in mirror.cli("create", *typed, env=env, code=2).stderr
    assert mirror.server.requests == []


def test_a_dry_run_shows_the_record_and_registers_nothing(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    typed = ["--name", "Units", "--license", "CC0-1.0", "--embargo", *NIH, "-n"]
    said = mirror.cli("create", *typed, env=env)
    assert "name: Units\n" in said.stdout and "embargo: true\n" in said.stdout and NIH[3] in said.stdout
    record = json.loads(mirror.cli("create", *typed, "-f", "json", env=env).stdout.splitlines()[0])
    assert (record["dry_run"], record["errors"], record["fields"]["name"]) == (True, [], "Units")
    assert archive.dandisets == {} and changes(mirror) == []


def test_a_second_dandiset_of_the_same_title_is_not_made_unasked(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mirror.cli("create", "--name", "Units", env=env)
    (first,) = archive.dandisets
    said = mirror.cli("create", "--name", "Units", env=env, code=2).stderr
    assert f"you own {first} with this title already; to mirror it: dandi-mirror sync {first}" in said
    with on_terminal("create", "--name", "Units", "-d", str(mirror.path), "-i", mirror.server.api_url, env=env) as seen:
        seen.answer("register another one?", "n")
        assert seen.end() == 3
    assert list(archive.dandisets) == [first]
    mirror.cli("create", "--name", "Units", "--yes", env=env)
    assert len(archive.dandisets) == 2


def test_a_run_that_ends_after_the_registration_makes_no_second_one_when_it_is_repeated(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mirror.server.intercept = lambda asked: Response(status_code=400) if asked.method == "PUT" else None
    said = mirror.cli("create", "--name", "Units", *NIH, env=env, code=3).stderr
    made = only(archive)
    assert f"{made.identifier} is registered, but without its funder" in said
    mirror.server.intercept = None
    assert f"you own {made.identifier}" in mirror.cli("create", "--name", "Units", *NIH, env=env, code=2).stderr
    assert only(archive) is made


def test_a_record_of_another_dandiset_can_be_the_beginning(
    archive: Archive, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    mirror.cli("create", "--name", "Units", "--description", "Words.", "--license", "CC0-1.0", env=env)
    (first,) = archive.dandisets
    old = mirror.path / first / "dandiset.yaml"
    mirror.cli("create", "--from", str(old), "--name", "More units", env=env)
    second = next(one for name, one in archive.dandisets.items() if name != first)
    assert second.draft.metadata["description"] == "Words." and second.draft.metadata["name"] == "More units"
    assert second.draft.metadata["identifier"].endswith(second.identifier)


@pytest.mark.quick
def test_the_licenses_are_those_of_the_archive_schema() -> None:
    schema = TOP / "dandi_mirror" / "embedded" / "rules" / "dandiset_schema.json"
    allowed = json.loads(schema.read_text())["$defs"]["LicenseType"]["enum"]
    assert sorted(LICENSES.values()) == sorted(allowed)
