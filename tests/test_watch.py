"""What a run leaves for those who watch: its log, ``runs``, and the file for Prometheus."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import JSONResponse

from dandi_mirror import __version__
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.monitor.run_log import RunLog, past_runs
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.pages import keys_of


def logs(mirror: MirrorOfTest) -> list[Path]:
    return sorted((mirror.path / ".dandi-mirror" / "log").glob("*.jsonl"))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_has_a_log_of_what_it_reported(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).add_asset(".git/x", archive.add_blob(b"x"), unchecked=True)
    mirror.cli("sync", "000123", "000999", "-J", "1", code=3)
    (log,) = logs(mirror)
    first, report, failure, summary = records(log)
    assert (first["action"], first["release"], first["asked"]) == ("run", __version__, ["000123", "000999"])
    assert (report["dandiset"], report["status"], report["added"]) == ("000123", "ok", 3)
    assert report["findings"][0]["path"] == ".git/x"
    assert (failure["dandiset"], failure["status"], failure["exit_code"]) == ("000999", "error", 3)
    assert (summary["action"], summary["ok"], summary["error"], summary["exit_code"]) == ("summary", 1, 1, 3)
    assert summary["requests"] == len([r for r in mirror.server.requests if r.path.startswith("/api/")])
    assert summary["received"] > 1000


def test_runs_with_nothing_new_are_counted_not_logged(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.cli("sync", "000123")
    for _ in range(3):
        mirror.cli("sync")
    assert len(logs(mirror)) == 1
    assert len(list(logs(mirror)[0].parent.iterdir())) == 3, "the log, what is counted, and times of success"
    listed = mirror_runs(mirror)
    assert [(found["again"], found["ok"]) for found in listed] == [(3, 1)]
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    mirror.cli("sync")
    mirror.cli("sync")
    assert [(found["again"], found["ok"]) for found in mirror_runs(mirror)] == [(1, 1), (3, 1)]


def test_an_archive_that_stays_down_is_one_log_and_its_return_another(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123")
    mirror.server.intercept = lambda _: JSONResponse({"detail": "no"}, 404)
    for _ in range(3):
        mirror.cli("sync", code=3)
    mirror.server.intercept = None
    mirror.cli("sync")
    mirror.cli("sync")
    found = mirror_runs(mirror)
    assert [(run["exit_code"], run["again"]) for run in found] == [(0, 1), (3, 2), (0, 0)]
    assert "/info/" in found[1]["message"]


def test_a_finding_that_stays_is_not_logged_by_every_run(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).add_asset(".git/x", archive.add_blob(b"x"), unchecked=True)
    for _ in range(3):
        mirror.cli("sync", "000123", code=3)
    assert [(found["exit_code"], found["again"]) for found in mirror_runs(mirror)] == [(3, 2)]


def mirror_runs(mirror: MirrorOfTest, *arguments: str) -> list[dict[str, Any]]:
    done = run("dandi-mirror", "runs", *arguments, "-d", str(mirror.path), "-f", "json")
    *records, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert (summary["action"], summary["status"]) == ("summary", "ok")
    return records


def test_old_logs_go_and_what_was_counted_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    changed = {"dandiset": "000001", "status": "ok", "exit_code": 0, "findings": [], "message": ""}
    summary = {"action": "summary", "exit_code": 0, "ended": "now", "seconds": 1}
    for _ in range(4):
        log = RunLog(folder, 2, {})
        log.add(changed, news=True)
        log.end(summary)
        RunLog(folder, 2, {}).end(summary)
    assert [past.again for past in past_runs(folder)] == [1, 1]
    assert len(list(folder.iterdir())) == 4


def test_no_token_is_in_log_or_metrics(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    archive.add_user("owner", "a" * 40)
    metrics = tmp_path / "mirror.prom"
    mirror.cli("sync", "000123", "--metrics", str(metrics), env={token_variable(mirror.server.api_url): "a" * 40})
    assert any("a" * 40 in request.headers.get("authorization", "") for request in mirror.server.requests)
    written = [metrics, *(path for path in (mirror.path / ".dandi-mirror").rglob("*") if path.is_file())]
    assert len(written) > 3
    assert not [path for path in written if b"a" * 40 in path.read_bytes()]


def test_a_dry_run_and_a_wrong_call_leave_no_log(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123", "-n", "--metrics", str(mirror.path.parent / "x.prom"))
    assert not mirror.path.exists()
    assert not (mirror.path.parent / "x.prom").exists()
    mirror.cli("sync", "000123")
    mirror.cli("sync", "4", code=2)
    assert len(logs(mirror)) == 1


def test_a_log_that_cannot_be_written_is_the_disks_failure_and_the_sync_is_done(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive)
    own = mirror.path / ".dandi-mirror"
    own.mkdir(parents=True)
    (own / "log").write_text("in the way")
    done = mirror.cli("sync", "000123", code=6)
    assert done.stdout == "000123  3 files, 27 bytes  +3\n"
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_was_killed_has_a_log_without_an_end(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log", 10, {"asked": "all"})
    record = {"dandiset": "000001", "status": "ok", "exit_code": 0, "findings": [], "message": ""}
    log.add(record, news=True)
    log.path.append(b'{"half')
    (found,) = past_runs(tmp_path / "log")
    assert (found.end, found.records) == (None, [record])
    after = RunLog(tmp_path / "log", 10, {})
    after.end({"action": "summary", "exit_code": 0, "ended": "now", "seconds": 1})
    assert [past.end is None for past in past_runs(tmp_path / "log")] == [False, True]


def test_runs_lists_and_shows_one(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.cli("sync", "000123")
    dandiset.add_asset(".git/x", archive.add_blob(b"x"), unchecked=True)
    mirror.cli("sync", "000123", code=3)
    lines = run("dandi-mirror", "runs", "-d", str(mirror.path)).stdout.splitlines()
    assert lines[0].split() == ["run", "began", "seconds", "exit", "again", "failed", "changed"]
    assert [line.split()[3:] for line in lines[1:]] == [["3", "0", "0", "000123"], ["0", "0", "0", "000123"]]
    last = run("dandi-mirror", "runs", "last", "-d", str(mirror.path)).stdout
    assert last.startswith(f"run          {lines[1].split()[0]}\nbegan        ")
    assert f", dandi-mirror {__version__}, process " in last
    assert f"\narchive      {mirror.server.api_url}, all versions\nasked for    000123\nended        " in last
    assert " seconds, with exit code 3\nDandisets    1 changed\nnetwork      " in last
    assert "\n  refused  draft  .git/x: " in last
    named = run("dandi-mirror", "runs", lines[2].split()[0], "-d", str(mirror.path)).stdout
    assert "000123  3 files, 27 bytes  +3" in named
    assert [record["action"] for record in mirror_runs(mirror, "last")] == ["run", "sync"]
    done = run("dandi-mirror", "runs", "first", "-d", str(mirror.path), code=2)
    assert "has no log of a run 'first'" in done.stderr
    assert run("dandi-mirror", "runs", "-d", str(mirror.path.parent), code=2).stdout == ""


def test_the_keys_of_logs_are_those_that_are_described(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.cli("sync", "000123", "000999", "-J", "1", code=3)
    first, *_, summary = records(logs(mirror)[0])
    assert keys_of("say, and a summary. The first record:\n") == set(first)
    described = keys_of("The summary, which a run that was killed has not:\n")
    assert described == set(summary) | {"notneeded", "impossible"}
    (found,) = mirror_runs(mirror)
    more = keys_of(
        "`dandi-mirror runs -f json` prints one record a run: both as one, with `path`, `type`, `refds`, and\n"
    )
    assert set(found) == (set(first) | set(summary) | more | {"path", "type", "refds"}) - {"said"}


# --- metrics ----------------------------------------------------------------------------------------------


def samples(path: Path) -> dict[tuple[str, str], float]:
    """Name and the label that is not the mirror's → value, as Prometheus' own parser reads the file."""
    found = {}
    families = list(text_string_to_metric_families(path.read_text()))
    assert len({family.name for family in families}) == len(families), "each name has one block"
    for family in families:
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            assert sample.timestamp is None, "the collector refuses a file with timestamps"
            labels = {key: value for key, value in sample.labels.items() if key != "mirror"}
            assert len(labels) <= 1
            key = (sample.name.removeprefix("dandi_mirror_"), "".join(labels.values()))
            assert key not in found
            found[key] = sample.value
    return found


def test_metrics_tell_how_the_run_went_and_how_the_mirror_stands(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive).add_asset("late.nwb", archive.add_blob(b"late", sha256_known=False))
    archive.create_dandiset("000124", name="Another").add_asset("a.nwb", archive.add_blob(b"a"))
    metrics, began = tmp_path / "mirror.prom", time.time()
    mirror.cli("sync", "--all", "-J", "1", "--get", "a.nwb", "--metrics", str(metrics), code=3)
    found = samples(metrics)
    assert found["last_run_exit_code", ""] == 3
    assert found["last_run_dandisets", "ok"] == 2
    assert found["last_run_dandisets", "error"] == 0
    assert (found["dandisets", "up to date"], found["dandisets", "pending"], found["dandisets", "alarm"]) == (1, 1, 0)
    assert found["last_run_content_bytes", ""] == 1
    assert found["last_run_requests", ""] > 5
    assert found["last_run_received_bytes", ""] > 1000
    assert 0 < found["last_run_duration_seconds", ""] < 60
    for name in ("000123", "000124"):
        assert began <= found["dandiset_last_success_timestamp_seconds", name] <= time.time()
    assert began <= found["last_success_timestamp_seconds", ""] <= found["last_run_timestamp_seconds", ""]
    assert stat.S_IMODE(metrics.stat().st_mode) == 0o644, "the collector runs as another user"
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["mirror.prom"]


def test_metrics_of_a_failure_keep_the_last_success(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    archive.create_dandiset("000124").add_asset("a.nwb", archive.add_blob(b"a"))
    settings = {"DANDI_MIRROR_METRICS": str(tmp_path / "m.prom")}
    mirror.cli("sync", "000123", "000124", "-J", "1", env=settings)
    before = samples(tmp_path / "m.prom")
    archive.delete_dandiset("000124")
    mirror.cli("sync", "000123", "000124", env=settings, code=3)
    after = samples(tmp_path / "m.prom")
    assert after["last_success_timestamp_seconds", ""] == before["last_success_timestamp_seconds", ""]
    moved = {name for (key, name), value in after.items() if "dandiset_last" in key and value > before[key, name]}
    assert moved == {"000123"}
    mirror.server.intercept = lambda _: JSONResponse({"detail": "no"}, 403)
    mirror.cli("sync", env=settings, code=4)
    down = samples(tmp_path / "m.prom")
    assert down["last_run_exit_code", ""] == 4
    assert down["last_success_timestamp_seconds", ""] == before["last_success_timestamp_seconds", ""]
    assert down["last_run_timestamp_seconds", ""] > after["last_run_timestamp_seconds", ""]


def test_metrics_of_a_first_run_that_fails_are_there_without_a_success(mirror: MirrorOfTest, tmp_path: Path) -> None:
    mirror.cli("sync", "000123", "--metrics", str(tmp_path / "m.prom"), code=3)
    found = samples(tmp_path / "m.prom")
    assert found["last_run_exit_code", ""] == 3
    assert not [key for key in found if "success" in key[0]]
    assert not mirror.path.exists()


def test_a_dandiset_that_the_rules_leave_out_is_watched_no_more(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    archive.create_dandiset("000124").add_asset("a.nwb", archive.add_blob(b"a"))
    mirror.cli("sync", "--all", "-J", "1")
    mirror.cli("sync", "--exclude", "000124", "--metrics", str(tmp_path / "m.prom"))
    assert {name for key, name in samples(tmp_path / "m.prom") if "dandiset_last" in key} == {"000123"}


def test_a_folder_for_metrics_that_is_not_there_is_said_before_anything_is_done(mirror: MirrorOfTest) -> None:
    done = mirror.cli("sync", "000123", "--metrics", str(mirror.path / "no" / "m.prom"), code=2)
    assert "make it first" in done.stderr
    assert mirror.server.requests == []


def test_metrics_that_cannot_be_written_are_said_and_end_with_6(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    (tmp_path / "m.prom").mkdir()
    done = mirror.cli("sync", "000123", "--metrics", str(tmp_path / "m.prom"), code=6)
    assert "could not be written" in done.stderr
    assert done.stdout.startswith("000123  3 files")
    assert sorted(path.name for path in tmp_path.iterdir() if "m.prom" in path.name) == ["m.prom"]


@pytest.mark.parametrize("name", ['a"b\\c', "a\nb", "ä\udcff"])
def test_a_folder_of_any_name_is_a_label(name: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    mirror.path = tmp_path / name
    mirror.cli("sync", "000123", env={"DANDI_MIRROR_METRICS": str(tmp_path / "m.prom")})
    (family,) = [
        family
        for family in text_string_to_metric_families((tmp_path / "m.prom").read_text())
        if family.name == "dandi_mirror_last_run_exit_code"
    ]
    assert family.samples[0].labels["mirror"] == str(tmp_path / name).replace("\udcff", "�")
