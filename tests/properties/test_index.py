"""A list entry's key is written once and read by a pattern, which the name of a Dandiset cannot mislead."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dandi_mirror.mirror.state.remembered import entry_fingerprint, published_in
from dandi_mirror.model import ListedDandiset, ListedVersion

pytestmark = pytest.mark.quick

THEN = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = st.text(st.one_of(st.sampled_from('"\\:{} ,'), st.characters(exclude_categories=())), max_size=40)


def version(version_id: str, name: str) -> ListedVersion:
    """A version's list entry."""
    return ListedVersion(version_id, name, 1, 2, "Valid", THEN, THEN)


@given(NAMES, NAMES, st.sampled_from(["", "0.220126.1852", "0.240101.0000"]))
@example('"published":{"version":"0.111111.1111"', "x", "")
@example('\\"published\\":{\\"version\\":\\"0.111111.1111\\"', '"published": {"version": "0.1"', "0.220126.1852")
@example("\ud800", '"published": {"version": "0.111111.1111"}', "0.220126.1852")
def test_the_newest_published_version_is_read_whatever_the_names_are(draft: str, published: str, newest: str) -> None:
    entry = ListedDandiset("000004", "OPEN", version("draft", draft), version(newest, published) if newest else None)
    assert published_in(entry_fingerprint(entry)) == newest


def test_nothing_remembered_has_no_published_version() -> None:
    assert published_in("") == ""
