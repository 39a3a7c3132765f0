"""Which URLs and addresses may be called."""

from ipaddress import ip_address

import pytest

from ml_secrets.domain.outbound import LOOPBACK, allows, read_networks, read_url
from ml_secrets.errors import Invalid


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("https://example.com./a?b=c", "example.com", 443, "/a?b=c"),
        ("HTTPS://Example.com:8443/a", "example.com", 8443, "/a"),
        ("https://[2001:4860:4860::8888]/", "2001:4860:4860::8888", 443, "/"),
        ("http://localhost:8000/hook", "localhost", 8000, "/hook"),
        ("http://127.0.0.1/hook", "127.0.0.1", 80, "/hook"),
        ("http://[::1]/", "::1", 80, "/"),
    ],
)
def test_what_a_url_says(url, host, port, path):
    """Host, port and path come out as they will be used."""
    target = read_url(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert target.secure is url.lower().startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "https://",
        "https:///path",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "https://user:fake@example.com/",
        "https://user@example.com/",
        "https://@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1.:1/" + "x" * 2048,
        "https://exa mple.com/",
        "https://example.com/\r\nx-header: 1",
        "https://exämple.com/",
    ],
)
def test_a_url_that_cannot_be_called_is_refused_unseen(url):
    """Odd spellings of addresses, other schemes and header tricks are refused, and the URL is not repeated."""
    with pytest.raises(Invalid, match="the URL cannot be called") as caught:
        read_url(url)
    assert len(url) < 9 or url not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("https://exämple.com/", "a URL is printable ASCII, of at most 2048 characters"),
        ("https://example.com:x/", "host or port cannot be read"),
        ("https://user@example.com/", "without user, password and fragment"),
        ("https://127.1/", "write a numeric address in its usual form"),
        ("ftp://example.com/", "it begins with https://"),
    ],
)
def test_a_refusal_says_what_would_do(url, hint):
    """In the hint."""
    with pytest.raises(Invalid) as caught:
        read_url(url)
    assert hint in caught.value.hint


def test_a_url_may_be_so_long():
    """And no longer."""
    longest = "https://example.com/".ljust(2048, "x")
    assert read_url(longest).path == longest.removeprefix("https://example.com")
    with pytest.raises(Invalid):
        read_url(longest + "x")


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_public_addresses_may_be_called(address):
    """In either version, and in the clothes of the other."""
    assert allows(ip_address(address), ())


PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:53aa:64c:0:5be5:ffff:ffff",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address):
    """This machine, private networks, link-local ones (the clouds' metadata), and all that stands for one of them."""
    assert not allows(ip_address(address), ())


def test_the_operator_names_exceptions():
    """A named network is allowed, in either spelling of its addresses; others stay refused."""
    networks = read_networks([*LOOPBACK, "10.0.0.0/8", "fd00::/8"])
    for address in ("127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert allows(ip_address(address), networks)
    for address in ("192.168.1.1", "::ffff:169.254.169.254", "fe80::1"):
        assert not allows(ip_address(address), networks)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "here", ""])
def test_a_network_that_is_none_is_refused(text):
    """Also one whose address has bits beyond its mask: it may mean something else than it says."""
    with pytest.raises(Invalid, match="a network is written like"):
        read_networks([text])
