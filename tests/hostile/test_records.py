"""Records that no honest archive sends, beside twenty good ones: each is named, the good ones mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, serve
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.model import (
    Finding,
    Instance,
    Report,
    is_asset_id,
    is_dandiset_id,
    is_instance_name,
    is_version_id,
)
from tests.conftest import MirrorOfTest, own_home
from tests.support.bad_records import BAD_URLS, CASES, ENTRY, HEX, ID, S3, UNKNOWN_HOSTS, URL, hole, in_metadata
from tests.support.looking import check_git_takes_it, refused
from tests.support.serving import good_entry, good_paths, served


@dataclass
class Outcome:
    """What one sync made of all cases together."""

    report: Report
    mirror: MirrorOfTest
    folder: Path

    def finding(self, name: str) -> list[Finding]:
        """What was said about one case: by its path, or by its asset id."""
        entry = good_entry(f"bad/{name}.nwb")
        return [
            found
            for found in self.report.findings
            if entry["path"] == found.path or entry["asset_id"] == found.asset_id
        ]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """All cases in one Dandiset, and one sync of it."""
    folder = tmp_path_factory.mktemp("records")
    entries = [good_entry(path) for path in good_paths()]
    entries += [change(good_entry(f"bad/{name}.nwb")) for name, change, _ in CASES]
    entries += [in_metadata(good_entry(f"bad/url {n}.nwb"), contentUrl=[url]) for n, url in enumerate(BAD_URLS)]
    with pytest.MonkeyPatch.context() as patch, serve(Archive(instance_name="DANDI")) as server:
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        served(server, entries)
        mirror = MirrorOfTest(folder / "mirror", server)
        yield Outcome(mirror.sync(), mirror, folder)


def test_every_good_asset_is_mirrored_and_the_run_says_that_parts_are_missing(outcome: Outcome) -> None:
    assert (outcome.report.status, outcome.report.exit_code) == ("ok", 3), outcome.report.message
    assert set(good_paths()) <= set(outcome.mirror.asset_paths())
    assert check_git_takes_it(outcome.mirror, outcome.folder).keys() == set(outcome.mirror.asset_paths())


def test_every_bad_list_entry_is_named_and_none_becomes_a_file(outcome: Outcome) -> None:
    kinds = [finding for finding in outcome.report.findings if finding.kind in {"refused", "pending", "zarr"}]
    assert len(kinds) == len(CASES)
    mirrored = set(outcome.mirror.asset_paths())
    assert mirrored == {*good_paths(), *(f"bad/url {number}.nwb" for number in range(len(BAD_URLS)))}
    assert not [path for path in outcome.mirror.tree() if ".." in path or "\n" in path]


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, _, reason in CASES if "entry" not in name])
def test_a_bad_record_is_named_with_its_reason(outcome: Outcome, name: str, reason: str) -> None:
    findings = outcome.finding(name)
    assert len(findings) == 1, findings
    assert reason in findings[0].reason
    assert findings[0].reason.isprintable()


@pytest.mark.parametrize(
    "name", [name for name, _, reason in CASES if reason not in {ID, ENTRY} and "Zarr" not in reason]
)
def test_a_refused_record_is_kept_beside_the_data(outcome: Outcome, name: str) -> None:
    asset_id = good_entry(f"bad/{name}.nwb")["asset_id"]
    (found,) = outcome.finding(name)
    assert (asset_id in refused_once(outcome)) == (found.kind == "refused")


def refused_once(outcome: Outcome) -> set[str]:
    names = outcome.mirror.tree()
    return {
        name.removeprefix(".dandi/refused/").removesuffix(".json")
        for name in names
        if name.startswith(".dandi/refused/")
    }


@pytest.mark.parametrize(("number", "url"), list(enumerate(BAD_URLS)), ids=repr)
def test_a_url_that_git_annex_must_not_get_is_named_and_the_asset_is_mirrored_without_it(
    outcome: Outcome, number: int, url: Any
) -> None:
    (finding,) = outcome.finding(f"url {number}")
    host = UNKNOWN_HOSTS.get(url) if isinstance(url, str) else None
    assert finding.kind == "url"
    assert (f"host {host} is not known to serve this archive's content" if host else URL) in finding.reason


def test_only_urls_of_the_bucket_and_of_the_api_reach_the_git_annex_branch(outcome: Outcome) -> None:
    tree = outcome.mirror.tree("git-annex")
    logs = [oid for path, (_, oid) in tree.items() if path.endswith(".log.web")]
    assert len(logs) > 70
    from dandi_mirror.mirror.state.layout import Mirror

    with Mirror(outcome.mirror.path).dataset("000123").reader() as reader:
        lines = [line.decode() for content in reader.read(logs) for line in (content or b"").splitlines()]
    bucket, api = "https://dandiarchive.s3.amazonaws.com/blobs/", f"{outcome.mirror.server.api_url}/assets/"
    urls = {line.split(" ", 2)[2] for line in lines}
    assert urls and {url for url in urls if not url.startswith((bucket, api))} == set()
    assert all(len(line.split(" ")) == 3 for line in lines)


def test_a_record_of_a_hundred_thousand_levels_is_refused_alone(mirror: MirrorOfTest, server: Any) -> None:
    for number, deep in enumerate([b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000]):
        bad = hole(deep)(good_entry(f"bad/{number}.nwb"))
        answers = served(server, [*(good_entry(path) for path in good_paths()), bad])
        answers.modified = f"2024-02-0{number + 1}T00:00:00Z"
        report = mirror.sync()
        assert report.exit_code == 3, report.message
        assert [finding.path for finding in report.findings] == [f"bad/{number}.nwb"]
        assert sorted(mirror.asset_paths()) == sorted(good_paths())


def test_how_deep_a_refused_record_is_makes_no_difference_to_the_tree(mirror: MirrorOfTest, server: Any) -> None:
    """What a JSON reader can still read depends on its release; the tree must not."""
    trees = set()
    for depth in (200, 900, 1500, 50_000):
        bad = hole(b"[" * depth + b"]" * depth)(good_entry("bad.nwb"))
        answers = served(server, [*(good_entry(path) for path in good_paths()), bad])
        answers.modified = f"2024-02-02T00:00:00.{depth:06d}Z"
        assert mirror.sync(mode="force").exit_code == 3
        trees.add(mirror.git("rev-parse", "draft^{tree}"))
    assert len(trees) == 1


@pytest.mark.parametrize("content", [b'"\xe9"', b'"\xff\xfe"', b"{", b"", b"'x'", b"tru", b'{"a" 1}'], ids=repr)
def test_one_record_that_is_not_json_does_not_hide_the_others(
    mirror: MirrorOfTest, server: Any, content: bytes
) -> None:
    bad = hole(content)(good_entry("bad.nwb"))
    served(server, [*(good_entry(path) for path in good_paths()), bad])
    report = mirror.sync()
    assert [(finding.path, finding.kind) for finding in report.findings] == [("bad.nwb", "pending")]
    assert sorted(mirror.asset_paths()) == sorted(good_paths())


@pytest.mark.parametrize("change", ["same entry", "other record", "other path", "other path, both bad"])
def test_an_asset_that_is_listed_twice(mirror: MirrorOfTest, server: Any, change: str) -> None:
    one, two = good_entry("twice.nwb"), good_entry("twice.nwb")
    if change == "other record":
        two["metadata"]["digest"]["dandi:sha2-256"] = HEX
    if change.startswith("other path"):
        two["path"] = two["metadata"]["path"] = "elsewhere.nwb"
    if change.endswith("bad"):
        one["path"], two["path"] = "a\nb", "a\tb"
    served(server, [*(good_entry(path) for path in good_paths()), one, two])
    report = mirror.sync()
    assert set(good_paths()) <= set(mirror.asset_paths())
    if change == "same entry":
        assert report.findings == [] and "twice.nwb" in mirror.asset_paths()
        return
    # two answers about one id: neither can be believed, both are named and both are kept
    assert len(report.findings) == 2 and report.exit_code == 3
    assert sorted(mirror.asset_paths()) == sorted(good_paths())
    assert len([name for name in mirror.tree() if name.startswith(".dandi/refused/") and name.endswith(".json")]) == 2
    assert {record["path"] for record in refused(mirror).values()} <= {one["path"], two["path"]}


ARABIC = "\u0660\u0660\u0660\u0660\u0660\u0664"


@pytest.mark.parametrize(
    "value",
    [
        ARABIC, "000004\n", "00004", "0000004", "00000a", "draft", "HEAD", "../x", "-00004", " 000004", "",
        None, 4, ["000004"], "0.220126.1852\n", "0.220126.185", "1.220126.1852", "0.22O126.1852",
        "v0.220126.1852", "0.220126.1852/..",
        "0..1852", "0.\u0662\u0662\u0660\u0661\u0662\u0666.1852", "0.220126.1852^{}",
        "refs/heads/x", 0.22, True, "\ud800", "\x00",
    ],
    ids=repr,
)  # fmt: skip
def test_no_id_but_an_exact_one_is_taken(value: Any) -> None:
    checks = (is_dandiset_id, is_version_id, is_asset_id)
    assert not any(check(value) for check in checks)


@pytest.mark.parametrize(
    "name", ["DANDI\n", "", "../x", "a b", "-x", "DANDI:", "é", "x" * 65, None, 5, ["DANDI"], "\ud800"]
)
def test_no_instance_is_called_so(name: Any) -> None:
    assert not is_instance_name(name)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/x",
        "http://localhost/x",
        "https://127.0.0.1/x",
        "http://dandiarchive.s3.amazonaws.com/x",
    ],
)
def test_the_public_archive_never_names_a_host_of_this_machine_or_plain_http(url: str) -> None:
    hosts = ContentHosts(Instance("DANDI", "https://api.dandiarchive.org/api"))
    assert hosts.admit(url) is None
    assert hosts.admit(S3) == S3
    assert hosts.admit(S3 + "?versionId=a.B_c&X-Amz-Signature=secret") == S3 + "?versionId=a.B_c"
    assert hosts.admit(S3 + "?X-Amz-Signature=secret") == S3
