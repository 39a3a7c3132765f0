"""The headers of a login inside a request: what is read, and what is refused without being shown."""

import base64
import json

import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.dialects.vault import wire
from ml_secrets.errors import Invalid

PATH = (b"x-vault-inline-auth-path", b"auth/approle/login")
OPERATION, NAMESPACE = b"x-vault-inline-auth-operation", b"x-vault-inline-auth-namespace"
PARAMETER = b"x-vault-inline-auth-parameter-"


def coded(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")


def parameter(key, value, name=b"p"):
    return PARAMETER + name, coded(json.dumps({"key": key, "value": value}))


def read(*pairs):
    http = wire.HttpRequest("GET", b"/v1/secret/data/a", b"", list(pairs), ("192.0.2.1", 7))
    request = wire.blank(http)
    wire.read(http, request)
    return request


def test_a_login_is_a_request_of_its_own():
    """It has its own id, the same origin, its fields as they were sent, and none of its headers stay where they may be recorded."""
    request = read(PATH, parameter("role_id", "r"), parameter("n", 2, b"q"), (b"x-thing", b"t"))
    login = request.login
    assert (login.path, login.verb, login.inside, login.token) == (
        "auth/approle/login",
        Verb.WRITE,
        True,
        None,
    )
    assert {name: bytes(raw) for name, raw in login.fields.items()} == {"role_id": b'"r"', "n": b"2"}
    assert (login.remote_address, login.remote_port) == ("192.0.2.1", 7)
    assert login.id != request.id
    assert login.headers == request.headers == {"x-thing": "t"}


def test_without_a_path_there_is_no_login():
    """Parameters alone are headers like any other."""
    assert read(parameter("role_id", "r")).login is None


@pytest.mark.parametrize(
    ("operation", "verb"), [(b"update", Verb.WRITE), (b"create", Verb.WRITE), (b"read", Verb.READ)]
)
def test_a_login_may_be_written_or_read(operation, verb):
    """Third-party methods log in by a GET; the root namespace may be named."""
    assert read(PATH, (OPERATION, operation), (NAMESPACE, b"root")).login.verb is verb


def test_a_path_stands_as_it_is():
    """A header is not percent-encoded: a per cent sign is one."""
    assert read((PATH[0], b"auth/userpass/login/b%62")).login.path == "auth/userpass/login/b%62"


def test_padding_does_no_harm():
    """Base64 with its padding is the same."""
    text = base64.urlsafe_b64encode(b'{"key":"a", "value":1}')
    assert text.endswith(b"=")
    assert bytes(read(PATH, (PARAMETER, text)).login.fields["a"]) == b"1"


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"x-vault-token", b"t")],
        [(b"authorization", b"Bearer t")],
        [PATH],
        [(OPERATION, b"update"), (OPERATION, b"update")],
        [parameter("a", 1), parameter("b", 1)],
        [parameter("a", 1), parameter("a", 1, b"q")],
        [(OPERATION, b"")],
        [(OPERATION, b"UPDATE")],
        [(OPERATION, b"delete")],
        [(OPERATION, b"alias-lookahead")],
        [(NAMESPACE, b"team")],
    ],
)
def test_contradictions_are_refused(pairs):
    """A token beside it, a header or a field that comes twice, an operation that is none of a login, another namespace."""
    with pytest.raises(Invalid):
        read(PATH, *pairs)


@pytest.mark.parametrize(
    "path", [b"/auth/approle/login", b"auth/../sys", b"auth/approle/login/", b"auth//login", b"\xff"]
)
def test_odd_paths_are_refused(path):
    """What a path of the API may not be, this one may not be either."""
    with pytest.raises(Invalid):
        read((PATH[0], path))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"FAKE-secret",
        b"!!!!",
        b"abcde",
        coded("[1]"),
        coded("null"),
        coded('{"value": "FAKE-secret"}'),
        coded('{"key": "FAKE-secret"}'),
        coded('{"key": 1, "value": "FAKE-secret"}'),
        coded('{"key": "a", "value": "FAKE-secret", "x": 1}'),
        coded('{"key": "a", "value": "FAKE-secret", "value": "b"}'),
        coded('{"key": "a", "value": "FAKE-secret"} x'),
        coded("[" * 100_000),
    ],
)
def test_parameters_that_cannot_be_read_are_refused_unshown(text):
    """Each is base64 of an object with a key and a value; what is not is in no error, and no chain of one."""
    with pytest.raises(Invalid) as caught:
        read(PATH, (PARAMETER + b"a", text))
    assert "FAKE" not in str(caught.value)
    assert caught.value.__cause__ is None
