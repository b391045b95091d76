"""Which URLs may be requested: the public network, and a private address only if a person has allowed it."""

from __future__ import annotations

import pytest

from dandi_mirror.addresses import (
    Allowed,
    BadRedirect,
    host_of,
    is_allowed,
    is_inside,
    is_loopback,
    is_public,
    origin,
    private_host,
    redirect_target,
    refuse_url,
    without_secrets,
)

pytestmark = pytest.mark.quick


def plain_id(value: object) -> str | None:
    """An id without ``::``, which pytest takes for its own when it reads the name of a test."""
    return value.replace("::", "..") if isinstance(value, str) else None


INSIDE = [
    "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE, ids=plain_id)
def test_an_address_on_this_machine_or_network_is_not_asked_unless_allowed(address: str) -> None:
    assert not is_public(address)
    assert not is_allowed(address, frozenset())
    assert is_allowed(address, frozenset({"all"})) and is_allowed(address, frozenset({address}))


@pytest.mark.parametrize("address", ["8.8.8.8", "2600:1f18::1", "::ffff:8.8.8.8", "64:ff9b::808:808"], ids=plain_id)
def test_an_address_of_the_public_network_is_asked(address: str) -> None:
    assert is_allowed(address, frozenset())


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "a.localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "0"],
    ids=plain_id,
)
def test_every_spelling_of_such_an_address_is_known(host: str) -> None:
    assert Allowed().refuses(f"https://{host}/x")
    assert is_inside(f"https://{host}/x", Allowed())
    assert not Allowed().refuses("https://dandiarchive.s3.amazonaws.com/x")


def test_a_named_archive_allows_its_own_port_only() -> None:
    allowed = Allowed.named("http://127.0.0.1:8000/api")
    assert not allowed.refuses("http://127.0.0.1:8000/x")
    for url in ("http://127.0.0.1:8490/x", "https://127.0.0.1:8000/x", "http://localhost:8000/x", "http://127.0.0.1/x"):
        assert allowed.refuses(url)


def test_gits_setting_counts_as_for_git_annex() -> None:
    assert not Allowed(addresses=frozenset({"127.0.0.1"})).refuses("http://127.0.0.1:8490/x")
    one = Allowed(addresses=frozenset({"[127.0.0.1]:80"}))
    assert not one.refuses("http://127.0.0.1/x")
    assert one.refuses("http://127.0.0.1:8490/x")
    assert not Allowed(addresses=frozenset({"all"})).refuses("http://10.0.0.1/x")


def test_an_allowed_address_counts_in_every_spelling_and_on_every_interface() -> None:
    assert is_allowed("0:0:0:0:0:0:0:1", frozenset({"::1"}))
    assert is_allowed("::ffff:10.0.0.1", frozenset({"10.0.0.1"}))
    assert is_allowed("fe80::1%eth0", frozenset({"fe80::1"})) and not is_public("fe80::1%eth0")
    assert Allowed().refuses("http://127.0.0.1%x/") and Allowed().refuses("http://[fe80::1%eth0]/")


def test_this_machine_is_allowed_by_name_where_its_address_is() -> None:
    allowed = Allowed(addresses=frozenset({"[127.0.0.1]:8000"}))
    assert not allowed.refuses("http://localhost:8000/x")
    assert allowed.refuses("http://localhost:8001/x") and allowed.refuses("http://localhost/x")


def test_a_name_that_the_system_reads_as_an_address_inside_is_inside() -> None:
    disguised = "https://\uff11\uff12\uff17.0.0.1/x"
    assert not Allowed().refuses(disguised), "it is not an address as it is written"
    assert is_inside(disguised, Allowed())
    assert not is_inside(disguised, Allowed(addresses=frozenset({"[127.0.0.1]:443"})))
    assert is_inside(disguised, Allowed(addresses=frozenset({"[127.0.0.1]:80"})))


# --- the parts of a URL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.dandiarchive.org/api", "https://api.dandiarchive.org"),
        ("https://api.dandiarchive.org:443/api", "https://api.dandiarchive.org"),
        ("http://127.0.0.1:80/api", "http://127.0.0.1"),
        ("https://127.0.0.1:80/api", "https://127.0.0.1:80"),
        ("http://127.0.0.1:443/api", "http://127.0.0.1:443"),
        ("http://me:secret@[::1]:8000/api", "http://[::1]:8000"),
        ("HTTPS://API.dandiarchive.org/", "https://api.dandiarchive.org"),
    ],
    ids=plain_id,
)
def test_an_origin_is_scheme_host_and_a_port_that_is_not_the_usual_one(url: str, expected: str) -> None:
    assert origin(url) == expected


def test_a_message_shows_neither_name_nor_password_nor_query_of_a_url() -> None:
    url = "https://me:secret@host.org:8443/blobs/a?X-Amz-Signature=f00#part"
    assert without_secrets(url) == "https://host.org:8443/blobs/a"
    assert host_of(url) == "host.org:8443"
    assert host_of("https://a@b@host.org/") == "host.org"


def test_this_machine_has_two_names_for_which_plain_http_is_enough() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("localhost")
    assert not any(map(is_loopback, ["127.0.0.2", "::1", "LOCALHOST", "host.org", "", None]))


# --- what a person has allowed ----------------------------------------------------------------------------------


def test_a_named_host_counts_with_any_port_and_one_with_a_port_at_that_port_only() -> None:
    allowed = Allowed(hosts=frozenset({"10.0.0.1", "10.0.0.2:8080"}))
    assert not allowed.refuses("https://10.0.0.1/x") and not allowed.refuses("http://10.0.0.1:99/x")
    assert not allowed.refuses("http://10.0.0.2:8080/x")
    assert allowed.refuses("http://10.0.0.2/x") and allowed.refuses("https://10.0.0.2/x")
    usual = Allowed(hosts=frozenset({"10.0.0.3:80", "10.0.0.4:443"}))
    assert not usual.refuses("http://10.0.0.3/x") and usual.refuses("https://10.0.0.3/x")
    assert not usual.refuses("https://10.0.0.4/x") and usual.refuses("http://10.0.0.4/x")


def test_a_named_archive_keeps_the_hosts_and_addresses_of_the_settings() -> None:
    hosts, addresses = frozenset({"10.0.0.1"}), frozenset({"10.0.0.2"})
    allowed = Allowed.named("http://127.0.0.1:8000/api", hosts, addresses)
    assert allowed == Allowed(frozenset({"http://127.0.0.1:8000"}), hosts, addresses)
    assert Allowed.named("http://127.0.0.1:8000") == Allowed(frozenset({"http://127.0.0.1:8000"}))


def test_at_tells_the_addresses_that_count_for_a_url() -> None:
    allowed = Allowed(addresses=frozenset({"10.0.0.1", "[10.0.0.2]:80", "[::1]:443", "[10.0.0.3]:8443"}))
    assert allowed.at("http://host.org/") == {"10.0.0.1", "10.0.0.2"}
    assert allowed.at("https://host.org/") == {"10.0.0.1", "::1"}
    assert allowed.at("https://host.org:8443/") == {"10.0.0.1", "10.0.0.3"}


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "localhost.localdomain", "a.b.localhost"])
def test_the_name_localhost_is_this_machine_unless_its_address_is_allowed(host: str) -> None:
    assert Allowed().refuses(f"http://{host}/x")
    assert not Allowed(addresses=frozenset({"127.0.0.1"})).refuses(f"http://{host}/x")
    assert Allowed(addresses=frozenset({"127.0.0.2"})).refuses(f"http://{host}/x")


@pytest.mark.parametrize("host", ["intranet", "nas.local", "db.internal", "a.localdomain", "h%C3%B6st.org", "host.org"])
def test_a_name_of_a_private_network_is_refused_only_if_a_proxy_looks_it_up(host: str) -> None:
    private = host != "host.org"
    url = f"https://{host}/x"
    assert not Allowed().refuses(url)
    assert Allowed().refuses(url, proxied=True) is private
    assert (refuse_url(url, Allowed(), proxied=True) is not None) is private
    assert refuse_url(url, Allowed()) is None
    assert not Allowed(hosts=frozenset({host})).refuses(url, proxied=True)
    assert not Allowed(addresses=frozenset({"all"})).refuses(url, proxied=True)


# --- reasons ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://[host/x", "a URL that is malformed"),
        ("https://host.org:99999/x", "a URL that is malformed"),
        ("ftp://host.org/x", "only https:// and http:// URLs are downloaded, not ftp://"),
        ("host.org/x", "only https:// and http:// URLs are downloaded, not a URL without a scheme"),
        ("https:///x", "a URL without a host or with port 0"),
        ("https://host.org:0/x", "a URL without a host or with port 0"),
        ("https://10.0.0.1:8443/x", private_host("10.0.0.1")),
        ("https://host.org/x", None),
        ("http://host.org:8080/x", None),
    ],
)
def test_a_url_that_is_not_requested_has_a_reason(url: str, reason: str | None) -> None:
    assert refuse_url(url, Allowed()) == reason


def test_the_reason_names_the_host_and_what_to_type() -> None:
    text = private_host("10.0.0.1")
    assert text.startswith("10.0.0.1 is on this machine or network, and you have not allowed")
    assert text.endswith("git config --global annex.security.allowed-ip-addresses ADDRESS")


def test_a_host_that_cannot_be_looked_up_is_inside_only_if_its_name_is_private() -> None:
    assert is_inside("https://nothing.internal/x", Allowed())
    assert not is_inside("https://nothing.invalid/x", Allowed())
    assert not is_inside("https://nothing.internal/x", Allowed(hosts=frozenset({"nothing.internal"})))


# --- redirects --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "location", "there"),
    [
        ("https://host.org/a/b", "https://s3.org/x?y=1", "https://s3.org/x?y=1"),
        ("https://host.org/a/b", "c", "https://host.org/a/c"),
        ("https://host.org/a/b", "//s3.org/x", "https://s3.org/x"),
        ("http://127.0.0.1:1/a", "http://localhost:2/b", "http://localhost:2/b"),
        ("http://127.0.0.1:1/a", "https://s3.org/b", "https://s3.org/b"),
    ],
)
def test_a_redirect_to_https_is_followed_and_one_within_this_machine(here: str, location: str, there: str) -> None:
    assert redirect_target(here, location) == there


@pytest.mark.parametrize(
    ("here", "location", "reason"),
    [
        ("https://host.org/a", "http://host.org/a", "the server redirects to a URL that is not https"),
        ("https://host.org/a", "http://127.0.0.1/a", "the server redirects to a URL that is not https"),
        ("http://127.0.0.1/a", "http://host.org/a", "the server redirects to a URL that is not https"),
        ("https://host.org/a", "ftp://host.org/a", "the server redirects to a URL that is not https"),
        ("https://host.org/a", "https://:443/a", "the server redirects to a URL that is not https"),
        ("https://host.org/a", "https://host.org:0/a", "the server redirects to a URL that is not https"),
        ("https://host.org/a", "https://[host/a", "the server redirects to a URL that is malformed"),
        ("https://host.org/a", "https://host.org:99999/a", "the server redirects to a URL that is malformed"),
    ],
)
def test_any_other_redirect_is_refused(here: str, location: str, reason: str) -> None:
    with pytest.raises(BadRedirect) as raised:
        redirect_target(here, location)
    assert str(raised.value) == reason


def test_this_machine_may_send_itself_to_https() -> None:
    assert redirect_target("http://127.0.0.1:8000/a", "https://localhost/b") == "https://localhost/b"


def test_a_url_without_a_host_has_an_origin_without_one() -> None:
    assert origin("https:///x") == "https://"
