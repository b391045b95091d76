"""What a command says if a folder is not what it needs: none, a clone of a mirror, or a mirror without the Dandiset."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.archive.instances import KNOWN
from dandi_mirror.archive.names import parse
from dandi_mirror.embedded import Archive
from dandi_mirror.errors import NotFoundError
from dandi_mirror.workflows.names.naming import known
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed


@pytest.fixture
def made(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    seed(archive)
    mirror.sync()
    mirror.server.requests.clear()
    return mirror


def test_settings_of_a_folder_that_does_not_exist_are_said_to_be_of_none(tmp_path: Path) -> None:
    words = "nope does not exist; these settings would apply there; to make it, with a settings file: "
    said = run("dandi-mirror", "config", "-d", "nope", cwd=tmp_path).stderr
    assert said == f"{words}dandi-mirror config --init -d nope\n"
    run("dandi-mirror", "config", "--init", "-d", "nope", cwd=tmp_path)
    assert run("dandi-mirror", "config", "-d", "nope", cwd=tmp_path).stderr == ""


def test_another_mirror_that_is_not_there_or_lacks_the_dandiset_is_named_in_words(
    made: MirrorOfTest, tmp_path: Path
) -> None:
    said = made.cli("verify", "--against", "nope", "--offline", code=2).stderr
    assert said == "dandi-mirror: --against nope: there is no such folder; name that of another mirror, or its URL\n"
    done = made.cli("verify", "--against", str(tmp_path), "--offline", code=3)
    assert f"{tmp_path}: it does not hold 000123" in done.stdout and "ls-remote" not in done.stdout
    assert f"mirror it there: dandi-mirror sync 000123 -d {tmp_path}" in done.stdout


def test_a_clone_of_a_mirror_says_that_it_remembers_no_sync(made: MirrorOfTest, tmp_path: Path) -> None:
    run("datalad", "clone", str(made.path), str(tmp_path / "top"))
    run("datalad", "get", "-n", "000123", cwd=tmp_path / "top")
    done = run("dandi-mirror", "status", "--offline", cwd=tmp_path / "top", code=3)
    assert done.stdout.startswith("000123  unfinished")
    assert "no sync of it is remembered here: this is a clone of a mirror, or the index was deleted" in done.stdout
    assert "remembered" not in made.cli("status", "--offline").stdout


def test_the_page_that_finds_dandisets_is_that_of_the_archive(made: MirrorOfTest, tmp_path: Path) -> None:
    typed = ["download", "000999", "-i", made.server.api_url, "-o", str(tmp_path)]
    assert run("dandi-mirror", *typed, cwd=tmp_path, code=3).stderr.endswith('Not found.")\n')

    def lacking(api: str) -> str:
        def ask() -> None:
            raise NotFoundError(f"{api} has no /dandisets/000999/")

        with pytest.raises(NotFoundError) as raised:
            known(parse("000999"), tmp_path, ask)
        return str(raised.value)

    assert lacking(KNOWN["dandi"]).endswith("; find it by words: https://dandiarchive.org/dandiset/search")
    assert lacking(KNOWN["dandi-sandbox"]).endswith(
        "; find it by words: https://sandbox.dandiarchive.org/dandiset/search"
    )
