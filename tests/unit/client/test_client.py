"""One client, many threads; several secrets at once; a fork."""

import os
import pickle
import signal
import socket
import threading
import time
from collections import Counter

import pytest

import ml_secrets
from ml_secrets import Client, errors
from ml_secrets.client import default


def in_threads(count, work):
    """Run `work(n)` in threads that start together; results in order, errors as they are."""
    results, barrier = [None] * count, threading.Barrier(count)

    def one(number):
        barrier.wait(10)
        try:
            results[number] = work(number)
        except errors.MlSecretsError as error:
            results[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


class Askers(dict):
    """A driver's calls under way, which knows when `count` threads have asked for the same one."""

    def __init__(self, client, count):
        self.asked, self.count, self.all_there = Counter(), count, threading.Event()
        client._driver._under_way = self

    def get(self, key, default=None):
        self.asked[key] += 1
        if self.asked[key] == self.count:
            self.all_there.set()
        return super().get(key, default)


def test_threads_that_want_the_same_share_one_read(serve, client_of, wire):
    """Twenty threads, one request."""

    def answer(asked, number):
        assert askers.all_there.wait(10)
        return wire.kv2("x")

    server = serve(answer)
    client = client_of(server)
    askers = Askers(client, 20)
    assert in_threads(20, lambda _: client.get_secret("a").reveal()) == ["x"] * 20
    assert len(server.asked) == 1


def test_threads_that_share_a_failure_get_errors_of_their_own(serve, client_of, wire):
    """Each thread's traceback is its own; the class is the same."""

    def answer(asked, number):
        assert askers.all_there.wait(10)
        return wire.http(404, {"errors": []})

    server = serve(answer)
    client = client_of(server)
    askers = Askers(client, 8)
    got = in_threads(8, lambda _: client.get_secret("a"))
    assert {type(error) for error in got} == {errors.NotFound}
    assert len({id(error) for error in got}) == 8
    assert len(server.asked) == 1


def test_an_interrupted_reader_hands_over(serve, client_of, wire):
    """The thread that reads for others is interrupted; another of them takes over, and nobody hangs."""
    entered, stop = threading.Event(), threading.Event()

    def answer(asked, number):
        entered.set()
        if number == 1:
            stop.wait(10)
        return wire.kv2("x")

    class Interrupted(BaseException):
        pass

    client = client_of(serve(answer))
    askers, outcomes = Askers(client, 2), []

    def leader():
        transport = client._driver.transport()
        send, transport.send = transport.send, lambda request: raise_after(send, request)
        try:
            client.get_secret("a")
        except Interrupted:
            outcomes.append("interrupted")

    def raise_after(send, request):
        response = send(request)
        if "/data/" in request.path:
            client._driver._transport.send = send
            raise Interrupted
        return response

    def follower():
        outcomes.append(client.get_secret("a").reveal())

    first = threading.Thread(target=leader)
    first.start()
    assert entered.wait(5)
    second = threading.Thread(target=follower)
    second.start()
    assert askers.all_there.wait(5)
    stop.set()
    first.join(10)
    second.join(10)
    assert sorted(outcomes) == ["interrupted", "x"]


def test_a_signal_handler_may_ask_for_what_is_being_fetched(serve, client_of, wire):
    """The handler runs in the very thread that reads; waiting for itself would be forever."""

    second = threading.Event()

    def answer(asked, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert second.wait(10)
        second.set()
        return wire.kv2(f"v{number}")

    client, got = client_of(serve(answer)), []
    before = signal.signal(signal.SIGUSR1, lambda *_: got.append(client.get_secret("a").reveal()))
    try:
        client.get_secret("a")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == ["v2"]


def batching(wire, values, etag=None):
    """A server that knows sys/batch."""

    def answer(asked, number):
        if asked.path == "/v1/sys/batch":
            results = []
            for path in asked.json["paths"]:
                name = path.removeprefix("secret/data/")
                if name in values:
                    metadata = {"version": 1, "created_time": "", "custom_metadata": {"k": "v"}}
                    results.append(
                        {
                            "path": path,
                            "status": 200,
                            "data": {"data": {"value": values[name]}, "metadata": metadata},
                        }
                        | ({"etag": etag} if etag else {})
                    )
                elif name == "forbidden":
                    results.append(
                        {
                            "path": path,
                            "status": 403,
                            "errors": ["1 error occurred:\n\t* permission denied\n\n"],
                            "hint": "ask Ada",
                        }
                    )
                else:
                    results.append({"path": path, "status": 404, "errors": []})
            return wire.http(200, wire.envelope({"results": results}))
        if etag and asked.headers.get("if-none-match") == etag:
            return wire.http(304, b"", [f"ETag: {etag}"])
        return wire.kv2(values[asked.path.removeprefix("/v1/secret/data/")])

    return answer


def test_several_secrets_come_in_one_call(serve, client_of, wire):
    """A batch, not a loop; what it brought is cached, and only what is missing is asked for."""
    values = {f"n{number}": f"v{number}" for number in range(100)}
    server = serve(batching(wire, values))
    client = client_of(server)
    got = client.get_secrets(list(values))
    assert {name: secret.reveal() for name, secret in got.items()} == values
    assert got["n1"].metadata == {"k": "v"}
    assert len(server.asked) == 1
    client.get_secret("n5")
    client.get_secrets(["n1", "n2"])
    assert len(server.asked) == 1
    values |= {"new": "v", "newer": "w"}
    client.get_secrets(["n1", "new", "newer"])
    assert server.asked[1].json == {"paths": ["secret/data/new", "secret/data/newer"]}


def test_a_batch_names_all_that_failed(serve, client_of, wire):
    """One error, with one of its own class for each name; `partial` leaves those out."""
    client = client_of(serve(batching(wire, {"a": "1"})))
    with pytest.raises(
        errors.Incomplete, match=r"2 of 3 secrets cannot be had: forbidden: .*ask Ada.*; missing: "
    ) as caught:
        client.get_secrets(["a", "forbidden", "missing"])
    assert {name: type(error) for name, error in caught.value.errors.items()} == {
        "forbidden": errors.Denied,
        "missing": errors.NotFound,
    }
    assert list(client.get_secrets(["a", "forbidden", "missing"], partial=True)) == ["a"]


def test_what_a_batch_brought_is_confirmed_like_any_other(serve, client_of, wire, clock):
    """With the ETags of its results a batch's secrets are revalidated one by one."""
    server = serve(batching(wire, {"a": "1", "b": "2"}, etag='"e"'))
    client = clock.drive(client_of(server))
    client.get_secrets(["a", "b"])
    clock.now += 6
    assert client.get_secret("a").reveal() == "1"
    assert server.asked[-1].headers["if-none-match"] == '"e"'


@pytest.mark.parametrize("status", [404, 405, 403, 400])
def test_without_batches_secrets_are_read_side_by_side(serve, client_of, wire, status):
    """A server that does not know sys/batch is asked once for it, and then by single reads, a few at a time."""
    at_once, most, lock, two = [0], [0], threading.Lock(), threading.Event()

    def answer(asked, number):
        if asked.path == "/v1/sys/batch":
            return wire.http(status, {"errors": ["1 error occurred:\n\t* nope\n\n"]})
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            if most[0] == 2:
                two.set()
        two.wait(10)
        time.sleep(0.02)
        with lock:
            at_once[0] -= 1
        return wire.kv2(asked.path[-2:])

    server = serve(answer)
    client = client_of(server)
    names = [f"n{number:02}" for number in range(20)]
    assert {name: secret.reveal() for name, secret in client.get_secrets(names).items()} == {
        name: name[-2:] for name in names
    }
    client.get_secrets(["x1", "x2"])
    assert [asked.path for asked in server.asked].count("/v1/sys/batch") == 1
    assert 1 < most[0] <= 8


def test_a_batch_of_a_server_that_is_gone(serve, client_of, wire, clock):
    """What may still be served is served; without anything at hand the error is the plain one."""
    gone = threading.Event()
    good = batching(wire, {"a": "1", "b": "2"}, etag='"e"')
    server = serve(
        lambda asked, number: wire.http(503, {"errors": []}) if gone.is_set() else good(asked, number)
    )
    client = clock.drive(client_of(server))
    client.session.draw = lambda: 0.0
    client.get_secrets(["a", "b"])
    gone.set()
    clock.now += 10
    assert client.get_secrets(["a", "b"])["a"].reveal() == "1"
    clock.now += 10
    with pytest.raises(errors.Incomplete) as caught:
        client.get_secrets(["a", "b", "c"])
    assert {name: type(error) for name, error in caught.value.errors.items()} == {"c": errors.Unreachable}
    clock.now += 300
    with pytest.raises(errors.Unreachable):
        client.get_secrets(["a", "b"])


def test_a_batch_answer_that_does_not_fit_is_an_error(serve, client_of, wire):
    """Fewer results than names would hand one secret out under another's name."""
    client = client_of(
        serve(lambda asked, number: wire.http(200, wire.envelope({"results": [{"status": 200}]})))
    )
    with pytest.raises(errors.Unreachable, match="does not fit"):
        client.get_secrets(["a", "b"])


def test_none_and_one_and_twice_the_same(serve, client_of, wire):
    """The edges: nothing asks nothing, one is a plain read, a name twice is one secret, names stay as they were given."""
    server = serve(batching(wire, {"a": "1"}))
    client = client_of(server)
    assert client.get_secrets([]) == {}
    assert list(client.get_secrets(["a", "a", "/a/"])) == ["a", "/a/"]
    assert [asked.path for asked in server.asked] == ["/v1/secret/data/a"]


def child_result(work):
    """What `work()` returns in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = work()
        except BaseException as error:
            result = repr(error)
        os.write(writer, pickle.dumps(result))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    return result


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_connections_and_locks_of_its_own(serve, client_of, wire):
    """The fork happens while another thread is in the middle of a read and holds what it holds; the child reads anew."""
    entered, go = threading.Event(), threading.Event()

    def answer(asked, number):
        if asked.path.endswith("slow"):
            entered.set()
            go.wait(10)
        return wire.kv2(f"{asked.path[-1]}{number}")

    server = serve(answer)
    client = client_of(server)
    client.get_secret("a")
    slow = threading.Thread(target=lambda: client.get_secret("slow"))
    slow.start()
    assert entered.wait(5)
    with client._driver._lock, client.session.cache._lock:
        pass
    client._driver._lock.acquire()
    client.session.cache._lock.acquire()
    try:
        got = child_result(
            lambda: (
                len(client.session.cache.entries),
                client.get_secret("a").reveal(),
                client.get_secret("b").reveal(),
            )
        )
    finally:
        client.session.cache._lock.release()
        client._driver._lock.release()
    go.set()
    slow.join(10)
    assert got == (0, "a3", "b4")
    assert client.get_secret("a").reveal() == "a1"  # the parent goes on as before


def test_a_closed_client_can_be_used_again(serve, client_of, wire):
    """Closing lets connections go and forgets values; it does not make the object useless."""
    server = serve(lambda asked, number: wire.kv2(f"v{number}"))
    client = client_of(server)
    with client:
        assert client.get_secret("a").reveal() == "v1"
    assert client.get_secret("a").reveal() == "v2"


def test_a_client_does_not_pickle_and_shows_no_token(serve, client_of, wire):
    """It prints its address."""
    client = client_of(serve(lambda asked, number: None), token="very-token")
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(client)
    assert "very-token" not in repr(client) + repr(vars(client)) + repr(vars(client.session))


def test_a_live_secret_follows_a_rotation(serve, client_of, wire, clock):
    """The handle gives the value of now; the snapshot stays what it was."""
    state = {"value": "old"}
    client = clock.drive(client_of(serve(lambda asked, number: wire.kv2({"p": state["value"], "q": "q"}))))
    handle, snapshot = client.live("a", field="p"), client.get_secret("a", field="p")
    assert handle.reveal() == "old"
    state["value"] = "new"
    clock.now += 301
    assert (handle.reveal(), snapshot.reveal(), handle.get().name) == ("new", "old", "a")
    assert (str(handle), repr(handle)) == ("••••", "<LiveSecret a ••••>")


def test_one_line_is_enough(serve, wire, monkeypatch):
    """`from ml_secrets import get_secret` finds its server by the environment."""
    server = serve(lambda asked, number: wire.kv2(asked.headers["x-vault-token"]))
    monkeypatch.setenv("ML_SECRETS_ADDR", server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", "from-the-environment")
    default.forget()
    try:
        assert ml_secrets.get_secret("openai/api-key").reveal() == "from-the-environment"
        assert list(ml_secrets.get_secrets(["openai/api-key"])) == ["openai/api-key"]
        assert len(server.asked) == 1
    finally:
        default.forget()


def test_kv_version_one_is_found_out(serve, client_of, wire):
    """On a version 1 mount paths have no data/, and what needs versions says so."""

    def answer(asked, number):
        if asked.path.startswith("/v1/sys/internal/ui/mounts/old"):
            return wire.http(200, wire.envelope({"type": "kv", "path": "old/", "options": None}))
        return wire.http(204) if asked.method == "POST" else wire.http(200, wire.envelope({"value": "x"}))

    server = serve(answer, preflight=False)
    client = client_of(server, mount="old")
    client.kv.put("a", {"value": "x"})
    secret = client.get_secret("a")
    assert (secret.reveal(), secret.version, secret.created_time, secret.metadata) == ("x", 0, "", {})
    assert [asked.path for asked in server.asked] == [
        "/v1/sys/internal/ui/mounts/old",
        "/v1/old/a",
        "/v1/old/a",
    ]
    for use in (
        lambda: client.kv.undelete("a", [1]),
        lambda: client.kv.put("a", {}, cas=1),
        lambda: client.kv.patch("a", {}, cas=1),
        lambda: client.kv.metadata("a"),
    ):
        with pytest.raises(errors.Unsupported, match="version 1"):
            use()


def test_a_mount_of_another_kind_is_named(serve, client_of, wire):
    """Asking transit for a secret is a mistake that is told."""
    server = serve(
        lambda asked, number: wire.http(200, wire.envelope({"type": "transit", "path": "t/"})),
        preflight=False,
    )
    with pytest.raises(errors.Invalid, match="type transit"):
        client_of(server, mount="t").get_secret("a")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("secret/a", "ask for 'a'"),
        ("data/a", "ask for 'a'"),
        ("secret/data/a", "ask for 'a'"),
        ("nope", "kv list secret/"),
    ],
)
def test_a_name_with_too_much_in_front_is_put_right(serve, client_of, wire, name, said):
    """The usual mistakes with mounts and data/ are answered with the name that was meant."""
    server = serve(lambda asked, number: wire.http(404, {"errors": []}))
    with pytest.raises(errors.NotFound) as caught:
        client_of(server).get_secret(name)
    assert said in str(caught.value)


def test_a_unix_socket_is_an_address(tmp_path, wire):
    """unix:///path, for agents and sidecars."""
    import socket

    path = tmp_path / "s"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve_once():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(wire.http(200, wire.envelope({"a": 1})))

    thread = threading.Thread(target=serve_once)
    thread.start()
    with Client(f"unix://{path}", "t") as client:
        assert client.read("x/y").data == {"a": 1}
    thread.join(5)
    listener.close()


def test_one_text_is_not_a_list_of_names(serve, client_of, wire):
    """Its letters would be asked for, one by one."""
    server = serve(lambda asked, number: wire.kv2("x"))
    with pytest.raises(errors.Invalid, match=r"get_secrets\(\[name\]\)"):
        client_of(server).get_secrets("openai/api-key")
    assert not server.asked


def test_no_name_is_no_path(client_of):
    """What os.environ.get gave for a variable that is not set."""
    with pytest.raises(errors.Invalid, match="None is no path"):
        client_of("http://127.0.0.1:1").get_secret(None)


def test_a_version_that_is_not_there_is_named(serve, client_of, wire):
    """The secret may well be there."""
    client = client_of(serve(lambda asked, number: wire.http(404, {"errors": []})))
    with pytest.raises(errors.NotFound, match="no version 9 of 'a' in secret/"):
        client.get_secret("a", version=9)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), b"bytes", bytearray(b"bytes")])
def test_nothing_is_quietly_written_as_something_else(serve, client_of, wire, value):
    """NaN would come back as null, bytes as text in base64: both are refused, however deep they lie."""
    server = serve(lambda asked, number: wire.http(204))
    for data in ({"value": value}, {"list": [{"deep": (value,)}]}):
        with pytest.raises(errors.Invalid, match="cannot be sent"):
            client_of(server).kv.put("a", data)
    assert not server.asked


def test_another_identity_may_be_allowed_a_batch(serve, client_of, wire):
    """That the one before was refused batches says nothing about this one."""
    batch = batching(wire, {"a": "1", "b": "2"})

    def answer(asked, number):
        if asked.path == "/v1/sys/batch" and asked.headers["x-vault-token"] == "poor":
            return wire.http(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
        return batch(asked, number)

    server = serve(answer)
    client = client_of(server, "poor")
    client.get_secrets(["a", "b"])
    client.token = "rich"
    client.get_secrets(["a", "b"])
    assert server.asked[-1].path == "/v1/sys/batch"


def test_an_http_server_behind_an_https_address_is_told_apart(client_of):
    """Something listens there, so `start a server` would be the wrong advice."""

    def answer_once():
        with listener.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once)
        thread.start()
        client = client_of(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=20)
        client.session.draw = lambda: 1e6
        with pytest.raises(errors.Unreachable, match="is it an http:// address"):
            client.get_secret("a")
        thread.join()


def test_a_failure_within_a_batch_that_passes_takes_nothing_away(serve, client_of, wire, clock):
    """What is at hand is served on for one that the server could not read just now, and not for one it refuses."""
    failing = []

    def answer(asked, number):
        results = [
            {"path": path, "status": failing[0], "errors": ["no"]}
            if failing and path.endswith("/a")
            else {
                "path": path,
                "status": 200,
                "etag": '"e"',
                "data": {"data": {"value": "1"}, "metadata": {}},
            }
            for path in asked.json["paths"]
        ]
        return wire.http(200, wire.envelope({"results": results}))

    client = clock.drive(client_of(serve(answer)))
    client.get_secrets(["a", "b"])
    for status in (500, 429, 503):
        failing[:] = [status]
        clock.now += 6
        assert client.get_secrets(["a", "b"])["a"].reveal() == "1"
    failing[:] = [404]
    clock.now += 6
    with pytest.raises(errors.Incomplete):
        client.get_secrets(["a", "b"])
    failing[:] = [500]
    with pytest.raises(errors.Incomplete):
        client.get_secrets(["a", "b", "c"])


def test_what_a_batch_had_no_room_for_is_read_by_itself(serve, client_of, wire):
    """The server ends its answer somewhere; nobody has to know where."""
    batch = batching(wire, {"a": "1", "b": "2"})

    def answer(asked, number):
        if asked.path != "/v1/sys/batch":
            return batch(asked, number)
        metadata = {"version": 1, "created_time": "", "custom_metadata": None}
        read = {
            "path": "secret/data/a",
            "status": 200,
            "data": {"data": {"value": "1"}, "metadata": metadata},
        }
        full = {"path": "secret/data/b", "status": 413, "errors": ["the batch's answer is too large"]}
        return wire.http(200, wire.envelope({"results": [read, full]}))

    got = client_of(serve(answer)).get_secrets(["a", "b"])
    assert {name: secret.reveal() for name, secret in got.items()} == {"a": "1", "b": "2"}
