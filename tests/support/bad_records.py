"""Records that no good archive gives, each with the reason for which it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.serving import LARGE, Raw, spell

Change = Callable[[dict[str, Any]], Any]


def with_size(value: Any) -> Change:
    return lambda entry: entry | {"size": value, "metadata": entry["metadata"] | {"contentSize": value}}


def with_sha256(value: Any) -> Change:
    return lambda entry: in_metadata(entry, digest={"dandi:sha2-256": value})


def in_metadata(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return entry | {"metadata": entry["metadata"] | changes}


def with_metadata(**changes: Any) -> Change:
    return lambda entry: in_metadata(entry, **changes)


def in_entry(**changes: Any) -> Change:
    return lambda entry: entry | changes


def without(name: str) -> Change:
    return lambda entry: {key: value for key, value in entry.items() if key != name}


def raw(old: bytes, new: bytes) -> Change:
    """The record with some of its bytes replaced."""

    def change(entry: dict[str, Any]) -> dict[str, Any]:
        content = spell(in_metadata(entry, hole="HOLE")["metadata"])
        assert old in content
        return entry | {"metadata": Raw(content.replace(old, new, 1))}

    return change


def hole(content: bytes) -> Change:
    """The record with these bytes as one of its values."""
    return raw(b'"HOLE"', content)


def size_in_bytes(content: bytes) -> Change:
    """A list entry in which the size is spelled so."""
    return lambda entry: Raw(spell(entry).replace(b'"size": %d' % LARGE, b'"size": ' + content))


SIZE, SHA, ID, ENTRY = "size", "SHA-256", "id is not a UUID", "row is not an object"
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
    ("contentSize true", lambda entry: in_metadata(entry, contentSize=True) | {"size": 1}, SIZE),
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
    ("digest missing", lambda entry: entry | {"metadata": {"path": entry["path"]}}, "no SHA-256 for it yet"),
    ("digest null", with_metadata(digest=None), "no SHA-256 for it yet"),
    ("digest text", with_metadata(digest=HEX), "no SHA-256 for it yet"),
    ("digest list", with_metadata(digest=[HEX]), "no SHA-256 for it yet"),
    ("digest empty", with_metadata(digest={}), "no SHA-256 for it yet"),
    # ids
    ("id upper case", lambda entry: entry | {"asset_id": entry["asset_id"].upper()}, ID),
    ("id trailing newline", lambda entry: entry | {"asset_id": entry["asset_id"] + "\n"}, ID),
    ("id braces", lambda entry: entry | {"asset_id": "{" + entry["asset_id"] + "}"}, ID),
    ("id version 1", lambda entry: entry | {"asset_id": entry["asset_id"][:14] + "1" + entry["asset_id"][15:]}, ID),
    ("id variant", lambda entry: entry | {"asset_id": entry["asset_id"][:19] + "7" + entry["asset_id"][20:]}, ID),
    ("id path", in_entry(asset_id="../../../../etc/passwd"), ID),
    ("id Arabic", lambda entry: entry | {"asset_id": "\u0661" + entry["asset_id"][1:]}, ID),
    ("id empty", in_entry(asset_id=""), ID),
    ("id null", in_entry(asset_id=None), ID),
    ("id number", in_entry(asset_id=5), ID),
    ("id list", in_entry(asset_id=["x"]), ID),
    ("id object", in_entry(asset_id={}), ID),
    ("id true", in_entry(asset_id=True), ID),
    ("id surrogate", in_entry(asset_id="\ud800"), ID),
    ("id missing", without("asset_id"), ID),
    # list entries and records
    ("entry null", lambda entry: None, ENTRY),
    ("entry text", lambda entry: "sub-1/x.nwb", ENTRY),
    ("entry number", lambda entry: 5, ENTRY),
    ("entry list", lambda entry: [entry], ENTRY),
    ("entry empty", lambda entry: {}, ID),
    ("metadata null", in_entry(metadata=None), "no metadata that can be read"),
    ("metadata text", in_entry(metadata="x"), "no metadata that can be read"),
    ("metadata list", in_entry(metadata=[]), "no metadata that can be read"),
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
    ("zarr and blob", in_entry(zarr="x"), "Zarr"),
    ("zarr false", in_entry(zarr=False), "Zarr"),
    ("zarr empty", in_entry(zarr=""), "Zarr"),
    # paths that are no paths
    ("path null", in_entry(path=None), "not text"),
    ("path number", in_entry(path=5), "not text"),
    ("path list", in_entry(path=["a", "b"]), "not text"),
    ("path object", in_entry(path={"a": "b"}), "not text"),
    ("path true", in_entry(path=True), "not text"),
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
