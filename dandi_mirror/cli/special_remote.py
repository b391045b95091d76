"""``git-annex-remote-dandi``: the program that git-annex starts for embargoed content.

It speaks git-annex's protocol for external special remotes on its standard streams.  A key's content is at the
API's URLs of it that the git-annex branch has; the API is asked with the token, and what it leads to without.
git-annex starts it several times in each clone, so nothing heavy is imported, and no keyring is opened, before
content is wanted.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dandi_mirror.cli.following import repeated
from dandi_mirror.errors import CredentialsError, MirrorError, NotFoundError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from dandi_mirror.archive.content.single import ByteCounter
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.credentials import Token

COST = 250
"""Between S3 and the API without a token."""
READ_ONLY = "it can only be read here; upload to the archive instead"
GONE = "the archive has no asset with this content any more"
_KEY = re.compile(r"SHA256E?-s([0-9]{1,15})--([0-9a-f]{64})(?:\.|$)")
_ID = re.compile(r"[0-9a-f-]{36}/download/")


class Line:
    """The line to git-annex: what it wants, what it is told, and what it is asked for in between."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer

    def hear(self) -> str | None:
        """What git-annex says next; None when it has gone."""
        line = self._reader.readline()
        return line.decode(errors="surrogateescape").rstrip("\n") if line else None

    def say(self, *words: object) -> None:
        """Tell git-annex something, on one line."""
        line = " ".join(str(word).replace("\n", " ") for word in words)
        self._writer.write(line.encode(errors="surrogateescape") + b"\n")
        self._writer.flush()

    def value(self) -> str:
        """One value that git-annex gives as an answer."""
        return (self.hear() or "").removeprefix("VALUE").removeprefix(" ")


class Remote:
    """Answers what git-annex wants."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._token: Token | None = None
        self._trouble = ""

    @cached_property
    def _api(self) -> str:
        """The API's URL, from the remote's settings; checked, for a dataset may come from anybody."""
        from dandi_mirror.archive.instances import api_url

        self._line.say("GETCONFIG", "api")
        return api_url(self._line.value())

    @cached_property
    def _access(self) -> TransferSettings:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.content.sources import TransferSettings
        from dandi_mirror.archive.credentials import KeyringTrouble, from_keyring, from_variable
        from dandi_mirror.repo.annex.clone import allowed_addresses

        self._token = from_variable(self._api)
        try:
            self._token = self._token or from_keyring(self._api, terminal=False)
        except KeyringTrouble as error:
            self._trouble = str(error)
        # the repository names this API, no person does: what git-annex may ask on this machine may be asked
        allowed = Allowed(addresses=allowed_addresses(Path.cwd()))
        return TransferSettings(self._api, self._token.value if self._token else None, allowed)

    def _urls(self, key: str) -> list[str]:
        """Where the API has a key's content; what else the git-annex branch may say is passed over."""
        begin = f"{self._api}/assets/"
        self._line.say("GETURLS", key, begin)
        found = []
        while url := self._line.value():
            found += [url] if url.startswith(begin) and _ID.fullmatch(url, len(begin)) else []
        return found

    def _refused(self) -> CredentialsError:
        if self._token:
            return CredentialsError(
                f"the archive does not show it to the owner of the key in {self._token.source}; "
                f"is it still valid? dandi-mirror login --check -i {self._api}"
            )
        from dandi_mirror.workflows.tokens import nothing

        return nothing(self._api, self._trouble, "it is under embargo, and there is no API key")

    # --- what git-annex wants ------------------------------------------------------------------------------

    def extensions(self, offered: str) -> None:
        """None of what is offered is used."""
        self._line.say("EXTENSIONS")

    def listconfigs(self, _: str) -> None:
        """What ``git annex initremote`` can set."""
        self._line.say("CONFIG", "api", "URL of the archive's API")
        self._line.say("CONFIGEND")

    def initremote(self, _: str) -> None:
        """Set up in a repository: nothing is asked, here or at the archive."""
        try:
            _ = self._api
            self._line.say("INITREMOTE-SUCCESS")
        except MirrorError as error:
            self._line.say("INITREMOTE-FAILURE", error)

    def prepare(self, _: str) -> None:
        """The same: whether there is a token is seen when content is wanted."""
        self._line.say("PREPARE-SUCCESS")

    def getcost(self, _: str) -> None:
        """How late to be asked."""
        self._line.say("COST", COST)

    def getavailability(self, _: str) -> None:
        """From everywhere."""
        self._line.say("AVAILABILITY", "GLOBAL")

    def whereis(self, key: str) -> None:
        """A URL for people."""
        urls = self._urls(key)
        self._line.say("WHEREIS-SUCCESS", urls[0]) if urls else self._line.say("WHEREIS-FAILURE")

    def transfer(self, words: str) -> None:
        """Bring content; git-annex checks its digest."""
        way, key, file = words.split(" ", 2)
        reason = self._fetch(key, Path(file)) if way == "RETRIEVE" else READ_ONLY
        if reason:
            self._line.say("TRANSFER-FAILURE", way, key, reason)
        else:
            self._line.say("TRANSFER-SUCCESS", way, key)

    def _fetch(self, key: str, file: Path) -> str:
        """Bring content in one piece, for git-annex takes a file's size for what is there of it; or say why not."""
        from dandi_mirror.archive.content.single import ByteCounter, Item, Worker
        from dandi_mirror.archive.content.sources import TransferState

        try:
            found = _KEY.match(key)
            if not found:
                return "a key that is none of the archive's"
            urls, hosts, meter = self._urls(key), TransferState(self._access), ByteCounter()
            if not urls:
                return GONE
            worker = Worker(hosts, meter)
            with self._telling(meter, file):
                error = worker.whole(Item(tuple(urls), int(found[1]), found[2], file)).error
        except MirrorError as caught:
            error = caught
        if isinstance(error, CredentialsError):
            error = self._refused()
        return GONE if isinstance(error, NotFoundError) else str(error or "")

    def _telling(self, meter: ByteCounter, file: Path) -> AbstractContextManager[None]:
        """Tell git-annex how many bytes are there, while nothing else is said to it."""
        have = file.stat().st_size if file.exists() else 0
        return repeated(lambda: self._line.say("PROGRESS", have + meter.received))

    def checkpresent(self, key: str) -> None:
        """Whether content can be had."""
        from dandi_mirror.archive.content.single import is_there

        try:
            found = _KEY.match(key)
            there = bool(found) and is_there(self._urls(key), int(found[1] if found else 0), self._access)
            self._line.say("CHECKPRESENT-SUCCESS" if there else "CHECKPRESENT-FAILURE", key)
        except MirrorError as error:
            reason = self._refused() if isinstance(error, CredentialsError) else error
            self._line.say("CHECKPRESENT-UNKNOWN", key, reason)

    def remove(self, key: str) -> None:
        """Not from here."""
        self._line.say("REMOVE-FAILURE", key, READ_ONLY)


def serve(line: Line) -> None:
    """Answer until git-annex has gone."""
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
    """Run it; only what is meant for git-annex goes to its line."""
    # to be interrupted, or left alone, is no defect to tell of
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    line = Line(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    serve(line)
