"""Finding by a request what a name does not say: the target of a link, and the API of a web site."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from urllib.parse import urlsplit

from dandi_mirror.addresses import Allowed, BadRedirect, is_inside, private_host, redirect_target
from dandi_mirror.archive.http.retry import HOPS, RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.instances import api_url
from dandi_mirror.archive.names import Name, parse
from dandi_mirror.errors import BadAnswerError, MirrorError, UsageError


def follow(name: Name, policy: RetryPolicy | None = None) -> Name:
    """Complete a name by requests, without a token, and without requesting a page that names a Dandiset.

    Raises:
        UsageError: the link leads to no Dandiset, or the site belongs to no archive.
        MirrorError: a request failed.
    """
    found = name
    # the user has not named the targets of links, so private addresses among them are refused
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
            raise UsageError(
                f"{name.text} names no Dandiset and redirects to none; write 000004 or the link of its page"
            )
        link, found = found.ask, parse(there)
        if found.ask and link.startswith("https://"):
            try:
                redirect_target(link, found.ask)
            except BadRedirect as error:
                raise UsageError(f"{name.text}: {error}; write 000004 or the link of its page") from None
    raise UsageError(f"{name.text} redirects more than {HOPS} times; write 000004 or the link of its page")


def _api_of(site: str, allowed: Allowed, policy: RetryPolicy | None) -> str:
    """The API of an archive's web site, according to the site or to the API beside it."""
    reasons = []
    for root, path in ((site, "/server-info"), (f"{site}/api", "/info/")):
        with closing(Session(root, policy=policy, allowed=allowed)) as session:
            try:
                url = _api_in(session.get(path))
            except MirrorError as error:
                reasons.append(str(error))
                continue
        if is_inside(url, allowed):
            raise UsageError(f"{site} says that its API is at {url}; {private_host(urlsplit(url).hostname or '')}")
        return url
    raise UsageError(f"{site} does not say where its API is ({reasons[-1]}); name it with -i https://HOST/api")


def _api_in(info: object) -> str:
    services = info.get("services") if isinstance(info, dict) else None
    api = services.get("api") if isinstance(services, dict) else None
    url = api.get("url") if isinstance(api, dict) else None
    if not isinstance(url, str) or "://" not in url:
        raise BadAnswerError("its response has no URL of an API")
    return api_url(url)
