"""A few histories; all of them: ``python -m tests.newest``."""

from __future__ import annotations

from pathlib import Path

import pytest

from .history import begun

ROUNDS = 5


@pytest.mark.parametrize("seed", range(12))
def test_the_newest_entries_give_the_refs_of_a_mirror_that_reads_everything(tmp_path: Path, seed: int) -> None:
    with begun(seed, tmp_path) as history:
        assert list(history.rounds(ROUNDS)) == [], history.happened
