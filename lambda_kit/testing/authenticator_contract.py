"""`AuthenticatorContract`: a test for each promise of the `Authenticator` port."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from lambda_kit.core.errors import AuthenticationError, UnavailableError
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.authenticator import Authenticator, Credentials, HeaderFields

__all__ = ["AuthenticatorContract"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = rf'{_WORD}[ \t]*=[ \t]*(?:{_WORD}|"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[\x20-\x7e])*")'
_CHALLENGE = re.compile(
    rf"{_WORD}(?: +(?:[A-Za-z0-9._~+/-]+=*|{_PARAMETER}(?:[ \t]*,[ \t]*{_PARAMETER})*))?"
)  # RFC 9110, 11.3

_ODD = (
    "",
    " ",
    ",",
    ", ,",
    "\x00",
    "\x80\xff",
    "\xc3\xa9",
    "Bearer",
    "Bearer ",
    "Bearer  \t ",
    "Bearer \x00",
    "Bearer \xff\xfe",
    "Bearer a.b.c",
    "Bearer ..",
    "Bearer lk_",
    "Basic Og==",
    "Digest =,=,=",
    '{"a": [',
    "%00%ff",
)
_HUGE = 1_000_000


class AuthenticatorContract:
    """Subclass it in a test module, and override the fixtures `authenticator`, `credentials` and `tampered`.

    ::

        class TestMyAuthenticator(AuthenticatorContract):
            kind = "mine"

            @pytest.fixture
            def authenticator(self):
                return MyAuthenticator()

            @pytest.fixture
            def credentials(self):
                return self.request_with({"authorization": "Bearer good"})

            @pytest.fixture
            def tampered(self):
                return [self.request_with({"authorization": "Bearer bad"})]

    The authenticator is not started. pytest and pytest-asyncio are needed.
    """

    pytestmark = pytest.mark.asyncio

    kind: ClassVar[str]
    """How the ids of its principals begin, before a colon: two kinds of authenticators never share a principal."""

    fields: ClassVar[tuple[str, ...]] = ("authorization",)
    """The header fields that it reads, in lower case."""

    can_be_known: ClassVar[bool] = False
    """Whether odd values of its fields may make a principal, since whoever sets them is trusted."""

    @pytest.fixture
    def authenticator(self) -> Authenticator:
        """An authenticator that is not started. Override it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'authenticator'")

    @pytest.fixture
    def credentials(self) -> Credentials:
        """The credentials of somebody whom it lets in. Override it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'credentials'")

    @pytest.fixture
    def tampered(self) -> Sequence[Credentials]:
        """Credentials of its kind that are not right: changed, expired, unknown. Override it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'tampered'")

    @pytest.fixture
    def secrets(self, credentials: Credentials, tampered: Sequence[Credentials]) -> Sequence[str]:
        """What no log, error and `repr` may show: by default the values of `fields`, without the scheme."""
        sent = [each.headers.get(field, "") for each in (credentials, *tampered) for field in self.fields]
        return [secret for value in sent if len(secret := value.rpartition(" ")[2]) >= 8]

    @pytest.fixture
    async def started(self, authenticator: Authenticator) -> AsyncIterator[Authenticator]:
        """The authenticator, started; it is stopped at the end."""
        await authenticator.start()
        yield authenticator
        await authenticator.stop()

    @staticmethod
    def request_with(fields: dict[str, str] | Sequence[tuple[str, str]]) -> Credentials:
        """The credentials of a request with these header fields, from 127.0.0.1."""
        pairs = fields.items() if isinstance(fields, dict) else fields
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        return Credentials(HeaderFields(raw), "127.0.0.1", transport={"headers": raw}, peer=("127.0.0.1", 40000))

    @staticmethod
    def _with_field(credentials: Credentials, field: str, *values: str) -> Credentials:
        """The same with other values of one field."""
        pairs = [(name, value) for name, value in credentials.headers.items() if name != field]
        pairs += [(field, value) for value in values]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        return replace(credentials, headers=HeaderFields(raw))

    # --- who it is ---

    async def test_good_credentials_are_the_same_principal_each_time(
        self, started: Authenticator, credentials: Credentials
    ) -> None:
        """Good credentials are the same principal each time."""
        first = await started.authenticate(credentials)
        assert isinstance(first, Principal)
        assert await started.authenticate(credentials) == first

    async def test_the_id_says_the_kind_and_can_be_printed(
        self, started: Authenticator, credentials: Credentials
    ) -> None:
        """An id begins with the authenticator's kind, and can be printed."""
        principal = await started.authenticate(credentials)
        assert principal is not None
        assert principal.id.startswith(f"{self.kind}:")
        assert principal.id != f"{self.kind}:"
        assert principal.id.isprintable()
        assert all(scope and isinstance(scope, str) for scope in principal.scopes)

    async def test_without_credentials_the_next_authenticator_is_asked(self, started: Authenticator) -> None:
        """Where there are no credentials of its kind, it says None, and the next one is asked."""
        assert await started.authenticate(Credentials(HeaderFields([]), None)) is None
        assert await started.authenticate(Credentials({}, "192.0.2.1", transport={}, peer=("192.0.2.1", 1))) is None
        assert await started.authenticate(self.request_with({"accept": "*/*", "host": "example.com"})) is None

    async def test_wrong_credentials_are_refused(
        self, started: Authenticator, tampered: Sequence[Credentials], credentials: Credentials
    ) -> None:
        """Wrong credentials are an `AuthenticationError`, and harm nobody else."""
        assert tampered
        for wrong in tampered:
            with pytest.raises(AuthenticationError):
                await started.authenticate(wrong)
        assert await started.authenticate(credentials) is not None

    # --- whatever is sent ---

    async def test_odd_values_are_refused_and_never_fail(
        self, started: Authenticator, credentials: Credentials
    ) -> None:
        """Whatever bytes are sent, however many: they are refused, and raise nothing else."""
        for field in self.fields:
            good = credentials.headers.get(field, "")
            # one that the good credentials don't have stands alone: beside them it may be somebody else's
            around = credentials if good else replace(credentials, headers={})
            scheme = good.partition(" ")[0]
            huge = ("a" * _HUGE, f"{scheme} {'a' * _HUGE}", good + "a" * _HUGE, f"{good}," * 10_000)
            for odd in (*_ODD, *huge, f"{good}\x00", f"\xff{good}", f"{good},", good[:-1] + "\x85"):
                await self._is_refused(started, self._with_field(around, field, odd))

    async def test_a_field_that_is_sent_twice_lets_nobody_in(
        self, started: Authenticator, credentials: Credentials
    ) -> None:
        """Of two values of a field, one may be somebody else's."""
        for field in self.fields:
            good = credentials.headers.get(field)
            if good is not None:
                await self._is_refused(started, self._with_field(credentials, field, good, good), never=True)
                await self._is_refused(started, self._with_field(credentials, field, good, "other"), never=True)
                await self._is_refused(started, self._with_field(credentials, field, "other", good), never=True)

    async def _is_refused(self, authenticator: Authenticator, odd: Credentials, *, never: bool = False) -> None:
        try:
            principal = await authenticator.authenticate(odd)
        except (AuthenticationError, UnavailableError):
            return
        assert principal is None or (self.can_be_known and not never)
        assert principal is None or (principal.id.startswith(f"{self.kind}:") and principal.id.isprintable())

    async def test_requests_at_once_do_not_mix(
        self, started: Authenticator, credentials: Credentials, tampered: Sequence[Credentials]
    ) -> None:
        """Requests that are asked for at the same time each get their own answer."""
        expected = await started.authenticate(credentials)
        sent = [credentials, *tampered, Credentials(HeaderFields([]), None)] * 20
        got = await asyncio.gather(*map(started.authenticate, sent), return_exceptions=True)
        for one, what in zip(sent, got, strict=True):
            if one is credentials:
                assert what == expected
            else:
                assert what is None or isinstance(what, AuthenticationError)

    # --- its life ---

    async def test_it_can_be_started_and_stopped_again_and_leaves_nothing_behind(
        self, authenticator: Authenticator, credentials: Credentials
    ) -> None:
        """`start` and `stop` may be called twice, and again; no task is left behind."""
        before = asyncio.all_tasks()
        await authenticator.stop()
        for _ in range(2):
            await authenticator.start()
            await authenticator.start()
            assert await authenticator.authenticate(credentials) is not None
            await authenticator.stop()
            await authenticator.stop()
            assert asyncio.all_tasks() == before

    # --- what it says ---

    async def test_its_challenges_can_be_sent(
        self, started: Authenticator, credentials: Credentials, tampered: Sequence[Credentials]
    ) -> None:
        """Challenges are those of RFC 9110, 11.6.1."""
        assert isinstance(started.challenges(), Sequence)
        assert not isinstance(started.challenges(), str)
        challenges = list(started.challenges())
        for wrong in tampered:
            with pytest.raises(AuthenticationError) as refused:
                await started.authenticate(wrong)
            challenges += refused.value.challenges
        assert [one for one in challenges if not _CHALLENGE.fullmatch(one)] == []
        assert isinstance(started.hand_on, bool)
        assert isinstance(started.reads_authorization(credentials), bool)

    async def test_its_security_schemes_can_be_in_a_document(self, started: Authenticator) -> None:
        """Security schemes are those of OpenAPI 3.1."""
        for name, scheme in started.security_schemes().items():
            assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
            assert scheme["type"] in ("apiKey", "http", "mutualTLS", "oauth2", "openIdConnect")
        assert all(isinstance(issuer, str) for issuer in started.authorization_servers())

    async def test_nothing_secret_is_shown(
        self,
        authenticator: Authenticator,
        credentials: Credentials,
        tampered: Sequence[Credentials],
        secrets: Sequence[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """No log line, error, challenge and `repr` has anything of the credentials."""
        caplog.set_level(logging.DEBUG)
        shown = [repr(credentials), str(credentials)]
        await authenticator.start()
        shown += [repr(await authenticator.authenticate(credentials)), *authenticator.challenges()]
        for wrong in tampered:
            with pytest.raises(AuthenticationError) as refused:
                await authenticator.authenticate(wrong)
            shown += [repr(refused.value), *refused.value.challenges, repr(refused.value.__cause__)]
        shown += [repr(authenticator), str(authenticator), repr(authenticator.security_schemes())]
        await authenticator.stop()
        shown += [caplog.text, *(repr(record.args) for record in caplog.records)]
        assert [secret for secret in secrets if any(secret in text for text in shown)] == []
