"""The tests; what they share is in tests.support."""

import pytest

pytest.register_assert_rewrite("tests.support")  # a helper's assert shows its values, as a test's does
