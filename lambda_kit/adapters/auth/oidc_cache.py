"""`VerifiedTokens`: tokens that were verified a while ago are not verified again."""

import hashlib
import time
from collections import OrderedDict

from lambda_kit.core.model.principal import Principal

__all__ = ["VerifiedTokens"]

_MOST_TOKENS = 4096
_LONGEST_SECONDS = 300.0


class VerifiedTokens:
    """Whose a token is, for a while. It has hashes of tokens, never tokens."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def get(self, token: str) -> Principal | None:
        """The bearer of a token that was put here and is still valid. None: it must be verified."""
        digest = _digest(token)
        if (known := self._known.get(digest)) is None:
            return None
        principal, until = known
        if time.time() >= until:
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return principal

    def put(self, token: str, principal: Principal, until: float) -> None:
        """Keep a token that was verified just now; where there are too many, the one unused for longest goes.

        Args:
            token: The token.
            principal: Whose it is.
            until: When it ends to be valid, in seconds since the epoch. It is kept for five minutes at most.
        """
        self._known[_digest(token)] = (principal, min(until, time.time() + _LONGEST_SECONDS))
        if len(self._known) > _MOST_TOKENS:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
