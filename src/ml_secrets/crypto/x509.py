"""Files of a TLS listener, looked at before the TLS library gets them: for a key it does not know it ends the process.

What passes is what that library (rustls with ring) serves: an RSA key of 2048 to 4096 bits, one on P-256 or P-384, or
Ed25519, in the clear, and a certificate of X.509 version 3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from datetime import datetime

_KEY: Final = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\s.*?-----END \1-----", re.DOTALL
)  # others may stand before it, such as EC PARAMETERS


def check_certificate(chain: bytes) -> None:
    """Raise `Invalid` for a certificate, the first of the chain, that cannot be served."""
    if _certificates(chain)[0].version is not x509.Version.v3:
        raise Invalid("the certificate is not of X.509 version 3", hint="make a new one")


def out_of_time(chain: bytes, now: datetime) -> str:
    """Why clients will refuse the chain at this time; "" when they have no such reason."""
    for certificate in _certificates(chain):
        if certificate.not_valid_after_utc < now:
            return f"has expired ({certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)"
        if certificate.not_valid_before_utc > now:
            return f"is not valid yet ({certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC)"
    return ""


def check_key(pem: bytes) -> None:
    """Raise `Invalid` for a private key that cannot be served."""
    key = _key(pem)
    fits = (
        isinstance(key, ed25519.Ed25519PrivateKey)
        or (isinstance(key, rsa.RSAPrivateKey) and 2048 <= key.key_size <= 4096)
        or (
            isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
        )
    )
    if not fits:
        raise Invalid(
            "the key is of a kind that cannot be served",
            hint="use RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519",
        )


def check_authorities(authorities: bytes) -> None:
    """Raise `Invalid` when there is no certificate."""
    _certificates(authorities)


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Invalid(
            "there is no certificate in it", hint="it is a PEM file: -----BEGIN CERTIFICATE-----"
        ) from None


def _key(pem: bytes) -> object:
    block = _KEY.search(pem)
    if block is None:
        raise Invalid("there is no private key in it", hint="it is a PEM file: -----BEGIN PRIVATE KEY-----")
    try:
        return load_pem_private_key(block[0], password=None)
    except TypeError:
        raise Invalid(
            "the private key is locked with a passphrase",
            hint="store it in the clear, readable by the server only",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid("the private key cannot be read", hint="is it damaged? make a new one") from None
