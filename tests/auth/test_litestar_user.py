"""`LitestarUser`: whom the user's own Litestar middleware has signed in."""

import logging
from dataclasses import dataclass, replace
from enum import Enum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from pydantic import BaseModel

from lambda_kit import AuthenticationError, Credentials, JobContext, LambdaTool, Principal, Service, ToolServer
from lambda_kit.adapters.http import LitestarUser
from lambda_kit.testing import AuthenticatorContract, TestClient


def signed_in(user: object) -> Credentials:
    return replace(AuthenticatorContract.request_with({}), transport={"type": "http", "user": user})


class Role(Enum):
    STAFF = "staff"


@dataclass
class Person:
    name: str
    id: Any = None
    sub: Any = None
    username: Any = None
    scopes: Any = None
    roles: Any = None


@pytest.mark.parametrize(
    ("user", "principal"),
    [
        ("ann", Principal("litestar:ann")),
        (
            Person("Ann", id=7, roles=["admin", Role.STAFF]),
            Principal("litestar:7", scopes=frozenset({"admin", "staff"})),
        ),
        (Person("Ann", sub="s|1", scopes="a b"), Principal("litestar:s|1", scopes=frozenset({"a", "b"}))),
        (
            Person("Ann", username="ann", scopes={"a"}, roles=("b",)),
            Principal("litestar:ann", scopes=frozenset({"a", "b"})),
        ),
        (Person("Ann", id=0, username="ann"), Principal("litestar:0")),
        (Person("Ann", id=UUID(int=1)), Principal("litestar:00000000-0000-0000-0000-000000000001")),
        ({"sub": "ann", "name": 3}, Principal("litestar:ann")),
    ],
)
async def test_a_user_is_a_principal(user: object, principal: Principal) -> None:
    found = await LitestarUser().authenticate(signed_in(user))
    assert found is not None
    assert (found.id, found.scopes) == (principal.id, principal.scopes)
    assert found.name == ("Ann" if isinstance(user, Person) else None)


@pytest.mark.parametrize("transport", [None, {}, {"user": None}, {"user": SimpleNamespace(is_authenticated=False)}, 7])
async def test_without_a_user_the_next_one_is_asked(transport: object) -> None:
    credentials = replace(AuthenticatorContract.request_with({}), transport=transport)
    assert await LitestarUser().authenticate(credentials) is None


@pytest.mark.parametrize(
    "user", ["", "a\nb", "a" * 512, {}, {"id": 1.5}, {"id": True}, {"id": "a", "roles": [None]}, 7]
)
async def test_a_user_without_an_id_is_refused_and_the_log_says_what_to_do(
    user: object, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AuthenticationError, match="has no id that can be kept"):
        await LitestarUser(challenges=["Bearer"]).authenticate(signed_in(user))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"its user, a {type(user).__name__}" in record.getMessage()
    assert "LitestarUser(to_principal=...)" in record.getMessage()


async def test_a_function_can_make_the_principal() -> None:
    def to_principal(user: int) -> Principal | None:
        return Principal(f"n{user}", scopes=frozenset({"x"})) if user else None

    authenticator = LitestarUser(to_principal)
    assert await authenticator.authenticate(signed_in(7)) == Principal("litestar:n7", scopes=frozenset({"x"}))
    assert await authenticator.authenticate(signed_in(0)) is None


# --- with a real middleware ---


class Sessions(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        name = connection.cookies.get("session")
        return AuthenticationResult(user={"id": name, "roles": ["greet"]} if name else None, auth=None)


class Ask(BaseModel):
    pass


class WhoAmI(LambdaTool):
    """Says who asks."""

    def run(self, req: Ask, ctx: JobContext) -> dict[str, str | None]:
        return {"id": ctx.principal.id if ctx.principal else None, "authorization": ctx.job_authorization}


@pytest.mark.parametrize("hand_on", [True, False])
def test_the_user_of_a_middleware_has_jobs_of_their_own(hand_on: bool) -> None:
    server = ToolServer(
        Service(name="x", contact={"name": "x", "email": "x@example.com"}),
        tools=[WhoAmI],
        middleware=[DefineMiddleware(Sessions)],
        authenticator=LitestarUser(hand_on=hand_on),
    )
    ann = {"cookie": "session=ann", "authorization": "Bearer a.b.c"}
    with TestClient(server) as client:
        stranger = client.post("/who-am-i", json={})
        mine = client.post("/who-am-i", json={}, headers={**ann, "job-id": "mine"})
        read = [
            client.get("/jobs/mine/status", headers=fields).status_code for fields in (ann, {"cookie": "session=b"})
        ]
    assert stranger.status_code == 401
    assert stranger.headers["www-authenticate"].startswith("Session")
    assert mine.json() == {"id": "litestar:ann", "authorization": "Bearer a.b.c" if hand_on else None}
    assert read == [200, 404]
