"""TLS files that would end the process are told apart from those that serve."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from ml_secrets.crypto.x509 import check_authorities, check_certificate, check_key, out_of_time
from ml_secrets.errors import Invalid

NOTHING = serialization.NoEncryption()
FORMATS = serialization.PrivateFormat
VERSION_1 = b"""
-----BEGIN CERTIFICATE-----
MIIBFTCBvQIUChvQ32EKHpDo3sGXvfFox9anMGEwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMB4XDTI2MTEzMDEzMzQwOVoXDTM2MTEyNzEzMzQwOVowDjEMMAoG
A1UEAwwDb2xkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxdeOBGWtpLj/1Us
0EKzsQPR/B3W4DXuJWPMT2x2lmzhgGUnDz/0BVQoXB4BU2nXPRImyGnvnZsHUP88
FhgxIjAKBggqhkjOPQQDAgNHADBEAiAaGjCL5bKdFzHPvkwMNMb6ldsJFSeB4BVy
vGcIYK7zZAIgSXeaRUJDRnDvALcfXn2SZ11zTN3lsRZLtyYV99xgJxE=
-----END CERTIFICATE-----
"""


def pem(key, form=FORMATS.PKCS8, lock=NOTHING):
    return key.private_bytes(serialization.Encoding.PEM, form, lock)


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + dt.timedelta(days=1))
    return made.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (ec.generate_private_key(ec.SECP256R1()), FORMATS.PKCS8),
        (ec.generate_private_key(ec.SECP384R1()), FORMATS.TraditionalOpenSSL),
        (rsa.generate_private_key(65537, 2048), FORMATS.TraditionalOpenSSL),
        (ed25519.Ed25519PrivateKey.generate(), FORMATS.PKCS8),
    ],
)
def test_usual_keys_pass(key, form):
    """In both of the usual forms, with other blocks around them."""
    check_key(
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem(key, form)
    )


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65537, 1024),
        dsa.generate_private_key(2048),
    ],
)
def test_keys_that_cannot_be_served_are_refused(key):
    """And the hint says what to use."""
    with pytest.raises(Invalid, match="use RSA of 2048"):
        check_key(pem(key))


@pytest.mark.parametrize(
    ("hours", "told"),
    [(-1, "is not valid yet (2026-01-01 00:00 UTC)"), (1, ""), (25, "has expired (2026-01-02 00:00 UTC)")],
)
def test_a_certificate_out_of_its_time_is_told(hours, told):
    """With the moment, of any certificate of the chain."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    leaf = x509.CertificateBuilder(
        name, name, key.public_key(), 8, begin - dt.timedelta(days=9), begin + dt.timedelta(days=9)
    ).sign(key, None)
    chain = leaf.public_bytes(serialization.Encoding.PEM) + certificate(
        ec.generate_private_key(ec.SECP256R1())
    ).public_bytes(serialization.Encoding.PEM)
    assert out_of_time(chain, begin + dt.timedelta(hours=hours)) == told


def test_a_locked_key_is_refused_unasked():
    """Nobody waits at a prompt that a service has not."""
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Invalid, match="locked with a passphrase"):
        check_key(pem(key, lock=serialization.BestAvailableEncryption(b"fake-passphrase")))


def test_what_is_no_key_is_refused():
    """An empty file, a certificate, and a damaged block."""
    key = ec.generate_private_key(ec.SECP256R1())
    for content in (b"", certificate(key).public_bytes(serialization.Encoding.PEM)):
        with pytest.raises(Invalid, match="no private key"):
            check_key(content)
    with pytest.raises(Invalid, match="cannot be read"):
        check_key(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def test_certificates_are_found_among_other_blocks():
    """Key and certificate in one file serve; a file without one does not."""
    key = ec.generate_private_key(ec.SECP256R1())
    both = pem(key) + certificate(key).public_bytes(serialization.Encoding.PEM)
    check_certificate(both)
    check_authorities(both)
    for check in (check_certificate, check_authorities):
        for content in (b"", pem(key), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            with pytest.raises(Invalid, match="no certificate"):
                check(content)


def test_a_certificate_of_version_1_is_refused():
    """The TLS library does not take it from a server; as an authority it does."""
    with pytest.raises(Invalid, match="version 3"):
        check_certificate(VERSION_1)
    check_authorities(VERSION_1)
