"""A listener's certificate and the calendar."""

import datetime as dt
import logging

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ml_secrets.server.config import Listener
from ml_secrets.server.tls import context_of


@pytest.mark.parametrize(("last", "told"), [(2020, "has expired (2020-01-01 00:00 UTC)"), (9000, "")])
def test_an_expired_certificate_is_served_and_warned_of(tmp_path, caplog, last, told):
    """A server that stopped for it would be no better off; one that is valid is not spoken of."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin, end = dt.datetime(2019, 1, 1, tzinfo=dt.UTC), dt.datetime(last, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, end).sign(key, None)
    certificate, private = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with caplog.at_level(logging.WARNING):
        context_of(Listener(tls_cert_file=certificate, tls_key_file=private))
    assert told in caplog.text
    assert bool(caplog.records) == bool(told)
