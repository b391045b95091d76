"""Two real Dandisets, state by state, against the official mirror's keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.demo.replay import Moment, play, read_history
from dandi_mirror.embedded import Archive, Server, serve
from tests.conftest import MirrorOfTest
from tests.support import reading
from tests.support.corpus import FROZEN, HISTORIES


def expected_urls(server: Server, moment: Moment) -> dict[str, set[str]]:
    return {
        entry["path"]: {
            f"{server.api_url}/assets/{entry['asset_id']}/download/",
            next(url for url in entry["metadata"]["contentUrl"] if "amazonaws.com" in url),
        }
        for entry in moment.assets
    }


@pytest.mark.parametrize("dandiset", HISTORIES)
def test_every_state_has_the_official_mirrors_keys_and_live_urls(
    archive: Archive, server: Server, mirror: MirrorOfTest, dandiset: str
) -> None:
    history = read_history(HISTORIES[dandiset])
    for moment in play(archive, history):
        report = mirror.sync(dandiset)
        assert report.status in {"ok", "notneeded"}, report.message
        assert (report.exit_code, report.findings) == (0, [])
        commit = "draft" if moment.version == "draft" else moment.version
        assert mirror.keys(commit, dandiset) == moment.annex_keys
    current = expected_urls(server, moment)
    keys = mirror.keys("draft", dandiset)
    for path, urls in list(current.items())[:3]:
        assert urls <= mirror.urls(keys[path], dandiset)
    logs = url_logs(mirror, dandiset)
    assert all(urls <= logs[keys[path]] for path, urls in current.items())


def url_logs(mirror: MirrorOfTest, dandiset: str) -> dict[str, set[str]]:
    """The URLs that each key's log on the git-annex branch says are alive."""
    alive: dict[str, set[str]] = {}
    for path in mirror.tree("git-annex", dandiset):
        if path.endswith(".log.web"):
            lines = mirror.git("show", f"git-annex:{path}", dandiset=dandiset).splitlines()
            key = path.rpartition("/")[2].removesuffix(".log.web")
            alive[key] = {line.split(" ", 2)[2] for line in lines if line.split(" ")[1] == "1"}
    return alive


@pytest.mark.parametrize("dandiset", HISTORIES)
def test_a_mirror_that_saw_every_state_and_one_that_saw_the_last_agree(
    archive: Archive, server: Server, mirror: MirrorOfTest, tmp_path: Path, dandiset: str
) -> None:
    for _ in play(archive, read_history(HISTORIES[dandiset])):
        mirror.sync(dandiset)
    late = MirrorOfTest(tmp_path / "late", server)
    late.sync(dandiset)
    tags = {ref: oid for ref, oid in mirror.refs(dandiset).items() if ref.startswith("refs/tags/")}
    assert tags == {ref: oid for ref, oid in late.refs(dandiset).items() if ref.startswith("refs/tags/")}
    assert len(tags) == {"000004": 2, "000027": 1}[dandiset]
    trees = [one.git("rev-parse", "draft^{tree}", dandiset=dandiset) for one in (mirror, late)]
    assert trees[0] == trees[1]
    assert late.git("rev-list", "--count", "draft", dandiset=dandiset) != mirror.git(
        "rev-list", "--count", "draft", dandiset=dandiset
    )


@pytest.mark.quick
def test_the_tags_of_000004_have_the_hashes_that_every_mirror_has(tmp_path: Path) -> None:
    """Frozen: a change of these is a change of format, and breaks every citation made so far."""
    archive = Archive(instance_name="DANDI")
    for _ in play(archive, read_history()):
        pass
    with serve(archive) as server:
        mirror = MirrorOfTest(tmp_path / "mirror", server)
        mirror.sync("000004")
    commits = {version: reading.tag(mirror.path / "000004", version).commit for version in FROZEN}
    assert commits == FROZEN
