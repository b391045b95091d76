"""Tables of small rules: sizes in words, digests, keys, names, filters of Dandisets, metadata for git-annex."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import Any

import pytest

from dandi_mirror import digests
from dandi_mirror.config import Settings
from dandi_mirror.mirror.format.annex_metadata import LONGEST_VALUE, MOST_VALUES, annex_fields, session_of
from dandi_mirror.mirror.format.tree import LARGEST_TEXT, git_attributes, is_text
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.filters import Rules
from dandi_mirror.repo.annex import keys
from dandi_mirror.text import counted, human_size, plain, printable

pytestmark = pytest.mark.quick

# --- text for people ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (10**6, "1.0 MB"),
        (6_200_000_000, "6.2 GB"), (10**12, "1.0 TB"), (1_234_000_000_000_000, "1234.0 TB"),
    ],
)  # fmt: skip
def test_a_size_is_shown_in_the_unit_that_a_person_would_choose(size: int, shown: str) -> None:
    assert human_size(size) == shown


def test_a_count_has_its_noun_in_the_plural_unless_it_is_one() -> None:
    assert [counted(number, "file") for number in (0, 1, 2, 1200)] == ["0 files", "1 file", "2 files", "1,200 files"]


def test_letters_that_are_not_seen_are_escaped_and_others_are_shown() -> None:
    assert printable("Grüße, 日本") == "Grüße, 日本"
    assert printable("a\x1b[2Jb\n") == r"a\x1b[2Jb\n"
    assert printable("a\u202eb\u200bü") == r"a\u202eb\u200bü"
    assert printable("plain") == "plain"


def test_a_url_is_shown_without_its_query_which_may_be_a_key() -> None:
    assert plain("see https://h/p?X=secret 'http://h/?k=v' ok?") == "see https://h/p?… 'http://h/?…' ok?"
    assert plain("no answer from /p?a=1&X-Amz-Signature=f00") == "no answer from /p?…"


def test_a_url_is_shown_without_a_name_and_a_password() -> None:
    assert plain("see https://me:secret@h/p, http://me@h") == "see https://h/p, http://h"
    assert plain("write https://NAME:PASSWORD@proxy") == "write https://NAME:PASSWORD@proxy", "an example is no secret"


# --- digests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [None, "text", [], {}, {"digest": None}, {"digest": "text"}, {"digest": {}}])
def test_a_record_without_a_digest_gives_none_whatever_it_is(record: object) -> None:
    assert digests.digest_in(record, digests.SHA256) is None


def test_a_digest_is_that_of_its_algorithm() -> None:
    assert digests.digest_in({"digest": {digests.SHA256: "a", "dandi:dandi-etag": "b"}}, digests.SHA256) == "a"


MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (0, 64 * MIB), (1, 64 * MIB), (9_998 * 64 * MIB, 64 * MIB), (9_999 * 64 * MIB, 64 * MIB),
        (9_999 * 64 * MIB + 1, 67_102_154), (10_000 * 64 * MIB, 64 * MIB), (10_000 * 64 * MIB + 1, 64 * MIB + 1),
    ],
)  # fmt: skip
def test_a_part_has_64_mib_or_more_for_a_file_that_would_need_10000(size: int, part: int) -> None:
    assert digests.etag_part_size(size) == part


def test_an_etag_is_the_md5_of_the_md5s_of_the_parts_and_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert digests.dandi_etag(b"") == f"{hashlib.md5(b'').hexdigest()}-0"
    one = hashlib.md5(hashlib.md5(b"abc").digest()).hexdigest()
    assert digests.dandi_etag(b"abc") == f"{one}-1"
    monkeypatch.setattr(digests, "ETAG_PART", 2)
    parts = b"".join(hashlib.md5(part).digest() for part in (b"ab", b"cd", b"e"))
    assert digests.dandi_etag(b"abcde") == f"{hashlib.md5(parts).hexdigest()}-3"


MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "step"),
    [(0, 1), (5, 10), (9 * MIB, 5 * MIB), (11 * MIB, 5 * MIB), (9 * MIB, 8 * MIB), (10 * MIB, 5 * MIB)],
)
def test_the_etag_of_an_object_in_parts_is_verified_by_the_sizes_that_clients_use(size: int, step: int) -> None:
    content = random.Random(1).randbytes(size)
    parts = [hashlib.md5(content[at : at + step]).digest() for at in range(0, size, step)] or [hashlib.md5().digest()]
    etag = digests.etag_of_parts(parts)
    for sent, right in ((content, True), (content[:-1] + b"!" if size else b"!", False)):
        computed = digests.hasher(etag, size)
        for at in range(0, len(sent), 3_000_000):
            computed.update(sent[at : at + 3_000_000])
        assert (computed.hexdigest() == etag) is right
    assert digests.is_verifiable(etag, size)


def test_an_etag_of_parts_that_no_client_sends_cannot_be_verified() -> None:
    etag = f"{'a' * 32}-5"
    assert not digests.is_verifiable(etag, 4500)
    assert digests.hasher(etag, 4500).hexdigest() == etag
    assert digests.is_verifiable("a" * 32, 4500)


def test_a_digest_is_told_by_its_digits() -> None:
    assert digests.hasher("0" * 32).hexdigest() == hashlib.md5().hexdigest()
    assert digests.hasher("0" * 64).hexdigest() == hashlib.sha256().hexdigest()
    assert digests.sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert [digests.is_sha256(text) for text in ("a" * 64, "A" * 64, "a" * 63, "a" * 65, "g" * 64, None)] == [
        True, False, False, False, False, False,
    ]  # fmt: skip


# --- git-annex keys -----------------------------------------------------------------------------------------


def test_the_folders_of_a_key_are_those_of_git_annex() -> None:
    key = "SHA256E-s9--" + "0" * 64 + ".nwb"
    word = hashlib.md5(key.encode()).hexdigest()
    assert keys.hash_dir_lower(key) == f"{word[:3]}/{word[3:6]}"
    # what `git annex examinekey --format='${hashdirmixed}'` says
    known = "SHA256E-s9--0000000000000000000000000000000000000000000000000000000000000000.nwb"
    mixed = keys.hash_dir_mixed(known)
    assert keys.link_target(known, 2) == f"../../.git/annex/objects/{mixed}/{known}/{known}"
    assert keys.link_target(known, 0).startswith(".git/annex/objects/")


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("a.nwb", ".nwb"), ("a.tar.gz", ".tar.gz"), ("a.b.tar.gz", ".tar.gz"), ("a.nwbxx", ""), ("a.abcd", ".abcd"),
        ("a.abcde", ""), ("a.abcde.gz", ".gz"), (".hidden", ""), ("..x.nwb", ".nwb"), ("x", ""), ("d.nwb/x", ""),
        ("a..gz", ".gz"), ("a.gz.", ".gz"), ("a.ü", ""), ("a.ü.gz", ""), ("a.t-x", ""), ("a.t-x.gz", ".gz"),
    ],
)  # fmt: skip
def test_a_key_keeps_the_suffixes_that_git_annex_keeps(path: str, kept: str) -> None:
    assert keys.extension(path) == kept
    assert keys.annex_key(5, "f" * 64, path) == f"SHA256E-s5--{'f' * 64}{kept}"


def test_what_can_be_a_key_and_what_cannot() -> None:
    assert keys.is_key("WORM-s3-m4--x") and keys.is_key("URL--http&c%%h") and keys.is_key("A--" + "x" * 252)
    for text in ("A--" + "x" * 253, "A--", "a--x", "A--a/b", "A--a\x1fb", "A--a\x7fb", "A-s--x", "A--\udcff", ""):
        assert not keys.is_key(text), text
    assert keys.sha256_of("SHA256E-s1--" + "a" * 64 + ".nwb") == "a" * 64
    assert keys.sha256_of("SHA256-s1--" + "a" * 64) == "a" * 64
    assert keys.sha256_of("MD5E-s1--" + "a" * 32) == keys.sha256_of("SHA256E--" + "a" * 63) == ""


def test_a_key_tells_its_size_before_the_dashes_or_not_at_all() -> None:
    assert keys.size_of("SHA256E-s17--" + "a" * 64) == 17
    assert keys.size_of("URL-s5-m9--http&c%%h--s8") == 5, "what follows the dashes is a name"
    assert keys.size_of("URL--x-s8--y") == 0
    assert keys.size_of("URL--http&c%%h", -1) == -1


def test_only_dots_at_the_start_of_a_name_do_not_count() -> None:
    assert keys.extension("X.nwb") == ".nwb" and keys.extension("..X.nwb") == ".nwb"


# --- text files ---------------------------------------------------------------------------------------------


def test_a_file_is_kept_in_git_if_it_is_small_and_text_by_its_name() -> None:
    assert LARGEST_TEXT == 1024 * 1024
    for path in ("a.json", "d/README", "LICENSE", "CHANGES", "x/a.tsv", "a.yml", "a.bval", "a.bvec", "a.cff"):
        assert is_text(path, LARGEST_TEXT) and not is_text(path, LARGEST_TEXT + 1), path
    for path in ("README.nwb", "a.JSON", "xREADME", "README/a", "json"):
        assert not is_text(path, 1), path


def test_gitattributes_say_the_same_to_git_annex() -> None:
    """Frozen: a change of these bytes changes the hash of every version."""
    lines = git_attributes().decode().splitlines()
    assert lines[0] == "* -text annex.backend=SHA256E annex.largefiles=anything"
    assert lines[1] == "CHANGES annex.largefiles=largerthan=1048576"
    assert lines[4] == "*.bval annex.largefiles=largerthan=1048576"
    assert lines[-4:] == [
        f"{own} annex.largefiles=nothing" for own in ("**/.git*", "/.dandi/**", "/.datalad/**", "/dandiset.yaml")
    ]
    assert len(lines) == 19 and git_attributes().endswith(b"nothing\n")


# --- which Dandisets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("include", "exclude", "dandiset", "name", "taken"),
    [
        ((), (), "000123", "Mice", True),
        (("000123",), (), "000123", "Mice", True),
        (("000124",), (), "000123", "see 000124", False),
        (("Mic",), (), "000123", "Mice", True),
        (("^0001",), (), "000123", "Mice", True),
        (("3Mice",), (), "000123", "Mice", False),
        (("Rat", "Mic"), (), "000123", "Mice", True),
        (("Rat",), (), "000123", None, True),
        (("Rat",), (), "000123", "", False),
        (("Mice",), ("000123",), "000123", "Mice", False),
        ((), ("Mic",), "000123", "Mice", False),
        ((), ("Mic",), "000123", None, True),
        ((), ("^0001",), "000123", None, False),
    ],
)
def test_a_run_takes_what_a_rule_includes_and_none_excludes(
    include: tuple[str, ...], exclude: tuple[str, ...], dandiset: str, name: str | None, taken: bool
) -> None:
    assert Rules(include, exclude).take(dandiset, name) is taken


# --- metadata for git-annex ---------------------------------------------------------------------------------

RECORD: dict[str, Any] = {
    "wasAttributedTo": [
        {"identifier": "m1", "species": {"name": "Mouse"}, "sex": {"name": "Female"}, "age": {"value": "P9D"}},
        {"identifier": "m1", "species": "Mouse", "sex": None, "age": {"unit": "d"}},
        "nobody",
    ],
    "approach": [{"name": "ephys"}, 3],
    "measurementTechnique": [{"name": "probe"}],
    "variableMeasured": ["Units", {"value": "LFP"}, {"name": "x"}],
}


def test_the_fields_of_an_asset_come_from_its_record_and_path_each_once() -> None:
    assert annex_fields(RECORD, "sub-1/sub-1_ses-a1_x.nwb") == (
        ("subject", "m1"), ("species", "Mouse"), ("sex", "Female"), ("age", "P9D"), ("approach", "ephys"),
        ("technique", "probe"), ("variable", "Units"), ("variable", "LFP"), ("session", "a1"),
    )  # fmt: skip
    assert annex_fields({}, "a.nwb") == ()
    assert annex_fields({"wasAttributedTo": {}, "approach": "x", "variableMeasured": "Units"}, "") == ()


@pytest.mark.parametrize(
    ("path", "session"),
    [("ses-1/a", "1"), ("a/ses-1.nwb", "1"), ("a_ses-1_b", "1"), ("ses-", ""), ("xses-1", ""), ("a/b_ses-x/y", "x")],
)
def test_a_session_is_what_a_part_of_the_path_says(path: str, session: str) -> None:
    assert session_of(path) == session


def test_a_value_is_one_short_line_and_a_field_has_so_many_at_most() -> None:
    def of(*values: object) -> list[str]:
        return [value for _, value in annex_fields({"variableMeasured": list(values)}, "")]

    assert (LONGEST_VALUE, MOST_VALUES) == (200, 64)
    assert of("x" * 200, "x" * 201, "", " ", "a\nb", 3, "ü") == ["x" * 200, "ü"]
    names = [f"v{number:03}" for number in range(65)]
    assert of(*names[:64]) == names[:64]
    assert of(*reversed(names)) == names[:64], "the first ones by name"
    found = annex_fields({"variableMeasured": names, "approach": [{"name": "a"}]}, "")
    assert len(found) == 65 and ("approach", "a") in found


# --- settings -----------------------------------------------------------------------------------------------


def test_the_settings_decide_how_every_command_syncs() -> None:
    zarrs = replace(Settings(), zarr_repositories="none", zarr_small_entries=7)
    options = Options.of(replace(zarrs, versions="latest", embargoed=True, content_hosts=("https://h", "https://i")))
    assert options == Options(
        "latest", embargoed=True, hosts=frozenset({"https://h", "https://i"}), zarr_repositories="none", small_entries=7
    )
