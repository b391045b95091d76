"""Changes of a Dandiset's record: fields that are typed, files that say something, and the archive's schema."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from dandi_mirror.errors import UsageError
from dandi_mirror.upload.record.fields import COMPUTED, assign, read_assignment, replaced, written
from dandi_mirror.upload.record.from_file import with_file
from dandi_mirror.upload.record.schema import new_errors, schema_errors
from dandi_mirror.upload.record.yaml_text import NotYaml, read_yaml, write_yaml

pytestmark = pytest.mark.quick
SCHEMA = json.loads(files("dandi_mirror.embedded.rules").joinpath("dandiset_schema.json").read_text("utf-8"))
OLIVE = {"schemaKey": "Person", "name": "Owner, Olive", "email": "o@example.org", "roleName": ["dcite:ContactPerson"]}
RECORD: dict[str, object] = {
    "schemaKey": "Dandiset",
    "schemaVersion": "0.7.0",
    "identifier": "DEV-DANDI:000123",
    "id": "DEV-DANDI:000123/draft",
    "version": "draft",
    "name": "Units",
    "description": "of mouse 7",
    "citation": "Units",
    "license": ["spdx:CC0-1.0"],
    "contributor": [OLIVE],
    "assetsSummary": {"schemaKey": "AssetsSummary", "numberOfBytes": 1, "numberOfFiles": 1},
    "manifestLocation": ["https://example.org/"],
}


def edited(*assignments: str) -> dict[str, object]:
    return assign(RECORD, [read_assignment(text) for text in assignments])


def first(record: dict[str, object]) -> dict[str, object]:
    """The only related resource."""
    resources = record["relatedResource"]
    assert isinstance(resources, list) and len(resources) == 1
    return dict(resources[0])


def changed(*assignments: str) -> dict[str, object]:
    """The fields that these assignments change."""
    return {name: value for name, value in edited(*assignments).items() if RECORD.get(name) != value}


@pytest.mark.parametrize(
    ("typed", "field", "value"),
    [
        ("description=a: b = c, [d", "description", "a: b = c, [d"),
        ("name=  Units 2 ", "name", "Units 2"),
        ("keywords=[mouse, 'a, b']", "keywords", ["mouse", "a, b"]),
        ("license=[spdx:CC-BY-4.0]", "license", ["spdx:CC-BY-4.0"]),
        ("contributor.0.email=p@example.org", "contributor", [OLIVE | {"email": "p@example.org"}]),
        (
            "contributor.1={name: 'A, B', schemaKey: Person}",
            "contributor",
            [OLIVE, {"name": "A, B", "schemaKey": "Person"}],
        ),
        ("contributor.0=", "contributor", []),
        ("ethicsApproval.0=2020-01-01", "ethicsApproval", None),
        ("acknowledgement=7", "acknowledgement", "7"),
        ("studyTarget=[2020-01-01]", "studyTarget", ["2020-01-01"]),
    ],
)
def test_a_field_is_set_as_it_was_typed(typed: str, field: str, value: object) -> None:
    if value is None:
        with pytest.raises(UsageError, match=r"no field ethicsApproval\.0|a member of a list has its number"):
            assign({"ethicsApproval": 1}, [read_assignment(typed)])
    else:
        assert changed(typed) == {field: value}


def test_a_field_without_a_value_goes_and_the_record_that_was_given_stays_as_it_was() -> None:
    assert "description" not in edited("description=")
    assert edited("contributor.0.email=", "name=B")["contributor"] == [{k: v for k, v in OLIVE.items() if k != "email"}]
    assert (RECORD["description"], RECORD["contributor"]) == ("of mouse 7", [OLIVE])


@pytest.mark.parametrize(
    "typed", ["description", "=x", ".a=1", "identifier=1", "schemaVersion=1", "doi=x", "keywords=[a"]
)
def test_what_is_no_assignment_or_what_the_archive_writes_is_refused_with_a_reason(typed: str) -> None:
    with pytest.raises(UsageError, match=r"write FIELD=VALUE|the archive itself writes|is not YAML"):
        read_assignment(typed)


@pytest.mark.parametrize("typed", ["name.x=1", "contributor.7=x", "contributor.-1=x", "contributor.x.name=1"])
def test_a_field_that_is_not_there_is_named(typed: str) -> None:
    with pytest.raises(UsageError, match="no field"):
        edited(typed)


def test_yaml_gives_the_types_of_json_only_and_a_small_text_cannot_become_a_large_value() -> None:
    assert read_yaml("{a: 2020-01-01, b: 1, c: [x, 'y']}") == {"a": "2020-01-01", "b": 1, "c": ["x", "y"]}
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    for text in (bomb, "a: !!python/object/apply:os.system ['true']", "[" * 100_000, "x" * 5_000_000, "a: b: c"):
        with pytest.raises(NotYaml):
            read_yaml(text)


def test_what_an_editor_shows_reads_back_as_the_same_fields() -> None:
    fields = written(RECORD)
    assert set(fields) == {"name", "description", "license", "contributor"}
    assert read_yaml(write_yaml(fields)) == fields
    assert replaced(RECORD, fields) == RECORD


# --- the archive's schema ---------------------------------------------------------------------------------------


def test_a_record_that_the_archive_takes_has_no_errors_and_each_wrong_field_is_named() -> None:
    assert schema_errors(RECORD, SCHEMA) == []
    found = new_errors(RECORD, edited("license=[GPL]", "contributor.0.name=", "description="), SCHEMA)
    assert len(found) == 3
    assert [words.split(":")[0] for words in found] == [
        "'description' is a required property",
        "contributor.0",
        "license.0",
    ]


def test_errors_that_were_there_before_do_not_stand_in_the_way() -> None:
    bad = RECORD | {"license": []}
    assert schema_errors(bad, SCHEMA) and new_errors(bad, bad | {"name": "B"}, SCHEMA) == []


@pytest.mark.parametrize("schema", [{"type": 7}, {"$ref": "http://127.0.0.1:9/x"}, {"$ref": "file:///etc/passwd"}])
def test_a_schema_that_is_none_or_leads_elsewhere_is_an_error_and_nobody_is_asked(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        schema_errors(RECORD, schema)


# --- files that say something about a Dandiset -------------------------------------------------------------------

CSL = {"type": "article-journal", "DOI": "10.1000/xyz.1", "title": "Units\n of mice"}
DATACITE = {
    "data": {"id": "10.1000/xyz.1", "attributes": {"doi": "10.1000/xyz.1", "titles": [{"title": "Units of mice"}]}}
}
CROSSREF = {"status": "ok", "message": {"DOI": "10.1000/xyz.1", "title": ["Units of mice"]}}
ORCID = {
    "orcid-identifier": {"uri": "https://orcid.org/0000-0001-2345-678X", "path": "0000-0001-2345-678X"},
    "person": {"name": {"given-names": {"value": "Ada B."}, "family-name": {"value": "Lovelace"}}},
}


@pytest.mark.parametrize("said", [CSL, DATACITE, CROSSREF])
def test_a_doi_record_becomes_a_related_resource_once(said: object) -> None:
    once = with_file(RECORD, json.dumps(said), "paper.json")
    resource = first(once)
    assert resource == {
        "schemaKey": "Resource",
        "identifier": "doi:10.1000/xyz.1",
        "url": "https://doi.org/10.1000/xyz.1",
        "name": "Units of mice",
        "relation": "dcite:IsDescribedBy",
    }
    assert with_file(once, json.dumps(said), "paper.json") == once
    assert new_errors(RECORD, once, SCHEMA) == []


def test_of_a_resource_that_is_there_the_owners_words_stay() -> None:
    mine = {"schemaKey": "Resource", "identifier": "https://doi.org/10.1000/XYZ.1", "relation": "dcite:IsCitedBy"}
    found = with_file(RECORD | {"relatedResource": [mine]}, json.dumps(CSL), "paper.json")
    resource = first(found)
    assert (resource["relation"], resource["identifier"], resource["name"]) == (
        "dcite:IsCitedBy", "https://doi.org/10.1000/XYZ.1", "Units of mice",
    )  # fmt: skip


def test_an_orcid_record_becomes_a_contributor() -> None:
    found = with_file(RECORD, json.dumps(ORCID), "ada.json")
    assert found["contributor"][1]["name"] == "Lovelace, Ada B."  # type: ignore[index]
    assert new_errors(RECORD, found, SCHEMA) == []
    hidden = ORCID | {"person": {"name": None}}
    with pytest.raises(UsageError, match="no number or no name"):
        with_file(RECORD, json.dumps(hidden), "ada.json")


def test_a_dandiset_yaml_replaces_what_people_write_and_nothing_of_what_the_archive_writes() -> None:
    other = {"name": "B", "description": "b", "identifier": "DANDI:000999", "version": "0.1", "schemaKey": "Dandiset"}
    found = with_file(RECORD, write_yaml(other), "dandiset.yaml")
    assert written(found) == {"name": "B", "description": "b"}
    assert {k: v for k, v in found.items() if k in COMPUTED} == {k: v for k, v in RECORD.items() if k in COMPUTED}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "a: 1", "{", json.dumps({"DOI": "nonsense"}), json.dumps({"schemaKey": "Asset", "description": "x"})],
)
def test_any_other_file_is_refused_by_name_with_the_forms_that_are_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"some\.json: .*ORCID"):
        with_file(RECORD, text, "some.json")
