"""HTTP as uvicorn speaks it, but answers that can be given again are sent before a request becomes an object."""

from __future__ import annotations

from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dandi_mirror.serve.repeated import RepeatedAnswers


class RepeatingProtocol(HttpToolsProtocol):
    """One connection."""

    repeated: ClassVar[RepeatedAnswers]
    _has_begun = False
    """Whether the headers of a request are incomplete."""

    def data_received(self, data: bytes) -> None:
        """Answer a request that is in ``data`` as a whole, if its answer is known; else uvicorn reads it."""
        if not self._is_between() or (found := self.repeated.find(data)) is None:
            super().data_received(data)
            return
        self._unset_keepalive_if_required()
        date = b"".join(b"%s: %s\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(b"HTTP/1.1 200 OK\r\n" + date + found[0] + b"\r\n" + found[1])
        self.on_response_complete()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._has_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that a request has its headers: from now on its cycle tells how far it is."""
        super().on_headers_complete()
        self._has_begun = False

    def _is_between(self) -> bool:
        """Whether nothing is being read or answered.  Else ``data`` could be the body of a request."""
        if self._has_begun or self.pipeline or self.flow.write_paused or self.transport.is_closing():
            return False
        return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)


def protocol_of(repeated: RepeatedAnswers) -> type[RepeatingProtocol]:
    """The protocol of a server with these answers."""
    return type("ServedProtocol", (RepeatingProtocol,), {"repeated": repeated})
