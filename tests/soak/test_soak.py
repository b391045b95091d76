"""A short form of the soak; ``python -m tests.soak`` is the whole one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.soak import judge
from tests.soak.campaign import CHANGES, begin, soak
from tests.soak.life import Life


def test_an_archive_that_never_rests_is_mirrored_whole_when_it_does(tmp_path: Path) -> None:
    soaked = soak(4, random.randrange(10**6), tmp_path)
    assert soaked.problems == [], f"seed {soaked.seed}"
    assert soaked.happened.total() >= CHANGES
    assert soaked.datasets > 3


@pytest.mark.slow
def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    with begin(0, tmp_path) as campaign:
        dandiset = campaign.archive.dandisets[name := min(campaign.archive.dandisets)]
        campaign.life.settle()
        Life.publish(campaign.life, dandiset)
        campaign.settle()
        campaign.judge()
        assert campaign.soaked.problems == []
        tags = judge.tags_of(campaign.mirror)
        key = min(campaign.mirror.keys(dandiset=name).values())
        url = next(url for url in campaign.mirror.urls(key, name) if "/api/" in url)
        campaign.mirror.git("annex", "unregisterurl", key, url, dandiset=name)
        campaign.mirror.git("rm", "-q", "dandiset.yaml", dandiset=name)
        campaign.mirror.git("tag", "-f", "-m", "another", dandiset.published[0].version, "git-annex", dandiset=name)
        campaign.archive.dandisets[name].rename_asset(next(iter(dandiset.draft)).path, "elsewhere.nwb")
        assert len(list(judge.lost(tags, judge.tags_of(campaign.mirror)))) == 1
        campaign.judge()
        told = "\n".join(campaign.soaked.problems)
        for word in (
            "git status",
            "differs from the listing",
            "in a fresh mirror",
            "another one",
            "no API URL that is",
        ):
            assert word in told
