"""A short form of the campaign; ``python -m tests.institutions`` is the whole one, with ten institutions."""

from __future__ import annotations

import random
from pathlib import Path

from tests.institutions import disks
from tests.institutions.campaign import Scale, campaign

SHORT = Scale(institutions=3, keys=20, pairs=2, dandisets=2, asked=1, enough=0.75)
"""So few files of uneven sizes leave room in each pledge."""


def test_institutions_hold_two_copies_find_a_liar_and_restore_all_that_is_left(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    outcome = campaign(SHORT, seed, tmp_path)
    assert outcome.problems == [], f"seed {seed}"
    assert outcome.rows["files restored with the right digest, of all pairs"]


def test_the_disks_are_judged_by_their_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "000101/.git/annex/objects/W0/FM"
    key = "MD5E-s4--098f6bcd4621d373cade4e832627b4f6.nwb"
    file = folder / key / key
    file.parent.mkdir(parents=True)
    file.write_bytes(b"test")
    assert (disks.held(tmp_path), disks.used(tmp_path)) == (frozenset({("000101", key)}), 4)
    assert disks.spoil(tmp_path, 1, random.Random(0)) == {("000101", key)}
    assert (disks.held(tmp_path), disks.used(tmp_path)) == (frozenset(), 0)
