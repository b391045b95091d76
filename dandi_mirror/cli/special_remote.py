"""``git-annex-remote-dandi``: the program that git-annex starts to get embargoed content.

It speaks git-annex's protocol for external special remotes on its standard streams.  The git-annex branch has the API's
URLs of each key.  The program sends the token to the API, and to no URL that the API redirects to.  git-annex starts it
several times in each clone, so it imports nothing heavy and opens no keyring before git-annex asks for content.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dandi_mirror.errors import CredentialsError, MirrorError, NotFoundError
from dandi_mirror.repeating import repeated

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from dandi_mirror.archive.content.single import ByteCounter
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.credentials import Token

COST = 250
"""git-annex tries it after S3 and before the API without a token."""
READ_ONLY = "this remote is read-only; to send files to the archive: dandi-mirror upload"
GONE = "the archive has no asset with this content any more"
_KEY = re.compile(
    r"(?:SHA256E?-s([0-9]{1,15})--([0-9a-f]{64})|MD5E?-s([0-9]{1,15})--([0-9a-f]{32})"
    r"|VURL-s([0-9]{1,15})--([0-9a-f]{32}-[1-9][0-9]{0,4}))(?:\.|$)"
)
"""Of an asset; of an entry of a Zarr, by its MD5, or by its ETag if it was sent in parts."""
_OURS = re.compile(r"assets/[0-9a-f-]{36}/download/|zarr/[0-9a-f-]{36}/files/\?prefix=[A-Za-z0-9%_.~-]+&download=true")


class Line:
    """The connection to git-annex: its requests, and the replies."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer

    def hear(self) -> str | None:
        """Read the next line of git-annex; None at the end."""
        line = self._reader.readline()
        return line.decode(errors="surrogateescape").rstrip("\n") if line else None

    def say(self, *words: object) -> None:
        """Send one line to git-annex."""
        line = " ".join(str(word).replace("\n", " ") for word in words)
        self._writer.write(line.encode(errors="surrogateescape") + b"\n")
        self._writer.flush()

    def value(self) -> str:
        """Read one value that git-annex answers."""
        return (self.hear() or "").removeprefix("VALUE").removeprefix(" ")


class Remote:
    """Answers the requests of git-annex, one method for each."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._token: Token | None = None
        self._trouble = ""

    @cached_property
    def _api(self) -> str:
        """The URL of the API from the settings of the remote, checked, because anybody may have made the dataset."""
        from dandi_mirror.archive.instances import api_url

        self._line.say("GETCONFIG", "api")
        return api_url(self._line.value())

    @cached_property
    def _access(self) -> TransferSettings:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.content.sources import TransferSettings
        from dandi_mirror.archive.credentials import from_keyring, from_variable
        from dandi_mirror.archive.keyrings import KeyringTrouble
        from dandi_mirror.repo.annex import settings

        self._token = from_variable(self._api)
        try:
            self._token = self._token or from_keyring(self._api, terminal=False)
        except KeyringTrouble as error:
            self._trouble = str(error)
        # the repository names this API, not a person: only hosts that git-annex may ask are allowed
        allowed = Allowed(addresses=settings.allowed_addresses(settings.read(Path.cwd())))
        return TransferSettings(self._api, self._token.value if self._token else None, allowed)

    def _urls(self, key: str) -> list[str]:
        """The API's URLs of a key; other URLs in the git-annex branch do not count."""
        begin = f"{self._api}/"
        self._line.say("GETURLS", key, begin)
        found = []
        while url := self._line.value():
            found += [url] if url.startswith(begin) and _OURS.fullmatch(url, len(begin)) else []
        return found

    def _refused(self) -> CredentialsError:
        if self._token:
            return CredentialsError(
                f"the archive does not show it to the owner of the API key in {self._token.source}; "
                f"to see whether the key is valid: dandi-mirror login --check -i {self._api}"
            )
        from dandi_mirror.workflows.access.tokens import nothing

        return nothing(self._api, self._trouble, "it is embargoed, and you have not logged in")

    # --- the requests of git-annex ------------------------------------------------------------------------------

    def extensions(self, offered: str) -> None:
        """Use none of the extensions that git-annex offers."""
        self._line.say("EXTENSIONS")

    def listconfigs(self, _: str) -> None:
        """Name the settings of ``git annex initremote``."""
        self._line.say("CONFIG", "api", "URL of the archive's API")
        self._line.say("CONFIGEND")

    def initremote(self, _: str) -> None:
        """Set the remote up, without asking the archive."""
        try:
            _ = self._api
            self._line.say("INITREMOTE-SUCCESS")
        except MirrorError as error:
            self._line.say("INITREMOTE-FAILURE", error)

    def prepare(self, _: str) -> None:
        """Be ready; the token is needed only for content."""
        self._line.say("PREPARE-SUCCESS")

    def getcost(self, _: str) -> None:
        """Say how late git-annex should try this remote."""
        self._line.say("COST", COST)

    def getavailability(self, _: str) -> None:
        """Say that the content is available from everywhere."""
        self._line.say("AVAILABILITY", "GLOBAL")

    def whereis(self, key: str) -> None:
        """Give a URL for people."""
        urls = self._urls(key)
        self._line.say("WHEREIS-SUCCESS", urls[0]) if urls else self._line.say("WHEREIS-FAILURE")

    def transfer(self, words: str) -> None:
        """Get content; git-annex checks its digest."""
        way, key, file = words.split(" ", 2)
        reason = self._fetch(key, Path(file)) if way == "RETRIEVE" else READ_ONLY
        if reason:
            self._line.say("TRANSFER-FAILURE", way, key, reason)
        else:
            self._line.say("TRANSFER-SUCCESS", way, key)

    def _fetch(self, key: str, file: Path) -> str:
        """Get content from its start to its end, because git-annex resumes by the file's size; return why it failed."""
        from contextlib import closing

        from dandi_mirror.archive.content.single import ByteCounter, FileDownloader, Item
        from dandi_mirror.archive.content.sources import TransferState

        try:
            size, digest = _size_and_digest(key)
            if not digest:
                return "this key does not come from a DANDI archive"
            urls, hosts, meter = self._urls(key), TransferState(self._access), ByteCounter()
            if not urls:
                return GONE
            hand = FileDownloader(hosts, meter)
            with closing(hand), self._reporting(meter, file):
                error = hand.whole(Item(tuple(urls), size, digest, file)).error
        except MirrorError as caught:
            error = caught
        if isinstance(error, CredentialsError):
            error = self._refused()
        return GONE if isinstance(error, NotFoundError) else str(error or "")

    def _reporting(self, meter: ByteCounter, file: Path) -> AbstractContextManager[None]:
        """Tell git-annex how many bytes have come, while the block lasts."""
        have = file.stat().st_size if file.exists() else 0
        return repeated(lambda: self._line.say("PROGRESS", have + meter.received))

    def checkpresent(self, key: str) -> None:
        """Say whether the content is available."""
        from dandi_mirror.archive.content.single import is_there

        try:
            size, digest = _size_and_digest(key)
            there = bool(digest) and is_there(self._urls(key), size, self._access)
            self._line.say("CHECKPRESENT-SUCCESS" if there else "CHECKPRESENT-FAILURE", key)
        except MirrorError as error:
            reason = self._refused() if isinstance(error, CredentialsError) else error
            self._line.say("CHECKPRESENT-UNKNOWN", key, reason)

    def remove(self, key: str) -> None:
        """Refuse to delete content."""
        self._line.say("REMOVE-FAILURE", key, READ_ONLY)


def _size_and_digest(key: str) -> tuple[int, str]:
    """The bytes and the digest that a key names; 0 and nothing if it does not come from an archive."""
    found = _KEY.match(key)
    size, digest = filter(None, found.groups()) if found else ("0", "")
    return int(size), digest


def serve(line: Line) -> None:
    """Answer until git-annex ends."""
    remote = Remote(line)
    wanted = {
        name.upper(): getattr(remote, name)
        for name in (
            "extensions", "listconfigs", "initremote", "prepare", "getcost", "getavailability", "whereis",
            "transfer", "checkpresent", "remove",
        )
    }  # fmt: skip
    line.say("VERSION", 1)
    while (heard := line.hear()) is not None:
        request, _, words = heard.partition(" ")
        if request not in wanted:
            line.say("UNSUPPORTED-REQUEST")
            continue
        try:
            wanted[request](words)
        except Exception as error:
            # git-annex shows it, and ends this program
            line.say(
                "ERROR", error if isinstance(error, MirrorError) else f"unexpected: {type(error).__name__}: {error}"
            )


def main() -> None:
    """Run the program; only replies go to git-annex, other output to stderr."""
    # an interruption, or a git-annex that ended, is not an error to report
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    line = Line(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    serve(line)
