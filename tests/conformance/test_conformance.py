"""dandi's own integration tests against the embedded archive; ``python -m tests.conformance`` shows them at work."""

from __future__ import annotations

import pytest

from tests.conformance.__main__ import main


@pytest.mark.slow
@pytest.mark.parametrize("where", [[], ["--s3"]])
def test_dandis_own_tests_pass_but_for_the_known_ones(where: list[str]) -> None:
    assert main(where) == 0
