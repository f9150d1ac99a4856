"""Cursors of lists of jobs, as clients see them."""

import hashlib
import hmac

from lambda_kit.core.errors import BadRequestError

__all__ = ["Cursors"]

_MAC_BYTES = 16
_LEAST_BYTES = 16


class Cursors:
    """Encrypts the cursors of the store: they number all jobs, and would tell a client how many others have made.

    What is there is authenticated, and the same for the same cursor (as a synthetic IV, RFC 5297). The key is that of
    `Callers`: the same in all processes that share a store, and after a restart.
    """

    def __init__(self) -> None:
        self._key = b""

    def use_key(self, key: bytes) -> None:
        """Set the key, at most 64 bytes. To be called before the first list."""
        self._key = key

    def seal(self, cursor: str) -> str:
        """A cursor of the store, for clients."""
        plain = cursor.encode().ljust(_LEAST_BYTES, b"\0")  # nor does its length tell anything
        mac = self._mac(plain)
        return (mac + self._mixed(plain, mac)).hex()

    def unseal(self, sealed: str) -> str:
        """The cursor of the store that `seal` was given.

        Raises:
            BadRequestError: if it has given out no such cursor.
        """
        try:
            content = bytes.fromhex(sealed)
        except ValueError:
            content = b""
        mac = content[:_MAC_BYTES]
        plain = self._mixed(content[_MAC_BYTES:], mac)
        if not hmac.compare_digest(self._mac(plain), mac):
            raise BadRequestError(f"cursor {sealed[:80]!r} is not one that this service gave out")
        return plain.rstrip(b"\0").decode()

    def _mac(self, plain: bytes) -> bytes:
        return hashlib.blake2b(plain, key=self._key, digest_size=_MAC_BYTES, person=b"cursor").digest()

    def _mixed(self, content: bytes, mac: bytes) -> bytes:
        """The content, encrypted if it is not, else decrypted."""
        stream = hashlib.shake_256(b"cursor\0" + mac + self._key).digest(len(content))
        return bytes(a ^ b for a, b in zip(content, stream, strict=True))
