"""dandi's own integration tests against the embedded archive; ``python -m tests.conformance`` shows them at work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.__main__ import judge, main
from tests.conformance.known import DANDI, KNOWN


@pytest.mark.slow
@pytest.mark.parametrize("where", [[], ["--s3"]])
def test_dandis_own_tests_pass_but_for_the_known_ones(where: list[str]) -> None:
    assert main(where) == 0


def test_the_page_has_the_table_of_known_failures() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "embedded.md").read_text()
    assert dict(re.findall(r"^\| `(\w+::\w+)` \| (.+) \|$", page, re.MULTILINE)) == KNOWN
    assert f"`dandi[test]` {DANDI}" in page


def test_a_failure_that_is_not_known_is_told_from_one_that_is(capsys: pytest.CaptureFixture[str]) -> None:
    known = next(iter(KNOWN))
    assert judge({"test_x::one": "passed", known: "error"}, whole=False) == 0
    assert judge({"test_x::one": "failure"}, whole=False) == 1
    assert "test_x::one: NOT KNOWN TO FAIL" in capsys.readouterr().out
    assert judge({"test_x::one": "passed"}, whole=True) == 1, "too few"
