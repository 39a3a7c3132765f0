"""Slips of callers: each is refused before anything is sent, and says what was expected."""

import asyncio

import pytest

from ml_secrets import AsyncClient, Client, Sensitive, errors
from ml_secrets.client import approle

SLIPS = {
    "a list for a name": (lambda c: c.get_secret(["a"]), "get_secrets"),
    "no name": (lambda c: c.get_secret(None), "no path"),
    "a number for a name": (lambda c: c.get_secret(5), "no path"),
    "no names": (lambda c: c.get_secrets(None), "list of names"),
    "a text for names": (lambda c: c.get_secrets("abc"), "get_secret"),
    "no name among names": (lambda c: c.get_secrets(["a", None]), "no path"),
    "a text for a version": (lambda c: c.get_secret("a", version="1"), "no version"),
    "a version before the first": (lambda c: c.kv.get("a", version=-1), "no version"),
    "a truth for a version": (lambda c: c.get_secret("a", version=True), "no version"),
    "no fields": (lambda c: c.kv.put("a", None), "no mapping of fields"),
    "a list for fields": (lambda c: c.kv.patch("a", [1]), "no mapping of fields"),
    "a text for a body": (lambda c: c.write("x/y", "abc"), "no mapping of fields"),
    "a text for a check-and-set": (lambda c: c.kv.put("a", {"k": 1}, cas="x"), "version to compare"),
    "a text for versions": (lambda c: c.kv.destroy("a", "12"), "list of versions"),
    "one number for versions": (lambda c: c.kv.undelete("a", 1), "list of versions"),
    "texts among versions": (lambda c: c.kv.delete("a", versions=["1"]), "no version"),
    "no folder": (lambda c: c.kv.list(None), "no folder"),
    "no user": (lambda c: c.login_userpass(None, "p"), "no user name"),
    "no password": (lambda c: c.login_userpass("ada", None), "password is no text"),
    "no role": (lambda c: c.login_approle(None), "role_id is no text"),
    "a text for a way to log in": (lambda c: c.login("approle"), "no way to log in"),
    "a number for a token": (lambda c: c.login_token(5), "int is no text"),
}


async def awaited(server, call):
    async with AsyncClient(server.url, "t") as client:
        await call(client)


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused_before_anything_is_sent(serve, wire, client_of, slip):
    """By both clients, in the same words; the token that was there before is still in use."""
    call, expected = SLIPS[slip]
    server = serve(lambda asked, number: wire.http(204))
    client = client_of(server)
    for work in (lambda: call(client), lambda: asyncio.run(awaited(server, call))):
        with pytest.raises(errors.Invalid, match=expected):
            work()
    assert server.asked == []
    assert client.token == Sensitive("t")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"url": ""}, "no URL"),
        ({"token": ""}, "token is empty"),
        ({"token": 5}, "int is no text"),
        ({"login": "approle"}, "no way to log in"),
    ],
)
def test_an_argument_that_came_out_empty_is_not_looked_for_elsewhere(
    serve, wire, monkeypatch, given, expected
):
    """`token=os.environ.get("X", "")` never becomes somebody else's token, nor an empty url the embedded store."""
    monkeypatch.setenv("ML_SECRETS_ADDR", serve(lambda asked, number: wire.kv2("x")).url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", "another")
    with pytest.raises(errors.Invalid, match=expected):
        Client(**given)


def test_a_login_is_a_way_to_log_in(serve, wire, client_of):
    """What `ml_secrets.client` makes for it is taken."""
    answer = wire.http(200, wire.envelope(None, auth={"client_token": "new", "lease_duration": 0}))
    client = client_of(serve(lambda asked, number: answer), token=None)
    client.login(approle("role"))
    assert client.token == Sensitive("new")
