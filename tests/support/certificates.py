"""Certificates for 127.0.0.1, made when a test needs them."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Certificate", "certificate_of", "make_certificate"]


class Certificate(NamedTuple):
    """A certificate that vouches for itself, and its key: files in PEM."""

    cert: Path
    key: Path
    serial: int

    @property
    def flags(self) -> list[str]:
        """Those of a service that uses it."""
        return ["--tls-cert", str(self.cert), "--tls-key", str(self.key)]


def make_certificate(folder: Path, *, passphrase: str | None = None) -> Certificate:
    """Write ``cert.pem`` and ``key.pem`` into a folder, in place of those that are there."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    made = Certificate(folder / "cert.pem", folder / "key.pem", cert.serial_number)
    made.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return made


def certificate_of(sock: ssl.SSLSocket) -> int:
    """The serial number of the certificate that the other end has shown."""
    shown = sock.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number
