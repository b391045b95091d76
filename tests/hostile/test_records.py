"""Records that no honest archive sends, beside twenty good ones: each is named, the good ones mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from tests.support.looking import check_git_takes_it, refused
from tests.support.serving import LARGE, Raw, good_paths, good_row, served, spell

Change = Callable[[dict[str, Any]], Any]


def with_size(value: Any) -> Change:
    return lambda row: row | {"size": value, "metadata": row["metadata"] | {"contentSize": value}}


def with_sha256(value: Any) -> Change:
    return lambda row: in_metadata(row, digest={"dandi:sha2-256": value})


def in_metadata(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return row | {"metadata": row["metadata"] | changes}


def with_metadata(**changes: Any) -> Change:
    return lambda row: in_metadata(row, **changes)


def in_row(**changes: Any) -> Change:
    return lambda row: row | changes


def without(name: str) -> Change:
    return lambda row: {key: value for key, value in row.items() if key != name}


def raw(old: bytes, new: bytes) -> Change:
    """The record with some of its bytes replaced."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        content = spell(in_metadata(row, hole="HOLE")["metadata"])
        assert old in content
        return row | {"metadata": Raw(content.replace(old, new, 1))}

    return change


def hole(content: bytes) -> Change:
    """The record with these bytes as one of its values."""
    return raw(b'"HOLE"', content)


def size_in_bytes(content: bytes) -> Change:
    """A row in which the size is spelled so."""
    return lambda row: Raw(spell(row).replace(b'"size": %d' % LARGE, b'"size": ' + content))


SIZE, SHA, ID, ROW = "size", "SHA-256", "id is not a UUID", "row is not an object"
HEX = "0123456789abcdef" * 4
CASES: list[tuple[str, Change, str]] = [
    # sizes
    ("size -1", with_size(-1), SIZE),
    ("size 1.5", with_size(1.5), SIZE),
    ("size 5.0", with_size(5.0), SIZE),
    ("size true", with_size(True), SIZE),
    ("size false", with_size(False), SIZE),
    ("size text", with_size("5"), SIZE),
    ("size null", with_size(None), SIZE),
    ("size list", with_size([5]), SIZE),
    ("size object", with_size({"$gt": 0}), SIZE),
    ("size 10^30", with_size(10**30), SIZE),
    ("size 2^63", with_size(2**63), SIZE),
    ("size 2^64", with_size(2**64), SIZE),
    ("size over 5 TiB", with_size(5 * 2**40 + 1), SIZE),
    ("size NaN", size_in_bytes(b"NaN"), SIZE),
    ("size Infinity", size_in_bytes(b"-Infinity"), SIZE),
    ("size 1e400", size_in_bytes(b"1e400"), SIZE),
    ("size 1e6", size_in_bytes(b"5e6"), SIZE),
    ("size 5000 digits", size_in_bytes(b"5" * 5000), SIZE),
    ("size -0.0", size_in_bytes(b"-0.0"), SIZE),
    ("size missing", without("size"), SIZE),
    ("contentSize differs", with_metadata(contentSize=LARGE + 1), SIZE),
    ("contentSize true", lambda row: in_metadata(row, contentSize=True) | {"size": 1}, SIZE),
    ("contentSize text", with_metadata(contentSize=str(LARGE)), SIZE),
    ("contentSize null", with_metadata(contentSize=None), SIZE),
    ("contentSize NaN", raw(b'"contentSize": %d' % LARGE, b'"contentSize": NaN'), SIZE),
    # digests
    ("sha256 upper case", with_sha256(HEX.upper()), SHA),
    ("sha256 short", with_sha256(HEX[:-1]), SHA),
    ("sha256 long", with_sha256(HEX + "0"), SHA),
    ("sha256 trailing newline", with_sha256(HEX + "\n"), SHA),
    ("sha256 leading blank", with_sha256(" " + HEX[1:]), SHA),
    ("sha256 not hex", with_sha256("g" * 64), SHA),
    ("sha256 path", with_sha256("../" * 20 + "etc/"), SHA),
    ("sha256 slash", with_sha256("/" + HEX[1:]), SHA),
    ("sha256 Arabic digits", with_sha256("\u0661" * 64), SHA),
    ("sha256 full width", with_sha256("\uff41" * 64), SHA),
    ("sha256 NUL", with_sha256(HEX[:-1] + "\0"), SHA),
    ("sha256 surrogate", with_sha256(HEX[:-1] + "\ud800"), ""),
    ("sha256 empty", with_sha256(""), SHA),
    ("sha256 number", with_sha256(int("1" * 64)), SHA),
    ("sha256 true", with_sha256(True), SHA),
    ("sha256 list", with_sha256([HEX]), SHA),
    ("sha256 object", with_sha256({"x": HEX}), SHA),
    ("sha256 option", with_sha256("-" * 64), SHA),
    ("sha256 line", with_sha256("a" * 31 + "\ndeleteall\n" + "b" * 22), SHA),
    ("sha256 null", with_sha256(None), "no SHA-256 for it yet"),
    ("digest missing", lambda row: row | {"metadata": {"path": row["path"]}}, "no SHA-256 for it yet"),
    ("digest null", with_metadata(digest=None), "no SHA-256 for it yet"),
    ("digest text", with_metadata(digest=HEX), "no SHA-256 for it yet"),
    ("digest list", with_metadata(digest=[HEX]), "no SHA-256 for it yet"),
    ("digest empty", with_metadata(digest={}), "no SHA-256 for it yet"),
    # ids
    ("id upper case", lambda row: row | {"asset_id": row["asset_id"].upper()}, ID),
    ("id trailing newline", lambda row: row | {"asset_id": row["asset_id"] + "\n"}, ID),
    ("id braces", lambda row: row | {"asset_id": "{" + row["asset_id"] + "}"}, ID),
    ("id version 1", lambda row: row | {"asset_id": row["asset_id"][:14] + "1" + row["asset_id"][15:]}, ID),
    ("id variant", lambda row: row | {"asset_id": row["asset_id"][:19] + "7" + row["asset_id"][20:]}, ID),
    ("id path", in_row(asset_id="../../../../etc/passwd"), ID),
    ("id Arabic", lambda row: row | {"asset_id": "\u0661" + row["asset_id"][1:]}, ID),
    ("id empty", in_row(asset_id=""), ID),
    ("id null", in_row(asset_id=None), ID),
    ("id number", in_row(asset_id=5), ID),
    ("id list", in_row(asset_id=["x"]), ID),
    ("id object", in_row(asset_id={}), ID),
    ("id true", in_row(asset_id=True), ID),
    ("id surrogate", in_row(asset_id="\ud800"), ID),
    ("id missing", without("asset_id"), ID),
    # rows and records
    ("row null", lambda row: None, ROW),
    ("row text", lambda row: "sub-1/x.nwb", ROW),
    ("row number", lambda row: 5, ROW),
    ("row list", lambda row: [row], ROW),
    ("row empty", lambda row: {}, ID),
    ("metadata null", in_row(metadata=None), "no metadata that can be read"),
    ("metadata text", in_row(metadata="x"), "no metadata that can be read"),
    ("metadata list", in_row(metadata=[]), "no metadata that can be read"),
    ("metadata missing", without("metadata"), "no metadata that can be read"),
    ("record NaN", hole(b"NaN"), "cannot hold"),
    ("record Infinity", hole(b"[Infinity]"), "cannot hold"),
    ("record 1e400", hole(b"1e400"), ""),
    ("record -1e400 deep", hole(b'{"a": [{"b": -1e400}]}'), ""),
    ("record 5000 digits", hole(b"7" * 5000), "cannot hold"),
    ("record 350 digits", hole(b"7" * 350), "too large"),
    ("record surrogate", hole(b'"\\ud800"'), "surrogate"),
    ("record surrogate key", hole(b'{"\\udfff": 1}'), "surrogate"),
    ("record reversed pair", hole(b'"\\udc00\\ud800"'), "surrogate"),
    ("record 200 levels", hole(b"[" * 200 + b"]" * 200), ""),
    ("record 300 levels", hole(b'{"a":' * 300 + b"1" + b"}" * 300), ""),
    ("record 9 MiB", hole(b'"' + b"x" * (9 << 20) + b'"'), "larger than 8 MiB"),
    ("zarr and blob", in_row(zarr="x"), "Zarr"),
    ("zarr false", in_row(zarr=False), "Zarr"),
    ("zarr empty", in_row(zarr=""), "Zarr"),
    # paths that are no paths
    ("path null", in_row(path=None), "not text"),
    ("path number", in_row(path=5), "not text"),
    ("path list", in_row(path=["a", "b"]), "not text"),
    ("path object", in_row(path={"a": "b"}), "not text"),
    ("path true", in_row(path=True), "not text"),
    ("path missing", without("path"), "not text"),
]  # fmt: skip

URL = "no content URL"
S3 = "https://dandiarchive.s3.amazonaws.com/blobs/a"
UNKNOWN_HOSTS = {
    f"https://{host}/{path}": host
    for host, path in (
        ("evil.example", "x"), ("evil.example", "dandiarchive.s3.amazonaws.com/x"), ("evil", "amazonaws.com/x"),
        ("dandiarchive.s3.amazonaws.com.evil.example", "x"), ("dandiarchive.s3.amazonaws.com.evil", "x"),
        ("xs3.amazonaws.com", "x"), ("s3.amazonaws.com.evil", "x"), ("dandiarchive.s3.amazonaws.com:8443", "x"),
        ("dandiarchive.s3.amazonaws.com:99999", "x"), ("0x7f000001", "x"), ("169.254.169.254", "latest/meta-data/"),
    )
}  # fmt: skip
"""URLs that would be admitted if the settings named their host, and that host."""
BAD_URLS: list[Any] = [
    "file:///etc/passwd", "FILE:///etc/passwd", "ftp://dandiarchive.s3.amazonaws.com/x",
    "//dandiarchive.s3.amazonaws.com/x", "https://user@dandiarchive.s3.amazonaws.com/x",
    "https://user:secret@dandiarchive.s3.amazonaws.com/x",
    "https://dandiarchive.s3.amazonaws.com@evil.example/x",
    "https://dandiarchive.s3.amazonaws.com:x@evil.example/x", "https://evil.example/x",
    "https://evil.example/dandiarchive.s3.amazonaws.com/x", "https://evil/amazonaws.com/x",
    "https://dandiarchive.s3.amazonaws.com.evil.example/x", "https://dandiarchive.s3.amazonaws.com.evil/x",
    "https://evil.example?dandiarchive.s3.amazonaws.com/x", "https://evil.example#.s3.amazonaws.com/x",
    "https://evil.example\\.s3.amazonaws.com/x", "https://xs3.amazonaws.com/x",
    "https://s3.amazonaws.com.evil/x", "https://dandiarchive.s3.amazonaws.com:8443/x",
    "https://dandiarchive.s3.amazonaws.com:99999/x", "https://dandiarchive.s3.amazonaws.com:/x",
    "https://dandiarchive.s3.amazonaws.com", "https:///x", "https://",
    "https://dandiarchive.s3.amazonaws.com/a b", "https://dandiarchive.s3.amazonaws.com/a\nb",
    "https://dandiarchive.s3.amazonaws.com/a\n1s 1 https://evil.example/x",
    "https://dandiarchive.s3.amazonaws.com/a\tb", "https://dandiarchive.s3.amazonaws.com/a\x00b",
    "https://dandiarchive.s3.amazonaws.com/\x1b[2J", "https://dandiarchive.s3.amazonaws.com/\u2028",
    "https://dandiarchive.s3.amazonaws.com/é", S3 + "\n", " " + S3, S3 + "#x",
    "https://dandiarchive.s3.amazonaws.com/../x", "https://dandiarchive.s3.amazonaws.com/a/./b",
    "https://dandiarchive\u3002s3.amazonaws.com/x", "https://dandiarchive.s3.am\uff41zonaws.com/x",
    "https://[::1]/x", "https://[dandiarchive.s3.amazonaws.com/x", "https://0x7f000001/x",
    "https://169.254.169.254/latest/meta-data/", "javascript:alert(1)", "data:text/plain,x", "", "x",
    "https", None, 5, True, [S3], {"url": S3}, "\ud800", "-o/tmp/x",
    "https://dandiarchive.s3.amazonaws.com/" + "\\",
]  # fmt: skip


@dataclass
class Outcome:
    """What one sync made of all cases together."""

    report: Report
    mirror: MirrorOfTest
    folder: Path

    def finding(self, name: str) -> list[Finding]:
        """What was said about one case: by its path, or by its asset id."""
        row = good_row(f"bad/{name}.nwb")
        return [
            found for found in self.report.findings if row["path"] == found.path or row["asset_id"] == found.asset_id
        ]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """All cases in one Dandiset, and one sync of it."""
    folder = tmp_path_factory.mktemp("records")
    rows = [good_row(path) for path in good_paths()]
    rows += [change(good_row(f"bad/{name}.nwb")) for name, change, _ in CASES]
    rows += [in_metadata(good_row(f"bad/url {n}.nwb"), contentUrl=[url]) for n, url in enumerate(BAD_URLS)]
    with pytest.MonkeyPatch.context() as patch, serve(Archive(instance_name="DANDI")) as server:
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        served(server, rows)
        mirror = MirrorOfTest(folder / "mirror", server)
        yield Outcome(mirror.sync(), mirror, folder)


def test_every_good_asset_is_mirrored_and_the_run_says_that_parts_are_missing(outcome: Outcome) -> None:
    assert (outcome.report.status, outcome.report.exit_code) == ("ok", 3), outcome.report.message
    assert set(good_paths()) <= set(outcome.mirror.asset_paths())
    assert check_git_takes_it(outcome.mirror, outcome.folder).keys() == set(outcome.mirror.asset_paths())


def test_every_bad_row_is_named_and_none_becomes_a_file(outcome: Outcome) -> None:
    kinds = [finding for finding in outcome.report.findings if finding.kind in {"refused", "pending", "zarr"}]
    assert len(kinds) == len(CASES)
    mirrored = set(outcome.mirror.asset_paths())
    assert mirrored == {*good_paths(), *(f"bad/url {number}.nwb" for number in range(len(BAD_URLS)))}
    assert not [path for path in outcome.mirror.tree() if ".." in path or "\n" in path]


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, _, reason in CASES if "row" not in name])
def test_a_bad_record_is_named_with_its_reason(outcome: Outcome, name: str, reason: str) -> None:
    findings = outcome.finding(name)
    assert len(findings) == 1, findings
    assert reason in findings[0].reason
    assert findings[0].reason.isprintable()


@pytest.mark.parametrize(
    "name", [name for name, _, reason in CASES if reason not in {ID, ROW} and "Zarr" not in reason]
)
def test_a_refused_record_is_kept_beside_the_data(outcome: Outcome, name: str) -> None:
    asset_id = good_row(f"bad/{name}.nwb")["asset_id"]
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
        bad = hole(deep)(good_row(f"bad/{number}.nwb"))
        answers = served(server, [*(good_row(path) for path in good_paths()), bad])
        answers.modified = f"2024-02-0{number + 1}T00:00:00Z"
        report = mirror.sync()
        assert report.exit_code == 3, report.message
        assert [finding.path for finding in report.findings] == [f"bad/{number}.nwb"]
        assert sorted(mirror.asset_paths()) == sorted(good_paths())


def test_how_deep_a_refused_record_is_makes_no_difference_to_the_tree(mirror: MirrorOfTest, server: Any) -> None:
    """What a JSON reader can still read depends on its release; the tree must not."""
    trees = set()
    for depth in (200, 900, 1500, 50_000):
        bad = hole(b"[" * depth + b"]" * depth)(good_row("bad.nwb"))
        answers = served(server, [*(good_row(path) for path in good_paths()), bad])
        answers.modified = f"2024-02-02T00:00:00.{depth:06d}Z"
        assert mirror.sync(mode="force").exit_code == 3
        trees.add(mirror.git("rev-parse", "draft^{tree}"))
    assert len(trees) == 1


@pytest.mark.parametrize("content", [b'"\xe9"', b'"\xff\xfe"', b"{", b"", b"'x'", b"tru", b'{"a" 1}'], ids=repr)
def test_one_record_that_is_not_json_does_not_hide_the_others(
    mirror: MirrorOfTest, server: Any, content: bytes
) -> None:
    bad = hole(content)(good_row("bad.nwb"))
    served(server, [*(good_row(path) for path in good_paths()), bad])
    report = mirror.sync()
    assert [(finding.path, finding.kind) for finding in report.findings] == [("bad.nwb", "pending")]
    assert sorted(mirror.asset_paths()) == sorted(good_paths())


@pytest.mark.parametrize("change", ["same row", "other record", "other path", "other path, both bad"])
def test_an_asset_that_is_listed_twice(mirror: MirrorOfTest, server: Any, change: str) -> None:
    one, two = good_row("twice.nwb"), good_row("twice.nwb")
    if change == "other record":
        two["metadata"]["digest"]["dandi:sha2-256"] = HEX
    if change.startswith("other path"):
        two["path"] = two["metadata"]["path"] = "elsewhere.nwb"
    if change.endswith("bad"):
        one["path"], two["path"] = "a\nb", "a\tb"
    served(server, [*(good_row(path) for path in good_paths()), one, two])
    report = mirror.sync()
    assert set(good_paths()) <= set(mirror.asset_paths())
    if change == "same row":
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
