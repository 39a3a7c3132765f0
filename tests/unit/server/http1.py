"""A small application behind our HTTP/1.1, and a client that speaks bytes."""

import asyncio
import contextlib
import json
import re
import ssl

import uvloop

from ml_secrets.server.http1.connection import Connection
from ml_secrets.server.http1.connections import Connections
from ml_secrets.server.tls import context_of


async def echo(scope, receive, send):
    """What was asked for, as JSON; `/stream` in pieces, `/wait` when the client has gone or the request is over."""
    body, event = scope["state"]["body"], {"type": "http.request", "more_body": False}
    if scope["raw_path"] == b"/early":
        await say(send, {"early": True})
        return
    if scope["raw_path"] == b"/error":
        raise RuntimeError("of the application")
    if body is None:
        body, event = await whole(receive)
    if scope["raw_path"] == b"/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    if scope["raw_path"] == b"/wait":
        event = await receive()
    await say(
        send,
        {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
            "body": body.decode("latin-1"),
            "end": event["type"],
            "more": "x" * {b"/big": 1_000_000, b"/huge": 30_000_000}.get(scope["raw_path"], 0),
        },
    )


async def whole(receive):
    """A body that comes in parts, and the event that was its end."""
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            break
    return body, event


async def say(send, what):
    body = json.dumps(what).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server:
    """One that listens on a port of this machine. `recalled` are the reads that were offered for a short answer."""

    def __init__(self):
        self.recalled = []
        self.answers = {}
        self.writers = []
        self.trusts = None
        self.connections = Connections(self.recall)

    def recall(self, requests):
        self.recalled.append([http.raw_path for http in requests])
        return [(self.answers.get(http.raw_path), b"") for http in requests]

    async def dial(self):
        """A new connection to it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusts)
        self.writers.append(writer)
        return reader, writer

    async def talk(self, *parts, half=False, wait=0.0):
        """Everything that comes back for these bytes, sent part by part, until the server closes (or is silent for a while)."""
        reader, writer = await self.dial()
        for part in parts:
            writer.write(part)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(wait)
        if half:
            writer.write_eof()
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := await asyncio.wait_for(reader.read(65536), 0.5):
                received += part
        writer.transport.abort()
        return received


def serving(work, listener=None):
    """Run `work(server)` beside a server, which speaks TLS as a listener says."""

    async def run():
        server = Server()
        if listener is not None:
            server.trusts = ssl.create_default_context(cafile=listener.tls_cert_file)
        listening = await asyncio.get_running_loop().create_server(
            lambda: Connection(echo, server.connections),
            "127.0.0.1",
            0,
            ssl=listener and context_of(listener),
        )
        server.port = listening.sockets[0].getsockname()[1]
        try:
            return await work(server)
        finally:
            for writer in server.writers:
                writer.transport.abort()
            listening.close()
            await server.connections.stop(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def exchange(*parts, **how):
    """What a server answers to these bytes: status and body of each."""
    return answers(serving(lambda server: server.talk(*parts, **how)))


def answers(received):
    """Status, headers and decoded body of each answer whose length is told."""
    found = []
    while received.startswith(b"HTTP/1.1 "):
        top, _, received = received.partition(b"\r\n\r\n")
        status, headers = int(top[9:12]), top.lower()
        if status == 100:
            found.append((100, headers, None))
            continue
        length = re.search(rb"content-length: (\d+)", headers)
        assert length, top
        body, received = received[: int(length[1])], received[int(length[1]) :]
        found.append((status, headers, json.loads(body)))
    assert received == b""
    return found


def request(method, target, *headers, version="1.1"):
    """The head of a request."""
    lines = (f"{method} {target} HTTP/{version}", "Host: here", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
