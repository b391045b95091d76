"""What the worker asks of the process that started it while it reads: parts of a file that is not on this machine.

The worker has no network.  It writes ``{"asks": …}`` where its answer would be; on its standard input come a line of
JSON with ``size``, and so many bytes.  Runs in the worker only.
"""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

Ask = Callable[[Mapping[str, Any]], tuple[dict[str, Any], bytes]]
"""Asks for something; what is told about it, and the bytes."""
AHEAD = 8
"""Blocks that are asked for at once at most, where a reader goes on from block to block."""


class Spent(OSError):
    """No more of the file may be read."""


class Parent:
    """The process that started this one."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def ask(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Ask; the time until the answer does not count."""
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        self._outgoing.write(json.dumps({"asks": asked}).encode() + b"\n")
        self._outgoing.flush()
        line = self._incoming.readline()
        told = json.loads(line) if line else {"size": -1}
        content = self._incoming.read(told["size"]) if told["size"] > 0 else b""
        if len(content) != max(0, told["size"]) or not line:
            os._exit(1)  # it is gone; no library may go on with half a block
        signal.setitimer(signal.ITIMER_REAL, left)
        return told, content


class BlockFile(io.RawIOBase):
    """A file of which blocks come from the parent, each once."""

    def __init__(self, ask: Ask, size: int, block: int) -> None:
        self._ask, self._size, self._block = ask, size, block
        self._blocks: dict[int, bytes] = {}
        self._place, self._last, self._ahead = 0, -1, 1
        self.requests, self.left = 1 << 30, 1 << 60
        """How many requests and bytes there may still be, as the parent has told."""
        self.kept = 0
        """Requests that are to be left for what comes later."""
        self.spent = False

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, into: Any) -> int:
        """Read as many bytes as there are from the position on.

        Raises:
            Spent: they may not be asked for.
        """
        view = memoryview(into).cast("B")
        stop = min(self._place + len(view), self._size)
        start = done = min(self._place, stop)
        while done < stop:
            number, skip = divmod(done, self._block)
            piece = self._held(number, -(-stop // self._block))[skip : skip + stop - done]
            view[done - start : done - start + len(piece)] = piece
            done += len(piece)
        self._place = done
        return done - start

    def fall_short(self) -> None:
        """Say that more was wanted than may be read."""
        self.spent = True
        self._ask({"first": 0, "count": 0})

    def _held(self, number: int, stop: int) -> bytes:
        if (block := self._blocks.get(number)) is not None:
            return block
        if self.requests <= self.kept:
            self.fall_short()
        if self.spent:
            raise Spent("no more of the file may be read")
        # who goes on where the last blocks ended gets twice as many
        self._ahead = min(AHEAD, 2 * self._ahead) if number == self._last + 1 else 1
        told, content = self._ask({"first": number, "count": max(self._ahead, min(AHEAD, stop - number))})
        self.requests, self.left = told["requests"], told["left"]
        if not content:
            self.spent = True
            raise Spent("no more of the file may be read")
        for at in range(0, len(content), self._block):
            self._last = number + at // self._block
            self._blocks[self._last] = content[at : at + self._block]
        return self._blocks[number]
