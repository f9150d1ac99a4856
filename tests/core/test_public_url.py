"""What trusted proxies say of a request, and who is trusted (docs/wire.md, Behind a proxy)."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_kit import ConfigurationError
from lambda_kit.core.model.public_url import Said, is_prefix, joined_prefix, parse_forwarded, said_by_proxies
from lambda_kit.core.model.trusted_proxies import TrustedProxies, address_of

ANY_VALUE = st.text(alphabet=st.characters(max_codepoint=255), max_size=40)
INSIDE = TrustedProxies("10.0.0.0/8, 2001:db8::1")


def said(*pairs: tuple[str, str], proxies: TrustedProxies = INSIDE) -> Said:
    fields: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        fields.setdefault(name.lower().encode(), []).append(value.encode("latin-1"))
    return said_by_proxies(fields, proxies)


def test_where_nothing_was_sent_nothing_is_said() -> None:
    assert said() == Said(None, None, None, None)


# --- Forwarded ---


@pytest.mark.parametrize(
    ("value", "scheme", "host"),
    [
        ("proto=https;host=api.example.com", "https", "api.example.com"),
        ("for=192.0.2.60;Proto=HTTPS;HOST=api.example.com;by=203.0.113.43", "https", "api.example.com"),
        ('for="[2001:db8::5]:4711"; proto=https; host="api.example.com:8443"', "https", "api.example.com:8443"),
        ('host="[2001:db8::2]:8080";proto=https', "https", "[2001:db8::2]:8080"),
        ("host=api.example.com:8443;proto=https", "https", "api.example.com:8443"),
        ("proto=https", "https", None),
        ("host=api.example.com", None, "api.example.com"),
        ("for=_hidden", None, None),
        (";proto=https;;host=first.example;", "https", "first.example"),
        ('proto=https;host="a\\.example"', "https", "a.example"),
        ("host=evil.example, for=9.9.9.9;host=right.example;proto=https", "https", "right.example"),
        (", host=evil.example ,host=right.example ,", None, "right.example"),
    ],
)
def test_the_last_element_of_forwarded_gives_scheme_and_host(value: str, scheme: str | None, host: str | None) -> None:
    assert said(("Forwarded", value))[:2] == (scheme, host)


def test_elements_are_read_to_the_left_for_as_long_as_who_is_named_is_trusted() -> None:
    value = "for=6.6.6.6;host=evil.example, for=9.9.9.9;host=outer.example, for=10.1.1.1;host=inner.example"
    assert said(("Forwarded", value)) == Said(None, "outer.example", None, "9.9.9.9")
    by_lines = [("Forwarded", element) for element in value.split(", ")]
    assert said(*by_lines) == Said(None, "outer.example", None, "9.9.9.9")
    alone = said(("Forwarded", value), proxies=TrustedProxies("127.0.0.1"))
    assert alone == Said(None, "inner.example", None, "10.1.1.1")
    everybody = said(("Forwarded", value), proxies=TrustedProxies("*"))
    assert everybody == Said(None, "evil.example", None, "6.6.6.6")


@pytest.mark.parametrize("hidden", ["_hidden", "unknown", '"_gazonk"', ""])
def test_who_hides_its_address_is_not_trusted(hidden: str) -> None:
    value = f"for=6.6.6.6;host=evil.example, for={hidden};host=right.example"
    assert said(("Forwarded", value)) == Said(None, "right.example", None, None)


def test_forwarded_wins_over_the_x_forwarded_headers() -> None:
    others = (("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "b.example"), ("X-Forwarded-For", "7.7.7.7"))
    assert said(("Forwarded", "proto=https;host=a.example;for=8.8.8.8"), *others)[:2] == ("https", "a.example")
    assert said(("Forwarded", "proto=https"), *others) == Said("https", "b.example", None, "7.7.7.7")


@pytest.mark.parametrize(
    "bad", ['host="a', "host", "host=a host=b", "host=a;host=b", "=a", "host =a", "host=a x, for=b"]
)
def test_a_malformed_forwarded_counts_as_not_sent(bad: str) -> None:
    assert parse_forwarded([bad]) == []
    assert said(("Forwarded", bad)) == Said()


# --- X-Forwarded-* ---


@pytest.mark.parametrize(
    ("addresses", "client", "chosen"),
    [
        (None, None, "c"),
        ("9.9.9.9", "9.9.9.9", "c"),
        ("6.6.6.6, 9.9.9.9", "9.9.9.9", "c"),
        ("9.9.9.9, 10.0.0.1", "9.9.9.9", "b"),
        ("6.6.6.6, 9.9.9.9, 10.0.0.1", "9.9.9.9", "b"),
        ("9.9.9.9, 10.0.0.2, 10.0.0.1", "9.9.9.9", "a"),
        ("9.9.9.9, 10.0.0.3, 10.0.0.2, 10.0.0.1", "9.9.9.9", "a"),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2", "b"),
        ("9.9.9.9:4711, 10.0.0.1:80", "9.9.9.9", "b"),
        ("[2001:db8::9]:4711, [2001:db8::1]", "2001:db8::9", "b"),
        ("2001:db8::9, ::ffff:10.0.0.1", "2001:db8::9", "b"),
        ("6.6.6.6, nonsense", None, "c"),
        ("6.6.6.6, \x1b[31m, 10.0.0.1", "10.0.0.1", "b"),
        ("fe80::1%\x1b[31m", None, "c"),
    ],
)
def test_the_element_counts_that_the_outermost_trusted_proxy_added(
    addresses: str | None, client: str | None, chosen: str
) -> None:
    hosts = ("X-Forwarded-Host", "a.example, b.example , c.example")
    prefixes = ("X-Forwarded-Prefix", "/a, /b, /c/")
    schemes = ("X-Forwarded-Proto", "http, http, https" if chosen == "c" else "https, https, http")
    sent = [hosts, prefixes, schemes] + ([] if addresses is None else [("X-Forwarded-For", addresses)])
    assert said(*sent) == Said("https", f"{chosen}.example", f"/{chosen}", client)


def test_fewer_elements_than_proxies_are_those_of_the_outermost() -> None:
    sent = [("X-Forwarded-For", "9.9.9.9, 10.0.0.2, 10.0.0.1"), ("X-Forwarded-Host", "a.example")]
    assert said(*sent).host == "a.example"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a b",
        "a/b",
        "<script>",
        "a'b",
        'a"b',
        "user@evil",
        "a\\b",
        "a?b",
        "a#b",
        "a\x00",
        "a\r\nx: y",
        "[::1",
        "a:b",
    ],
)
def test_a_dangerous_host_counts_as_not_said(bad: str) -> None:
    quoted = '"' + re.sub(r'(["\\])', r"\\\1", bad) + '"'
    assert said(("Forwarded", f"host={quoted};proto=https")).host is None
    assert said(("X-Forwarded-Host", bad)).host is None


@pytest.mark.parametrize("bad", ["https://evil", "javascript", "ftp", "h ttp"])
def test_a_scheme_other_than_http_counts_as_not_said(bad: str) -> None:
    assert said(("X-Forwarded-Proto", bad)).scheme is None


@pytest.mark.parametrize(
    "bad",
    ["tools", "//evil.example", "/a b", "/a//b", "/<x>", '/"', "/a?b", "/a#b", "/a\\b", "/a/../b", "/.", "/%2e%2E/b"],
)
def test_a_dangerous_prefix_counts_as_not_said(bad: str) -> None:
    assert said(("X-Forwarded-Prefix", bad)).prefix is None


def test_a_prefix_of_nothing_is_one_too() -> None:
    assert said(("X-Forwarded-Prefix", "/")).prefix == ""


@pytest.mark.parametrize(
    ("outside", "inside", "prefix"),
    [
        ("", "", ""),
        ("/svc", "", "/svc"),
        ("", "/svc", "/svc"),
        ("/svc", "/svc", "/svc"),
        ("/svc", "/svc/tools", "/svc/tools"),
        ("/svc/tools", "/tools", "/svc/tools"),
        ("/svc", "/tools", "/svc/tools"),
        ("/svc", "/svc2", "/svc/svc2"),
    ],
)
def test_what_proxy_and_mount_both_know_counts_once(outside: str, inside: str, prefix: str) -> None:
    assert joined_prefix(outside, inside) == prefix


@given(ANY_VALUE, ANY_VALUE, ANY_VALUE, ANY_VALUE, ANY_VALUE)
def test_whatever_is_sent_only_what_can_stand_in_a_url_is_taken(
    fwd: str, proto: str, host: str, prefix: str, addresses: str
) -> None:
    names = ("Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-For")
    found = said(*zip(names, (f"host={fwd}", proto, host, prefix, addresses), strict=True))
    assert found.scheme in {None, "http", "https"}
    assert found.host is None or re.fullmatch(r"[A-Za-z0-9.:\[\]_~-]+", found.host)
    assert not found.prefix or is_prefix(found.prefix)
    assert found.client is None or address_of(found.client) == found.client


@pytest.mark.parametrize(
    "value",
    [
        "a;" + " " * 30_000 + '"',
        "a" + " " * 30_000 + '"',
        "a" + ";b=c" * 10_000 + '"',
        'a="' + "\\a" * 15_000,
        "," * 30_000 + '"',
        "a" * 30_000 + '"',
        "a=b," * 10_000 + '"',
    ],
)
def test_long_malformed_values_are_passed_over(value: str) -> None:
    assert parse_forwarded([value]) == []
    assert said(("Forwarded", f"host={value}"), ("X-Forwarded-For", value)).host is None


# --- who is trusted ---


@pytest.mark.parametrize(
    ("addresses", "trusted", "others"),
    [
        (None, [("127.0.0.1", 1), ("::1", 1), ("testclient", 1)], [("10.0.0.1", 1), None, ("", 0)]),
        ("10.0.0.5", [("10.0.0.5", 1), ("::ffff:10.0.0.5", 1)], [("127.0.0.1", 1), ("10.0.0.6", 1), ("testclient", 1)]),
        ("10.0.0.0/8, fd00::/8", [("10.9.9.9", 1), ("fd00::9", 1)], [("11.0.0.1", 1), None]),
        (["unix"], [None, ("", 0)], [("127.0.0.1", 1), ("testclient", 1)]),
        ("*", [("8.8.8.8", 1), None, ("testclient", 1)], []),
        ("", [], [("127.0.0.1", 1), None, ("testclient", 1)]),
    ],
)
def test_peers_are_trusted_by_address_network_unix_socket_or_all(
    addresses: str | Sequence[str] | None,
    trusted: list[tuple[str, int] | None],
    others: list[tuple[str, int] | None],
) -> None:
    proxies = TrustedProxies(addresses)
    assert [proxies.trusts_peer(peer) for peer in trusted] == [True] * len(trusted)
    assert [proxies.trusts_peer(peer) for peer in others] == [False] * len(others)


def test_a_client_that_an_asgi_server_has_put_there_came_by_a_proxy_which_that_server_trusts() -> None:
    assert TrustedProxies().trusts_peer(("9.9.9.9", 0))


@pytest.mark.parametrize("bad", ["nginx", "10.0.0.0/99", "10.0.0.1:80", "http://10.0.0.1"])
def test_what_is_no_address_is_refused_with_what_could_be(bad: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{re.escape(repr(bad))}.*10\.0\.0\.0/8.*unix"):
        TrustedProxies(bad)
