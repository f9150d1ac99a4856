"""`ApiKeys`: which keys it takes, and its file."""
# ruff: noqa: ASYNC110, ASYNC240 - small files of the test; nothing tells when a file has been read

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lambda_kit import AuthenticationError, ConfigurationError, Credentials, NotServingError
from lambda_kit.adapters.auth import ApiKeys
from lambda_kit.adapters.auth.key_source import KeyFile
from lambda_kit.testing import AuthenticatorContract, ManualClock
from tests.auth.keys import Key

ANN, BEN = Key("ann", "scopes=greet,admin"), Key("ben")
request_with = AuthenticatorContract.request_with


def sent(key: str) -> Credentials:
    return request_with({"X-API-Key": key})


@asynccontextmanager
async def started(keys: ApiKeys) -> AsyncIterator[ApiKeys]:
    await keys.start()
    yield keys
    await keys.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"# the team\n{ANN.line}\n")
    return file


async def test_a_key_is_its_name_with_its_scopes() -> None:
    principal = await ApiKeys(f"{BEN.line}\n{ANN.line}").authenticate(sent(ANN.key))
    assert principal is not None
    assert (principal.id, principal.name, principal.scopes) == ("key:ann", "ann", frozenset({"greet", "admin"}))


async def test_keys_of_one_name_are_one_principal() -> None:
    new = Key("ann", "scopes=greet")
    keys = ApiKeys(f"{ANN.line}\n{new.line}")
    first, second = await keys.authenticate(sent(ANN.key)), await keys.authenticate(sent(new.key))
    assert first is not None
    assert second is not None
    assert first.id == second.id
    assert second.scopes == {"greet"}


async def test_a_key_is_valid_until_its_last_day_is_over() -> None:
    clock = ManualClock(start=datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC).timestamp())
    key = Key("ann", "expires=2027-01-31")
    keys = ApiKeys(key.line, clock=clock)
    assert await keys.authenticate(sent(key.key)) is not None
    clock.advance(1)
    with pytest.raises(AuthenticationError, match="the API key has expired") as refused:
        await keys.authenticate(request_with({"authorization": f"Bearer {key.key}"}))
    assert refused.value.challenges[0].startswith('Bearer realm="API keys", error="invalid_token"')


async def test_unknown_and_malformed_keys_are_told_the_same() -> None:
    keys = ApiKeys(ANN.line)
    for wrong in (BEN.key, "lk_", "", "x" * 1_000_000, ANN.key.upper(), "\xe9", f"{ANN.key}, {ANN.key}"):
        with pytest.raises(AuthenticationError, match=r"^the API key is not valid$"):
            await keys.authenticate(sent(wrong))


async def test_a_token_of_others_is_left_to_the_next_one() -> None:
    keys = ApiKeys(ANN.line)
    for theirs in ("Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "Basic bGtfOmE=", f"Basic {ANN.key}", ANN.key, "Bearer"):
        assert await keys.authenticate(request_with({"authorization": theirs})) is None


async def test_a_key_is_handed_on_to_nobody_and_a_token_beside_it_is() -> None:
    keys = ApiKeys(ANN.line)
    both = {"x-api-key": ANN.key, "authorization": "Bearer of.the.platform"}
    assert await keys.authenticate(request_with(both)) is not None
    assert not keys.reads_authorization(request_with(both))
    schemes = ("Bearer ", "bearer  ", "Bearer\t", "Basic eDp5, Bearer ", "ApiKey ", "Token token=", "")
    for own in (f"{scheme}{ANN.key}" for scheme in schemes):
        assert keys.reads_authorization(request_with({"x-api-key": ANN.key, "authorization": own}))


async def test_of_two_keys_neither_counts() -> None:
    keys = ApiKeys(f"{ANN.line}\n{BEN.line}")
    both = {"x-api-key": ANN.key, "authorization": f"Bearer {BEN.key}"}
    with pytest.raises(AuthenticationError, match="two different API keys"):
        await keys.authenticate(request_with(both))
    assert await keys.authenticate(request_with({**both, "authorization": f"Bearer {ANN.key}"})) is not None


# --- the file ---


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("s3cret", "it needs sha256:"),
        ("s3cret sha256:abc", "it needs sha256:"),
        (f"s3cret sha256:{'0' * 64} sha256:{'1' * 64}", "each once"),
        (f"s3cret:x sha256:{'0' * 64}", "its first word must be a name"),
        (f"s3cret expires=soon sha256:{'0' * 64}", "expires= must be the last day"),
        (f"s3cret expires=9999-12-31 sha256:{'0' * 64}", "expires= must be the last day"),
        (f'ann scopes="s3cret" sha256:{"0" * 64}', "scopes= must be words"),
        (f"ann scopes=s3cret,,b sha256:{'0' * 64}", "scopes= must be words"),
        (f"ann s3cret=b sha256:{'0' * 64}", "what follows the name"),
        (f"ann sha256:lk_s3cret{'a' * 43}", "it has a key, where its hash must be"),
        (f"lk_s3cret{'a' * 43}", "it has a key, where its hash must be"),
        (ANN.line, "it has the same hash as line 2"),
    ],
    ids=range(12),
)
async def test_an_error_at_the_start_names_the_file_and_the_line_but_not_what_is_in_it(
    file: Path, line: str, why: str
) -> None:
    file.write_text(f"# keys\n{ANN.line}\n\n{line}\n")
    with pytest.raises(ConfigurationError, match=rf"^{file}, line 4: .*{why}") as refused:
        await ApiKeys(file).start()
    assert "s3cret" not in str(refused.value)


async def test_a_file_that_cannot_be_one_is_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none can't be read: No such file.*lambda-kit key --append"):
        await ApiKeys(tmp_path / "none").start()
    with pytest.raises(ConfigurationError, match="is no regular file"):
        await ApiKeys(tmp_path).start()
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        await ApiKeys(file).start()
    for nothing in ("", " "):
        with pytest.raises(ConfigurationError, match="it needs the path of a file"):
            ApiKeys(nothing)
    with pytest.raises(NotServingError):
        await ApiKeys(file).authenticate(sent(ANN.key))


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
async def test_a_file_that_everybody_can_write_is_refused(file: Path) -> None:
    file.chmod(0o666)
    with pytest.raises(ConfigurationError, match="chmod o-w"):
        await ApiKeys(file).start()
    file.chmod(0o644)
    async with started(ApiKeys(str(file))) as keys:
        assert await keys.authenticate(sent(ANN.key)) is not None


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
async def test_a_file_that_everybody_can_replace_is_refused(file: Path) -> None:
    file.parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match=rf"everybody can put another .*: chmod o-w {file.parent}$"):
        await ApiKeys(file).start()
    for mode in (0o1777, 0o755):  # as /tmp and the secrets of Kubernetes have it; as most folders do
        file.parent.chmod(mode)
        async with started(ApiKeys(str(file))) as keys:
            assert await keys.authenticate(sent(ANN.key)) is not None


async def test_comments_empty_lines_and_other_line_ends_are_taken(file: Path) -> None:
    file.write_bytes(
        f"\ufeff# x\r\n\r\n   \t\r\n  {BEN.line.upper().replace('SHA', 'sha')}  # lk_\r\n{ANN.line}".encode()
    )
    async with started(ApiKeys(file)) as keys:
        principal = await keys.authenticate(sent(BEN.key))
        assert principal is not None
        assert principal.id == "key:BEN"
        assert await keys.authenticate(sent(ANN.key)) is not None


async def refused(keys: ApiKeys, key: Key) -> bool:
    try:
        return await keys.authenticate(sent(key.key)) is None
    except AuthenticationError:
        return True


async def until_refused(keys: ApiKeys, key: Key) -> None:
    async with asyncio.timeout(60):
        while not await refused(keys, key):
            await asyncio.sleep(0.005)


async def test_a_key_whose_line_is_removed_is_refused_without_a_restart(file: Path) -> None:
    async with started(ApiKeys(file, check_seconds=0.01)) as keys:
        assert not await refused(keys, ANN)
        file.write_text(BEN.line)
        await until_refused(keys, ANN)
        assert not await refused(keys, BEN)
        new = file.with_name("new")  # as a secret of Kubernetes is replaced
        new.write_text(ANN.line)
        new.replace(file)
        await until_refused(keys, BEN)
        assert not await refused(keys, ANN)


async def test_a_broken_new_file_leaves_the_old_keys(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]

    async with started(ApiKeys(file, check_seconds=0.01)) as keys:
        file.write_text(f"{BEN.line}\nann sha256:s3cret\n")
        async with asyncio.timeout(60):
            while not said():
                await asyncio.sleep(0.005)
        assert not await refused(keys, ANN)
        assert await refused(keys, BEN)
        file.unlink()
        async with asyncio.timeout(60):
            while len(said()) < 2:
                await asyncio.sleep(0.005)
        assert not await refused(keys, ANN)
        file.write_text(BEN.line)
        await until_refused(keys, ANN)
    first, second = said()
    assert first.startswith(f"{file}, line 2: it needs sha256:")
    assert "the keys that were read before stay valid" in first
    assert "can't be read: No such file" in second
    assert "s3cret" not in caplog.text


async def test_a_file_that_is_read_while_it_is_written_leaves_the_old_keys(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(f"{ANN.line}\n{BEN.line}\n")
    keys = KeyFile(file, check_seconds=3600.0)  # it is looked at by hand

    def names() -> set[str]:
        return {key.principal.id for key in (keys.keys or {}).values()}

    await keys.start()
    new = f"{ANN.line}\n{BEN.line}\n# and a comment\n"
    for end in (0, 40, len(ANN.line) + 1, len(ANN.line) + 40, len(new)):
        file.write_text(new[:end])
        await keys.look()
        assert names() == {"key:ann", "key:ben"}
    await keys.look()
    file.write_text(ANN.line)
    await keys.look()
    assert names() == {"key:ann", "key:ben"}
    await keys.look()
    assert names() == {"key:ann"}
    await keys.stop()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_file_without_keys_lets_nobody_in_and_says_so(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text("# none\n")
    async with started(ApiKeys(file)) as keys:
        assert await refused(keys, ANN)
    assert "has no key: nobody is let in" in caplog.text
