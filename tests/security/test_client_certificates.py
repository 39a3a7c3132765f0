"""A listener that asks for client certificates: who has one of the authority's comes in, and nobody else."""

import datetime as dt
import os
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.security.serving import Store, head, statuses

from ml_secrets.testing.programs import own_command


def issue(folder, name, issuer=None):
    """A certificate and its key as files; `issuer` is what this gave for an authority, None for one of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, above = issuer or (key, subject)
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return key, subject


@pytest.fixture
def guarded(tmp_path):
    """A server that takes clients of one authority only; its store is not initialised."""
    store = Store(tmp_path / "store", audit=False)
    ours, others = issue(store.folder, "ours"), issue(store.folder, "others")
    issue(store.folder, "server", ours)
    issue(store.folder, "client", ours)
    issue(store.folder, "stranger", others)
    files = {"tls_cert_file": "server.crt", "tls_key_file": "server.key", "tls_client_ca_file": "ours.crt"}
    lines = [f'{name} = "{store.folder / file}"' for name, file in files.items()]
    lines.append("tls_require_and_verify_client_cert = true")
    store.config.write_text(store.config.read_text().replace("tls_disable = true", "\n".join(lines)))
    store.probe = lambda: health(store, "client")
    yield store
    store.stop()


def health(store, client=None):
    """The status of health with that client's certificate; [] for a connection that is closed."""
    context = ssl.create_default_context(cafile=store.folder / "ours.crt")
    if client is not None:
        context.load_cert_chain(store.folder / f"{client}.crt", store.folder / f"{client}.key")
    received = b""
    with (
        socket.create_connection(("127.0.0.1", store.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        try:
            line.sendall(head("GET", "/v1/sys/health", token=None))
            while part := line.recv(65536):
                received += part
        except (ssl.SSLError, ConnectionError):
            pass
    return statuses(received)


def test_a_health_check_shows_the_client_certificate_of_its_environment(guarded):
    """`status --config` on the server's machine; without one it is turned away."""
    guarded.start()
    command = [*own_command(), "status", "--config", str(guarded.config)]
    files = {name: str(guarded.folder / f"client.{end}") for name, end in (("CERT", "crt"), ("KEY", "key"))}
    shown = {f"ML_SECRETS_CLIENT_{name}": file for name, file in files.items()}
    for environ, code in (shown, 2), ({}, 1):
        done = subprocess.run(command, env=os.environ | environ, capture_output=True, timeout=30, check=False)
        assert done.returncode == code, done.stderr


def test_only_clients_of_the_authority_come_in(guarded):
    """With its certificate 501 (not initialised); with another's, and without any, the connection ends unanswered."""
    guarded.start()
    assert health(guarded, "client") == [501]
    assert health(guarded, "stranger") == []
    assert health(guarded) == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_stop_the_start(guarded, content):
    """Status 1 and the file's name, where the TLS library would end the process or hang."""
    authorities = guarded.folder / "ours.crt"
    authorities.unlink() if content is None else authorities.write_bytes(content)
    with pytest.raises(RuntimeError, match="the server ended"):
        guarded.start()
    assert guarded.process.returncode == 1
    assert str(authorities) in guarded.log.read_text()
