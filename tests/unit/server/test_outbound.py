"""Calls to addresses that somebody else chose: against real programs on this machine."""

import socket
import ssl
import threading
import time

import pytest
from tests.certificates import certificate

from ml_secrets.domain.outbound import LOOPBACK
from ml_secrets.server import outbound
from ml_secrets.server.outbound import Outbound
from ml_secrets.testing.programs import free_port
from ml_secrets.testing.receiver import Receiver


@pytest.fixture
def home():
    """One that may call this machine."""
    return Outbound(LOOPBACK)


def test_what_is_posted_arrives(home):
    """Method, path, headers and body; a success is an empty text."""
    with Receiver() as receiver:
        assert home.post(f"{receiver.url}?a=b", {"webhook-id": "msg_1"}, b'{"x":1}') == ""
        got = receiver.got[0]
    assert (got.path, got.body) == ("/hook?a=b", b'{"x":1}')
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_only_a_success_is_one(home, status):
    """Whatever else is answered counts as not delivered."""
    with Receiver(status) as receiver:
        assert home.post(receiver.url, {}, b"{}") == f"the answer was {status}"


def test_no_redirect_is_followed(home):
    """A program that may be told could otherwise have others called in the server's name."""
    with Receiver() as other, Receiver(307, more={"location": other.url}) as receiver:
        assert home.post(receiver.url, {}, b"{}") == "the answer was 307"
        assert len(receiver.got) == 1
        assert other.got == []


def test_this_machine_is_refused_unless_it_is_allowed():
    """By what the name stands for: nothing is sent, however the address is spelt."""
    with Receiver() as receiver:
        for host in ("127.0.0.1", "localhost"):
            told = Outbound(()).post(f"http://{host}:{receiver.port}/", {}, b"{}")
            assert "not public" in told
        assert receiver.got == []


def test_every_address_of_a_name_must_be_allowed(home, monkeypatch):
    """A name with a good and a bad address is refused; one that changes its mind meets its first answer."""
    real = socket.getaddrinfo

    def both(host, port, **more):
        return real("127.0.0.1", port, **more) + real("169.254.169.254", port, **more)

    with Receiver() as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert "not public" in home.post(receiver.url, {}, b"{}")
        answers = [real("127.0.0.1", receiver.port, type=socket.SOCK_STREAM)]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, port, *_, **__: answers.pop() if host == "localhost" else real(host, port),
        )
        assert home.post(f"http://localhost:{receiver.port}/", {}, b"{}") == ""
        assert answers == []


def test_plain_http_goes_to_this_machine_alone(monkeypatch):
    """Also where the name of this machine stands for another one."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **more: real("10.0.0.1", port, **more))
    told = Outbound(["10.0.0.0/8"]).post("http://localhost/", {}, b"{}")
    assert told == "http:// is for this machine alone"


def test_nobody_there(home):
    """The reason is told, without the URL."""
    port = free_port()
    told = home.post(f"http://127.0.0.1:{port}/key-fake-in-a-url", {}, b"{}")
    assert told == "the connection failed: Connection refused"


def test_a_name_that_is_none(home):
    """It cannot be resolved."""
    told = home.post("https://no-such-host.invalid/", {}, b"{}")
    assert told == "the host's name cannot be resolved"


def test_a_url_that_became_unfit(home):
    """A row of an older server is checked like a new one."""
    assert home.post("ftp://example.com/", {}, b"{}") == "the URL cannot be called"


def dripping(port_of):
    """A program that answers with a header byte now and then, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    port_of.append(listener.getsockname()[1])
    made, _ = listener.accept()
    with listener, made:
        made.recv(65536)
        try:
            made.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while True:
                made.sendall(b"a")
                time.sleep(0.05)
        except OSError:
            return


def test_a_call_has_an_end(home, monkeypatch):
    """Also with one who sends a byte now and then."""
    monkeypatch.setattr(outbound, "DEADLINE", 0.5)
    port = []
    threading.Thread(target=dripping, args=(port,), daemon=True).start()
    while not port:
        time.sleep(0.01)
    begin = time.monotonic()
    assert home.post(f"http://127.0.0.1:{port[0]}/", {}, b"{}") == "there was no answer in time"
    assert time.monotonic() - begin < 3


def test_a_handshake_has_an_end_too(home, monkeypatch):
    """With one who takes the call and says nothing."""
    monkeypatch.setattr(outbound, "DEADLINE", 0.5)
    begin = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = home.post(f"https://127.0.0.1:{listener.getsockname()[1]}/", {}, b"{}")
    assert told == "there was no answer in time"
    assert time.monotonic() - begin < 3


def test_one_that_speaks_no_http(home):
    """It fails, and does no harm."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        made, _ = listener.accept()
        with made:
            made.recv(65536)
            made.sendall(b"220 mail.example ESMTP\r\n")

    threading.Thread(target=answer, daemon=True).start()
    with listener:
        told = home.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"{}")
    assert told == "the connection failed: BadStatusLine"


@pytest.fixture
def tls(tmp_path, monkeypatch):
    """A server's TLS with a certificate for 127.0.0.1, and the authority's file."""
    file, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    outbound._context.cache_clear()
    yield context, file
    outbound._context.cache_clear()


def test_certificates_are_verified(home, tls, monkeypatch):
    """An unknown authority is refused; the one that SSL_CERT_FILE names is trusted, for the names it vouches for."""
    context, file = tls
    refused = "the certificate is not trusted, or is for another name"
    with Receiver(tls=context) as receiver:
        assert home.post(receiver.url, {}, b"{}") == refused
        outbound._context.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert home.post(receiver.url, {}, b"{}") == ""
        assert home.post(f"https://localhost:{receiver.port}/", {}, b"{}") == refused
    assert len(receiver.got) == 1
