"""Archive instances: by name, by URL, by the host of their pages or of their content."""

from __future__ import annotations

from difflib import get_close_matches
from urllib.parse import urlsplit

from dandi_mirror.addresses import is_loopback, origin
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
"""Where archives keep their content, and whose it is.  Source: the archives' public infrastructure and pages."""

_SPELLED = {".": "_", "-": "_dash_"}


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
        near = get_close_matches(instance.lower(), KNOWN, 1)
        hint = f"did you mean {near[0]!r}, or use" if near else "use"
        raise UsageError(f"no archive instance is called {instance!r}; {hint} a URL or one of: {', '.join(KNOWN)}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("the instance's URL must be plain: no user, query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(f"{instance}: plain http is only for 127.0.0.1; use https")
    path = parts.path.rstrip("/") or "/api"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def at_host(host: str) -> str | None:
    """The API's URL of a known archive, by the host of its pages or of its API."""
    if host.endswith("dandiarchive-org.netlify.app"):
        # the site's developers' previews
        return KNOWN["dandi-sandbox" if host.startswith("deploy-preview-") else "dandi"]
    if host in SITES:
        return KNOWN[SITES[host]]
    return next((url for url in KNOWN.values() if urlsplit(url).netloc == host), None)


def instance_name(instance: str) -> str:
    """What people call an archive: a known one by its name, any other by scheme, host and port.

    A known name stands for its exact URL only: ``https://dandi/api`` is not called ``dandi``.
    """
    url = api_url(instance)
    return known_name(url) or origin(url)


def known_name(url: str) -> str | None:
    """The name of a known archive, by its API's exact URL."""
    return next((name for name, known in KNOWN.items() if known == url), None)


def stock_name(instance: str) -> str | None:
    """What the dandi client calls an archive, if that is a name for one origin alone; else None.

    It calls an archive that it does not know ``host:port``, without the scheme.  So the name counts for https only (on
    this machine for http only), and never where it could be a known archive's name.
    """
    url = api_url(instance)
    parts = urlsplit(url)
    usual = "http" if is_loopback(parts.hostname) else "https"
    is_own = parts.netloc.isascii() and "_" not in parts.netloc and not {".", ":"}.isdisjoint(parts.netloc)
    return known_name(url) or (parts.netloc if is_own and parts.scheme == usual else None)


def token_variables(instance: str) -> list[str]:
    """The environment variables in which an API key may be, the first of them first.

    For a known archive that of the dandi client.  For an archive that is given by its URL ours, which no other origin
    shares and a shell can set; then that of the dandi client, if no other origin shares it.
    """
    url, stock = api_url(instance), stock_name(instance)
    ours = [] if known_name(url) else [f"DANDI_AT_{_spelled(origin(url))}_API_KEY"]
    return ours + ([f"{stock.upper().replace('-', '_')}_API_KEY"] if stock else [])


def token_variable(instance: str) -> str:
    """The environment variable to put an API key into: ``DANDI_API_KEY``, ``DANDI_AT_API_LAB_ORG_API_KEY``, …"""
    return token_variables(instance)[0]


def _spelled(origin: str) -> str:
    """An origin in letters, digits and underscores, so that no two are spelt alike.

    The host is in capitals and a dot is an underscore; what else there is stands in small letters.
    """
    parts = urlsplit(origin)
    host = "".join(_SPELLED.get(letter) or _spell(letter) for letter in parts.hostname or "")
    scheme = "" if parts.scheme == "https" else f"{parts.scheme}_"
    return f"{scheme}{host}" + (f"_port_{parts.port}" if parts.port else "")


def _spell(letter: str) -> str:
    plain = letter.isascii() and letter.isalnum()
    return letter.upper() if plain else "".join(f"_x{byte:02x}_" for byte in letter.encode())


def agreed(said: str | None, given: str | None, default: str) -> str:
    """The archive to ask, as ``-i`` takes it: a name of a Dandiset says ``said``, ``-i`` or the settings ``given``.

    A name and a URL that is not known may be of the same archive; then its ``/info/`` decides: :func:`check_called`.

    Raises:
        UsageError: they are of two archives; or only ``said`` is there, and is no name that is known.
    """
    if said is None:
        return given or default
    if given is None:
        if "://" not in said and said not in KNOWN:
            # the nearest name that is known is another archive, to which nothing of this one may go
            raise UsageError(f"the archive called {said!r} is not known here; name its API: -i https://HOST/api")
        api_url(said)
        return said
    url = api_url(given)
    if "://" in said:
        same = api_url(said) == url
    else:
        same = KNOWN.get(said) == url or url not in KNOWN.values() or is_loopback(urlsplit(url).hostname)
    if not same:
        raise UsageError(f"a name says {said} and -i, or the settings, say {given}; two archives at once cannot be")
    return given


def may_be(instance: str | None, called: str) -> bool:
    """Whether an archive may be the one that Dandisets' records call so, as far as one can tell without asking."""
    name = next((known for known, url in KNOWN.items() if url == instance), instance)
    if not name or "://" in name or is_loopback(urlsplit(KNOWN.get(name, "")).hostname):
        return True  # what an archive at any URL is called, only it can say
    return not called or called.lower() == name.lower()


def check_called(said: str | None, instance: Instance) -> None:
    """See that an archive is the one that a name says.

    Raises:
        UsageError: it is another one.
    """
    if said is None or "://" in said or KNOWN.get(said) == instance.api_url or said == instance.name.lower():
        return
    raise UsageError(f"a name says {said}, and the archive at {instance.api_url} is called {instance.name}; see -i")
