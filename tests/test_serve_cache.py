"""Content that is not in a mirror, served through the cache: fetched once, checked, bounded, never half a block."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
import requests

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.files.own import own_path
from dandi_mirror.serve.cache.blocks import BlockStore
from dandi_mirror.serve.cache.cache import BLOCK, RUN, WHOLE
from tests.conftest import MirrorOfTest
from tests.support.credentials import TOKEN
from tests.support.serving_mirrors import asset_ids, get, served, serving
from tests.support.waiting import wait_until
from tests.support.zarrs import SMALL, a_zarr

LARGE, SHORT = "sub-1/large.nwb", "sub-1/short.nwb"
BYTES = random.Random(1).randbytes(3 * (1 << 20) + 12345)
FEW = random.Random(2).randbytes(70_000)


@pytest.fixture
def large(archive: Archive, mirror: MirrorOfTest) -> str:
    """A mirror without content of a Dandiset with a large and a short file and a Zarr; the path of the large one."""
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.add_asset(LARGE, archive.add_blob(BYTES))
    dandiset.add_asset(SHORT, archive.add_blob(FEW))
    a_zarr(dandiset, "sub-1/img.zarr")
    mirror.cli("sync", "000123")
    mirror.server.requests.clear()
    return LARGE


def url_of(address: str, path: str) -> str:
    return f"{address}/assets/{asset_ids(address)[path]}/download/"


def part(url: str, start: int, stop: int) -> bytes:
    answer = requests.get(url, headers={"Range": f"bytes={start}-{stop - 1}"}, timeout=60)
    assert answer.status_code == 206, answer.text
    assert answer.headers["content-range"].startswith(f"bytes {start}-{stop - 1}/")
    return answer.content


def ranges(mirror: MirrorOfTest) -> Iterator[tuple[int, int]]:
    """What was asked for at the bucket."""
    for request in mirror.server.requests:
        if "/blobs/" in request.path and (wanted := request.headers.get("range")):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            yield int(first), int(last) + 1


def at_bucket(mirror: MirrorOfTest) -> list[Request]:
    return [request for request in mirror.server.requests if not request.path.startswith("/api/dandisets")]


def blocks(mirror: MirrorOfTest) -> list[Path]:
    return sorted(path for path in (mirror.path / ".dandi-mirror" / "cache").rglob("*") if path.is_file())


def test_however_many_readers_ask_each_block_is_fetched_once(large: str, mirror: MirrorOfTest) -> None:
    chance = random.Random(3)
    wanted = [(start, min(len(BYTES), start + chance.choice([9, 5000, 300_000, 2_000_000])))
              for start in (chance.randrange(len(BYTES)) for _ in range(60))]  # fmt: skip
    with served(mirror) as address, ThreadPoolExecutor(12) as readers:
        url = url_of(address, large)
        found = list(readers.map(lambda span: part(url, *span), wanted))
        assert requests.get(url, timeout=60).content == BYTES
    assert found == [BYTES[start:stop] for start, stop in wanted]
    fetched = Counter(n for start, stop in ranges(mirror) for n in range(start // BLOCK, -(-stop // BLOCK)))
    assert set(fetched) == set(range(-(-len(BYTES) // BLOCK)))
    assert set(fetched.values()) == {1}


def test_what_the_cache_has_is_sent_by_the_next_server_too_and_offline(large: str, mirror: MirrorOfTest) -> None:
    with served(mirror) as address:
        assert part(url_of(address, large), 200_000, 200_010) == BYTES[200_000:200_010]
    mirror.server.requests.clear()
    with served(mirror) as address:
        assert part(url_of(address, large), BLOCK, 2 * BLOCK) == BYTES[BLOCK : 2 * BLOCK]
    with served(mirror, "--offline") as address:
        url = url_of(address, large)
        assert part(url, BLOCK, 2 * BLOCK) == BYTES[BLOCK : 2 * BLOCK]
        absent = requests.get(url, headers={"Range": f"bytes=0-{BLOCK + 5}"}, timeout=60)
        assert absent.status_code == 404 and "offline" in absent.json()["detail"]
    assert mirror.server.requests == []


def test_a_short_file_and_an_entry_of_a_zarr_come_whole_in_one_request(large: str, mirror: MirrorOfTest) -> None:
    with served(mirror) as address:
        assert part(url_of(address, SHORT), 5, 10) == FEW[5:10]
        assert part(url_of(address, SHORT), 60_000, 70_000) == FEW[60_000:]
        (zarr,) = get(address, "/zarr/", dandiset="000123")["results"]  # type: ignore[index]
        entry = f"{address}/zarr/{zarr['zarr_id']}/files/?prefix=arr/0/0&download=true"
        assert part(entry, 100, 200) == SMALL["arr/0/0"][100:200]
        assert requests.get(entry, timeout=60).content == SMALL["arr/0/0"]
        # the same bytes elsewhere in the Zarr
        other = requests.get(entry.replace("arr/0/0", "arr/0/1"), timeout=60)
        assert other.content == SMALL["arr/0/1"]
    assert len(at_bucket(mirror)) == 2


def test_one_percent_of_a_large_file_costs_hardly_more(archive: Archive, mirror: MirrorOfTest) -> None:
    content = bytes(range(256)) * 800_000
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.add_asset(LARGE, archive.add_blob(content))
    mirror.cli("sync", "000123")
    mirror.server.requests.clear()
    share = len(content) // 100
    with served(mirror) as address:
        assert part(url_of(address, LARGE), 77_777_777, 77_777_777 + share) == content[77_777_777:][:share]
    assert sum(stop - start for start, stop in ranges(mirror)) <= 1.2 * share


@pytest.mark.parametrize("harm", ["a bit", "the end", "everything", "more", "another block"])
def test_a_damaged_block_is_noticed_and_fetched_again(large: str, mirror: MirrorOfTest, harm: str) -> None:
    with served(mirror) as address:
        url = url_of(address, large)
        first, second = part(url, 0, BLOCK), part(url, BLOCK, 2 * BLOCK)
    one, two = blocks(mirror)
    content = one.read_bytes()
    for file, other in ((one, two.read_bytes()), (two, content)):
        held = file.read_bytes()
        changed = {"a bit": bytes([held[0] ^ 1]) + held[1:], "the end": held[:-1], "everything": b"",
                   "more": held + b"x", "another block": other}  # fmt: skip
        file.write_bytes(changed[harm])
    mirror.server.requests.clear()
    with served(mirror) as address:
        url = url_of(address, large)
        assert (part(url, 0, BLOCK), part(url, BLOCK, 2 * BLOCK)) == (first, second)
        assert first + second == BYTES[: 2 * BLOCK]
    assert len(list(ranges(mirror))) == 2
    assert {file.read_bytes() for file in blocks(mirror)} >= {content}


def test_a_link_in_the_place_of_a_block_is_not_followed(large: str, mirror: MirrorOfTest, tmp_path: Path) -> None:
    with served(mirror) as address:
        part(url_of(address, large), 0, BLOCK)
    (block,) = blocks(mirror)
    (secret := tmp_path / "elsewhere").write_bytes(block.read_bytes())
    block.unlink()
    block.symlink_to(secret)
    with served(mirror, "--offline") as address:
        answer = requests.get(url_of(address, large), headers={"Range": "bytes=0-9"}, timeout=60)
        assert answer.status_code == 404


def test_the_cache_stays_within_its_limit_and_gives_up_what_was_used_longest_ago(tmp_path: Path) -> None:
    def files() -> list[Path]:
        return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]

    store = BlockStore(own_path(tmp_path / "cache"), 10 * 4096)
    for number in range(9):
        store.write("a", number, b"%d" % number * 1000)
        os.utime(next(path for path in files() if path.read_bytes()[:1] == b"%d" % number), (number, number))
    assert store.read("a", 0, 1000) == b"0" * 1000  # used now
    for number in (10, 11):
        store.write("a", number, b"x" * 1000)
    assert not store.has("a", 1) and not store.has("a", 2)
    assert store.has("a", 0) and store.has("a", 11) and store.has("a", 8)
    assert len(files()) <= 10
    BlockStore(own_path(tmp_path / "cache"), 0).write("b", 1, b"x")
    assert not store.has("b", 1)


def test_a_small_cache_serves_a_large_file(large: str, mirror: MirrorOfTest) -> None:
    with served(mirror, "--cache-size", "1 MB") as address:
        assert requests.get(url_of(address, large), timeout=60).content == BYTES
    assert 0 < sum(path.stat().st_size for path in blocks(mirror)) <= 1_000_000
    with served(mirror, "--cache-size", "0") as address:
        assert part(url_of(address, SHORT), 0, 5) == FEW[:5]
    assert sha256(FEW).hexdigest() not in {sha256(path.read_bytes()[:-16]).hexdigest() for path in blocks(mirror)}


def test_a_file_whose_bytes_are_not_those_of_its_digest_is_not_sent(large: str, mirror: MirrorOfTest) -> None:
    def changed(request: Request, response: requests.Response) -> requests.Response:
        if "/blobs/" in request.path or "/zarr/" in request.path:
            response.body = b"\0" + response.body[1:]  # type: ignore[attr-defined]
        return response

    mirror.server.rewrite = changed  # type: ignore[assignment]
    with served(mirror) as address:
        short, long = url_of(address, SHORT), url_of(address, large)
        answer = requests.get(short, timeout=60)
        assert answer.status_code == 502 and "another digest" in answer.json()["detail"]
        assert blocks(mirror) == []
        with suppress(requests.RequestException):
            requests.get(long, timeout=60)  # by the time that the last byte comes, the first has been sent
        wait_until(lambda: blocks(mirror) == [])
        mirror.server.rewrite = None
        wait_until(lambda: requests.get(long, timeout=60).status_code == 502)
        assert requests.get(short, timeout=60).content == FEW


def test_when_the_archive_does_not_answer_the_server_says_so_and_it_comes_back(
    large: str, mirror: MirrorOfTest
) -> None:
    from starlette.responses import Response

    with served(mirror) as address:
        url = url_of(address, large)
        mirror.server.intercept = lambda request: Response(status_code=503)
        answer = requests.get(url, timeout=60)
        assert answer.status_code == 504 and "503" in answer.json()["detail"]
        mirror.server.intercept = None
        assert requests.get(url, timeout=60).content == BYTES


def test_content_is_asked_for_without_a_token(large: str, mirror: MirrorOfTest) -> None:
    env = {**os.environ, token_variable(mirror.server.api_url): TOKEN}
    with served(mirror, env=env) as address:
        assert part(url_of(address, large), 0, 5) == BYTES[:5]
    assert mirror.server.requests and all("authorization" not in each.headers for each in mirror.server.requests)


def test_a_part_is_sent_as_http_has_it(large: str, mirror: MirrorOfTest) -> None:
    with served(mirror) as address:
        url = url_of(address, large)
        head = requests.head(url, timeout=60)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(BYTES)))
        assert list(ranges(mirror)) == []
        tag = head.headers["etag"]

        def asked(**headers: str) -> tuple[int, bytes]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = requests.get(url, headers=named, timeout=60)
            return answer.status_code, answer.content

        assert asked(range="bytes=-7") == (206, BYTES[-7:])
        assert asked(range=f"bytes={len(BYTES) - 3}-") == (206, BYTES[-3:])
        assert asked(range=f"bytes=5-{10**12}") == (206, BYTES[5:])
        assert asked(range="bytes=2-4", if_range=tag) == (206, BYTES[2:5])
        assert asked(range="bytes=2-4", if_range='"other"') == (200, BYTES)
        assert asked(if_none_match=tag) == (304, b"")
        assert asked(range=f"bytes={len(BYTES)}-")[0] == 416
        assert asked(range="bytes=4-2") == asked(range="lines=1-2") == (200, BYTES)


def test_kill_9_at_random_moments_leaves_no_false_block(large: str, mirror: MirrorOfTest) -> None:
    chance = random.Random()
    for _ in range(6):
        with serving(mirror, "--cache-size", "2 MB") as server:
            url = url_of(server.address, large)
            begun = threading.Event()

            def read(url: str = url, begun: threading.Event = begun) -> None:
                with suppress(requests.RequestException, AssertionError):
                    while True:
                        start = chance.randrange(len(BYTES))
                        requests.get(url, headers={"Range": f"bytes={start}-{start + RUN // 10}"}, timeout=60)
                        begun.set()

            readers = [threading.Thread(target=read) for _ in range(4)]
            for reader in readers:
                reader.start()
            assert begun.wait(60)
            threading.Event().wait(chance.random() / 5)  # a moment that nobody chooses
            server.kill()
            for reader in readers:
                reader.join(60)
    sent = 0
    with served(mirror, "--offline") as address:
        url = url_of(address, large)
        for start in range(0, len(BYTES), BLOCK):
            answer = requests.get(url, headers={"Range": f"bytes={start}-{start + BLOCK - 1}"}, timeout=60)
            assert answer.status_code == 404 or answer.content == BYTES[start : start + BLOCK]
            sent += answer.status_code == 206
    assert sent


def test_sizes_fit_together() -> None:
    assert WHOLE % BLOCK == RUN % BLOCK == 0
