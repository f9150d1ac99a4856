"""Who sent a request, as a hash that tells nobody else (docs/wire.md, Names: caller)."""

import hashlib

__all__ = ["Callers"]

_DIGEST_BYTES = 16


class Callers:
    """Makes of a principal, or else of an authorization, the hash that is kept with a job.

    Only the same caller attaches to a job by its id or key. The key of the hash is the same in all processes
    that share a store, and after a restart; without it nobody can see whose authorization a hash is of.
    """

    def __init__(self) -> None:
        self._key = b""
        self._nobody = b""

    def use_key(self, key: bytes) -> None:
        """Set the key of the hash, at most 64 bytes. To be called before the first request."""
        self._key = key
        self._nobody = self._hash("nobody")

    def of(self, principal: str | None, authorization: str | None) -> bytes:
        """The caller's hash. Who has neither is one caller, with all others that have neither."""
        if principal is not None:
            return self._hash(f"principal\0{principal}")
        return self._nobody if authorization is None else self._hash(f"authorization\0{authorization}")

    def share_of(self, name: str) -> bytes:
        """The hash by which the share of a caller is counted; `name` begins with the kind of caller that it is."""
        return self._hash(f"share\0{name}")

    def scoped_key(self, key: str, tool: str, caller: bytes) -> str:
        """A hash of an idempotency key with its tool and its caller: of two callers, or tools, it is another one."""
        return self._hash("\0".join(("key", tool, caller.hex(), key)), digest_size=32).hex()

    def _hash(self, text: str, digest_size: int = _DIGEST_BYTES) -> bytes:
        raw = text.encode(errors="surrogatepass")
        return hashlib.blake2b(raw, key=self._key, digest_size=digest_size).digest()
