"""Content that no version names any more is counted, and with ``rescue`` it comes before the archive removes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dandi_mirror.config import FILE
from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.mirror.copies.leaving import DAYS, leaving, removed_links
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed

DAY = 86400


@pytest.fixture
def dandiset(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    """A mirrored Dandiset; its files 0 and 1 are in a published version, 2 and 3 in the draft alone."""
    made = seed(archive, 2)
    made.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    for number in (2, 3):
        made.add_asset(f"new-{number}.nwb", archive.add_blob(f"new content {number}".encode()))
    mirror.cli("sync", "000123")
    return made


def metrics(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    return {sample.name.removeprefix("dandi_mirror_"): sample.value for family in families for sample in family.samples}


def going(mirror: MirrorOfTest) -> dict[str, object]:
    (found,) = (
        record for line in mirror.cli("status", "000123", "-f", "json").stdout.splitlines()
        if (record := json.loads(line))["action"] == "status"
    )  # fmt: skip
    return {name: found[name] for name in ("leaving", "leaving_size", "leaving_day")}


def test_files_that_no_version_names_any_more_are_counted_with_the_day(
    dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    assert going(mirror) == {"leaving": 0, "leaving_size": 0, "leaving_day": ""}
    dandiset.delete_asset("new-2.nwb")
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    mirror.cli("sync", "--allow-deletes")
    found = going(mirror)
    assert (found["leaving"], found["leaving_size"]) == (1, 13), "the published version still names the other one"
    seconds = int(mirror.git("log", "-1", "--format=%ct", "draft"))
    assert found["leaving_day"] == datetime.fromtimestamp(seconds + DAYS * DAY, UTC).strftime("%Y-%m-%d")
    assert "leaving the archive: 1 file, 13 bytes, the first about" in mirror.cli("status", "000123").stdout
    here = Mirror(mirror.path)
    assert leaving(here, "000123", seconds + (DAYS - 1) * DAY).until
    assert not leaving(here, "000123", seconds + (DAYS + 1) * DAY).until, "by then it is gone"


def test_with_rescue_a_sync_brings_it_within_the_budget(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    keys = mirror.keys()
    dandiset.delete_asset("new-2.nwb")
    dandiset.delete_asset("new-3.nwb")
    (mirror.path / FILE).write_text('rescue = true\nrescue-budget = "20"\n')
    file = mirror.path / "m.prom"
    done = mirror.cli("sync", "--allow-deletes", "--metrics", str(file))
    assert "got 1 file, 13 bytes" in done.stdout
    assert going(mirror)["leaving"] == 1
    assert metrics(file)["last_run_rescued_bytes"] == metrics(file)["last_run_not_rescued_bytes"] == 13
    assert "leaving the archive: 13 bytes in 1 file" in mirror.cli("coverage", "--metrics", str(file)).stdout
    found = metrics(file)
    assert found["copies_leaving_bytes"] == 13 and found["copies_leaving_timestamp_seconds"] > 1.7e9
    (mirror.path / FILE).write_text("rescue = true\n")
    assert "got 1 file, 13 bytes" in mirror.cli("sync").stdout, "a sync without a change gets the rest"
    assert going(mirror)["leaving"] == 0
    for name in ("new-2.nwb", "new-3.nwb"):
        assert mirror.git("annex", "contentlocation", keys[name])
    assert mirror.cli("sync").stdout == ""


def test_links_that_were_removed_or_replaced_are_read_from_a_log_whatever_their_names() -> None:
    old, new, none = "a" * 40, "b" * 40, "0" * 40
    log = "\0".join([
        "\x012000", f":120000 000000 {old} {none} D", ":120000 000000 x y D", f":100644 000000 {new} {none} D", "text",
        "", "\x011000", f":120000 120000 {new} {old} M", "\x01a path", f":000000 120000 {none} {new} A", "b", "",
    ])  # fmt: skip
    assert list(removed_links(log)) == [(new, 1000.0), (old, 2000.0)]
