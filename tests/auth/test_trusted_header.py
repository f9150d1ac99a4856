"""`TrustedHeader`: whose word counts, and what it says."""

import logging
from dataclasses import replace

import pytest

from lambda_kit import AuthenticationError, ConfigurationError, Credentials
from lambda_kit.adapters.auth import TrustedHeader
from lambda_kit.testing import AuthenticatorContract

GATEWAY = ("10.0.0.5", 41000)


def said(*fields: tuple[str, str], peer: tuple[str, int] | None = GATEWAY) -> Credentials:
    return replace(AuthenticatorContract.request_with(fields), peer=peer)


def user(name: str, peer: tuple[str, int] | None = GATEWAY) -> Credentials:
    return said(("x-forwarded-user", name), peer=peer)


def a_gateway() -> TrustedHeader:
    return TrustedHeader(
        proxies=["10.0.0.5", "192.168.0.0/16", "fd00::/8"],
        name_from="X-Forwarded-Preferred-Username",
        scopes_from="X-Forwarded-Groups",
    )


async def test_a_listed_gateway_says_who_it_is() -> None:
    principal = await a_gateway().authenticate(
        said(
            ("x-forwarded-user", "7f3a"),
            ("x-forwarded-preferred-username", "Zo\xc3\xab"),  # UTF-8, as a gateway sends it
            ("x-forwarded-groups", "staff,admin, Domain Users ,"),
        )
    )
    assert principal is not None
    assert (principal.id, principal.name, principal.scopes) == ("header:7f3a", "Zoë", frozenset({"staff", "admin"}))


@pytest.mark.parametrize("peer", ["10.0.0.5", "192.168.7.7", "fd00::1", "::ffff:10.0.0.5"])
async def test_a_gateway_is_known_by_address_or_network(peer: str) -> None:
    principal = await a_gateway().authenticate(user("ann", (peer, 41000)))
    assert principal is not None
    assert (principal.id, principal.name, principal.scopes) == ("header:ann", None, frozenset())


@pytest.mark.parametrize(
    ("peer", "remedy"),
    [
        (("10.0.0.6", 41000), "from 10.0.0.6 is ignored: if that is the gateway, add its address or network to"),
        (("127.0.0.1", 41000), "from 127.0.0.1 is ignored"),
        (("testclient", 41000), "from testclient is ignored"),
        # uvicorn's proxy headers: anybody may have sent X-Forwarded-For: 10.0.0.5
        (("10.0.0.5", 0), "--no-proxy-headers"),
        (None, "from a unix socket is ignored: if only the gateway can connect to it, add 'unix' to"),
        (("", 0), "from a unix socket is ignored"),
    ],
)
async def test_of_anybody_else_the_field_is_ignored_and_that_is_logged_once(
    peer: tuple[str, int] | None, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = a_gateway()
    for _ in range(3):
        assert await gateway.authenticate(user("mallory", peer)) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert remedy in record.getMessage()
    assert "TrustedHeader(proxies=...)" in record.getMessage()
    assert "mallory" not in record.getMessage()


@pytest.mark.parametrize(
    ("element", "host"),
    [
        ("10.0.0.5:88", "10.0.0.5"),
        ("10.0.0.5 :88", "10.0.0.5 "),
        ("[fd00::1]:88", "fd00::1"),
        ("[::ffff:10.0.0.5]:+88", "::ffff:10.0.0.5"),
        ("[10.0.0.5:1]:88", "10.0.0.5:1"),
    ],
)
@pytest.mark.parametrize("template", ["{}", "{}, 192.0.2.1", "192.0.2.1 ,{} "])
async def test_a_peer_that_uvicorn_has_from_x_forwarded_for_is_no_gateway(
    template: str, element: str, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    fields = ("x-forwarded-user", "mallory"), ("x-forwarded-for", template.format(element))
    assert await a_gateway().authenticate(said(*fields, peer=(host, 88))) is None
    assert "--no-proxy-headers" in caplog.text


async def test_a_gateway_may_say_the_port_of_a_client() -> None:
    fields = ("x-forwarded-user", "ann"), ("x-forwarded-for", "192.0.2.7:4711, 10.0.0.5, [fd00::7]:1")
    assert await a_gateway().authenticate(said(*fields)) is not None


async def test_who_forwards_a_client_is_the_peer_and_not_the_client() -> None:
    credentials = replace(user("ann", ("203.0.113.9", 41000)), client="10.0.0.5")  # as X-Forwarded-For says
    assert await a_gateway().authenticate(credentials) is None


async def test_a_unix_socket_counts_where_it_is_listed() -> None:
    gateway = TrustedHeader(proxies="unix, 10.0.0.5")
    for peer in (None, GATEWAY):
        assert await gateway.authenticate(user("ann", peer)) is not None


@pytest.mark.parametrize("value", ["", " ", "\t"])
async def test_an_empty_value_is_nobody(value: str) -> None:
    assert await a_gateway().authenticate(user(value)) is None


@pytest.mark.parametrize(
    "value", ["mallory, ann", "mallory,ann", ",ann", "a" * 506, "a\x00b", "\xff", "\xc2\x85", "a\tb"]
)
async def test_a_value_that_may_be_of_two_or_is_no_text_is_refused(value: str) -> None:
    with pytest.raises(AuthenticationError, match="the header field X-Forwarded-User") as refused:
        await a_gateway().authenticate(user(value))
    assert value not in str(refused.value)


@pytest.mark.parametrize("field", ["x-forwarded-user", "x-forwarded-groups", "x-forwarded-preferred-username"])
async def test_a_field_to_which_the_gateway_has_added_its_own_is_refused(field: str) -> None:
    fields = {"x-forwarded-user": "ann", "x-forwarded-groups": "staff", "x-forwarded-preferred-username": "Ann"}
    credentials = said((field, "admin"), *fields.items())
    with pytest.raises(AuthenticationError, match="was sent twice"):
        await a_gateway().authenticate(credentials)


async def test_an_authorization_beside_it_is_handed_on_but_no_key() -> None:
    credentials = said(("x-forwarded-user", "ann"), ("authorization", "Bearer of.the.platform"))
    assert not a_gateway().reads_authorization(credentials)
    assert a_gateway().reads_authorization(said(("x-forwarded-user", "ann"), ("authorization", "Bearer lk_x")))


@pytest.mark.parametrize("proxies", ["", [], ["", " "], "*", ["10.0.0.5", "*"], "10.0.0.5; 10.0.0.6", ["gateway"]])
def test_proxies_that_are_none_or_everybody_are_refused(proxies: str | list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^TrustedHeader\(proxies="):
        TrustedHeader(proxies=proxies)


@pytest.mark.parametrize("name", ["", "X User", "X:User", "Authorization", "cookie"])
def test_a_field_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^TrustedHeader\(name="):
        TrustedHeader(name, proxies="unix")
    with pytest.raises(ConfigurationError, match=r"^TrustedHeader\(scopes_from="):
        TrustedHeader(proxies="unix", scopes_from=name)
