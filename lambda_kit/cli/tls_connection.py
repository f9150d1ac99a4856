"""TLS below a protocol of uvicorn, for both event loops.

asyncio's own tells of a connection after its handshake only, and waits for the other end when it closes one, so that it
cuts what a slow client has not read then. Here a handshake is bounded like a request, and a close is that of TCP.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from lambda_kit.adapters.http.problems import Problem
from lambda_kit.cli.closing_answer import closing_answer
from lambda_kit.cli.connections import Connections
from lambda_kit.cli.tls import Tls

__all__ = ["TlsConnection"]

logger = logging.getLogger("lambda_kit.http")

_PIECE_BYTES = 256 * 1024
_PLAIN = Problem(400, "bad-request", "this port speaks HTTPS: call it by https://")


class TlsConnection(asyncio.Protocol):
    """One connection: shakes hands, then decrypts for another protocol, and encrypts what that writes.

    Args:
        inner: Makes that protocol, one of uvicorn's.
        tls: The certificate.
        connections: All of the server's, with the limits. Until the end of its handshake, this is one of them; then
            the other protocol is.
    """

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        inner: Callable[..., asyncio.Protocol],
        tls: Tls,
        connections: Connections,
    ) -> None:
        self.descriptor = -1
        self._make_inner = partial(inner, config=config, server_state=server_state, app_state=app_state, _loop=_loop)
        self._server_state = server_state
        self._all: set[Any] = server_state.connections
        self._connections = connections
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._raw: Any = None
        self._inner: Any = None
        self._since = 0.0
        self._is_dropped = False

    # --- what the event loop tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._raw = transport
        self._since = asyncio.get_running_loop().time()
        socket = transport.get_extra_info("socket")
        self.descriptor = -1 if socket is None else socket.fileno()
        self._all.add(self)
        self._connections.has_room_for(self)  # else the inner protocol answers health only

    def data_received(self, data: bytes) -> None:
        """Decrypt what has come."""
        self._incoming.write(data)
        if self._inner is not None or self._shake_hands():
            self._hand_on()

    def eof_received(self) -> bool | None:
        """The other end sends no more, and has not said so by TLS; HTTP knows by itself whether it had all."""
        return None if self._inner is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._all.discard(self)
        if self._is_dropped:
            self._connections.has_dropped()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The other end reads slowly."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._inner is not None:
            self._inner.resume_writing()

    # --- what the server and its `Connections` ask, during the handshake ---

    def end_if_slow(self, now: float, passed: float) -> None:
        """End a handshake that takes longer than a header section may."""
        del passed
        if now - self._since > self._connections.limits.header_seconds:
            self._raw.abort()

    def spare_rank(self) -> tuple[int, float] | None:
        """As that of a connection which has never asked anything."""
        return None if self._is_dropped else (1, self._since)

    def drop(self) -> None:
        """Close it."""
        self._is_dropped = True
        self._raw.abort()

    def shutdown(self) -> None:
        """End: nothing was asked yet."""
        self._raw.close()

    # --- what the inner protocol does ---

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Send that, encrypted."""
        rest = memoryview(data)
        try:
            while rest and not self._raw.is_closing():
                rest = rest[self._ssl.write(rest[:_PIECE_BYTES]) :]  # it takes one record (RFC 8446, 5.1) at a time
                if self._outgoing.pending >= _PIECE_BYTES:
                    self._flush()
        except ssl.SSLError as error:
            self._give_up(error)
            return
        self._flush()

    def close(self) -> None:
        """Close when all is sent, the last of which says so (RFC 8446, 6.1). The other end's is not waited for."""
        if not self._raw.is_closing():
            with contextlib.suppress(ssl.SSLError):
                self._ssl.unwrap()
            self._flush()
            self._raw.close()

    def use(self, inner: asyncio.BaseProtocol) -> None:
        """From now on, decrypt for this protocol."""
        self._inner = inner

    @property
    def inner(self) -> Any:
        """The protocol for which it decrypts."""
        return self._inner

    @property
    def raw(self) -> Any:
        """The transport below TLS."""
        return self._raw

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """What is known of the TLS connection."""
        return self._ssl

    # --- TLS ---

    def _shake_hands(self) -> bool:
        """Go on with the handshake; returns whether it is over, and well."""
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._give_up(error)
            return False
        self._flush()
        self._all.discard(self)
        self._inner = self._make_inner()
        self._inner.connection_made(_TlsTransport(self))
        return True

    def _hand_on(self) -> None:
        """Give the inner protocol what can be decrypted."""
        try:
            while (self._incoming.pending or self._ssl.pending()) and not self._raw.is_closing():
                data = self._ssl.read(_PIECE_BYTES)
                if not data:  # the other end says that this was all
                    if not self._inner.eof_received():
                        self.close()
                    return
                self._inner.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._give_up(error)
            return
        self._flush()  # what TLS itself has to say, such as a new key

    def _give_up(self, error: ssl.SSLError) -> None:
        logger.debug("a TLS connection fails: %s", error)
        if error.reason == "HTTP_REQUEST":
            self._raw.write(closing_answer(_PLAIN, self._server_state.default_headers))
        else:
            self._flush()  # the alert that says why
        self._raw.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())


class _TlsTransport(asyncio.Transport):
    """What the inner protocol sees of a `TlsConnection`."""

    def __init__(self, connection: TlsConnection) -> None:
        super().__init__()
        self._connection = connection
        self._raw = connection.raw
        self._own = {"sslcontext": connection.ssl_object.context, "ssl_object": connection.ssl_object}

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        self._connection.write(data)

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._raw.abort()

    def is_closing(self) -> bool:
        return bool(self._raw.is_closing())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._own[name] if name in self._own else self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._connection.use(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._connection.inner
        return protocol

    def is_reading(self) -> bool:
        return bool(self._raw.is_reading())

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return int(self._raw.get_write_buffer_size())

    def can_write_eof(self) -> bool:
        return False  # TLS 1.2 has no half-closed connections
