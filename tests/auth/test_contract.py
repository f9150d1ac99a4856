"""The contract of authenticators, for those of lambda_kit that need no provider."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lambda_kit import Authenticator, Credentials
from lambda_kit.adapters.auth import ApiKeys, TrustedHeader
from lambda_kit.adapters.http import LitestarUser
from lambda_kit.testing import AuthenticatorContract
from tests.auth.keys import Key

ANN = Key("ann", "scopes=greet,admin")
OLD = Key("old", "expires=2026-01-31")


class TestApiKeys(AuthenticatorContract):
    kind = "key"
    fields = ("authorization", "x-api-key")
    field: ClassVar[str] = "x-api-key"

    @pytest.fixture
    def authenticator(self, tmp_path: Path) -> Authenticator:
        file = tmp_path / "keys"
        file.write_text(f"# of the team\n{ANN.line}\n\n{OLD.line}  # gone\n")
        return ApiKeys(file)

    def with_key(self, key: str) -> Credentials:
        return self.request_with({self.field: key})

    @pytest.fixture
    def credentials(self) -> Credentials:
        return self.with_key(ANN.key)

    @pytest.fixture
    def tampered(self) -> list[Credentials]:
        swapped = ANN.key[:-1] + ("a" if ANN.key[-1] != "a" else "b")
        return [self.with_key(key) for key in (swapped, OLD.key, Key("new").key, ANN.key + "x", ANN.key[:40], "lk_")]


class TestApiKeysAsBearer(TestApiKeys):
    field = "authorization"

    def with_key(self, key: str) -> Credentials:
        return self.request_with({"authorization": f"Bearer {key}"})


class TestTrustedHeader(AuthenticatorContract):
    kind = "header"
    fields = ("x-forwarded-user", "x-forwarded-email", "x-forwarded-groups")
    can_be_known = True

    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return TrustedHeader(proxies=["127.0.0.1"], name_from="X-Forwarded-Email", scopes_from="X-Forwarded-Groups")

    @pytest.fixture
    def credentials(self) -> Credentials:
        return self.request_with(
            {"x-forwarded-user": "ann", "x-forwarded-email": "ann@example.com", "x-forwarded-groups": "greet,admin"}
        )

    @pytest.fixture
    def tampered(self) -> list[Credentials]:
        return [
            self.request_with({"x-forwarded-user": "eve, ann"}),
            self.request_with([("x-forwarded-user", "eve"), ("x-forwarded-user", "ann")]),
            self.request_with({"x-forwarded-user": "a" * 513}),
            self.request_with({"x-forwarded-user": "\xff"}),
        ]

    @pytest.fixture
    def secrets(self) -> list[str]:
        return []  # who somebody is is no secret


@dataclass
class User:
    id: Any
    roles: tuple[str, ...] = ()


class TestLitestarUser(AuthenticatorContract):
    kind = "litestar"
    fields = ()

    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return LitestarUser()

    def with_user(self, user: object) -> Credentials:
        return replace(self.request_with({}), transport={"user": user})

    @pytest.fixture
    def credentials(self) -> Credentials:
        return self.with_user(User(7, ("greet",)))

    @pytest.fixture
    def tampered(self) -> list[Credentials]:
        return [self.with_user(user) for user in (User(None), User(""), User("a" * 600), User(object()), object(), 4.5)]
