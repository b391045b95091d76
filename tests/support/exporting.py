"""A version with odd names, its export by the command, and what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import MirrorOfTest

V1 = "0.240101.0000"
META = "{urn:ietf:params:xml:ns:metalink}"
ODD = "sub-u/a [b] & (c), #1+~=.nwb"
PERSON = {
    "schemaKey": "Person", "name": "Müller, Änne", "email": "secret@example.org", "includeInCitation": True,
    "roleName": ["dcite:Author"], "identifier": "0000-0001-2345-6789",
    "affiliation": [{"schemaKey": "Affiliation", "name": "A <Lab> & Co"}],
}  # fmt: skip
TITLE = 'A <test> of "neurons" & ]]> more'


CONTENT = {
    "sub-0/sub-0_ses-1_ecephys.nwb": b"content 0",
    "sub-1/sub-1_ses-1_ecephys.nwb": b"content 1",
    ODD: b"odd",
    "again.nwb": b"content 1",
    "README.md": b"# Read me\n",
}


def export(mirror: MirrorOfTest, form: str, to: Path, *more: str, what: str = f"000123@{V1}", code: int = 0) -> str:
    done = mirror.cli("export", what, "--as", form, "-o", str(to), *more, code=code)
    return done.stdout + done.stderr


def below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def graph(file: Path) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in json.loads(file.read_text())["@graph"]}
