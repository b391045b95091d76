"""Entries of Zarrs, made up: of any names, or as the real ones look."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from hypothesis import strategies as st

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import in_order
from tests.support.values import COMPONENTS, PATHS

ZARR = "0c1f3f9e-7d5f-4b8c-9b1a-2f6f1f0d9a11"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"

MD5S = st.integers(0, 2**128 - 1).map("{:032x}".format)
ETAGS = MD5S | st.builds("{}-{}".format, MD5S, st.integers(1, 10_000))
SIZES = st.integers(0, 5 * 2**40)
VERSION_IDS = st.none() | st.text(_LETTERS, min_size=1, max_size=32)
TIMES = st.none() | st.datetimes().map(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _text(path: str) -> bool:
    try:
        return 0 < len(path.encode()) <= 1024
    except UnicodeEncodeError:
        return False  # half a surrogate pair: no bucket can list it


NAMES = (st.sampled_from("abc") | st.text("ab-./0", min_size=1, max_size=4) | PATHS | COMPONENTS).filter(_text)
"""Few letters, so that files and folders of one name come about; and the names that something reads in its own way."""

ENTRIES = st.lists(
    st.builds(ZarrEntry, NAMES, SIZES, ETAGS, VERSION_IDS, TIMES), unique_by=lambda entry: entry.path, max_size=25
).map(in_order)


def real_looking(count: int, seed: int = 1) -> Iterator[ZarrEntry]:
    """Chunks as S3 lists them: sorted, some of equal content, each with a version of its own."""
    chance = random.Random(seed)
    contents = [hashlib.md5(b"%d %d" % (seed, number)).hexdigest() for number in range(count * 17 // 20 + 1)]
    for path in sorted(f"0/0/0/{n // 1089}/{n // 33 % 33}/{n % 33}" for n in range(count)):
        time = f"2022-06-27T23:{chance.randrange(60):02}:{chance.randrange(60):02}Z"
        version = "".join(chance.choices(_LETTERS, k=32))
        yield ZarrEntry(path, int(chance.gauss(506_000, 9_000)), chance.choice(contents), version, time)
