"""Archive instances by name, and how a Dandiset is named on the command line."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from dandi_mirror.errors import UsageError

KNOWN = {
    "dandi": "https://api.dandiarchive.org/api",
    "dandi-sandbox": "https://api.sandbox.dandiarchive.org/api",
    "linc": "https://api.lincbrain.org/api",
    "linc-staging": "https://staging-api.lincbrain.org/api",
    "ember-dandi": "https://api-dandi.emberarchive.org/api",
    "ember-dandi-sandbox": "https://api-dandi.sandbox.emberarchive.org/api",
}
LOOPBACK = {"127.0.0.1", "localhost"}

_IDENTIFIER = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*:)?([0-9]{6})")


def api_url(instance: str) -> str:
    """The API's URL, without a slash at its end, of an instance named or given by URL.

    Raises:
        UsageError: no such name; not an https URL (http is for loopback only); one with a user's name; not a URL.
    """
    if instance.lower() in KNOWN:
        return KNOWN[instance.lower()]
    try:
        parts = urlsplit(instance)
        has_place = parts.port != 0
    except ValueError:
        has_place = False
    if not has_place:
        # not repeated: what is no port may be a password
        raise UsageError("the instance's URL has no host and port that can be: https://HOST or https://HOST:PORT")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        names = ", ".join(KNOWN)
        raise UsageError(f"no archive instance is called {instance!r}; use a URL or one of: {names}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("the instance's URL must be plain: no user, query or fragment")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise UsageError(f"{instance}: plain http is only for 127.0.0.1; use https")
    path = parts.path.rstrip("/") or "/api"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def token_variable(instance: str) -> str:
    """The environment variable that holds the token for an instance: ``DANDI_API_KEY``, …

    Named as the dandi client names it; an instance given by URL uses the name it is known by, else
    ``DANDI_API_KEY`` is **not** sent to it: its variable is its host's name in capitals.
    """
    return re.sub(r"[^A-Z0-9]", "_", instance_name(instance).upper()) + "_API_KEY"


def instance_name(instance: str) -> str:
    """What the dandi client calls an instance: the name that it is known by, else ``host[:port]``."""
    url = api_url(instance)
    return next((name for name, known in KNOWN.items() if known == url), urlsplit(url).netloc)


def dandiset_id(text: str) -> str:
    """The id in ``000004`` or ``DANDI:000004``.

    Raises:
        UsageError: neither.
    """
    found = _IDENTIFIER.fullmatch(text)
    if not found or not found[1].isascii():
        raise UsageError(f"{text!r} is not a Dandiset's id; it has six digits, as 000004")
    return found[1]
