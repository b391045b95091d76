"""A plug-in for dandi's tests: keeps those that talk to an archive."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what never asks for the fixture ``local_dandi_api``."""
    kept = [item for item in items if "local_dandi_api" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
