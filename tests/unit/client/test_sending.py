"""How requests are sent again, and how broken servers look to the caller."""

import time
from types import SimpleNamespace

import httpcore
import pytest

from ml_secrets import errors
from ml_secrets.client import deadline, sending
from ml_secrets.client.messages import Lost, Misdirected, NotSent, Pause


def test_a_read_is_sent_again_after_a_broken_connection(serve, client_of, wire):
    """A server that hangs up twice is asked a third time."""
    server = serve(lambda asked, number: None if number < 3 else wire.kv2("x"))
    assert client_of(server).get_secret("a").reveal() == "x"
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_read_is_sent_again_when_the_server_is_not_available(serve, client_of, wire, status):
    """502, 503 and 504 pass."""
    server = serve(
        lambda asked, number: (
            wire.http(status, b"<html>", media_type="text/html") if number < 3 else wire.kv2("x")
        )
    )
    assert client_of(server).get_secret("a").reveal() == "x"


def test_a_write_that_may_have_been_carried_out_is_sent_once(serve, client_of):
    """A connection that breaks after a write was sent is an error that says so, not a second write."""
    server = serve(lambda asked, number: None)
    with pytest.raises(Lost, match="may or may not have carried it out"):
        client_of(server).kv.put("a", {"value": "x"})
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [502, 503])
def test_a_write_is_not_repeated_after_a_gateway_error(serve, client_of, wire, status):
    """Behind a gateway nobody knows whether the write arrived."""
    server = serve(lambda asked, number: wire.http(status, {"errors": []}))
    with pytest.raises(errors.Unreachable):
        client_of(server).write("secret/data/a", {"data": {}})
    assert len(server.asked) == 1


def test_a_write_with_check_and_set_is_sent_again(serve, client_of, wire):
    """`cas` makes repeating safe: the server takes it once."""
    server = serve(
        lambda asked, number: None if number == 1 else wire.http(200, wire.envelope({"version": 5}))
    )
    assert client_of(server).kv.put("a", {"value": "x"}, cas=4).data["version"] == 5
    assert [asked.json["options"] for asked in server.asked] == [{"cas": 4}] * 2


@pytest.mark.parametrize(("there", "mine"), [({"b": 1, "a": "x"}, True), ({"a": "y", "b": 1}, False)])
def test_a_repeated_check_and_set_that_lost_to_its_own_first_try_has_won(serve, client_of, wire, there, mine):
    """When the first try was carried out and only its answer was lost, the version it made holds what we sent."""

    def answer(asked, number):
        if number == 1:
            return None
        if asked.method == "POST":
            return wire.http(400, {"errors": ["check-and-set parameter did not match the current version"]})
        assert asked.query == {"version": "5"}
        return wire.kv2(there, version=5)

    client = client_of(serve(answer))
    if mine:
        assert client.kv.put("a", {"a": "x", "b": 1}, cas=4).data["version"] == 5
    else:
        with pytest.raises(errors.Conflict):
            client.kv.put("a", {"a": "x", "b": 1}, cas=4)


@pytest.fixture
def waits(monkeypatch):
    """The waits that are asked for, in seconds. Nobody waits."""
    asked = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


def test_too_many_requests_waits_as_long_as_the_server_says(serve, client_of, wire, waits):
    """Retry-After is honoured, with a little on top, and for writes too: they were refused before anything was done."""
    server = serve(
        lambda asked, number: (
            wire.http(429, {"errors": ["slow"]}, ["Retry-After: 1"]) if number == 1 else wire.http(204)
        )
    )
    client = client_of(server)
    client.session.draw = lambda: 0.5
    assert client.write("x/y", {}).status == 204
    assert waits == [1.05]
    assert len(server.asked) == 2


@pytest.mark.parametrize(("timeout", "waited"), [(100, []), (101, [100.05])])
def test_a_wait_beyond_the_deadline_is_not_waited(serve, client_of, wire, clock, waits, timeout, waited):
    """A Retry-After longer than the call's time is an error at once; it carries the seconds."""
    server = serve(
        lambda asked, number: (
            wire.http(429, {"errors": ["slow"]}, ["Retry-After: 100"])
            if number == 1
            else wire.http(403, {"errors": []})
        )
    )
    client = clock.drive(client_of(server, timeout=timeout))
    client.session.draw = lambda: 0.5
    with pytest.raises(errors.Denied if waited else errors.Limited) as caught:
        client.read("x/y")
    if not waited:
        assert caught.value.retry_after == 100
    assert waits == waited
    assert len(server.asked) == 1 + len(waited)


def test_a_sealed_server_is_asked_twice_and_no_more(serve, client_of, wire):
    """Unsealing takes people: the caller hears of it soon."""
    server = serve(lambda asked, number: wire.http(503, {"errors": ["Vault is sealed"]}))
    with pytest.raises(errors.Sealed, match="unseal"):
        client_of(server).read("x/y")
    assert len(server.asked) == 2


def test_health_answers_by_its_status(serve, client_of, wire):
    """sys/health says 429 for a standby and 503 for a sealed server; both are answers, not errors."""
    server = serve(lambda asked, number: wire.http(503, {"sealed": True, "initialized": True}))
    answer = client_of(server).read("sys/health")
    assert (answer.status, answer.data["sealed"], len(server.asked)) == (503, True, 1)


def test_nobody_listening_says_what_to_start():
    """A refused connection names the address and the two ways out of it."""
    import socket

    from ml_secrets import Client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with (
            Client(url, "t", timeout=1) as client,
            pytest.raises(NotSent, match=r"ml-secrets server.*ML_SECRETS_ADDR") as caught,
        ):
            client.get_secret("a")
    assert url in str(caught.value)


def test_a_patient_client_waits_for_a_server_that_starts_again(client_of, wire, clock, serve):
    """Ten seconds without a server, then one: the call that began before gets its answer. Without patience it fails soon."""
    server = serve(
        lambda asked, number: wire.http(503, {"errors": []}) if clock.now < 1010 else wire.kv2("x")
    )

    def pausing(client):
        clock.drive(client)
        client.session.draw = lambda: 0.5
        client._driver._carry_out = lambda step, carry=client._driver._carry_out: (
            setattr(clock, "now", clock.now + step.seconds) if isinstance(step, Pause) else carry(step)
        )
        return client

    with pytest.raises(errors.Unreachable):
        pausing(client_of(server)).get_secret("a")
    assert (len(server.asked), clock.now < 1001) == (5, True)
    assert pausing(client_of(server, patience=15)).get_secret("a").reveal() == "x"
    assert 1010 <= clock.now < 1015
    clock.now = 900
    with pytest.raises(errors.Unreachable):
        pausing(client_of(server, patience=15)).get_secret("a")
    assert 910 < clock.now <= 915
    clock.now = 900
    with pytest.raises(errors.Unreachable):
        pausing(client_of(server, patience=60, timeout=20)).get_secret("a")
    assert 910 < clock.now <= 920


def test_patience_waits_for_no_write_that_may_have_been_carried_out(serve, client_of):
    """However patient the client, such a write is sent once."""
    server = serve(lambda asked, number: None)
    with pytest.raises(Lost):
        client_of(server, patience=20).kv.put("a", {"value": "x"})
    assert len(server.asked) == 1


def test_a_redirect_is_not_followed(serve, client_of, wire):
    """Neither to another host nor to the same: a token goes where it was sent."""
    thief = serve(lambda asked, number: wire.kv2("x"))
    server = serve(
        lambda asked, number: wire.http(307, b"", [f"Location: {thief.url}/v1/secret/data/a?token=abc"])
    )
    with pytest.raises(Misdirected, match=thief.url) as caught:
        client_of(server).get_secret("a")
    assert "abc" not in str(caught.value)
    assert not thief.asked
    assert len(server.asked) == 1


BROKEN = {
    "no HTTP at all": b"SSH-2.0-OpenSSH\r\n",
    "a body shorter than promised": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}",
    "JSON that is none": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a": sup',
    "a list": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
    "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a web page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "bytes that are no text": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_that_makes_no_sense_is_unreachable(serve, client_of, kind):
    """Whatever answers there is no server of ours, and the error says so in our words."""

    def answer(asked, number):
        yield BROKEN[kind]
        raise OSError

    client = client_of(serve(answer), timeout=1)
    with pytest.raises(errors.Unreachable):
        client.get_secret("a")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "a body": (HEAD + b"Content-Length: 1000000000\r\n\r\n", b" " * 1024),
    "headers": (HEAD, b"X: y\r\n"),
    "one header": (HEAD + b"X: ", b"y"),
    "a status line": (b"HTTP/1.1 2", b"0"),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_that_never_ends_is_cut_off(serve, client_of, clock, monkeypatch, kind):
    """A server that sends byte after byte does not hold the caller beyond the timeout, wherever in the answer it is."""

    def answer(asked, number):
        first, more = ENDLESS[kind]
        yield first
        while True:
            yield more

    def later():
        clock.now += 15
        return clock.now - 15

    server = serve(answer)
    client = clock.drive(client_of(server, timeout=60))
    client.session.draw = lambda: 0.0
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=later))
    with pytest.raises(Lost, match="did not answer in time"):
        client.read("x/y")
    assert len(server.asked) == 1


def test_a_signal_handlers_own_request_leaves_the_time_of_the_one_it_came_into(monkeypatch):
    """Each has its own end; when the inner one is over, the outer one's counts again."""
    now = [0.0]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with deadline.within(10):
        with deadline.within(100):
            now[0] = 50.0
            assert deadline._left(None) == 50
            assert deadline._left(5) == 5
        with pytest.raises(httpcore.ReadTimeout):
            deadline._left(None)


def test_an_answer_without_end_in_size_is_cut_off(serve, client_of, monkeypatch):
    """More than the largest answer is not taken into memory."""
    monkeypatch.setattr(sending, "LARGEST_ANSWER", 1 << 20)

    def answer(asked, number):
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
        for _ in range(100):
            yield b" " * 65536

    with pytest.raises(Lost, match="larger"):
        client_of(serve(answer), timeout=5).get_secret("a")


def test_a_backup_may_be_as_large_as_the_store(serve, client_of, wire, monkeypatch):
    """The end that other answers have is not one for it."""
    monkeypatch.setattr(sending, "LARGEST_ANSWER", 1 << 20)
    content = bytes(range(256)) * (1 << 13)
    server = serve(lambda asked, number: wire.http(200, content, media_type="application/octet-stream"))
    assert client_of(server).read("sys/storage/raft/snapshot").content == content


@pytest.mark.parametrize("path", ["", "/", "a//b", "a/../b", ".", "a/."])
def test_a_path_that_a_server_would_have_to_guess_about_is_refused_here(serve, client_of, wire, path):
    """Nothing is sent for it."""
    server = serve(lambda asked, number: wire.http(204))
    with pytest.raises(errors.Invalid, match="no path"):
        client_of(server).read(path)
    assert not server.asked


@pytest.mark.parametrize("name", ["a b", "ä/ö", "100%", "a?b", "a#b", "a+b", "x%2fy", "a;b", "a:b@c"])
def test_every_name_arrives_as_it_was_written(serve, client_of, wire, name):
    """Percent, question mark, plus and the like are part of the name, never of the URL's grammar."""
    server = serve(lambda asked, number: wire.kv2("x"))
    client_of(server).get_secret(name)
    assert server.asked[0].path == f"/v1/secret/data/{name}"
    assert server.asked[0].query == {}


REFUSALS = [
    (403, ["permission denied"], errors.Unauthenticated, "log in again"),
    (
        403,
        ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"],
        errors.Unauthenticated,
        "log in again",
    ),
    (
        403,
        ["1 error occurred:\n\t* permission denied\n\n"],
        errors.Denied,
        'path "secret/thing" { capabilities = ["read"] }',
    ),
    (401, [], errors.Unauthenticated, "log in again"),
    (404, [], errors.NotFound, "nothing at secret/thing"),
    (405, [], errors.Unsupported, "does not take this verb"),
    (400, ["bad field"], errors.Invalid, "bad field"),
    (400, ["check-and-set parameter did not match the current version"], errors.Conflict, "read it again"),
    (412, ["not yet"], errors.Conflict, "not yet"),
    (413, [], errors.TooLarge, "larger"),
    (500, ["boom"], errors.Fault, "boom"),
    (500, [], errors.Fault, "its log says why"),
]


@pytest.mark.parametrize(("status", "texts", "kind", "said"), REFUSALS)
def test_a_refusal_is_an_error_of_its_class_that_says_what_to_do(
    serve, client_of, wire, status, texts, kind, said
):
    """Status and text of the wire become a class, and every class comes with advice."""
    server = serve(lambda asked, number: wire.http(status, {"errors": texts}))
    with pytest.raises(kind) as caught:
        client_of(server).read("secret/thing")
    assert said in str(caught.value)
    assert type(caught.value) is kind


@pytest.mark.parametrize("errors_of_it", [5, "abc", {"a": 1}, [1, None], None])
def test_a_refusal_in_another_shape_is_still_one(serve, client_of, wire, errors_of_it):
    """Gateways have forms of their own; the status says enough."""
    server = serve(
        lambda asked, number: wire.http(404, {"errors": errors_of_it, "warnings": errors_of_it, "data": 1})
    )
    with pytest.raises(errors.NotFound, match="nothing at x/y"):
        client_of(server).read("x/y")


def test_the_servers_own_hint_comes_first(serve, client_of, wire):
    """A hint in the body replaces ours."""
    server = serve(lambda asked, number: wire.http(403, {"errors": ["permission denied"], "hint": "ask Ada"}))
    with pytest.raises(errors.Unauthenticated, match="ask Ada"):
        client_of(server).read("x/y")


def test_no_token_is_said_to_be_none(serve, client_of, wire):
    """Without a token a 403 says how to get one."""
    server = serve(lambda asked, number: wire.http(403, {"errors": ["permission denied"]}))
    with pytest.raises(errors.Unauthenticated, match="ml-secrets login"):
        client_of(server, token=None).read("x/y")
    assert "x-vault-token" not in server.asked[0].headers


def test_what_is_sent(serve, client_of, wire):
    """Verbs, bodies and headers are those of the contract."""
    server = serve(lambda asked, number: wire.http(200, wire.envelope({"keys": []})))
    client = client_of(server, namespace="team/a")
    client.list("x/y/", params={"after": "k", "limit": 3})
    client.scan("x")
    client.patch("x", {"a": None})
    client.write("x", {"a": 1}, wrap_ttl="2m")
    client.delete("x", params={"version": 1})
    first, scan, patch, write, delete = server.asked
    assert (first.method, first.path, first.query) == (
        "GET",
        "/v1/x/y",
        {"after": "k", "limit": "3", "list": "true"},
    )
    assert (scan.method, scan.query) == ("GET", {"scan": "true"})
    assert (patch.method, patch.json, patch.headers["content-type"]) == (
        "PATCH",
        {"a": None},
        "application/merge-patch+json",
    )
    assert (write.method, write.json, write.headers["x-vault-wrap-ttl"]) == ("POST", {"a": 1}, "2m")
    assert (delete.method, delete.query, delete.body) == ("DELETE", {"version": "1"}, b"")
    assert {asked.headers["x-vault-namespace"] for asked in server.asked} == {"team/a"}
    assert {asked.headers["x-vault-token"] for asked in server.asked} == {"t"}
    assert {asked.headers["x-vault-request"] for asked in server.asked} == {"true"}


def test_answers_that_are_not_json_come_as_they_are(serve, client_of, wire):
    """Metrics and certificates are in `content`."""
    server = serve(lambda asked, number: wire.http(200, b"up 1\n", media_type="text/plain; version=0.0.4"))
    answer = client_of(server).read("sys/metrics", params={"format": "prometheus"})
    assert (answer.content, answer.media_type, answer.data) == (b"up 1\n", "text/plain", {})


def test_numbers_keep_their_digits(serve, client_of, wire):
    """An integer beyond 64 bits survives both ways."""
    big = 123456789012345678901234567890
    server = serve(lambda asked, number: wire.kv2({"n": big}) if asked.method == "GET" else wire.http(204))
    client = client_of(server)
    client.kv.put("a", {"n": big})
    assert str(big).encode() in server.asked[0].body
    assert client.get_secret("a").reveal_fields() == {"n": big}
    assert client.get_secret("a").reveal() == str(big)


def test_a_value_that_json_does_not_know_is_named_by_its_type(serve, client_of, wire):
    """The error says `set`, not what was in it."""
    client = client_of(serve(lambda asked, number: wire.http(204)))
    with pytest.raises(errors.Invalid, match="complex") as caught:
        client.kv.put("a", {"value": complex(17, 4711)})
    assert "4711" not in str(caught.value)


def test_a_proxy_is_asked_for_what_is_elsewhere_and_never_for_this_machine(
    serve, client_of, wire, monkeypatch
):
    """HTTP_PROXY holds for other hosts unless NO_PROXY names them; a token for localhost does not leave the machine."""
    proxy = serve(lambda asked, number: wire.http(200, wire.envelope({"by": "proxy"})))
    local = serve(lambda asked, number: wire.http(200, wire.envelope({"by": "server"})))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert client_of(local).read("x/y").data == {"by": "server"}
    assert client_of("http://secrets.example.invalid:8200").read("x/y").data == {"by": "proxy"}
    monkeypatch.setenv("NO_PROXY", "example.invalid")
    with pytest.raises(NotSent):
        client_of("http://secrets.example.invalid:8200", timeout=1).read("x/y")
    assert len(proxy.asked) == 1
