"""No traceback shows a value, not even one that prints every local variable of every frame."""

import asyncio
import signal
import threading
import time
import traceback

import pytest

from ml_secrets import AsyncClient, Client, MlSecretsError
from ml_secrets.sensitive import Sensitive

TOKEN, VALUE, PASSWORD = "token-Xk2-planted", "value-Qz9-planted", "password-Jw4-planted"
PLANTED = (TOKEN, VALUE, PASSWORD)


def everything(error):
    """Every frame but this file's, with its locals, of the error and of whatever it came from, shown or not."""
    shown, waiting, seen = [], [error], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        tale = traceback.TracebackException.from_exception(one, capture_locals=True)
        shown.append(repr(one) + str(one) + repr(one.args))
        shown += [
            f"{frame.filename}:{frame.name} {frame.locals}"
            for frame in tale.stack
            if frame.filename != __file__
        ]
    return "\n".join(shown)


def cut_short():
    yield (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nContent-Type: application/json\r\n\r\n" + VALUE.encode()
    )
    raise OSError


FAULTS = {
    "refused": lambda wire: wire.http(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}),
    "bad token": lambda wire: wire.http(403, {"errors": ["permission denied"]}),
    "missing": lambda wire: wire.http(404, {"errors": []}),
    "bad input": lambda wire: wire.http(400, {"errors": ["no"], "data": {"value": VALUE}}),
    "hung up": lambda wire: None,
    "not JSON": lambda wire: wire.http(200, b'{"data": {"data": {"value": "' + VALUE.encode()),
    "not the JSON we know": lambda wire: wire.http(200, wire.envelope({"data": [VALUE]})),
    "a list": lambda wire: wire.http(200, [VALUE]),
    "a body cut short": lambda wire: cut_short(),
    "not UTF-8": lambda wire: wire.http(200, b'{"data": "\xff' + VALUE.encode() + b'"}'),
    "elsewhere": lambda wire: wire.http(302, b"", [f"Location: http://x/?{VALUE}"]),
    "gone": lambda wire: wire.http(502, VALUE.encode(), media_type="text/html"),
    "failed": lambda wire: wire.http(500, {"errors": ["boom"], "data": {"value": VALUE}}),
}

CALLS = {
    "get_secret": lambda client: client.get_secret("a"),
    "get_secrets": lambda client: client.get_secrets(["a", "b"]),
    "kv.put": lambda client: client.kv.put("a", {"value": VALUE}),
    "kv.put with cas": lambda client: client.kv.put("a", {"value": VALUE}, cas=1),
    "kv.patch": lambda client: client.kv.patch("a", {"value": VALUE}),
    "write": lambda client: client.write("x/y", {"value": VALUE}),
    "read": lambda client: client.read("x/y"),
    "login_userpass": lambda client: client.login_userpass("ada", PASSWORD),
    "login_approle": lambda client: client.login_approle("role", PASSWORD),
    "login_token": lambda client: client.login_token(PASSWORD),
}


def failure_of(work):
    try:
        work()
    except (MlSecretsError, TypeError) as error:
        return error
    return None


def in_a_thread(url, call):
    with Client(url, TOKEN, timeout=0.3) as client:
        client.session.draw = lambda: 0.0
        return failure_of(lambda: call(client))


async def in_a_task(url, call):
    async with AsyncClient(url, TOKEN, timeout=0.3) as client:
        client.session.draw = lambda: 0.0
        try:
            await call(client)
        except MlSecretsError as error:
            return error


@pytest.mark.parametrize("fault", FAULTS)
def test_no_frame_of_ours_shows_a_value_when_a_call_fails(serve, wire, fault):
    """Each fault in each call, for threads and for tasks: frames of ours and of the libraries below hold nothing to read."""
    server, failures = serve(lambda asked, number: FAULTS[fault](wire)), 0
    for name, call in CALLS.items():
        for error in (in_a_thread(server.url, call), asyncio.run(in_a_task(server.url, call))):
            if error is not None:
                failures += 1
                text = everything(error)
                assert "ml_secrets" in text
                for planted in PLANTED:
                    assert planted not in text, (
                        f"{name} shows {planted} in: {[line for line in text.splitlines() if planted in line]}"
                    )
    assert failures >= 8


BAD_DATA = {
    "what JSON does not know": {"value": VALUE, "other": {VALUE: object()}},
    "a surrogate": {"value": VALUE + "\ud800"},
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_a_value_that_cannot_be_sent_is_not_shown(serve, wire, kind):
    """The encoder chokes with the value in hand; the error comes without it."""
    server = serve(lambda asked, number: wire.http(204))
    with Client(server.url, TOKEN) as client:
        for work in (
            lambda: client.kv.put("a", BAD_DATA[kind]),
            lambda: client.write("a", BAD_DATA[kind]),
            lambda: client.login_userpass("ada", BAD_DATA[kind]),
        ):
            error = failure_of(work)
            assert isinstance(error, MlSecretsError)
            assert not any(planted in everything(error) for planted in PLANTED)


def test_a_misspelt_argument_shows_none_of_the_others():
    """The error of Python itself comes out of frames that have let the arguments go."""
    with Client("http://127.0.0.1:1", TOKEN) as client:
        for work in (
            lambda: client.kv.put("a", {"value": VALUE}, casx=1),
            lambda: client.write("a", data={"value": VALUE}, params=1),
            lambda: client.login_userpass("ada", PASSWORD, 1),
            lambda: asyncio.run(AsyncClient("http://127.0.0.1:1", TOKEN).kv.patch("a", {"value": VALUE}, 1)),
        ):
            error = failure_of(work)
            assert isinstance(error, TypeError)
            assert not any(planted in everything(error) for planted in PLANTED)


@pytest.mark.parametrize("token", [TOKEN + "\n" + TOKEN, TOKEN + " x", TOKEN + "é", Sensitive(TOKEN + "\0")])
def test_a_token_that_cannot_be_sent_is_not_shown(token):
    """The constructor, the property and the login."""
    with Client("http://127.0.0.1:1", "t") as client:
        for work in (
            lambda: Client("http://127.0.0.1:1", token),
            lambda: setattr(client, "token", token),
            lambda: client.login_token(token),
        ):
            error = failure_of(work)
            assert isinstance(error, MlSecretsError)
            assert TOKEN not in everything(error)


def test_a_secret_in_a_frame_that_fails_is_not_shown(serve, wire):
    """The user's own frame holds the Secret; its error shows dots."""
    server = serve(lambda asked, number: wire.kv2({"password": VALUE}))
    with Client(server.url, TOKEN) as client:
        secret = client.get_secret("a")
        try:
            assert secret["password"].reveal() == "something else", secret
        except AssertionError as error:
            tale = traceback.TracebackException.from_exception(error, capture_locals=True)
        with pytest.raises(KeyError) as caught:
            secret["user"]
        assert VALUE not in everything(caught.value)
    assert VALUE not in "".join(frame.locals["secret"] + frame.locals["client"] for frame in tale.stack)


@pytest.fixture
def slow(serve):
    """A server that answers long after everybody has lost patience; `slow.when_asked()` is called for each request."""
    given_up = threading.Event()

    def answer(asked, number):
        server.when_asked()
        given_up.wait(10)

    server = serve(answer)
    server.when_asked = lambda: None
    yield server
    given_up.set()


def test_what_was_interrupted_is_not_shown(slow):
    """Ctrl-C while the server is slow, as in a notebook: the libraries' frames hold token and body, and are left out."""

    def interrupt():
        time.sleep(0.3)  # a signal just ahead of the wait for an answer would be seen after it only
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    slow.when_asked = interrupt
    with Client(slow.url, TOKEN) as client:
        for work in (lambda: client.get_secret("a"), lambda: client.write("x/y", {"value": VALUE})):
            with pytest.raises(KeyboardInterrupt) as caught:
                work()
            text = everything(caught.value)
            assert "ml_secrets" in text
            assert not any(planted in text for planted in PLANTED)


def test_what_was_cancelled_is_not_shown(slow):
    """A task's own timeout comes down on us as a cancellation, and goes up without the libraries' frames."""

    async def impatient():
        async with AsyncClient(slow.url, TOKEN) as client:
            for call in (client.get_secret("a"), client.write("x/y", {"value": VALUE})):
                with pytest.raises(TimeoutError) as caught:
                    await asyncio.wait_for(call, 0.3)
                assert not any(planted in everything(caught.value) for planted in PLANTED)

    asyncio.run(impatient())


def test_what_the_caller_was_handling_keeps_its_frames(serve, wire):
    """A call inside an `except`: only what came from below loses its frames."""
    server = serve(lambda asked, number: None)
    with Client(server.url, TOKEN, timeout=0.2) as client:
        try:
            raise LookupError
        except LookupError as error:
            outer = error
            with pytest.raises(MlSecretsError):
                client.get_secret("a")
        assert outer.__traceback__ is not None
