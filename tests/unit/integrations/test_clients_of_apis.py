"""httpx, OpenAI's and Anthropic's clients send the key of now; against a web server that refuses others."""

import asyncio

import httpx
import pytest

from ml_secrets import live
from ml_secrets.integrations import anthropic as our_anthropic
from ml_secrets.integrations import http as our_http
from ml_secrets.integrations import openai as our_openai


@pytest.fixture
def guarded(web, writer):
    """The web server takes one key; `guarded(key)` makes it another, there and in the store."""

    def rotate(key, *, stored=True, document=None):
        if stored:
            writer.kv.put("api/key", {"value": key})

        def answer(headers):
            given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key")
            return (200, document or {}) if given == key else (401, {"error": {"message": "no such key"}})

        web.answer = answer
        return web

    return rotate


def unaware():
    """A handle that nobody tells of changes: its cache is good for minutes."""
    handle = live("api/key")
    handle.client.following.add = lambda _: None
    return handle


def test_httpx_sends_the_key_of_now(here, guarded):
    """With a 401 it is asked for anew, and the request sent once more; where there is no other, the 401 is the answer."""
    web = guarded("FAKE-one")
    with httpx.Client(auth=our_http.bearer(unaware())) as client:
        assert client.get(web.url).status_code == 200
        guarded("FAKE-two")
        assert client.post(web.url, json={"x": 1}).status_code == 200
        assert [asked["authorization"] for asked in web.asked] == [
            "Bearer FAKE-one",
            "Bearer FAKE-one",
            "Bearer FAKE-two",
        ]
        guarded("FAKE-three", stored=False)
        assert client.get(web.url).status_code == 401
        assert len(web.asked) == 4


def test_httpx_with_tasks(here, guarded):
    """The same with asyncio, and in a header of another name."""
    web = guarded("FAKE-one")

    async def main():
        async with httpx.AsyncClient(auth=our_http.header(unaware(), "X-Api-Key")) as client:
            first = await client.get(web.url)
            guarded("FAKE-two")
            return first.status_code, (await client.get(web.url)).status_code

    assert asyncio.run(main()) == (200, 200)
    assert [asked["x-api-key"] for asked in web.asked] == ["FAKE-one", "FAKE-one", "FAKE-two"]


def test_a_redirect_to_another_host_takes_no_key_along(here, guarded, web, writer):
    """httpx leaves the header out; nothing of ours puts it back."""
    writer.kv.put("api/key", {"value": "FAKE-one"})
    seen = []

    def answer(request):
        seen.append((request.url.host, request.headers.get("authorization")))
        elsewhere = httpx.Response(302, headers={"Location": "https://other.example/"})
        return elsewhere if request.url.host == "api.example" else httpx.Response(200)

    transport = httpx.MockTransport(answer)
    with httpx.Client(auth=our_http.bearer("api/key"), transport=transport, follow_redirects=True) as client:
        client.get("https://api.example/")
    assert seen == [("api.example", "Bearer FAKE-one"), ("other.example", None)]


@pytest.mark.hosts
def test_openai_sends_the_key_of_now(here, guarded, eventually):
    """Sync and async clients, each request."""
    pytest.importorskip("openai", reason="openai is not installed")
    models = {"object": "list", "data": []}
    web = guarded("FAKE-one", document=models)
    with our_openai.client("api/key", base_url=web.url, max_retries=0) as client:
        assert list(client.models.list()) == []
        guarded("FAKE-two", document=models)
        assert eventually(lambda: live("api/key").reveal() == "FAKE-two")
        assert list(client.models.list()) == []

    async def main():
        async with our_openai.async_client("api/key", base_url=web.url, max_retries=0) as tasks:
            return [model async for model in tasks.models.list()]

    assert asyncio.run(main()) == []
    assert [asked["authorization"] for asked in web.asked] == [
        "Bearer FAKE-one",
        "Bearer FAKE-two",
        "Bearer FAKE-two",
    ]


@pytest.mark.hosts
def test_anthropic_sends_the_key_of_now(here, guarded):
    """Sync and async clients; a 401 has it asked for anew."""
    pytest.importorskip("anthropic", reason="anthropic is not installed")
    models = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    web = guarded("FAKE-one", document=models)
    with our_anthropic.client(unaware(), base_url=web.url, max_retries=0) as client:
        assert list(client.models.list()) == []
        guarded("FAKE-two", document=models)
        assert list(client.models.list()) == []

    async def main():
        async with our_anthropic.async_client("api/key", base_url=web.url, max_retries=0) as tasks:
            return [model async for model in tasks.models.list()]

    assert asyncio.run(main()) == []
    keys = [asked.get("x-api-key") or asked["authorization"].removeprefix("Bearer ") for asked in web.asked]
    assert keys == ["FAKE-one", "FAKE-one", "FAKE-two", "FAKE-two"]
