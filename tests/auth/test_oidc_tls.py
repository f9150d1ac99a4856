"""`OidcAuthenticator` with a provider that speaks HTTPS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambda_kit import Principal
from lambda_kit.testing import FakeIssuer
from tests.auth.oidc import AUDIENCE, started, status_of
from tests.support.certificates import Certificate, make_certificate


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)


@contextlib.asynccontextmanager
async def https(issuer: FakeIssuer, certificate: Certificate) -> AsyncIterator[str]:
    """The same provider by HTTPS, while the block lasts; its URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    port = int(issuer.url.rpartition(":")[2])

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer), contextlib.closing(outer), contextlib.suppress(OSError, EOFError):
            outer.write(await reader.readuntil(b"\r\n\r\n"))
            answering = asyncio.create_task(copy(inner, writer))
            await reader.read()  # until the client has closed
            answering.cancel()

    server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        issuer.metadata |= {"issuer": url, "jwks_uri": f"{url}/keys"}
        yield url


async def test_its_certificate_must_be_trusted(
    fake_issuer: FakeIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    certificate = make_certificate(tmp_path)
    async with https(fake_issuer, certificate) as url:
        token = fake_issuer.token(audience=AUDIENCE, iss=url)
        async with started(url) as oidc:
            assert await status_of(oidc, token) == 503
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
        async with started(url) as oidc:
            assert isinstance(await status_of(oidc, token), Principal)
