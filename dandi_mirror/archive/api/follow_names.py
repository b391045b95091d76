"""What a name leaves open and a request can tell: where a link leads, and where the API of a web site is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from urllib.parse import urlsplit

from dandi_mirror.addresses import Allowed, inside, refusal
from dandi_mirror.archive.http.retry import HOPS, RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.instances import api_url
from dandi_mirror.archive.names import Name, parse
from dandi_mirror.errors import BadAnswerError, MirrorError, UsageError


def follow(name: Name, policy: RetryPolicy | None = None) -> Name:
    """The name with nothing left to ask; no token is sent, and no page that names a Dandiset is asked for.

    Raises:
        UsageError: the link leads to no name, or the site is of no archive.
        MirrorError: it could not be asked.
    """
    found = name
    # where a link leads, nobody named: on this machine or network it is not asked
    allowed = Allowed.named(name.ask) if name.ask else Allowed()
    for _ in range(HOPS):
        if not found.ask:
            return replace(found, text=name.text)
        if found.dandiset:
            return replace(found, text=name.text, instance=_api_of(found.ask, allowed, policy), ask="")
        parts = urlsplit(found.ask)
        with closing(Session(f"{parts.scheme}://{parts.netloc}", policy=policy, allowed=allowed)) as session:
            there = session.leads_to(found.ask)
        if not there:
            raise UsageError(f"{name.text} names no Dandiset and leads nowhere; write 000004 or the link of its page")
        link, found = found.ask, parse(there)
        if found.ask.startswith("http://") and link.startswith("https://"):
            raise UsageError(f"{name.text} leads from https to {found.ask}, which is not asked")
    raise UsageError(f"{name.text} leads on and on; write 000004 or the link of its page")


def _api_of(site: str, allowed: Allowed, policy: RetryPolicy | None) -> str:
    """The API's URL of an archive's web site, as the site or the API beside it says."""
    reasons = []
    for root, path in ((site, "/server-info"), (f"{site}/api", "/info/")):
        with closing(Session(root, policy=policy, allowed=allowed)) as session:
            try:
                url = _api_in(session.get(path))
            except MirrorError as error:
                reasons.append(str(error))
                continue
        if inside(url, allowed):
            raise UsageError(f"{site} says that its API is at {url}; {refusal(urlsplit(url).hostname or '')}")
        return url
    raise UsageError(f"{site} does not say where its API is ({reasons[-1]}); name it by -i https://HOST/api")


def _api_in(info: object) -> str:
    services = info.get("services") if isinstance(info, dict) else None
    api = services.get("api") if isinstance(services, dict) else None
    url = api.get("url") if isinstance(api, dict) else None
    if not isinstance(url, str) or "://" not in url:
        raise BadAnswerError("no URL of an API in its answer")
    return api_url(url)
