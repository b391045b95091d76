"""A request to the API: parameters, body, and the user who sent it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from dandi_mirror.embedded.rules.queries import parameters
from dandi_mirror.embedded.rules.refusals import Refused, detail
from dandi_mirror.embedded.store.archive import Archive
from dandi_mirror.embedded.store.catalog import User
from dandi_mirror.embedded.store.identity import DandisetIdentity

NO_CREDENTIALS = "Authentication credentials were not provided."
NO_PERMISSION = "You do not have permission to perform this action."


@dataclass(slots=True)
class Call:
    """One request to the API."""

    archive: Archive
    method: str
    url: str
    """Absolute, with the query, under the host name that the client used."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    args: Mapping[str, str] = field(default_factory=dict)
    """The parts of the path that the route names."""
    user: User | None = None

    @classmethod
    def of(cls, archive: Archive, scope: Scope, body: bytes = b"") -> Call:
        """The request of an ASGI scope."""
        headers, query = Headers(scope=scope), scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        url = f"http://{headers.get('host', '')}{path}" + (f"?{query}" if query else "")
        args = scope.get("path_params", {})
        return cls(archive, scope["method"], url, parameters(query), headers, body, args)

    def need_user(self) -> User:
        """The user who sent the request.

        Raises:
            Refused: 401 for a request without a token.
        """
        if self.user is None:
            raise detail(401, NO_CREDENTIALS)
        return self.user

    def need_approved(self) -> User:
        """The user who sent the request, if the archive has approved the account.

        Raises:
            Refused: 401 without a token, 403 for a user who waits for approval.
        """
        user = self.need_user()
        if not user.approved:
            raise detail(403, NO_PERMISSION)
        return user

    def need_owner(self, dandiset: DandisetIdentity) -> User:
        """The user who sent the request, if this user may change the Dandiset.

        Raises:
            Refused: 401 without a token, 403 without a body for other users.
        """
        user = self.need_approved()
        if not self.owns(dandiset):
            raise Refused(403, None)
        return user

    def posted(self, *wanted: str) -> dict[str, Any]:
        """The JSON object in the body.

        Raises:
            Refused: 415; 400, also if a key of ``wanted`` is missing.
        """
        body = self.posted_json()
        missing = [key for key in wanted if not isinstance(body, dict) or key not in body]
        if missing:
            raise Refused(400, {key: ["This field is required."] for key in missing})
        if not isinstance(body, dict):
            raise Refused(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
        return body

    def posted_json(self) -> Any:
        """The JSON in the body: an object, a list or anything else.

        Raises:
            Refused: 415, 400.
        """
        kind = self.headers.get("content-type", "").partition(";")[0]
        if kind != "application/json":
            raise detail(415, f'Unsupported media type "{kind}" in request.')
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise detail(400, f"JSON parse error - {error}") from None

    def owns(self, dandiset: DandisetIdentity) -> bool:
        """Whether the user who sent the request is an owner or an admin."""
        return self.user is not None and (self.user.admin or self.user.username in dandiset.owners)

    def check_readable(self, dandiset: DandisetIdentity) -> None:
        """Let nobody but owners and admins read a Dandiset under embargo.

        Raises:
            Refused: 401 without a token, 403 with one.
        """
        if not dandiset.is_open and not self.owns(dandiset):
            self.need_user()
            raise detail(403, NO_PERMISSION)
