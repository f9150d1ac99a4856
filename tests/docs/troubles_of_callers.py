"""What docs/troubleshooting.md says of callers who are not let in, reproduced."""

import asyncio
from dataclasses import replace
from unittest import mock

from lambda_kit.adapters.auth import ApiKeys, TrustedHeader
from lambda_kit.adapters.auth.urls import authenticators_of_environment
from lambda_kit.cli.open_door import warn_of_open_door
from lambda_kit.testing import AuthenticatorContract
from tests.auth.keys import Key
from tests.docs.troubles import Warnings, answer, greeter, refused, served, shows


@refused("the file of keys keys.txt can't be read: No such file or directory")
def no_file_of_keys() -> None:
    asyncio.run(ApiKeys("keys.txt").start())


@refused("$LAMBDA_KIT_AUTH, entry 1: it names no authenticator")
def no_such_authenticator() -> None:
    with mock.patch.dict("os.environ", {"LAMBDA_KIT_AUTH": "/run/secrets/keys"}):
        _, trouble = authenticators_of_environment()
    assert trouble is not None
    raise trouble


@shows("there is no login: whoever can reach host 0.0.0.0 can run the tools")
def open_to_the_network() -> str:
    with Warnings("lambda_kit.server", "no login") as warnings:
        warn_of_open_door(served(greeter()).http_settings, {"host": "0.0.0.0"}, has_platform_api=False)
    return warnings.message


@shows("no credentials were sent that this service takes: send what WWW-Authenticate asks for")
def no_credentials() -> str:
    return answer(401, json={"name": "Ada"}, options={"authenticator": ApiKeys(Key("ann").line)})


@shows("the API key is not valid")
def a_wrong_key() -> str:
    wrong = {"X-API-Key": Key("ann").key}
    return answer(401, json={"name": "Ada"}, headers=wrong, options={"authenticator": ApiKeys(Key("ann").line)})


@shows("X-Forwarded-User from 10.0.0.6 is ignored")
def another_gateway() -> str:
    credentials = AuthenticatorContract.request_with({"X-Forwarded-User": "ann"})
    with Warnings("lambda_kit.auth", "is ignored") as warnings:
        gateway = TrustedHeader(proxies=["10.0.0.5"])
        assert asyncio.run(gateway.authenticate(replace(credentials, peer=("10.0.0.6", 41000)))) is None
    return warnings.message
