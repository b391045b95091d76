"""Digests: of content that comes in pieces, of parts, and where MD5 is forbidden."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from dandischema.digests.dandietag import PartGenerator
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror import digests, zarr_checksum
from dandi_mirror.repo.annex import keys

pytestmark = pytest.mark.quick

MIB = 1 << 20
CONTENT = b"0123456789" * 7
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZES = st.integers(1, 5 << 40) | st.sampled_from(
    [1, 64 * MIB - 1, 64 * MIB, 64 * MIB + 1, 9_999 * 64 * MIB, 9_999 * 64 * MIB + 1, 10_000 * 64 * MIB]
)


def in_pieces(hasher: digests.Hasher, content: bytes, step: int) -> str:
    for start in range(0, len(content), step):
        hasher.update(content[start : start + step])
    return hasher.hexdigest()


def etag(content: bytes, step: int) -> str:
    """The ETag that S3 gives to an object that was sent in parts of so many bytes."""
    parts = [content[start : start + step] for start in range(0, len(content), step)] or [b""]
    whole = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts))
    return f"{whole.hexdigest()}-{len(parts)}"


@given(size=SIZES)
def test_a_file_is_sent_in_the_parts_that_the_dandi_client_makes(size: int) -> None:
    theirs = PartGenerator.for_file_size(size)
    assert min(digests.etag_part_size(size), size) == theirs.initial_part_size
    assert -(-size // digests.etag_part_size(size)) == theirs.part_qty


@pytest.mark.parametrize("wanted", [MD5, SHA256, etag(CONTENT, 1 << 30)])
@pytest.mark.parametrize("step", [1, 7, len(CONTENT)])
def test_the_kind_of_a_digest_is_known_by_its_form_and_the_pieces_do_not_matter(wanted: str, step: int) -> None:
    assert in_pieces(digests.hasher(wanted, len(CONTENT)), CONTENT, step) == wanted
    assert in_pieces(digests.hasher(wanted, len(CONTENT)), CONTENT[::-1], step) != wanted


@pytest.mark.parametrize("part", [5 * MIB, 8 * MIB, 16 * MIB, 64 * MIB])
def test_an_object_that_was_sent_in_parts_is_verified_whatever_their_usual_size(part: int) -> None:
    content = bytes(2 * part) + b"the end"
    wanted = etag(content, part)
    assert part in digests.sizes_of_parts(wanted, len(content))
    assert in_pieces(digests.hasher(wanted, len(content)), content, 3 * MIB + 1) == wanted
    wrong = content[:-1] + b"x"
    assert in_pieces(digests.hasher(wanted, len(content)), wrong, 3 * MIB + 1) != wanted
    assert digests.is_verifiable(wanted, len(content))


def test_an_object_whose_parts_nobody_knows_is_said_to_be_not_verifiable() -> None:
    strange = "0" * 32 + "-9000"
    assert digests.sizes_of_parts(strange, 10_000) == []
    assert not digests.is_verifiable(strange, 10_000)
    assert digests.hasher(strange, 10_000).hexdigest() == strange
    assert digests.is_verifiable(MD5, 5) and digests.is_verifiable(SHA256, 5)


def test_an_empty_object_has_one_part_or_is_not_verifiable() -> None:
    assert digests.sizes_of_parts("0" * 32 + "-1", 0) == [1]
    assert digests.sizes_of_parts("0" * 32 + "-2", 0) == []
    assert digests.sizes_of_parts("0" * 32 + "-1", 77) == [77]
    assert in_pieces(digests.hasher(etag(b"", 1), 0), b"", 1) == etag(b"", 1)


@pytest.mark.parametrize("size", [1, 64 * MIB, 64 * MIB + 1])
def test_the_etag_of_content_is_that_of_its_parts(size: int) -> None:
    assert digests.dandi_etag(bytes(size)) == etag(bytes(size), 64 * MIB)


def test_a_key_says_the_digest_that_it_is_made_of() -> None:
    assert keys.digest_of(f"MD5E-s3--{MD5}.nii.gz") == keys.digest_of(f"MD5--{MD5}") == MD5
    assert keys.digest_of(f"SHA256E-s3--{SHA256}.nwb") == keys.sha256_of(f"SHA256-s3--{SHA256}") == SHA256
    assert keys.digest_of("URL--http&c%%example.org") == keys.sha256_of(f"MD5E-s3--{MD5}") == ""


def forbidden(really: Callable[..., Any]) -> Callable[..., Any]:
    """``hashlib.md5`` as it is on a system in FIPS mode."""

    def md5(content: bytes = b"", *, usedforsecurity: bool = True) -> Any:
        if usedforsecurity is not False:
            raise ValueError("[digital envelope routines] unsupported")
        return really(content, usedforsecurity=False)

    return md5


def test_where_md5_is_forbidden_for_security_keys_checksums_and_etags_are_still_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Administrators of hospitals switch this on; what is called MD5 here is a name, and secures nothing."""
    many = etag(CONTENT * 2, len(CONTENT) * 2)
    strict = forbidden(hashlib.md5)
    for module, name in ((hashlib, "md5"), (keys, "md5"), (zarr_checksum, "md5")):
        monkeypatch.setattr(module, name, strict)
    keys.hash_dir_lower.cache_clear()
    assert keys.hash_dir_lower(f"MD5--{MD5}").count("/") == 1
    assert keys.hash_dir_mixed(f"MD5--{MD5}").count("/") == 1
    assert zarr_checksum.zarr_checksum([("a", 1, MD5)]).endswith("-1--1")
    assert digests.dandi_etag(CONTENT).endswith("-1")
    assert digests.hasher(MD5).hexdigest()
    assert in_pieces(digests.hasher(many, len(CONTENT) * 2), CONTENT * 2, 3) == many
