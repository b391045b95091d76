"""Datasets that are initialised as the one beside them: what git and git-annex find there, and what that costs."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex import initialise_alike
from dandi_mirror.repo.annex.initialise_in_mirror import initialise_in_mirror
from tests.conftest import MirrorOfTest, run
from tests.support.fleet import IDS

MADE_LATER = re.compile(r"\.git/annex/(.*\.lck|index|mergedrefs|keysdb.*|fsck.*|verified-remote\.log|journal)")


def settings(mirror: MirrorOfTest, dandiset: str) -> tuple[str, str]:
    """A dataset's settings without its UUID, and that."""
    config = (mirror.path / dandiset / ".git" / "config").read_text()
    uuid = re.findall(r"uuid = ([0-9a-f]{8}-[0-9a-f-]{27})$", config, re.MULTILINE)[0]
    return config.replace(uuid, "UUID"), uuid


def files(mirror: MirrorOfTest, dandiset: str) -> dict[str, tuple[int, str]]:
    """Everything in the git folder besides objects and what git-annex makes when it needs it."""
    top = mirror.path / dandiset
    places = [place for place in (top / ".git").rglob("*") if place.relative_to(top).parts[1] != "objects"]
    names = {place: place.relative_to(top).as_posix() for place in places}
    return {
        name: (stat.S_IMODE(place.stat().st_mode), place.read_text() if "/hooks/" in name or "/info/" in name else "")
        for place, name in names.items()
        if not MADE_LATER.fullmatch(name)
    }


def programs(stderr: str, dandiset: str) -> list[str]:
    """The git programs that a run has started in a dataset."""
    return re.findall(rf"DEBUG git -C \S+/{dandiset} (.*)", stderr)


def test_only_the_first_dataset_asks_git_annex_and_the_others_are_the_same(many: MirrorOfTest) -> None:
    done = many.cli("sync", "--all", "-J", "1", "-l", "debug")
    first, *others = IDS
    assert any(" annex init " in line for line in programs(done.stderr, first))
    for dandiset in others:
        started = programs(done.stderr, dandiset)
        assert not [line for line in started if " annex " in line or "init" in line.split()]
        assert len(started) <= 6, started
        assert settings(many, dandiset)[0] == settings(many, first)[0]
        assert files(many, dandiset) == files(many, first)
    assert len({settings(many, dandiset)[1] for dandiset in IDS}) == len(IDS)


def test_git_annex_finds_nothing_to_do_in_a_dataset_that_was_initialised_so(many: MirrorOfTest, tmp_path: Path) -> None:
    many.cli("sync", "--all", "-J", "1")
    dandiset = IDS[-1]
    before, config = many.refs(dandiset), settings(many, dandiset)
    log = many.path / dandiset / ".git" / "annex" / "journal-private" / "uuid.log"
    assert re.fullmatch(rf"{config[1]} mirror of \S+:{dandiset} timestamp=\d+s\n", log.read_text())
    many.git("annex", "init", "--quiet", dandiset=dandiset)
    many.git("annex", "info", "--fast", dandiset=dandiset)
    assert "trying to get" not in many.git("annex", "find", "--not", "--in", "here", dandiset=dandiset)
    assert settings(many, dandiset) == config
    assert many.refs(dandiset)["refs/heads/draft"] == before["refs/heads/draft"]
    many.git("annex", "get", "a.nwb", dandiset=dandiset)
    assert (many.path / dandiset / "a.nwb").read_bytes() == dandiset.encode()
    many.git("annex", "unlock", "a.nwb", dandiset=dandiset)
    assert many.git("status", "--porcelain", dandiset=dandiset) == "T  a.nwb"
    run("datalad", "clone", str(many.path / dandiset), str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "b.nwb").is_symlink()


@pytest.mark.parametrize(
    ("name", "content"),
    [("annex/journal-private/uuid.log", "another form\n"), ("annex/strange", ""), ("annex/sentinal.cache", "1 2")],
)
def test_where_git_annex_has_written_something_unknown_it_is_asked_each_time(
    many: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    keep = initialise_alike.keep

    def unknown(dataset: object, *facts: object) -> None:
        (Path(str(dataset.git_dir)) / name).write_text(content)  # type: ignore[attr-defined]
        keep(dataset, *facts)  # type: ignore[arg-type]

    monkeypatch.setattr(initialise_alike, "keep", unknown)
    for dandiset in IDS[:2]:
        assert many.sync(dandiset).exit_code == 0
    monkeypatch.undo()
    assert not [place for place, _ in initialise_alike._kept if str(many.path) in place[0]]
    assert settings(many, IDS[0])[0] == settings(many, IDS[1])[0]


def test_a_run_that_was_killed_before_the_settings_is_completed_by_the_next(many: MirrorOfTest) -> None:
    many.cli("sync", "--all", "-J", "1")
    dandiset, complete = IDS[1], settings(many, IDS[1])[0]
    config = many.path / dandiset / ".git" / "config"
    config.write_text(complete.partition("[annex]")[0])
    initialise_in_mirror(Mirror(many.path).dataset(dandiset), "mirror of it", "like it")
    assert settings(many, dandiset)[0] == complete
    many.git("annex", "get", "a.nwb", dandiset=dandiset)
    assert (many.path / dandiset / "a.nwb").read_bytes() == dandiset.encode()
