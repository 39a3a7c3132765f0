"""HTTP/1.1 on a socket: what is a request, and where the next one begins."""

import asyncio

import pytest
from tests.certificates import certificate
from tests.unit.server.http1 import answers, exchange, request, serving

from ml_secrets.dialects.vault.wire import HttpResponse
from ml_secrets.server.config import Listener
from ml_secrets.server.http1 import connection, connections, plain, reader

GET = request("GET", "/a?b=c", "X-Spaced:   d  ")
POST = request("POST", "/p", "Content-Length: 3") + b"abc"


def test_a_request_comes_through_as_it_was_sent():
    """Method, path and query in bytes, names of headers in lower case, spaces around values gone; the body whole."""
    (got,) = exchange(GET)
    assert got[0] == 200
    assert got[2]["path"] == "/a"
    assert got[2]["query"] == "b=c"
    assert got[2]["headers"] == {"host": "here", "x-spaced": "d"}
    (post,) = exchange(POST)
    assert (post[2]["method"], post[2]["body"]) == ("POST", "abc")


def test_an_answer_says_when_it_was_made():
    """Each has the date that RFC 9110 asks for."""
    assert b"\r\ndate: " in exchange(GET)[0][1]


@pytest.mark.parametrize(
    "whole", [GET, POST, request("LIST", "/a"), b"\r\n" + GET, b"\r\n" + request("LIST", "/a")]
)
def test_bytes_may_come_one_by_one(whole):
    """However a request is cut into parts, it is the same request."""
    (cut,) = exchange(*(bytes([byte]) for byte in whole), wait=0.0005)
    (at_once,) = exchange(whole)
    assert cut[2] == at_once[2]


def test_requests_that_come_together_are_answered_in_order():
    """Pipelined, with bodies and without, of all methods: one answer each, in their order."""
    methods = ["GET", "POST", "LIST", "GET", "SCAN", "DELETE", "POST"]
    sent = b"".join(
        request(method, f"/{number}", *(("Content-Length: 3",) if method == "POST" else ()))
        + (b"abc" if method == "POST" else b"")
        for number, method in enumerate(methods)
    )
    got = [(one[2]["method"], one[2]["path"]) for one in exchange(sent)]
    assert got == [(method, f"/{number}") for number, method in enumerate(methods)]


@pytest.mark.parametrize("method", ["LIST", "SCAN", "SEARCH", "PATCH", "OPTIONS"])
def test_a_method_arrives_under_its_own_name(method):
    """LIST and SCAN, which no registry of methods has, are themselves; and what they are shown as to the parser is not them."""
    assert [one[2]["method"] for one in exchange(request(method, "/a"))] == [method]


def test_a_list_with_a_body_is_read_whole():
    """Its length is honoured, and the next request begins behind it."""
    got = exchange(request("LIST", "/a", "Content-Length: 2") + b"{}" + GET)
    assert [(one[2]["method"], one[2]["body"]) for one in got] == [("LIST", "{}"), ("GET", "")]


CHUNKED = request("POST", "/p", "Transfer-Encoding: chunked")


def test_a_body_may_come_in_chunks():
    """Chunks are put together; what follows the last one is no header of the request."""
    (got,) = exchange(
        CHUNKED + b"2\r\nab\r\n", b"1;note=x\r\nc\r\n0\r\nX-Vault-Token: trailing\r\n\r\n", wait=0.02
    )
    assert got[2]["body"] == "abc"
    assert "x-vault-token" not in got[2]["headers"]


def test_a_request_right_behind_the_last_chunk_is_not_guessed_at():
    """It came with the body's end, and the parser has begun to read it: the first request is answered, and the connection ends."""
    (got,) = exchange(CHUNKED + b"1\r\nc\r\n0\r\n\r\n" + request("GET", "/smuggled"))
    assert got[2]["body"] == "c"
    assert b"connection: close" in got[1]


def test_a_request_after_the_last_chunk_is_served():
    """The connection goes on when it comes by itself."""
    got = exchange(CHUNKED + b"1\r\nc\r\n0\r\n\r\n", request("LIST", "/next"), wait=0.05)
    assert [one[2]["path"] for one in got] == ["/p", "/next"]


@pytest.mark.parametrize(
    "bad",
    [
        request("POST", "/p", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request("POST", "/p", "Content-Length: 3", "Content-Length: 3") + b"abc",
        request("FETCH", "/p"),
        GET.replace(b"\r\n", b"\n"),
        b"\x16\x03\x01\x02\x00",
        request("GET", "/p", "X-Folded: a\r\n b"),
        request("GET", "/p\x01"),
    ],
)
def test_what_is_no_http_ends_the_connection(bad):
    """400 and the end, at once; what comes behind it is not looked at."""
    (got,) = exchange(bad + GET)
    assert got[0] == 400
    assert b"connection: close" in got[1]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (request("GET", "/" + "a" * reader.HEAD_LIMIT), 414),
        (request("GET", "/p", "X-Long: " + "a" * reader.HEAD_LIMIT), 431),
        (b"GET /" + b"a" * (reader.HEAD_LIMIT + 9), 414),
        (request("GET", "/p")[:-2] + b"X-Long: " + b"a" * reader.HEAD_LIMIT, 431),
        (request("GET", "/p", *[f"X-{n}: 1" for n in range(reader.MOST_HEADERS)]), 431),
    ],
)
def test_a_head_has_its_limits(bad, status):
    """Whole or not, a head that is too long is refused, and its sender gets to read that."""
    assert [one[0] for one in exchange(bad)] == [status]


def test_more_framing_than_body_is_no_body():
    """Chunks of one byte, or a chunk's extension without end, cost more than they bring: the request counts as not whole."""
    (got,) = exchange(CHUNKED + b"1\r\na\r\n" * reader.HEAD_LIMIT)
    assert got[2]["end"] == "http.disconnect"
    assert b"connection: close" in got[1]


@pytest.mark.parametrize("broken", [b"XX\r\n", b"-1\r\n", b"3\r\nabcd\r\n"])
def test_a_broken_chunk_makes_half_a_request(broken):
    """The application hears that the client is gone, and no more of the connection is believed."""
    (got,) = exchange(CHUNKED + b"1\r\na\r\n" + broken + GET)
    assert got[2]["end"] == "http.disconnect"
    assert b"connection: close" in got[1]


def test_a_client_may_ask_for_leave_to_send():
    """100 Continue comes when the body is wanted, once; not for a request that is answered without it."""
    asks = ("Content-Length: 3", "Expect: 100-continue")
    got = exchange(request("POST", "/p", *asks), b"abc", wait=0.05)
    assert [one[0] for one in got] == [100, 200]
    assert got[1][2]["body"] == "abc"
    assert [one[0] for one in exchange(request("POST", "/early", *asks))] == [200]


def test_an_answer_ahead_of_its_body_ends_the_connection():
    """What still comes of the body is thrown away, so that the answer can be read."""
    (got,) = exchange(request("POST", "/early", "Content-Length: 900000"), b"x" * 400_000, b"x" * 400_000)
    assert got[2] == {"early": True}
    assert b"connection: close" in got[1]


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: keep-alive", True),
    ],
)
def test_a_connection_stays_as_its_version_says(version, header, stays):
    """RFC 9112, 9.3. What comes behind the last request of a connection is not answered."""
    got = exchange(request("GET", "/a", header, version=version) + GET)
    assert len(got) == (2 if stays else 1)
    assert (b"connection: close" in got[0][1]) is not stays


@pytest.mark.parametrize("length", ["", "Content-Length: 3"])
def test_another_protocol_is_not_spoken(length):
    """A request that offers one (Java's client offers HTTP/2) is served as it is, and the next one too."""
    offer = request("POST", "/p", "Connection: Upgrade", "Upgrade: h2c", *filter(None, [length]))
    got = exchange(offer + (b"abc" if length else b"") + GET)
    assert [one[2]["path"] for one in got] == ["/p", "/a"]


def test_another_protocol_and_chunks_are_too_much():
    """Where the body of such a request would end, the parser does not say: it is refused, not served without its body."""
    offer = request("POST", "/p", "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked")
    assert [one[0] for one in exchange(offer + b"1\r\na\r\n0\r\n\r\n" + GET)] == [400]


def test_a_client_that_takes_us_for_a_proxy_is_served():
    """The absolute form of a target means the same (RFC 9112, 3.2.2)."""
    assert exchange(request("GET", "http://elsewhere:1/a/b?c"))[0][2]["path"] == "/a/b"
    assert exchange(request("GET", "http://elsewhere"))[0][2]["path"] == "/"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [("http://h?x=/v1/sys", "/", "x=/v1/sys"), ("http://h/a?x=//b", "/a", "x=//b"), ("x://h#/a", "/#/a", "")],
)
def test_a_host_ends_where_its_path_or_query_begins(target, path, query):
    """Whatever looks like a path further on is none (RFC 3986, 3.2)."""
    answer = exchange(request("GET", target))[0]
    if answer[0] == 200:
        assert (answer[2]["path"], answer[2]["query"]) == (path, query)
    else:
        assert answer[0] == 400


@pytest.mark.parametrize(
    "line", [b"GET /b HTTP/2.0", b"GET /b HTTP/0.9", b"SETUP /b RTSP/1.0", b"SOURCE /b ICE/1.0"]
)
def test_other_protocols_are_refused(line):
    """What llhttp would read too, and nobody here speaks."""
    assert exchange(line + b"\r\nHost: here\r\n\r\n")[0][0] in (400, 505)


def test_what_was_asked_before_a_half_close_is_told_of_it():
    """A request that waited behind another knows that its client sends nothing more."""
    (first, second) = exchange(GET + request("POST", "/p", "Content-Length: 9") + b"abc", half=True)
    assert first[0] == 200
    assert second[2]["end"] == "http.disconnect"


def test_a_client_that_only_reads_on_gets_its_answers():
    """A half-closed connection is no reason to drop what was asked for on it; then it ends."""
    assert [one[0] for one in exchange(GET + POST, half=True)] == [200, 200]


def test_half_a_request_is_told_apart():
    """The application hears of a client that left in the middle of its body."""
    (got,) = exchange(POST[:-1], half=True)
    assert got[2]["end"] == "http.disconnect"


def test_who_waits_hears_that_the_client_has_gone():
    """`receive` returns after the request when the client closes, and not before."""

    async def work(server):
        incoming, writer = await server.dial()
        writer.write(request("POST", "/wait", "Content-Length: 3") + b"abc")
        silent = asyncio.ensure_future(incoming.read(9))
        await asyncio.sleep(0.1)
        assert not silent.done()
        writer.write_eof()
        return await silent

    assert serving(work) == b"HTTP/1.1 "


def test_a_stream_has_pieces_or_ends_with_its_connection():
    """HTTP/1.1 has chunks; HTTP/1.0 has none, and its end is the connection's."""
    newer = serving(lambda server: server.talk(request("GET", "/stream") + GET))
    assert b"\r\ntransfer-encoding: chunked\r\n" in newer
    assert b"\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200" in newer
    older = serving(lambda server: server.talk(request("GET", "/stream", version="1.0") + GET))
    assert b"chunked" not in older
    assert older.endswith(b"\r\n\r\none two")


def test_an_error_that_the_application_lets_through_is_no_answer():
    """The connection ends, and the others go on."""

    async def work(server):
        server.connections.loop.set_exception_handler(lambda *_: None)
        return await server.talk(request("POST", "/error")), await server.talk(GET)

    failed, fine = serving(work)
    assert failed == b""
    assert answers(fine)[0][0] == 200


def test_who_does_not_read_is_not_read_from():
    """A client that asks on and on and takes no answer is made to wait: neither its requests nor its answers pile up."""

    async def work(server):
        _, writer = await server.dial()
        sent = 0
        while sent < 64 * 1024 * 1024:
            writer.write(request("POST", "/big") * 1000)
            sent += 1000
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                break
        (one,) = server.connections._all
        held = one._reader.held + one._transport.get_write_buffer_size()
        writer.transport.abort()
        return held

    assert serving(work) < 3_000_000


def test_plain_reads_of_a_turn_are_looked_at_together():
    """Reads without a body are offered for a short answer, those of several clients at once; an answer goes out as it is."""

    async def work(server):
        server.answers[b"/known"] = HttpResponse(200, [(b"etag", b'"1"')], b"{}")
        lines = [await server.dial() for _ in range(3)]
        for _, writer in lines:
            writer.write(request("GET", "/known") + POST)
        await asyncio.sleep(0.1)
        return [answers(await incoming.read(65536)) for incoming, _ in lines], server.recalled

    got, recalled = serving(work)
    assert [[(one[0], one[2]) for one in line][:1] for line in got] == [[(200, {})]] * 3
    assert [line[1][2]["path"] for line in got] == ["/p"] * 3
    assert sum(map(len, recalled)) == 3
    assert len(recalled) < 3


def test_the_loop_stays_awake_for_a_moment_only():
    """After a plain read it looks for the next one so many times, after any number of them, and then sleeps."""

    async def work(server):
        server.answers[b"/known"] = HttpResponse(200, [], b"{}")
        reads, looks = server.connections.plain, []
        look = reads._look
        reads._look = lambda: looks.append(reads._looks) or look()
        incoming, writer = await server.dial()
        writer.write(request("GET", "/known") * 5)
        await asyncio.sleep(0.2)
        assert len(answers(await incoming.read(65536))) == 5
        return looks

    looks = serving(work)
    assert looks[-1] == 1
    assert plain.AWAKE <= len(looks) < 2 * plain.AWAKE


def test_a_failure_of_the_short_way_is_a_long_way():
    """Whatever is wrong there, the application answers."""

    async def work(server):
        server.connections.plain._answers = lambda _: 1 / 0
        return await server.talk(GET)

    assert [one[0] for one in answers(serving(work))] == [200]


# ── time and number ─────────────────────────────────────────────────────────────────────────────────────────────────


def ends_after(sent, seconds, idle=connections.IDLE, *, full=False, listener=None):
    """Whether a connection on which this was sent is gone after so many seconds by the server's clock; `full`: with an answer that is not taken."""

    async def work(server):
        _, writer = await server.dial()
        writer.write(sent)
        await asyncio.sleep(0.1)
        for _ in range(1000):
            if not full or all(one._full for one in server.connections._all):
                break
            await asyncio.sleep(0.01)
        now = server.connections.loop.time()
        for one in list(server.connections._all):
            one.tend(now, idle)
            one.tend(now + seconds, idle)
        await asyncio.sleep(0.05)
        left = len(server.connections._all)
        writer.transport.abort()
        return not left

    return serving(work, listener)


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        (b"", connection.HEAD_DEADLINE),
        (GET[:20], connection.HEAD_DEADLINE),
        (POST + GET[:20], connection.HEAD_DEADLINE),
        (POST, connections.IDLE),
        (request("POST", "/early", "Content-Length: 9"), connection.FAREWELL),
    ],
)
def test_a_silent_client_is_let_go(sent, limit):
    """Half a head has little time, from its first byte on; between two requests there is more."""
    assert not ends_after(sent, limit - 0.5)
    assert ends_after(sent, limit + 0.5)


def test_a_request_under_way_has_the_time_that_the_application_gives():
    """Whoever waits for an answer is not idle."""
    assert not ends_after(request("POST", "/wait", "Content-Length: 0"), 10 * connections.IDLE)


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_takes_nothing_is_let_go(tls, tmp_path):
    """An answer must be taken within the time that there is for it; over TLS too, which takes in advance what it is given at once."""
    listener = (
        Listener(**dict(zip(("tls_cert_file", "tls_key_file"), certificate(tmp_path), strict=True)))
        if tls
        else None
    )
    sent = request("POST", "/huge")
    assert not ends_after(sent, connection.PATIENCE - 1, full=True, listener=listener)
    assert ends_after(sent, connection.PATIENCE + 1, full=True, listener=listener)


def test_a_client_that_takes_little_by_little_may_go_on():
    """Each byte that it took is a sign of life; what it asks meanwhile is none."""

    async def work(server):
        incoming, writer = await server.dial()
        writer.write(request("POST", "/big") * 30)
        while not (server.connections._all and all(one._full for one in server.connections._all)):
            await incoming.read(1)
        (one,), now = server.connections._all, server.connections.loop.time()
        held = [3_000_000, 2_900_000, 2_900_000]
        one._transport = Slow(one._transport, held)
        one.tend(now, 300)
        one.tend(now + connection.PATIENCE + 1, 300)
        stays = not one._transport.aborted
        one.data_received(b"G")
        one.tend(now + 2 * connection.PATIENCE + 2, 300)
        return stays, one._transport.aborted

    assert serving(work) == (True, True)


class Slow:
    """A transport whose client takes so much between two looks."""

    def __init__(self, transport, held):
        self._transport, self._held, self.aborted = transport, iter(held), False

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def get_write_buffer_size(self):
        return next(self._held)

    def abort(self):
        self.aborted = True
        self._transport.abort()


def test_a_crowd_has_less_time_to_do_nothing(monkeypatch):
    """With many connections, idle ones are let go soon, so that there is room for those who ask."""
    monkeypatch.setattr(connections, "CROWDED", 1)
    given = []

    async def work(server):
        monkeypatch.setattr(connection.Connection, "tend", lambda _, now, idle: given.append(idle))
        for count in (1, 2):
            lines = [await server.dial() for _ in range(count)]
            await asyncio.sleep(0.05)
            server.connections._timer.cancel()
            server.connections._look()
            given.append("then")
            for _, writer in lines:
                writer.transport.abort()
            await asyncio.sleep(0.05)

    serving(work)
    first = given[: given.index("then")]
    rest = given[given.index("then") :]
    assert set(first) == {connections.IDLE}
    assert connections.IDLE_IN_A_CROWD in rest


def test_there_are_only_so_many_connections(monkeypatch):
    """One more is told so and closed; when another has ended, there is room again."""
    monkeypatch.setattr(connections, "CONNECTIONS", 1)

    async def work(server):
        _, first = await server.dial()
        await asyncio.sleep(0.05)
        full = await server.talk(GET)
        first.transport.abort()
        await asyncio.sleep(0.05)
        return full, await server.talk(GET)

    full, free = serving(work)
    assert [one[0] for one in answers(full)] == [503]
    assert [one[0] for one in answers(free)] == [200]


def test_a_stop_lets_requests_end_and_nothing_begin():
    """Idle connections close at once; the request under way is answered, says that it was the last, and then its connection closes."""

    async def work(server):
        idle, _ = await server.dial()
        busy, writer = await server.dial()
        writer.write(request("POST", "/p", "Content-Length: 3"))
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(server.connections.stop(5))
        assert await idle.read(9) == b""
        writer.write(b"abc" + GET)
        got = await busy.read()
        await stopping
        return got

    (got,) = answers(serving(work))
    assert got[2]["body"] == "abc"
    assert b"connection: close" in got[1]
