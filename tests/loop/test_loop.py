"""A short form of the loop; ``python -m tests.loop`` is the whole one."""

from __future__ import annotations

import random
from pathlib import Path

from tests.loop.campaign import begin


def test_after_an_upload_archive_clone_and_mirror_agree_and_nothing_was_sent_twice(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    with begin(seed, tmp_path) as loop:
        loop.rounds(4)
        assert loop.problems == [], f"seed {seed}"
        assert sum(loop.edits.did.values()) >= 4
        assert loop.bytes_sent or not loop.edits.contents


def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    with begin(0, tmp_path) as loop:
        assert list(loop.wrong(loop.edits.held())) == []
        held = loop.edits.held()
        loop.dandiset.rename_asset("participants.tsv", "elsewhere.tsv")
        (loop.folder / "sub-1").rename(loop.folder / "sub-9")
        loop.bytes_sent = 1
        told = "\n".join(loop.wrong(held))
        for word in (
            "is not in the archive",
            "is in the archive",
            "changed files",
            "not clean",
            "were sent",
            "is refused",
        ):
            assert word in told
