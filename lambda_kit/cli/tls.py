"""TLS of a service file (``--tls-cert`` and ``--tls-key``): the files, and reading them again at SIGHUP."""

import contextlib
import logging
import os
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from lambda_kit.core.errors import ConfigurationError

__all__ = [
    "HANGUP",
    "TLS_CERT_VARIABLE",
    "TLS_KEY_PASSWORD_VARIABLE",
    "TLS_KEY_VARIABLE",
    "Tls",
    "hangup_held_back",
    "on_hangup",
]

TLS_CERT_VARIABLE = "LAMBDA_KIT_TLS_CERT"
TLS_KEY_VARIABLE = "LAMBDA_KIT_TLS_KEY"
TLS_KEY_PASSWORD_VARIABLE = "LAMBDA_KIT_TLS_KEY_PASSWORD"  # noqa: S105 - the name of a variable

HANGUP: int | None = None if sys.platform == "win32" else signal.SIGHUP
"""The signal that has the files read again. None: the system has no such signal."""

logger = logging.getLogger("lambda_kit.server")

_REPLACE = "replace it, and send SIGHUP again"


class Tls:
    """Certificate and key of a server, TLS 1.2 and newer.

    Args:
        cert: The file with the certificate and, behind it, those of its issuers (PEM).
        key: The file with its private key (PEM).

    Raises:
        ConfigurationError: if they can't be used; says how to mend it.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self.cert = cert
        self._key = key
        self._lock = threading.Lock()
        self.context = _context(cert, key)
        """For the next handshakes; connections that exist keep theirs."""

    @classmethod
    def of_flags(cls, cert: str | None, key: str | None) -> "Tls | None":
        """Read the files of ``--tls-cert`` and ``--tls-key``. None: neither is given, so the service speaks HTTP.

        Raises:
            ConfigurationError: if only one is given, or they can't be used.
        """
        if cert is None and key is None:
            return None
        if cert is None or key is None:
            given, missing = ("--tls-key", "--tls-cert") if cert is None else ("--tls-cert", "--tls-key")
            variable = TLS_CERT_VARIABLE if cert is None else TLS_KEY_VARIABLE
            raise ConfigurationError(
                f"{given} without {missing}: HTTPS needs both the certificate and its private key: add {missing} or "
                f"${variable}"
            )
        return cls(Path(cert), Path(key))

    def reload(self) -> None:
        """Read the files again; if they can't be used, those read before stay in use, and the log says why."""
        with self._lock:  # of two reloads the later one has the newer files
            try:
                self.context = _context(self.cert, self._key)
            except ConfigurationError as error:
                logger.error("SIGHUP: the certificate stays the one that was read before: %s; %s", error, _REPLACE)
            else:
                logger.info("SIGHUP: new connections get the certificate that is in %s now", self.cert)

    def begin_reload(self) -> None:
        """`reload` on a thread of its own, since a file may be on a disk that hangs."""
        threading.Thread(target=self.reload, name="lambda_kit tls", daemon=True).start()


@contextlib.contextmanager
def on_hangup(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Have SIGHUP handled while the block lasts, also one that came while it was held back. In the main thread only."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def hangup_held_back() -> Iterator[None]:
    """Start processes in here whose `on_hangup` gets a SIGHUP that comes before it: else that would end them."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    _check(cert, b"CERTIFICATE-----", "certificate", "--tls-cert", TLS_CERT_VARIABLE)
    _check(key, b"PRIVATE KEY-----", "private key", "--tls-key", TLS_KEY_VARIABLE)
    password = os.environ.get(TLS_KEY_PASSWORD_VARIABLE)
    is_encrypted = False

    def passphrase() -> str:  # without one, OpenSSL would ask for it on the terminal
        nonlocal is_encrypted
        is_encrypted = True
        return password or ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, passphrase)
    except (OSError, ValueError) as error:  # ValueError: of a passphrase that is too long
        raise ConfigurationError(_why(error, cert, key, is_encrypted=is_encrypted, password=password)) from error
    return context


def _check(file: Path, mark: bytes, what: str, flag: str, variable: str) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the {what} {file} can't be read ({error.strerror}): give {flag} or ${variable} a file that this process "
            "may read"
        ) from error
    if mark not in content:
        raise ConfigurationError(
            f"{file} holds no {what} in PEM, which has a line '-----BEGIN … {mark.decode()}': give {flag} or "
            f"${variable} the file that has it"
        )


def _why(error: Exception, cert: Path, key: Path, *, is_encrypted: bool, password: str | None) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return f"the private key in {key} is not that of the first certificate in {cert}: give two that belong together"
    if is_encrypted and not password:
        remedy = f"put its passphrase into ${TLS_KEY_PASSWORD_VARIABLE}, or give a key without one"
        return f"the private key in {key} is encrypted: {remedy}"
    if is_encrypted:
        return f"the private key in {key} does not open by the passphrase in ${TLS_KEY_PASSWORD_VARIABLE}: correct it"
    return f"OpenSSL can't use the certificate in {cert} with the private key in {key} ({reason}): write both anew"
