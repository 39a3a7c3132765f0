"""Where processes meet says whom they trust and by what way they ask: who does so otherwise meets elsewhere."""

import asyncio
import ssl

import pytest
from tests.certificates import certificate

from ml_secrets import AsyncClient, Client, Invalid
from ml_secrets.client.node.place import place_for
from ml_secrets.client.settings import resolve

ADDRESS = "https://secrets.example"
FILES = ("verify", "client_cert", "client_key")


def name(**given):
    return place_for(resolve(address=ADDRESS, **given)).socket


@pytest.mark.parametrize(
    "given",
    [{"verify": False}, {"verify": "/ca.pem"}, {"client_cert": "/c.pem"}, {"client_key": "/k.pem"}],
    ids="".join,
)
def test_other_settings_of_trust_are_another_place(meeting, given):
    """No process is given what another one asked of a server that it would not trust itself."""
    assert name(**given) != name()


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "no_proxy"]
)
def test_other_variables_of_trust_are_another_place(meeting, monkeypatch, variable):
    """Those that say whom connections trust, or by what proxy they go, count like settings; no other does."""
    monkeypatch.delenv(variable, raising=False)
    plain = name()
    monkeypatch.setenv("MODEL", "/elsewhere")
    assert name() == plain
    seen = {plain}
    for value in ("/one", "/other"):
        monkeypatch.setenv(variable, value)
        seen.add(name())
    assert len(seen) == 3


def test_what_nobody_can_name_is_no_place(meeting):
    """What an SSLContext trusts cannot be told to another process: who brings one asks alone."""
    context = ssl.create_default_context()
    assert place_for(resolve(address=ADDRESS, verify=context)) is None


@pytest.mark.parametrize("way", [*FILES, "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_path_is_what_it_is_from_where_it_was_said(meeting, tmp_path, monkeypatch, way):
    """The same words in two folders are two files, and a file is the same by either of its names."""

    def named(path):
        if way in FILES:
            return name(**{way: path})
        monkeypatch.setenv(way, path)
        return name()

    seen = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        seen.append(named("ca.pem"))
        assert named(str(folder / "ca.pem")) == seen[-1]
    assert seen[0] != seen[1]


@pytest.mark.parametrize("way", ["verify", "SSL_CERT_FILE"])
def test_it_trusts_whom_those_trust_who_ask(meeting, serve, wire, tmp_path, monkeypatch, way):
    """Though it runs in another folder: by a path from theirs it finds the authority, and asks once for both."""
    authority, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority, key)
    server = serve(lambda asked, number: wire.kv2("v"), tls=tls)
    monkeypatch.chdir(tmp_path)
    settings = {"verify": authority.name} if way == "verify" else {}
    if not settings:
        monkeypatch.setenv(way, authority.name)
    for _ in range(2):
        with Client(server.url, "t", **settings) as client:
            assert client.get_secret("a").reveal() == "v"
    assert len(server.asked) == 1


def test_settings_that_are_wrong_are_told_at_once(meeting):
    """As without others: by their name, and no process is started again and again until time is up."""
    settings = {"verify": str(meeting / "nowhere.pem"), "timeout": 60}
    with Client(ADDRESS, "t", **settings) as client, pytest.raises(Invalid, match=r"nowhere\.pem.*CACERT"):
        client.get_secret("a")

    async def main():
        async with AsyncClient(ADDRESS, "t", **settings) as client:
            await client.get_secret("a")

    with pytest.raises(Invalid, match=r"nowhere\.pem.*CACERT"):
        asyncio.run(main())
