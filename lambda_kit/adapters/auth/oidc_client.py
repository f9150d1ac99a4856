"""The HTTP client with which a provider is asked."""

import asyncio
import json
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from lambda_kit.adapters.auth.oidc_metadata import is_loopback
from lambda_kit.core.runtime.own_calls import own_calls
from lambda_kit.core.runtime.threads import off_loop
from lambda_kit.version import VERSION

__all__ = ["ProviderClient", "ProviderError"]

_MOST_BYTES = 2**20
_CONNECT_SECONDS = 3.0


class ProviderError(Exception):
    """The provider did not answer as it should: the text says where and how."""


class ProviderClient:
    """Gets JSON documents from a provider, beside requests.

    No redirect is followed, no cookie kept. ``$SSL_CERT_FILE`` and proxy variables count as they do for httpx; the
    latter not for loopback.

    Args:
        answer_seconds: How long one document may take, from the connection to its last byte.
    """

    def __init__(self, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self._client: httpx.AsyncClient | None = None

    async def open(self, issuer: str) -> None:
        """Make the client for the running event loop.

        Args:
            issuer: Whom it asks.
        """
        is_here = is_loopback(issuer)
        # reading the certificates takes a while
        verify = await off_loop(httpx.create_ssl_context)
        self._client = httpx.AsyncClient(
            verify=verify,
            trust_env=not is_here,
            follow_redirects=False,
            timeout=httpx.Timeout(self._answer_seconds, connect=min(_CONNECT_SECONDS, self._answer_seconds)),
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),  # it is asked seldom
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={
                "User-Agent": f"lambda_kit/{VERSION}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get_json(self, url: str) -> object:
        """Get a document.

        Raises:
            ProviderError: if it can't be had.
        """
        if self._client is None:
            raise ProviderError(f"{url}: the client is closed")
        try:
            async with asyncio.timeout(self._answer_seconds):
                with own_calls():  # whatever the context: no header of a job is added
                    content = await self._get(self._client, url)
        except TimeoutError:
            raise ProviderError(f"{url}: no answer within {self._answer_seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, OSError) as error:
            raise ProviderError(f"{url}: {str(error) or type(error).__name__}") from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise ProviderError(f"{url}: the answer is no JSON") from None

    @staticmethod
    async def _get(client: httpx.AsyncClient, url: str) -> bytes:
        async with client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise ProviderError(f"{url}: answered {response.status_code}")
            content = b""
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise ProviderError(f"{url}: the answer has more than {_MOST_BYTES} bytes")
            return content
