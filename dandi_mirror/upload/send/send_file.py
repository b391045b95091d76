"""Upload one file: ask whether the archive has it, hash it, send its parts by several threads, make a blob of them."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress

from dandi_mirror.archive.api.uploads import (
    BlobExists,
    OpenUpload,
    UploadClosed,
    UploadPart,
    begin,
    blob_of,
    finish,
    put_bytes,
)
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.errors import DiskError, IntegrityError, PartError
from dandi_mirror.repo.git.files import FileStamp, stamp_of
from dandi_mirror.upload.send.digest import SMALL, Digests, digest_of
from dandi_mirror.upload.send.journal import UploadJournal
from dandi_mirror.upload.send.types import Bytes, SendContext, Sent, SourceFile

ANEW = 2
"""How often an upload is begun again because its URLs have expired."""


class Sending:
    """A file that is being uploaded; any thread can send its parts."""

    def __init__(self, source: SourceFile, means: SendContext) -> None:
        self.source = source
        self.etag = ""
        """Once it is known."""
        self._means = means
        self._descriptor = -1
        self._seen: FileStamp | None = None
        self._digests: Digests | None = None
        self._note: UploadJournal | None = None
        self._begun: OpenUpload | None = None
        self._arrived: dict[int, str] = {}
        self._open: deque[int] = deque()
        self._flying = 0
        self._sent = 0
        self._anew = 0
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def wants_help(self) -> bool:
        """Whether there is a part for another thread."""
        return bool(self._open) and self._error is None

    def look(self) -> Sent | None:
        """Ask whether the archive has the file, if its SHA-256 is known; otherwise read it.

        Raises:
            MirrorError: it cannot be sent.
        """
        source = self.source
        if source.sha256 and (found := blob_of(self._means.session, sha256=source.sha256)):
            self._means.meter.add(passed=found.size)
            return Sent(source, found.blob_id, found.size, source.sha256, found.etag, 0)
        self._digests = self._read()
        self.etag = self._digests.etag
        return None

    def begin(self) -> Sent | None:
        """Begin or continue the upload; returns the outcome if there is nothing to send."""
        digests, session = self._known, self._means.session
        if len(digests.parts) > 1:
            path = self._means.state / f"{self.source.dandiset}-{digests.etag}.upload"
            self._note = UploadJournal(path, [session.api_url, self.source.dandiset, digests.size])
        noted = self._note.read() if self._note else None
        if noted and (found := blob_of(session, etag=digests.etag)):
            return self._is_there(found.blob_id)
        if noted and len(noted[0].parts) == len(digests.parts):
            self._begun, arrived = noted
            self._arrived = {number: md5 for number, md5 in arrived.items() if md5 == digests.parts[number]}
            self._means.meter.add(passed=sum(self._begun.parts[number].size for number in self._arrived))
            self._ready()
            return None
        return self._open_upload()

    def send(self) -> None:
        """Send parts until none is left for this thread."""
        while (number := self._take()) is not None:
            try:
                self._part(number)
            except BaseException as error:
                self._error = self._error or error
            finally:
                with self._lock:
                    self._flying -= 1

    def end(self) -> Sent | None:
        """Make a blob when all parts have been tried; None if the upload begins again.

        Raises:
            MirrorError: a part failed, or the archive refuses the parts.
        """
        try:
            if self._error is not None:
                raise self._error
            return self._finish()
        except UploadClosed:
            if self._anew == ANEW:
                raise
        self._anew += 1
        with self._lock:
            self._open.clear()
            self._error = None
        self._means.meter.add(passed=-sum(self._part_size(number) for number in self._arrived))
        self._arrived = {}
        return self._open_upload()

    def is_last(self) -> bool:
        """Whether all parts are done; true for one thread only."""
        with self._lock:
            if self._flying or (self._open and self._error is None):
                return False
            self._flying = 1  # this thread ends the upload
            return True

    def close(self, *, over: bool) -> None:
        """Close the file; ``over``: no later run continues the upload."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._note:
            self._note.close(over=over)
            self._note = None

    @property
    def _known(self) -> Digests:
        assert self._digests is not None
        return self._digests

    def _read(self) -> Digests:
        """Compute the digests and check that the file did not change at the same time."""
        try:
            self._descriptor = os.open(self.source.file, os.O_RDONLY | os.O_CLOEXEC)
            self._seen = stamp_of(self.source.file)
            if not self._seen.size:
                raise PartError("it is empty, and the archive does not accept empty files")
            if self._seen.size > SMALL:
                with self._means.digesting:
                    digests = digest_of(self._descriptor)
            else:
                digests = digest_of(self._descriptor)
        except FileNotFoundError:
            raise PartError(f"its content is not here; get it first: git annex get {self.source.path}") from None
        except OSError as error:
            self._check_unchanged()
            raise DiskError.of(self.source.file, error) from error
        self._check_unchanged()
        if self.source.sha256 and digests.sha256 != self.source.sha256:
            raise IntegrityError(f"its bytes do not match its key; check it: git annex fsck {self.source.path}")
        return digests

    def _check_unchanged(self) -> None:
        with suppress(OSError):
            if stamp_of(self.source.file) == self._seen:
                return
        raise PartError("it changed while it was read or sent; run the command again")

    def _open_upload(self) -> Sent | None:
        digests = self._known
        try:
            self._begun = begin(self._means.session, self.source.dandiset, digests.size, digests.etag)
        except BlobExists as exists:
            return self._is_there(exists.blob_id)
        if len(self._begun.parts) != len(digests.parts):
            raise PartError("the archive asks for other parts than those of its ETag")
        if self._note:
            self._note.begin(self._begun)
        self._ready()
        return None

    def _is_there(self, blob_id: str) -> Sent:
        digests = self._known
        self._means.meter.add(passed=digests.size)
        return Sent(self.source, blob_id, digests.size, digests.sha256, digests.etag, self._sent, self._seen)

    def _ready(self) -> None:
        with self._lock:
            self._flying = 0
            self._open.extend(number for number in range(len(self._known.parts)) if number not in self._arrived)

    def _take(self) -> int | None:
        with self._lock:
            if self._means.stopped.is_set() or self._error is not None or not self._open:
                return None
            self._flying += 1
            return self._open.popleft()

    def _part_size(self, number: int) -> int:
        assert self._begun is not None
        return self._begun.parts[number].size

    def _part(self, number: int) -> None:
        """Send a part, and check that the bytes that arrived are those that we hashed."""
        assert self._begun is not None
        part, wanted = self._begun.parts[number], self._known.parts[number]
        start = sum(before.size for before in self._begun.parts[:number])
        body = Bytes(self._descriptor, start, part.size, self._means)
        try:
            self._put(body, part, wanted)
        except BaseException:
            body.forget()
            raise
        with self._lock:
            self._sent += part.size
            self._arrived[number] = wanted
        if self._note:
            self._note.add(number, wanted)

    def _put(self, body: Bytes, part: UploadPart, wanted: str) -> None:
        for _ in range(2):
            self._check_unchanged()
            if put_bytes(self._means.session, part.url, body) == wanted:
                return
        self._check_unchanged()
        if body.md5() != wanted:
            raise PartError("it changed while it was sent, though its time did not; run the command again")
        raise PartError("twice, S3 received other bytes than we sent; run the command again later")

    def _finish(self) -> Sent:
        assert self._begun is not None
        self._check_unchanged()
        sizes = [part.size for part in self._begun.parts]
        md5s = [self._arrived[number] for number in range(len(sizes))]
        try:
            blob = finish(
                self._means.session, self._begun.upload_id, list(zip(sizes, md5s, strict=True)), self._known.etag
            )
        except RequestRefused:
            if self._note and self._sent < self._known.size:
                # the journal of an earlier run may be wrong
                raise UploadClosed("what has arrived does not make the file") from None
            raise
        known = self._known
        return Sent(self.source, blob.blob_id, known.size, known.sha256, known.etag, self._sent, self._seen)
