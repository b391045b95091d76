"""The refusals of the API: a status and a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dandi_mirror.embedded.rules.values import dumps


class Refused(Exception):
    """The archive refuses a request: ``status`` and ``body`` of its answer.

    ``body`` is one of the API's shapes: ``{"detail": …}``, a bare string, a list, a map of fields, or None for no
    body at all.
    """

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {dumps(body).decode()}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def detail(status: int, text: str) -> Refused:
    """A refusal in the shape of Django REST framework."""
    return Refused(status, {"detail": text})


def not_found() -> Refused:
    """The JSON 404 for an id of the right form that names nothing."""
    return detail(404, "Not found.")
