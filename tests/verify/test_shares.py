"""What ``verify`` asks and hashes when it is given shares, another mirror, or a time limit; and what it remembers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.other_mirror import compared
from dandi_mirror.mirror.verify.sample import ALL, NONE, Window
from tests.conftest import MirrorOfTest, run
from tests.support.two_versions import FIRST, filled


def heads(mirror: MirrorOfTest) -> list[str]:
    """The paths of the HEAD requests that a verification made, and forget all requests."""
    asked = [request.path for request in mirror.server.requests if request.method == "HEAD"]
    mirror.server.requests.clear()
    return asked


def lose(mirror: MirrorOfTest, key: str) -> None:
    """Let the bucket have this object no more."""
    mirror.server.intercept = lambda request: Response(status_code=404) if request.path.endswith(key) else None


@pytest.mark.quick
def test_windows_of_several_runs_cover_every_key_once() -> None:
    keys = [f"SHA256E-s1--{number:064x}" for number in range(1000)]
    window, seen = Window(0.9, 0.25), list[str]()
    for _ in range(4):
        seen += [key for key in keys if window.has(key)]
        window = Window(window.end, 0.25)
    assert sorted(seen) == keys
    assert all(map(ALL.has, keys)) and not any(map(NONE.has, keys))


@pytest.mark.quick
def test_only_the_tags_of_two_mirrors_are_compared() -> None:
    ours = {"refs/tags/0.240101.0000": "a" * 40, "refs/heads/draft": "b" * 40, "refs/tags/mine": "c" * 40}
    theirs = {"refs/tags/0.240101.0000": "d" * 40, "refs/heads/draft": "e" * 40, "refs/tags/0.240202.0000": "f" * 40}
    moved, missing = compared(ours, theirs, "other")
    assert moved.path == "refs/tags/0.240101.0000" and moved.exit_code == 7
    assert missing.path == "refs/tags/0.240202.0000" and missing.exit_code == 3


def test_without_urls_no_host_of_content_is_asked(archive: Archive, mirror: MirrorOfTest) -> None:
    filled(archive, mirror)
    mirror.cli("verify")
    assert heads(mirror) == []


def test_shares_of_the_urls_go_on_where_the_last_run_ended(archive: Archive, mirror: MirrorOfTest) -> None:
    filled(archive, mirror)
    mirror.cli("verify", "--urls", "1")
    everything = heads(mirror)
    parts = []
    for _ in range(4):
        mirror.cli("verify", "--urls", "0.25")
        parts += heads(mirror)
    assert sorted(parts) == sorted(everything)
    assert len(everything) == len(set(everything)) > 3


def test_a_url_that_gives_nothing_any_more_is_named(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = archive.create_dandiset("000123")
    dandiset.add_asset("a.nwb", archive.add_blob(b"here"))
    gone = archive.add_blob_record(4, sha256="ab" * 32)
    dandiset.add_asset("b.nwb", gone)
    mirror.sync()
    done = mirror.cli("verify", "--urls", "1", code=7)
    assert done.stdout.startswith("000123  1 difference\n  url  ")
    assert gone.key in done.stdout and "the host does not have it any more" in done.stdout
    assert "it was the last URL, and the content is not here" in done.stdout


def test_a_key_that_lost_its_last_url_and_is_here_is_to_be_kept(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = archive.create_dandiset("000123")
    blob = archive.add_blob(b"content that goes")
    dandiset.add_asset("b.nwb", blob)
    mirror.cli("sync", "000123", "--get", "*")
    lose(mirror, blob.key)
    done = mirror.cli("verify", "--urls", "1", code=7)
    assert "it was the last URL, and the content is here: keep it" in done.stdout


def test_keys_that_are_about_to_lose_their_last_url_are_named_with_the_day(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset("000123")
    for name in ("stays", "goes", "gone", "held"):
        dandiset.add_asset(f"{name}.nwb", archive.add_blob(f"content that {name}".encode()))
    mirror.cli("sync", "000123", "--get", "held.nwb")
    keys = mirror.keys()
    blobs = {asset.path: asset.blob for asset in dandiset.draft}
    for name in ("goes", "gone", "held"):
        dandiset.delete_asset(f"{name}.nwb")
    mirror.cli("sync", "--allow-deletes")
    gone = blobs["gone.nwb"]
    assert gone
    lose(mirror, gone.key)
    done = mirror.cli("verify", "--urls", "1", code=3).stdout
    assert "2 differences" in done
    assert (
        f"{keys['goes.nwb']}: its last URL; no version names it any more, and the archive removes it about 20" in done
    )
    assert f"annex get --key={keys['goes.nwb']}, or rescue = true" in done
    assert f"{keys['gone.nwb']}: no version names it any more, the archive has removed it, and it is not here" in done
    assert keys["held.nwb"] not in done and keys["stays.nwb"] not in done
    mirror.git("annex", "get", "--key", keys["goes.nwb"])
    assert "1 difference\n" in mirror.cli("verify", "--urls", "1", code=3).stdout


def test_another_mirror_with_the_same_tags_is_no_difference_and_one_with_a_moved_tag_is(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    filled(archive, mirror)
    other = tmp_path / "other"
    shutil.copytree(mirror.path, other, symlinks=True)
    mirror.cli("verify", "--offline", "--against", str(other))
    # from where the person stands, not from the dataset, in which somebody else may have put such a folder
    run("dandi-mirror", "verify", "--offline", "--against", other.name, "-d", str(mirror.path), cwd=other.parent)
    mirror.cli("verify", "--offline", "--against", f"file://{other}")
    run("git", "-C", str(other / "000123"), "tag", "-f", "-a", "-m", "x", FIRST, "draft")
    done = mirror.cli("verify", "--offline", "--against", str(other), code=7)
    assert f"mirror  refs/tags/{FIRST}: {other} has" in done.stdout
    mirror.cli("verify", "--offline", "--against", str(tmp_path), code=3)
    mirror.cli("verify", "--offline", "--against", str(tmp_path / "nothing"), code=2)


def test_after_the_time_limit_no_dandiset_is_begun_and_the_next_run_begins_there(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    filled(archive, mirror)
    done = mirror.cli("verify", "--time-limit", "0", "-f", "json", code=5)
    first, *_, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["status"] == "impossible" and summary["deferred"] == 1
    assert first["message"] == "not verified: the time limit came before it; the next run begins with it"
    assert Mirror(mirror.path).verifications.read() == {}


def test_the_metrics_say_when_each_dandiset_was_verified_and_how(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    filled(archive, mirror)
    mirror.cli("verify", "--urls", "0.5")
    mirror.cli("sync", "000123", "--metrics", str(tmp_path / "m.prom"))
    found = {
        sample.name: sample
        for family in text_string_to_metric_families((tmp_path / "m.prom").read_text())
        for sample in family.samples
    }
    when = found["dandi_mirror_dandiset_verified_timestamp_seconds"]
    assert when.labels["dandiset"] == "000123" and when.labels["how"] == "repository archive urls:0.5"
    assert found["dandi_mirror_dandiset_differences"].value == 0


def test_a_verification_never_waits_for_a_run_and_says_who_is_at_work(archive: Archive, mirror: MirrorOfTest) -> None:
    filled(archive, mirror)
    with Mirror(mirror.path).lock("000123"):
        done = mirror.cli("verify", "000123", "--offline", code=75)
    assert "000123 is held by process" in done.stderr


def test_a_killed_run_is_named_and_the_next_sync_still_learns_of_it(archive: Archive, mirror: MirrorOfTest) -> None:
    filled(archive, mirror)
    lock = mirror.path / ".dandi-mirror/locks/000123.lock"
    lock.write_text('{"pid": 1, "host": "x", "since": "then", "began": 1, "ended": false}')
    before = lock.read_bytes()
    done = mirror.cli("verify", "--offline", code=3)
    assert "the last run was killed before it was done" in done.stdout
    assert lock.read_bytes() == before


@pytest.mark.parametrize("words", ["--offline --urls 1", "--offline --repair", "-n", "--all 000123"])
def test_options_that_do_not_go_together_are_refused(words: str, archive: Archive, mirror: MirrorOfTest) -> None:
    filled(archive, mirror)
    mirror.cli("verify", *words.split(), code=2)
    assert mirror.server.requests == []


@pytest.mark.parametrize("put", ["a link to a device", "a pipe"])
def test_content_that_is_no_file_is_named_and_never_read(
    put: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    filled(archive, mirror)
    key = next(iter(mirror.keys().values()))
    place = mirror.path / "000123/.git/annex/objects/xx/yy" / key / key
    place.parent.mkdir(parents=True)
    if put == "a pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    done = mirror.cli("verify", "--offline", "--content", "1", code=7)
    assert "it cannot be read (" in done.stdout or "bytes, and its key says" in done.stdout
