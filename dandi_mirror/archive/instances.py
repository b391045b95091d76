"""Archive instances: by name, by URL, by the host of their pages or of their content."""

from __future__ import annotations

import re
from difflib import get_close_matches
from urllib.parse import urlsplit

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
LOOPBACK = {"127.0.0.1", "localhost"}


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
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
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


def agreed(said: str | None, given: str | None, default: str) -> str:
    """The archive to ask, as ``-i`` takes it: a name of a Dandiset says ``said``, ``-i`` or the settings ``given``.

    A name and a URL that is not known may be of the same archive; then its ``/info/`` decides: :func:`check_called`.

    Raises:
        UsageError: they are of two archives; or only ``said`` is there, and is no name that is known.
    """
    if said is None:
        return given or default
    if given is None:
        api_url(said)
        return said
    url = api_url(given)
    if "://" in said:
        same = api_url(said) == url
    else:
        same = KNOWN.get(said) == url or url not in KNOWN.values() or urlsplit(url).hostname in LOOPBACK
    if not same:
        raise UsageError(f"a name says {said} and -i, or the settings, say {given}; two archives at once cannot be")
    return given


def check_called(said: str | None, instance: Instance) -> None:
    """See that an archive is the one that a name says.

    Raises:
        UsageError: it is another one.
    """
    if said is None or "://" in said or KNOWN.get(said) == instance.api_url or said == instance.name.lower():
        return
    raise UsageError(f"a name says {said}, and the archive at {instance.api_url} is called {instance.name}; see -i")


def addresses(url: str) -> frozenset[str]:
    """IP addresses on this machine that may be asked for an archive's content: if it is here itself, by its ``url``."""
    return frozenset({"127.0.0.1"}) if urlsplit(url).hostname in LOOPBACK else frozenset()
