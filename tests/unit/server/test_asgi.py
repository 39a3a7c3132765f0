"""The edge: who waits in which line, and what never runs on the event loop."""

import asyncio
import base64
import json
import socket
import threading

from ml_secrets.auth.userpass import login
from ml_secrets.server import asgi
from ml_secrets.server.config import Listener
from ml_secrets.testing.programs import ROOT_TOKEN


async def ask(edge, method, path, body=None, *, token=ROOT_TOKEN, headers=()):
    """Status and decoded body of one request to the application."""
    sent = b"" if body is None else json.dumps(body).encode()
    pairs = [(b"host", b"here"), (b"content-length", str(len(sent)).encode()), *headers]
    if token:
        pairs.append((b"x-vault-token", token.encode()))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "raw_path": b"/v1/" + path.encode(),
        "query_string": b"",
        "headers": pairs,
        "client": ("192.0.2.1", "5"),
    }
    events = []

    async def receive():
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(event):
        events.append(event)

    await edge.at(Listener())(scope, receive, send)
    return events[0]["status"], json.loads(events[1]["body"] or b"null")


class Gate:
    """Holds up every request that comes to a thread until it is opened."""

    def __init__(self, pipeline, monkeypatch):
        self.open = threading.Event()
        handle = pipeline.handle

        def wait(request):
            self.open.wait(10)
            return handle(request)

        monkeypatch.setattr(pipeline, "handle", wait)


def test_batches_hold_up_nobody_else(server, edge, monkeypatch):
    """A caller with too many batches is told to wait, and reads and writes of others go on."""
    pipeline = server.server.pipeline
    handle, gate = pipeline.handle, Gate(pipeline, monkeypatch)
    waiting = pipeline.handle
    monkeypatch.setattr(pipeline, "handle", lambda r: waiting(r) if "-1" in r.id[36:] else handle(r))

    async def run():
        paths = {"paths": ["secret/data/app"]}
        batches = [
            asyncio.ensure_future(ask(edge, "POST", "sys/batch", paths))
            for _ in range(asgi.BATCHES_OF_ONE + 1)
        ]
        done, _ = await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)
        write = await asyncio.wait_for(ask(edge, "POST", "secret/data/app", {"data": {"a": 1}}), 5)
        gate.open.set()
        rest = await asyncio.gather(*batches)
        return [task.result()[0] for task in done], write[0], sorted(status for status, _ in rest)

    refused, write, all_ = asyncio.run(run())
    assert (refused, write) == ([429], 200)
    assert all_ == [200] * asgi.BATCHES_OF_ONE + [429]


def test_tokens_that_nobody_has_make_no_new_callers(server, monkeypatch):
    """Strangers are told apart by their address: a made-up token for each request gives no longer line."""
    monkeypatch.setattr(asgi, "MOST_OF_ONE", 3)
    server.ask("POST", "sys/auth/approle", {"type": "approle"})
    gate, edge = Gate(server.server.pipeline, monkeypatch), asgi.Edge(server.server.pipeline)

    async def run():
        logins = [
            asyncio.ensure_future(
                ask(edge, "POST", "auth/approle/login", {"role_id": "x"}, token=f"made-up-{n}")
            )
            for n in range(5)
        ]
        refused = [(await first)[0] for _, first in zip(range(2), asyncio.as_completed(logins), strict=False)]
        gate.open.set()
        return refused, sorted([status for status, _ in await asyncio.gather(*logins)])

    assert asyncio.run(run()) == ([429, 429], [400, 400, 400, 429, 429])
    edge.close()


def test_long_bodies_are_not_for_the_event_loop(server, edge, monkeypatch):
    """A request with a long body is answered in a thread, even one that only looks."""
    pipeline, looked = server.server.pipeline, []
    glance = pipeline.glance
    monkeypatch.setattr(pipeline, "glance", lambda request: looked.append(request.path) or glance(request))

    async def run():
        short = await ask(edge, "POST", "sys/tools/hash", {"input": "AAAA"})
        long_ = await ask(edge, "POST", "sys/tools/hash", {"input": "AAAA" * asgi.LONG})
        return short[0], long_[0]

    assert asyncio.run(run()) == (200, 200)
    assert len(looked) == 1


def test_a_collector_that_does_not_answer_stops_no_loop(server, edge, monkeypatch):
    """With an audit device that another program serves, nothing is recorded on the event loop: not even a refusal."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        options = {"address": f"127.0.0.1:{collector.getsockname()[1]}", "socket_type": "tcp"}
        assert server.ask("POST", "sys/audit/net", {"type": "socket", "options": options}).status == 204
        device = server.house.devices.cast[0]
        write, threads = device.write, set()

        def record(*rows):
            threads.add(threading.current_thread())
            write(*rows)

        monkeypatch.setattr(device, "write", record)

        async def run():
            return [
                (await ask(edge, *request))[0]
                for request in (("GET", "sys/mounts"), ("GET", "secret/../x"), ("GET", "sys/health"))
            ]

        assert asyncio.run(run()) == [200, 400, 200]
        assert threads
        assert threading.main_thread() not in threads


def test_a_login_inside_a_request_holds_up_nobody(server, edge, monkeypatch):
    """A password is hashed in a thread, whichever request it comes in; then the request is served where such are."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/bob", {"password": "FAKE-password", "token_policies": "bob"})
    server.ask(
        "POST", "sys/policies/acl/bob", {"policy": 'path "secret/*" { capabilities = ["read", "create"] }'}
    )
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    hashing, verify = [], login.verify_password

    def noted(password, hashed):
        hashing.append(threading.current_thread())
        return verify(password, hashed)

    monkeypatch.setattr(login, "verify_password", noted)
    coded = base64.urlsafe_b64encode(b'{"key":"password","value":"FAKE-password"}')
    inside = [
        (b"x-vault-inline-auth-path", b"auth/userpass/login/bob"),
        (b"x-vault-inline-auth-parameter-p", coded),
    ]

    async def story():
        read = await ask(edge, "GET", "secret/data/app", token="", headers=inside)
        wrote = await ask(edge, "POST", "secret/data/new", {"data": {}}, token="", headers=inside)
        refused = await ask(edge, "GET", "secret/data/app", token="", headers=inside[:1])
        health = await ask(edge, "GET", "sys/health", token="", headers=inside[:1])
        return read[0], wrote[0], refused[0], health[0]

    assert asyncio.run(story()) == (200, 200, 400, 200)
    assert len(hashing) == 2
    assert threading.main_thread() not in hashing
