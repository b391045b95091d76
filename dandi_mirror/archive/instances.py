"""The known archives, and finding one by its name, its URL, or the host of its pages or content."""

from __future__ import annotations

from difflib import get_close_matches
from urllib.parse import urlsplit

from dandi_mirror.addresses import is_at_loopback, is_loopback, origin
from dandi_mirror.errors import UsageError
from dandi_mirror.model import Instance

KNOWN = {
    "dandi": "https://api.dandiarchive.org/api",
    "dandi-sandbox": "https://api.sandbox.dandiarchive.org/api",
    "linc": "https://api.lincbrain.org/api",
    "linc-staging": "https://staging-api.lincbrain.org/api",
    "ember-dandi": "https://api-dandi.emberarchive.org/api",
    "ember-dandi-sandbox": "https://api-dandi.sandbox.emberarchive.org/api",
    "dandi-api-local-docker-tests": "http://localhost:8000/api",
}
SITES = {
    "dandiarchive.org": "dandi",
    "www.dandiarchive.org": "dandi",
    "gui.dandiarchive.org": "dandi",
    "sandbox.dandiarchive.org": "dandi-sandbox",
    "lincbrain.org": "linc",
    "staging.lincbrain.org": "linc-staging",
    "dandi.emberarchive.org": "ember-dandi",
    "dandi.sandbox.emberarchive.org": "ember-dandi-sandbox",
    "localhost:8085": "dandi-api-local-docker-tests",
}
"""The host of each archive's web pages."""
BUCKETS = {
    "dandiarchive": "dandi",
    "dandiarchive-embargo": "dandi",
    "dandi-api-staging-dandisets": "dandi-sandbox",
    "linc-brain-mit-prod-us-east-2": "linc",
    "linc-brain-mit-staging-us-east-2": "linc-staging",
    "ember-open-data": "ember-dandi",
    "ember-open-data-sandbox": "ember-dandi-sandbox",
}
"""S3 bucket → archive.  Source: the archives' public infrastructure and pages."""

_REPLACED = {".": "_", "-": "_dash_"}


def api_url(instance: str) -> str:
    """The API's URL, without a slash at its end, of an archive given by name or URL.

    Raises:
        UsageError: the name is unknown, or the URL is malformed, has a user name, or is not https (http is allowed on
            this machine only).
    """
    if instance.lower() in KNOWN:
        return KNOWN[instance.lower()]
    try:
        parts = urlsplit(instance)
        is_usable = parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        # the message does not repeat it: an invalid port may be a password
        raise UsageError("the archive's URL has no valid host and port; write https://HOST or https://HOST:PORT")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        near = get_close_matches(instance.lower(), KNOWN, 1)
        hint = f"did you mean {near[0]!r}, or use" if near else "use"
        raise UsageError(f"no archive is called {instance!r}; {hint} a URL or one of: {', '.join(KNOWN)}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("the archive's URL must have no user name, query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(f"{instance}: plain http works for 127.0.0.1 only; use https")
    path = parts.path.rstrip("/") or "/api"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def at_host(host: str) -> str | None:
    """The API's URL of the known archive whose pages or API are at a host; None if there is none."""
    if host.endswith("dandiarchive-org.netlify.app"):
        # previews by the developers of DANDI's web site
        return KNOWN["dandi-sandbox" if host.startswith("deploy-preview-") else "dandi"]
    if host in SITES:
        return KNOWN[SITES[host]]
    return next((url for url in KNOWN.values() if urlsplit(url).netloc == host), None)


def instance_name(instance: str) -> str:
    """What messages call an archive: a known one by its name, any other by scheme, host and port.

    A known name stands for its exact URL only: ``https://dandi/api`` is not called ``dandi``.
    """
    url = api_url(instance)
    return known_name(url) or origin(url)


def known_name(url: str) -> str | None:
    """The name of the known archive whose API has exactly this URL; None if there is none."""
    return next((name for name, known in KNOWN.items() if known == url), None)


def stock_name(instance: str) -> str | None:
    """What the DANDI client calls an archive, if no other origin can have that name; else None.

    It calls an archive that it does not know ``host:port``, without the scheme.  So the name counts for https only (on
    this machine for http only), and never if it could be a known archive's name.
    """
    url = api_url(instance)
    parts = urlsplit(url)
    usual = "http" if is_loopback(parts.hostname) else "https"
    is_own = parts.netloc.isascii() and "_" not in parts.netloc and not {".", ":"}.isdisjoint(parts.netloc)
    return known_name(url) or (parts.netloc if is_own and parts.scheme == usual else None)


def token_variables(instance: str) -> list[str]:
    """The environment variables that may hold an API key, in the order in which they are read.

    For a known archive, the DANDI client's variable.  For another one, first a variable of our own, which no other
    origin shares and a shell can set; then the DANDI client's, if no other origin shares it.
    """
    url, stock = api_url(instance), stock_name(instance)
    ours = [] if known_name(url) else [f"DANDI_AT_{_encoded(origin(url))}_API_KEY"]
    return ours + ([f"{stock.upper().replace('-', '_')}_API_KEY"] if stock else [])


def token_variable(instance: str) -> str:
    """The environment variable to put an API key into: ``DANDI_API_KEY``, ``DANDI_AT_API_LAB_ORG_API_KEY``, …"""
    return token_variables(instance)[0]


def _encoded(origin: str) -> str:
    """An origin in letters, digits and underscores, different for every origin.

    The host is in capitals, with underscores for dots; everything else is in small letters.
    """
    parts = urlsplit(origin)
    host = "".join(_REPLACED.get(letter) or _encode(letter) for letter in parts.hostname or "")
    scheme = "" if parts.scheme == "https" else f"{parts.scheme}_"
    return f"{scheme}{host}" + (f"_port_{parts.port}" if parts.port else "")


def _encode(letter: str) -> str:
    plain = letter.isascii() and letter.isalnum()
    return letter.upper() if plain else "".join(f"_x{byte:02x}_" for byte in letter.encode())


def agreed(said: str | None, given: str | None, default: str) -> str:
    """The archive to use, as a value for ``-i``.

    ``said``: the archive in the name of a Dandiset; ``given``: that of ``-i`` or the settings.  A name and an unknown
    URL may belong to the same archive; :func:`check_called` compares them later with its ``/info/``.

    Raises:
        UsageError: they belong to two archives; or there is only ``said``, and that is unknown.
    """
    if said is None:
        return given or default
    if given is None:
        if "://" not in said and said not in KNOWN:
            # no suggestion: the known archive with the closest name must get nothing that belongs to this one
            raise UsageError(f"no archive called {said!r} is known; name its API: -i https://HOST/api")
        api_url(said)
        return said
    url = api_url(given)
    if "://" in said:
        same = api_url(said) == url
    else:
        same = KNOWN.get(said) == url or url not in KNOWN.values() or is_at_loopback(url)
    if not same:
        raise UsageError(f"the name is of the archive {said}, but -i or the settings select {given}; use one of them")
    return given


def may_be(instance: str | None, called: str) -> bool:
    """Whether an archive may be the one that records call ``called``, as far as this can be told without a request."""
    name = next((known for known, url in KNOWN.items() if url == instance), instance)
    if not name or "://" in name or is_at_loopback(KNOWN.get(name, "")):
        return True  # only the archive itself knows its name
    return not called or called.lower() == name.lower()


def check_called(said: str | None, instance: Instance) -> None:
    """Check that an archive is the one in the name of a Dandiset.

    Raises:
        UsageError: it is another archive.
    """
    if said is None or "://" in said or KNOWN.get(said) == instance.api_url or said == instance.name.lower():
        return
    raise UsageError(
        f"the name is of the archive {said}, but the archive at {instance.api_url} is called {instance.name}; see -i"
    )
