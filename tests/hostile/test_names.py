"""Names that the archive's server lets in, and worse ones: what is good is mirrored, nothing escapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dandi_mirror.embedded import Server
from dandi_mirror.repo.annex.keys import annex_key, link_target
from tests.conftest import MirrorOfTest, run
from tests.support.looking import check_git_takes_it, files_below, refused
from tests.support.serving import LARGE, good_entry, good_paths, served

KEPT = [
    "with space.nwb", " lead.txt", "trail.txt ", "[x].nwb", "^", "_", "`id`", "-rf", "()", "~", "#",
    "&,+=", "CON", "nul.txt", "A.TXT", "a.txt", "Dir/x", "dir/x", ".hidden", ".hidden-folder/x.nwb",
    "sub/.dandi/assets.json", "sub/dandiset.yaml", "sub/.datalad/config", "--output=x", "-", "a" * 255,
    "a.git/config", "trail/.x", "d/" * 63 + "x", "(exclude)", "HEAD", "README.nwb", "e\u0301.nwb",
    "\u00e9.nwb", "日本.nwb", "prog~1", "x~1.nwb",
]  # fmt: skip
REFUSED = [
    "a\tb", "a\rb", "a\nb", "trailing\n", "a\\b", "d/" * 250 + "x", "a" * 260, ".git/config",
    ".git/hooks/post-checkout", "sub/.git/config", "sub/.git/HEAD", ".gitattributes", "sub/.gitattributes",
    ".gitmodules", ".datalad/config", ".dandi/assets.json", "dandiset.yaml", "DANDISET.yaml", "../escape",
    "a/../../escape", "./x", ".", "..", "", "/etc/x", "a//b", "a/", ".GIT/config", ".git /config",
    ".git./config", "git~1/config", ".git::$INDEX_ALLOCATION/config", ".g\u200cit/config", ".gitignore",
    "gitmod~1", "GITMOD~2", "gi7eba~1", "~1234567", ".mailmap", "\x00", "a\x00b", "\ud800", "\x1b[2Jx",
    "\x7f", "\x85", "a\u2028b", "\u202egnp.exe", "a\nreset refs/heads/evil\nfrom refs/heads/draft\n\n",
    "a\ndeleteall\n", "x/" * 500 + "y", "\u00e9" * 128,
]  # fmt: skip


def sync_among_good_ones(mirror: MirrorOfTest, server: Server) -> None:
    entries = [good_entry(path) for path in [*good_paths(), *KEPT, *REFUSED]]
    served(server, entries)
    report = mirror.sync()
    assert report.exit_code == 3 and report.status == "ok", report.message
    assert report.files == len(good_paths()) + len(KEPT)
    found = {finding.path: finding for finding in report.findings if finding.kind == "refused"}
    assert set(found) == set(REFUSED), "each refused name is reported"
    assert all(finding.reason.isprintable() and finding.asset_id for finding in found.values())


def test_good_assets_beside_dangerous_names_are_mirrored_cloned_and_pushed(
    mirror: MirrorOfTest, server: Server, tmp_path: Path
) -> None:
    sync_among_good_ones(mirror, server)
    clone = check_git_takes_it(mirror, tmp_path)
    assert clone == {
        path: link_target(
            annex_key(LARGE, good_entry(path)["metadata"]["digest"]["dandi:sha2-256"], path), path.count("/")
        )
        for path in [*good_paths(), *KEPT]
    }


def test_nothing_outside_the_dataset_is_touched(mirror: MirrorOfTest, server: Server, tmp_path: Path) -> None:
    for name in ("escape", "outside/escape", ".git/config", ".git/hooks/post-checkout"):
        (tmp_path / "around" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "around" / name).write_text("untouched")
    inside = MirrorOfTest(tmp_path / "around" / "outside" / "mirror", server)
    before = files_below(tmp_path, without=(inside.path,))
    sync_among_good_ones(inside, server)
    assert files_below(tmp_path, without=(inside.path,)) == before
    assert sorted(entry.name for entry in inside.path.iterdir()) == sorted(
        ["000123", ".dandi-mirror", ".git", ".datalad", ".gitattributes", ".gitignore", ".gitmodules"]
    )


def test_the_repository_s_own_files_are_those_that_a_dataset_without_bad_names_has(
    mirror: MirrorOfTest, server: Server, tmp_path: Path
) -> None:
    sync_among_good_ones(mirror, server)
    served(server, [good_entry(path) for path in good_paths()])
    plain = MirrorOfTest(tmp_path / "plain", server)
    plain.sync()
    for repository in (mirror, plain):
        assert not (repository.path / "000123" / ".git" / "hooks").exists() or not [
            hook
            for hook in (repository.path / "000123" / ".git" / "hooks").iterdir()
            if "annex" not in hook.read_text()
        ]
    settings = [
        sorted(line for line in one.git("config", "--local", "--list").splitlines() if "uuid" not in line)
        for one in (mirror, plain)
    ]
    assert settings[0] == settings[1]
    assert mirror.refs().keys() == plain.refs().keys()
    for own in (".gitattributes", ".datalad/config", "dandiset.yaml"):
        assert (mirror.path / "000123" / own).read_bytes() == (plain.path / "000123" / own).read_bytes()


def test_a_refused_asset_keeps_its_record_and_its_content_stays_within_reach(
    mirror: MirrorOfTest, server: Server
) -> None:
    sync_among_good_ones(mirror, server)
    records = refused(mirror)
    keys = mirror.keys()
    assert len(records) == len(REFUSED)
    for path in REFUSED:
        entry = good_entry(path)
        record = records[entry["asset_id"]]
        assert record["path"] == path.encode("utf-8", "backslashreplace").decode()
        assert record["reason"]
        sha256 = entry["metadata"]["digest"]["dandi:sha2-256"]
        key = keys[f".dandi/refused/{entry['asset_id']}"]
        assert key.startswith(f"SHA256E-s{LARGE}--{sha256}")
    for path in ("../escape", ".git/config", "a\nb"):
        entry = good_entry(path)
        urls = mirror.urls(keys[f".dandi/refused/{entry['asset_id']}"])
        assert urls == {
            entry["metadata"]["contentUrl"][0],
            f"{server.api_url}/assets/{entry['asset_id']}/download/",
        }


def test_a_published_version_with_dangerous_names_is_tagged_and_the_tag_can_be_pushed(
    mirror: MirrorOfTest, server: Server, tmp_path: Path
) -> None:
    dandiset = server.archive.create_dandiset("000123", name="x")
    for path in [*good_paths(), *(path for path in REFUSED if path.isascii() and path)]:
        dandiset.add_asset(path, server.archive.add_blob(path.encode()), metadata={}, unchecked=True)
    version = dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z").version
    report = mirror.sync()
    assert report.tags == [version]
    check_git_takes_it(mirror, tmp_path)
    assert run("git", "-C", str(tmp_path / "strict"), "cat-file", "-t", version).stdout.strip() == "tag"
    assert mirror.asset_paths(version) == sorted(good_paths())
    assert len(refused(mirror, version)) == len([path for path in REFUSED if path.isascii() and path])


def test_what_is_printed_can_be_read_and_cannot_move_the_cursor(mirror: MirrorOfTest, server: Server) -> None:
    served(server, [good_entry(path) for path in [*good_paths(), "\x1b[2Jx", "a\nb", "\u202ex", "\ud800"]])
    done = mirror.cli("sync", "000123", code=3)
    printed = done.stdout + done.stderr
    assert all(letter == "\n" or letter.isprintable() for letter in printed)
    assert "\\x1b[2Jx" in printed and "a\\nb" in printed and "\\ud800" in printed
    again = mirror.cli("sync", "000123", "-f", "json", code=3)
    paths = {finding["path"] for finding in json.loads(again.stdout.splitlines()[0])["findings"]}
    assert paths == {"\x1b[2Jx", "a\nb", "\u202ex", "\ud800"}


@pytest.mark.parametrize("bad", ["gitmod~1", ".git/config", "../x", "a\nb", "a" * 256])
def test_a_mirrored_asset_is_not_deleted_when_its_neighbour_is_renamed_to_something_bad(
    mirror: MirrorOfTest, server: Server, bad: str
) -> None:
    entries = [good_entry(path) for path in good_paths()]
    served(server, entries)
    assert mirror.sync().exit_code == 0
    answers = served(server, [*entries[1:], good_entry(bad)])
    answers.modified = "2024-02-02T00:00:00Z"
    report = mirror.sync()
    assert report.removed == 1 and report.exit_code == 3
    assert sorted(mirror.asset_paths()) == sorted(good_paths()[1:])
    assert list(refused(mirror)) == [good_entry(bad)["asset_id"]]


def test_a_path_that_is_mirrored_stays_when_its_new_list_entry_is_refused(mirror: MirrorOfTest, server: Server) -> None:
    entries = [good_entry(path) for path in good_paths()]
    served(server, entries)
    mirror.sync()
    before = mirror.keys()
    spoilt = good_entry(good_paths()[0], "another asset")
    spoilt["metadata"]["digest"]["dandi:sha2-256"] = "../../../etc/passwd"
    answers = served(server, [spoilt, *entries[1:]])
    answers.modified = "2024-02-02T00:00:00Z"
    report = mirror.sync()
    assert (report.removed, report.changed, report.exit_code) == (0, 0, 3)
    assert {path: key for path, key in mirror.keys().items() if path in before} == before
    assert good_paths()[0] in {record["path"] for record in mirror.records()}


@pytest.mark.parametrize(
    "paths",
    [["a", "a/b"], ["a", "a/b/c", "a/b"], ["sub-0", "sub-0/x"], ["same", "same"], ["x/y", "x/y/", "x"]],
    ids=repr,
)
def test_of_names_that_exclude_each_other_none_wins_and_all_are_named(
    mirror: MirrorOfTest, server: Server, paths: list[str], tmp_path: Path
) -> None:
    entries = [good_entry(path, f"{number} {path}") for number, path in enumerate(paths)]
    served(server, [*(good_entry(f"good/{path}") for path in good_paths()), *entries])
    report = mirror.sync()
    assert {finding.asset_id for finding in report.findings} == {entry["asset_id"] for entry in entries}
    assert mirror.asset_paths() == sorted(f"good/{path}" for path in good_paths())
    other = MirrorOfTest(tmp_path / "other", server)
    served(server, [*reversed(entries), *(good_entry(f"good/{path}") for path in good_paths())])
    other.sync()
    assert other.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")
