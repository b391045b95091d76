"""What the owner of a Dandiset does at the archive: its record, its owners, its embargo, its end."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest, run
from tests.support.terminal import on_terminal
from tests.support.uploading import mine, token

__all__ = ["mine", "token"]

OTHER = "f" * 40


def changes(mirror: MirrorOfTest) -> list[str]:
    """The requests that would change something at the archive."""
    return [request.method for request in mirror.server.requests if request.method not in {"GET", "HEAD"}]


def changed(dandiset: Dandiset, field: str) -> object:
    return dandiset.draft.metadata[field]


@pytest.fixture
def env(mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str]) -> dict[str, str]:
    """The owner's API key; the mirror has the Dandiset."""
    mirror.sync()
    mirror.server.requests.clear()
    return token


def others(env: dict[str, str]) -> dict[str, str]:
    return dict.fromkeys(env, OTHER)


# --- the record -------------------------------------------------------------------------------------------------


def test_a_field_is_changed_at_the_archive_and_in_the_mirror_and_a_dry_run_changes_nothing(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    said = mirror.cli("edit", "000123", "--set", "description=Units of mouse 7", "-n", env=env)
    assert "000123  description\n" in said.stdout and "  + Units of mouse 7\n" in said.stdout
    assert changes(mirror) == []
    done = mirror.cli("edit", "000123", "--set", "description=Units of mouse 7", "--yes", env=env)
    assert "changed and mirrored" in done.stderr
    assert changed(mine, "description") == "Units of mouse 7"
    assert changes(mirror) == ["PUT"]
    assert '"description": "Units of mouse 7"' in mirror.git("show", "draft:dandiset.yaml")
    again = mirror.cli("edit", "000123", "--set", "description=Units of mouse 7", "--yes", env=env)
    assert "nothing would change" in again.stderr
    assert changes(mirror) == ["PUT"]


def test_a_field_that_the_schema_does_not_allow_is_named_and_nothing_is_sent(
    mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    done = mirror.cli("edit", "000123", "--set", "license=[GPL]", "--yes", "-f", "json", env=env, code=3)
    record, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert record["status"] == "error" and record["errors"][0].startswith("license.0: 'GPL' is not one of")
    assert summary["exit_code"] == 3 and changes(mirror) == []


def test_a_field_typed_wrong_is_refused_with_the_one_that_was_meant(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    person = {"schemaKey": "Person", "name": "Doe, Jane", "email": "jane@example.org", "includeInCitation": True}
    mine.set_metadata(dict(mine.draft.given) | {"contributor": [person], "ourOwn": "stays"})
    slips = {
        "descripton=x": "descripton: no such field; did you mean description?",
        "contributor.0.emial=x@example.org": "contributor.0.emial: no such field; did you mean contributor.0.email?",
        "contributor.0.affiliation=[{nam: X}]": "contributor.0.affiliation.0.nam: no such field; did you mean",
    }
    for slip, said in slips.items():
        done = mirror.cli("edit", "000123", "--set", slip, "--yes", env=env, code=2)
        assert f"000123 was not changed: {said}" in done.stderr
    assert changes(mirror) == []
    for right in ("contributor.0.email=j@example.org", 'contributor.0.awardNumber="7"', "keywords=[mouse]", "ourOwn=y"):
        assert "no such field" not in mirror.cli("edit", "000123", "--set", right, "-n", env=env).stderr


def test_what_stands_in_the_way_is_said_before_anybody_is_to_confirm(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    assert "is not under embargo" in mirror.cli("unembargo", "000123", env=env, code=3).stderr
    mine.publish(unchecked=True)
    assert "was published" in mirror.cli("delete", "000123", env=env, code=3).stderr
    assert "nothing has changed since" in mirror.cli("publish", "000123", "--wait", "1", env=env, code=3).stderr
    for command in ("publish", "unembargo", "delete"):
        done = mirror.cli(command, "000777", env=env, code=3)
        assert "000777" in done.stderr and "confirm" not in done.stderr
    done = run("dandi-mirror", "publish", ".", "-n", "--wait", "1", cwd=mirror.path / "000123", env=env, code=None)
    assert "whole Dandiset" not in done.stderr and "000123 cannot be published" in done.stderr


def test_without_a_terminal_nothing_is_sent_that_nobody_confirmed(mirror: MirrorOfTest, env: dict[str, str]) -> None:
    assert "no editor" in mirror.cli("edit", "000123", env=env, code=2).stderr
    assert "then use --yes" in mirror.cli("edit", "000123", "--set", "name=B", env=env, code=2).stderr
    assert mirror.server.requests == []


def test_a_second_editor_is_not_overwritten(mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]) -> None:
    looks: list[Request] = []

    def meanwhile(request: Request) -> None:
        if request.path.endswith("/draft/info/"):
            looks.append(request)
            if len(looks) == 2:
                mine.set_metadata({**mine.draft.given, "name": "Mine", "keywords": ["theirs"]})

    mirror.server.intercept = meanwhile
    done = mirror.cli("edit", "000123", "--set", "name=Ours", "--yes", env=env, code=3)
    assert "somebody else changed the record meanwhile (keywords, name)" in done.stderr
    assert changes(mirror) == [] and changed(mine, "keywords") == ["theirs"]


def test_an_edit_whose_answer_is_lost_is_sent_again_and_is_there_once(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    from starlette.responses import Response

    lost: list[Request] = []

    def lose(request: Request) -> object:
        if request.method == "PUT" and not lost:
            lost.append(request)
            return Response(status_code=502)
        return None

    mirror.server.intercept = lose  # type: ignore[assignment]
    mirror.cli("edit", "000123", "--set", "name=B", "--yes", env=env)
    assert changed(mine, "name") == "B" and changes(mirror) == ["PUT", "PUT"]


def test_who_does_not_own_it_is_told_and_changes_nothing(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    before = changed(mine, "name")
    for typed in (["edit", "000123", "--set", "name=B", "--yes"], ["owners", "000123", "--add", "other@example.org"]):
        assert "403" in mirror.cli(*typed, env=others(env), code=4).stderr
    assert changed(mine, "name") == before and mine.owners == ["me@example.org"]


def test_the_dandiset_yaml_of_a_clone_can_be_sent(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], tmp_path: Path
) -> None:
    record = mirror.git("show", "draft:dandiset.yaml").replace(mine.draft.metadata["name"], "From the clone")
    (tmp_path / "dandiset.yaml").write_text(record)
    mirror.cli("edit", "000123", "--from", str(tmp_path / "dandiset.yaml"), "--yes", env=env)
    assert changed(mine, "name") == "From the clone"


def test_an_editor_opens_with_the_fields_and_what_cannot_be_sent_is_not_lost(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\ngrep -q identifier: $1 && exit 9\n"
        "if grep -q GPL $1; then sed -i 's/GPL/spdx:CC0-1.0/' $1; else sed -i 's/spdx:.*/GPL/' $1; fi\n"
    )
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    mine.set_metadata({**mine.draft.given, "license": ["spdx:CC-BY-4.0"]})
    typed = ["edit", "000123", "-d", str(mirror.path), "-i", mirror.server.api_url]
    with on_terminal(*typed, env={**env, "EDITOR": str(editor), "VISUAL": str(editor)}) as seen:
        seen.answer("edit it again?", "n")
        assert seen.end() == 3
    assert "license.0: 'GPL' is not one of" in seen.plain and "--from " in seen.plain
    assert changes(mirror) == []
    with on_terminal(*typed, env={**env, "EDITOR": str(editor), "VISUAL": str(editor)}) as seen:
        seen.answer("edit it again?", "y")
        seen.answer(f"send this to {mirror.server.api_url.removesuffix('/api')}?", "y")
        assert seen.end() == 0
    assert changed(mine, "license") == ["spdx:CC0-1.0"]


@pytest.mark.parametrize(
    ("script", "why"), [("exit 1", "Editing failed"), ("rm $1", "No such file"), (None, "No such file")]
)
def test_an_editor_that_fails_changes_nothing_and_that_is_said(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], tmp_path: Path, script: str | None, why: str
) -> None:
    editor = tmp_path / "editor"
    if script:
        editor.write_text(f"#!/bin/sh\n{script}\n")
        editor.chmod(0o755)
    typed = ["edit", "000123", "-d", str(mirror.path), "-i", mirror.server.api_url]
    with on_terminal(*typed, env={**env, "EDITOR": str(editor), "VISUAL": ""}) as seen:
        assert seen.end() == 3
    assert seen.plain.startswith("dandi-mirror: your editor ended with an error (") and why in seen.plain
    assert "000123 was not changed" in seen.plain and "--set FIELD=VALUE or --from FILE" in seen.plain
    assert changes(mirror) == []


def test_what_was_typed_is_kept_if_the_editor_fails_later_or_saves_no_utf_8(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\ngrep -q 'license: mine' $1 && exit 1\nsed -i '/^license/d' $1\necho 'license: mine' >>$1\n"
    )
    editor.chmod(0o755)
    typed = ["edit", "000123", "-d", str(mirror.path), "-i", mirror.server.api_url]
    settings = {**env, "EDITOR": str(editor), "VISUAL": "", "TMPDIR": str(tmp_path)}
    with on_terminal(*typed, env=settings) as seen:
        seen.answer("edit it again?", "y")
        assert seen.end() == 3
    kept = tmp_path / seen.plain.partition("your text is in ")[2].partition(":")[0].rpartition("/")[2]
    assert "license: mine" in kept.read_text()
    editor.write_text("#!/bin/sh\nprintf 'name: caf\\351\\n' >$1\n")
    with on_terminal(*typed, env=settings) as seen:
        assert seen.end() == 3
    assert "is not UTF-8; 000123 was not changed; your text is in" in seen.plain
    assert changes(mirror) == []


# --- owners -------------------------------------------------------------------------------------------------------


def test_owners_are_shown_to_everybody_and_changed_by_owners(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    assert mirror.cli("owners", "000123").stdout == "000123  me@example.org  Olive Owner\n"
    assert all("authorization" not in request.headers for request in mirror.server.requests)
    dry = mirror.cli("owners", "000123", "--add", "other@example.org", "-n", env=env)
    assert "other@example.org" in dry.stdout and mine.owners == ["me@example.org"]
    mirror.cli("owners", "000123", "--add", "other@example.org", env=env)
    assert mine.owners == ["me@example.org", "other@example.org"]
    done = mirror.cli("owners", "000123", "--remove", "other@example.org", "-f", "json", env=env)
    assert json.loads(done.stdout.splitlines()[0])["owners"] == [{"username": "me@example.org", "name": "Olive Owner"}]


def test_a_name_that_the_archive_does_not_know_is_answered_by_names_that_it_knows(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    said = mirror.cli("owners", "000123", "--add", "othr@example.org", env=env, code=3).stderr
    assert "knows no user othr@example.org; did you mean other@example.org" in said
    said = mirror.cli("owners", "000123", "--remove", "other@example.org", env=env, code=2).stderr
    assert "other@example.org does not own 000123; its owners: me@example.org" in said
    assert mine.owners == ["me@example.org"]


def test_nobody_takes_off_the_last_owner_or_themselves_without_a_yes(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    assert "needs an owner" in mirror.cli("owners", "000123", "--remove", "me@example.org", env=env, code=3).stderr
    mine.owners.append("other@example.org")
    assert "add --yes" in mirror.cli("owners", "000123", "--remove", "me@example.org", env=env, code=2).stderr
    assert changes(mirror) == []
    mirror.cli("owners", "000123", "--remove", "me@example.org", "--yes", env=env)
    assert mine.owners == ["other@example.org"]


# --- embargo, and the end -----------------------------------------------------------------------------------------


def test_an_embargo_is_lifted_only_when_that_was_confirmed(
    mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    assert "is not under embargo" in mirror.cli("unembargo", "000123", "--yes", env=env, code=3).stderr
    mine.set_embargo("EMBARGOED")
    assert "would become public: " in mirror.cli("unembargo", "000123", "-n", env=env).stdout
    assert "add --yes" in mirror.cli("unembargo", "000123", env=env, code=2).stderr
    assert changes(mirror) == [] and mine.embargo_status == "EMBARGOED"
    assert mirror.cli("unembargo", "000123", "--yes", env=env).stdout == "000123  is open to everybody\n"
    assert mine.embargo_status == "OPEN"


def test_a_dandiset_is_deleted_only_by_its_title_and_its_dataset_stays(
    archive: Archive, mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    title = mine.draft.metadata["name"]
    assert "confirm it by the title" in mirror.cli("delete", "000123", env=env, code=2).stderr
    assert "its title is another" in mirror.cli("delete", "000123", "--name", "Other", env=env, code=3).stderr
    assert "would be deleted" in mirror.cli("delete", "000123", "-n", env=env).stdout
    assert changes(mirror) == [] and "000123" in archive.dandisets
    done = mirror.cli("delete", "000123", "--name", title, env=env)
    assert done.stdout == f"000123  was deleted at the archive; its dataset is still in {mirror.path}/000123\n"
    assert "000123" not in archive.dandisets and (mirror.path / "000123" / "dandiset.yaml").exists()


def test_a_published_dandiset_is_never_deleted(mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]) -> None:
    mine.publish(unchecked=True)
    said = mirror.cli("delete", "000123", "--name", "x", env=env, code=3).stderr
    assert "was published" in said and changes(mirror) == []


def test_on_a_terminal_the_title_is_asked_for(
    archive: Archive, mine: Dandiset, mirror: MirrorOfTest, env: dict[str, str]
) -> None:
    typed = ["delete", "000123", "-d", str(mirror.path), "-i", mirror.server.api_url]
    with on_terminal(*typed, env=env) as seen:
        seen.answer("Type its title", "not this")
        assert seen.end() == 3
    assert "was not deleted" in seen.plain and "000123" in archive.dandisets
