"""An archive with content in a process of its own: ``python -m benchmarks.content FOLDER COUNT SIZE MILLISECONDS``.

The API is the embedded archive; content is served beside it by threads that send files and do nothing else, so that
what is measured is who asks.  Each answer of both, and each connection to where content is, waits so many milliseconds.
Prints the API's URL, then one content URL a line and an empty one.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.archive import DANDISET, metadata, path_of
from benchmarks.served import served

_RANGE = re.compile(rb"\r\nrange: *bytes=([0-9]+)-([0-9]+)", re.I)
_PIECE = 1 << 20


def _one(client: socket.socket, folder: Path, delay: float) -> None:
    """Answer one connection's requests."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    time.sleep(delay)
    held = b""
    with client:
        while True:
            while b"\r\n\r\n" not in held:
                if not (more := client.recv(1 << 16)):
                    return
                held += more
            head, _, held = held.partition(b"\r\n\r\n")
            time.sleep(delay)
            file = folder / head.split(b" ", 2)[1].decode().partition("?")[0].rpartition("/")[2]
            try:
                _answer(client, file, head)
            except (BrokenPipeError, ConnectionResetError):
                return  # who asked has read enough


def _answer(client: socket.socket, file: Path, head: bytes) -> None:
    if not file.is_file():  # a list of the bucket, for example
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        return
    descriptor = os.open(file, os.O_RDONLY)
    try:
        size, start, status, more = os.fstat(descriptor).st_size, 0, "200 OK", ""
        stop = size
        if found := _RANGE.search(head):
            start, stop = int(found[1]), min(int(found[2]) + 1, size)
            status, more = "206 Partial Content", f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n"
        said = f"HTTP/1.1 {status}\r\nContent-Length: {stop - start}\r\nAccept-Ranges: bytes\r\n{more}\r\n"
        client.sendall(said.encode(), socket.MSG_MORE)
        while start < stop:
            start += os.sendfile(client.fileno(), descriptor, start, min(_PIECE, stop - start))
    finally:
        os.close(descriptor)


def content_server(folder: Path, delay: float) -> str:
    """Serve the files of a folder by the last part of the path; the origin."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)

    def accept() -> None:
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_one, args=[client, folder, delay], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def serve_forever(folder: Path, count: int, size: int, delay: float) -> None:
    """Serve until standard input ends."""
    from dandi_mirror.embedded import Archive, Request, serve

    archive = Archive(instance_name="DANDI", gzip=False)
    with serve(archive) as server:
        archive.own_bucket.url = f"{content_server(folder, delay)}/dandi-dandisets"
        dandiset = archive.create_dandiset(DANDISET, name="Synthetic")
        urls = []
        for number in range(count):
            blob = archive.add_blob_record(size, *_make(folder / "new", size))
            (folder / "new").rename(folder / blob.blob_id)
            dandiset.add_asset(path_of(number), blob, metadata(number, str(blob.sha256)))
            urls.append(f"{archive.s3_url}/{blob.key}")

        def wait(request: Request) -> None:
            time.sleep(delay)

        server.intercept = wait if delay else None
        print("\n".join([server.api_url, *urls, ""]), flush=True)
        sys.stdin.read()


def _make(file: Path, size: int) -> tuple[str, str]:
    """Write a file of random bytes; its SHA-256 and its etag."""
    with file.open("wb") as out:
        for start in range(0, size, _PIECE):
            out.write(os.urandom(min(_PIECE, size - start)))
    return digests_of(file)


def digests_of(file: Path) -> tuple[str, str]:
    """The SHA-256 of a file and its etag."""
    from dandi_mirror.digests import etag_part_size

    sha256, parts, step = hashlib.sha256(), [], etag_part_size(file.stat().st_size)
    with file.open("rb") as content:
        while piece := content.read(step):
            sha256.update(piece)
            parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
    return sha256.hexdigest(), f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


@contextmanager
def serving(folder: Path, count: int, size: int, milliseconds: int) -> Iterator[tuple[str, list[str]]]:
    """The archive for as long as the block lasts: its API's URL, and the URLs of all content."""
    folder.mkdir()
    with served("content", folder, count, size, milliseconds) as archive:
        yield archive.api_url, archive.lines()


def origin(url: str) -> str:
    """Scheme, host and port."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


if __name__ == "__main__":
    serve_forever(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000)
