"""`Provider`: the keys of one provider, kept fresh beside requests."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lambda_kit.adapters.auth.oidc_client import ProviderClient, ProviderError
from lambda_kit.adapters.auth.oidc_keys import KeySet
from lambda_kit.adapters.auth.oidc_metadata import ProviderMetadata, discovery_url, read_metadata
from lambda_kit.core.errors import ConfigurationError, UnavailableError
from lambda_kit.core.runtime.retry import BackOff

__all__ = ["Provider", "ProviderTimes"]

logger = logging.getLogger("lambda_kit.auth")

_START_SECONDS = 5.0
"""How long a start waits for a provider that does not answer."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class ProviderTimes:
    """How often a provider is asked, in seconds."""

    renew: float
    """Between renewals of the keys."""
    cool_down: float
    """Between fetches for tokens whose key is unknown, however many there are."""
    keep: float
    """How long keys are used, while the provider is away."""
    answer: float = 5.0
    """How long one document may take."""


class Provider:
    """Knows a provider's keys: gets them at the start, renews them, and asks for one that it does not know.

    Args:
        issuer: The provider's.
        times: How often it is asked.
        on_lost_key: Called when a key is no longer the provider's: what it has signed counts no more.
    """

    def __init__(self, issuer: str, times: ProviderTimes, on_lost_key: Callable[[], None]) -> None:
        self._issuer = issuer
        self._times = times
        self._on_lost_key = on_lost_key
        self._client = ProviderClient(times.answer)
        self.metadata: ProviderMetadata | None = None
        """None: not known yet."""
        self._keys: KeySet | None = None
        self._keys_until = 0.0
        self._fetch: asyncio.Task[Exception | None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._next_try_at = 0.0
        self._next_demand_at = 0.0

    async def start(self) -> None:
        """Get the keys; a provider that is away is tried again in the background. No effect if it is started.

        Raises:
            ConfigurationError: if the provider says that it is another issuer.
        """
        if self._keeper is not None:
            return
        await self._client.open(self._issuer)
        first = self._fetching(is_whole=True)
        await asyncio.wait({first}, timeout=_START_SECONDS)
        if first.done() and isinstance(error := first.result(), ConfigurationError):
            await self.stop()
            raise error
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """End what `start` began."""
        tasks = [task for task in (self._keeper, self._fetch) if task is not None]
        self._keeper = self._fetch = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    @property
    def is_usable(self) -> bool:
        """Whether keys are known that are not too old."""
        return self._keys is not None and time.monotonic() < self._keys_until

    async def keys_for(self, key_id: str | None) -> KeySet:
        """The keys now, with this one if the provider has it.

        Args:
            key_id: Where it is unknown the provider is asked at once, but not more often than once in each cool-down.

        Raises:
            UnavailableError: if the provider is away, and it can't be said whether it has such a key.
        """
        if (keys := self._usable()).knows(key_id):
            return keys
        if self._fetch is not None:  # it may have begun before the key was made
            await asyncio.wait({self._fetch})
            if (keys := self._usable()).knows(key_id):
                return keys
        now = time.monotonic()
        if self._fetch is None and now >= self._next_demand_at:
            self._next_demand_at = now + self._times.cool_down
            self._fetching(is_whole=False)
        if self._fetch is not None:
            await asyncio.wait({self._fetch})  # which has a bound of its own
            keys = self._usable()
        if self._failure is not None and not keys.knows(key_id):
            raise self._unavailable()
        return keys

    def _usable(self) -> KeySet:
        if self._keys is None or not self.is_usable:
            raise self._unavailable()
        return self._keys

    def _unavailable(self) -> UnavailableError:
        next_at = min(self._next_try_at, self._next_demand_at) if self.is_usable else self._next_try_at
        seconds = min(max(1.0, next_at - time.monotonic()), _LONGEST_PAUSE_SECONDS)
        return UnavailableError(f"the identity provider {self._issuer} is away", seconds)

    # --- in the background ---

    async def _keep(self) -> None:
        """Renew the keys, and try again with back-off while the provider is away."""
        back_off = BackOff(_FIRST_PAUSE_SECONDS, min(_LONGEST_PAUSE_SECONDS, self._times.renew))
        while True:
            if self._fetch is not None:
                await asyncio.wait({self._fetch})
            if self._failure is None:
                back_off.reset()
                pause = self._times.renew * random.uniform(0.9, 1.0)  # noqa: S311 - services are not to ask all at once
            else:
                pause = back_off.next_pause()
            self._next_try_at = time.monotonic() + pause
            await asyncio.sleep(pause)
            self._fetching(is_whole=True)

    def _fetching(self, *, is_whole: bool) -> "asyncio.Task[Exception | None]":
        """The fetch that is under way, or a new one."""
        if self._fetch is None:
            self._fetch = asyncio.get_running_loop().create_task(self._refresh(is_whole=is_whole))
        return self._fetch

    async def _refresh(self, *, is_whole: bool) -> Exception | None:
        try:
            if is_whole or self.metadata is None:
                document = await self._client.get_json(discovery_url(self._issuer))
                with _named(discovery_url(self._issuer)):
                    self.metadata = read_metadata(document, self._issuer)
            jwks_uri = self.metadata.jwks_uri
            document = await self._client.get_json(jwks_uri)
            with _named(jwks_uri):
                self._take(KeySet.of_document(document))
        except (ProviderError, ConfigurationError) as error:
            self._note(error)
        else:
            self._note(None)
        finally:
            self._fetch = None
        return self._failure

    def _take(self, keys: KeySet) -> None:
        before, self._keys = self._keys, keys
        self._keys_until = time.monotonic() + self._times.keep
        if before is not None and keys.lost_since(before):
            self._on_lost_key()
        if keys.problems and (before is None or before.problems != keys.problems):
            logger.warning("%s: unusable keys are ignored: %s", self._issuer, "; ".join(keys.problems))

    def _note(self, failure: Exception | None) -> None:
        before, self._failure = self._failure, failure
        if failure is None:
            if before is not None:
                logger.info("the identity provider %s is back", self._issuer)
            return
        level = logging.DEBUG if before is not None and type(before) is type(failure) else logging.WARNING
        known = "known keys are used meanwhile" if self.is_usable else "no token can be checked until then"
        logger.log(level, "the identity provider can't be asked; trying again (%s): %s", known, failure)


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Say where the document is that is no good."""
    try:
        yield
    except ValueError as error:
        raise ProviderError(f"{url}: {error}") from None
