"""Certificates are verified, against the authority that was named."""

import ssl

import pytest
from tests import certificates

from ml_secrets.client.messages import NotSent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that is valid."""
    return certificates.certificate(tmp_path_factory.mktemp("tls"))


def served(serve, wire, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return serve(lambda asked, number: wire.kv2("x"), tls=context)


@pytest.fixture
def secure(serve, wire, certificate):
    """A server with that certificate."""
    return served(serve, wire, certificate)


@pytest.mark.parametrize(("begins", "ends", "said"), [(-30, -1, "has expired"), (1, 30, "not yet valid")])
def test_a_certificate_out_of_its_time_is_told_as_such(serve, wire, client_of, tmp_path, begins, ends, said):
    """Although its authority is trusted; naming that again would not help, and is not advised."""
    files = certificates.certificate(tmp_path, begins, ends)
    server = served(serve, wire, files)
    with pytest.raises(NotSent, match=said) as caught:
        client_of(server, verify=files[0], timeout=1).get_secret("a")
    assert "a new certificate" in caught.value.hint
    assert "clock" in caught.value.hint


def test_an_unknown_authority_is_refused_with_advice(secure, client_of):
    """Nothing is sent; the error says how to name the authority and not to switch verification off."""
    with pytest.raises(NotSent, match="ML_SECRETS_CACERT"):
        client_of(secure, timeout=1).get_secret("a")
    assert not secure.asked


def test_the_named_authority_is_trusted(secure, client_of, certificate, monkeypatch):
    """By argument, by variable, as a context."""
    assert client_of(secure, verify=certificate[0]).get_secret("a").reveal() == "x"
    assert (
        client_of(secure, verify=ssl.create_default_context(cafile=certificate[0])).get_secret("a").reveal()
        == "x"
    )
    monkeypatch.setenv("VAULT_CACERT", str(certificate[0]))
    assert client_of(secure).get_secret("a").reveal() == "x"


def test_another_name_is_refused(secure, client_of, certificate):
    """The certificate is for 127.0.0.1, not for localhost; naming its authority again would not help, and is not advised."""
    with pytest.raises(NotSent, match="use the name that the certificate is for"):
        client_of(secure.url.replace("127.0.0.1", "localhost"), verify=certificate[0], timeout=1).get_secret(
            "a"
        )


def test_verification_is_off_only_in_so_many_words(secure, client_of):
    """verify=False is obeyed."""
    assert client_of(secure, verify=False).get_secret("a").reveal() == "x"


def test_an_authority_that_cannot_be_read_is_an_error_of_ours(secure, client_of, tmp_path):
    """It names the file."""
    from ml_secrets import Invalid

    with pytest.raises(Invalid, match=r"missing\.pem"):
        client_of(secure, verify=tmp_path / "missing.pem").get_secret("a")
    (tmp_path / "broken.pem").write_text("nonsense")
    with pytest.raises(Invalid, match=r"broken\.pem"):
        client_of(secure, verify=tmp_path / "broken.pem").get_secret("a")


@pytest.mark.parametrize(("file", "key"), [("missing.pem", "key"), ("cert", "missing.pem"), ("cert", "cert")])
def test_a_client_certificate_that_cannot_be_used_is_an_error_of_ours(
    secure, client_of, certificate, monkeypatch, tmp_path, file, key
):
    """It names the file and the variables."""
    from ml_secrets import Invalid

    known = {"cert": certificate[0], "key": certificate[1], "missing.pem": tmp_path / "missing.pem"}
    monkeypatch.setenv("ML_SECRETS_CLIENT_CERT", str(known[file]))
    monkeypatch.setenv("ML_SECRETS_CLIENT_KEY", str(known[key]))
    with pytest.raises(Invalid, match=r"cannot load the client certificate .*ML_SECRETS_CLIENT_KEY"):
        client_of(secure, verify=certificate[0]).get_secret("a")


def test_plain_http_to_a_tls_server_says_what_to_look_at(secure, client_of):
    """The hint speaks of https."""
    from ml_secrets.client.messages import Lost

    with pytest.raises(Lost, match="https"):
        client_of(secure.url.replace("https", "http"), timeout=1).get_secret("a")
