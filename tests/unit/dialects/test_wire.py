"""HTTP to requests and back: what is refused, what is kept, what a conditional read gets."""

import json

import pytest
from msgspec import Raw

from ml_secrets.dialects.vault import wire
from ml_secrets.dialects.vault.faults import status_of
from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.errors import Invalid, MlSecretsError, NotFound, Unsupported
from ml_secrets.testing.whole import Whole


@pytest.fixture(scope="module")
def whole():
    server = Whole()
    server.ask("POST", "secret/data/a", b'{"data":{"n":9007199254740993,"t":"\\u00e9"}}')
    return server


def read(method="GET", path=b"/v1/secret/data/a", query=b"", headers=(), body=b""):
    http = HttpRequest(method, path, query, list(headers), ("127.0.0.1", 1), body)
    request = wire.blank(http)
    wire.read(http, request)
    return request


def test_headers_that_say_who_asks_are_not_among_the_others():
    """Neither by name nor in a list; the others are there as text, and a name that none can have is not."""
    private = [(name, b"FAKE") for name in (b"x-vault-token", b"cookie", b"proxy-authorization")]
    headers = read(headers=[*private, (b"user-agent", b"a\xe9"), (b"accept", b"*/*")]).headers
    assert dict(headers) == {"user-agent": "a\xe9", "accept": "*/*"}
    assert (len(headers), headers.get("cookie"), headers.get("x-vault-token")) == (2, None, None)
    assert headers["accept"] == "*/*"
    assert "\u20ac" not in headers
    assert "FAKE" not in repr(headers)
    assert not read(headers=private).headers


def test_the_token_comes_from_either_header():
    """X-Vault-Token, or a bearer token."""
    assert read(headers=[(b"x-vault-token", b"one")]).token == "one"
    assert read(headers=[(b"authorization", b"Bearer two")]).token == "two"
    assert read(headers=[(b"authorization", b"Basic dTpw")]).token is None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-vault-token", b"one"), (b"x-vault-token", b"one")],
        [(b"x-vault-token", b"one"), (b"authorization", b"Bearer two")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
        [(b"x-vault-namespace", b"a"), (b"x-vault-namespace", b"")],
        [(b"x-vault-namespace", b"team-a/")],
        [(b"x-vault-wrap-ttl", b"60"), (b"x-vault-wrap-ttl", b"70")],
        [(b"x-vault-wrap-ttl", b"soon")],
        [(b"x-vault-wrap-ttl", b"0")],
        [(b"content-encoding", b"gzip")],
    ],
)
def test_contradictory_headers_are_refused(headers):
    """Two tokens, two namespaces, a namespace that is not there, a wrap TTL that is none (checks 18, 26, 44)."""
    with pytest.raises(Invalid):
        read(headers=headers)


def test_the_root_namespace_may_be_named():
    """An empty namespace header, and the word root, mean the only namespace."""
    assert read(headers=[(b"x-vault-namespace", b"")]).path == "secret/data/a"
    assert read(headers=[(b"x-vault-namespace", b"root")]).path == "secret/data/a"


@pytest.mark.parametrize(
    ("query", "verb"),
    [
        (b"list=true", "list"),
        (b"list=1", "list"),
        (b"scan=true", "scan"),
        (b"list=false", "read"),
        (b"", "read"),
    ],
)
def test_a_query_turns_a_get_into_a_list(query, verb):
    """As the Go client and the command lines list."""
    assert read(query=query).verb == verb


def test_an_empty_query_parameter_is_not_there():
    """`?version=` is how some clients ask for no version in particular."""
    assert set(read(query=b"version=&depth=2").fields) == {"depth"}


@pytest.mark.parametrize("query", [b"list=abc", b"a=%ff", b"a=%zz%ff", b"version=1&version=2"])
def test_a_query_that_cannot_be_read_is_refused(query):
    """Neither guessed nor repaired."""
    with pytest.raises(Invalid):
        read(query=query)


@pytest.mark.parametrize(
    ("body", "field"),
    [(b'{"a": 1}', b"1"), (b'{"a":{"b":[1.50]}}', b'{"b":[1.50]}'), (b'{"a":"\\u0041"}', b'"\\u0041"')],
)
def test_fields_keep_the_bytes_that_were_sent(body, field):
    """Numbers, escapes and spaces of a value are not touched."""
    assert bytes(read("POST", body=body).fields["a"]) == field


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b'{"a":}',
        b'{"a":1}{"b":2}',
        b"\xff",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\\ud800"}',
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body):
    """400, and the error does not show what was sent."""
    with pytest.raises(MlSecretsError) as caught:
        read("POST", body=body)
    assert isinstance(caught.value, Invalid)
    assert body.decode("latin-1") not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"null", b"  ", b"{}"])
def test_no_body_is_an_empty_object(body):
    """As command lines send it."""
    assert read("POST", body=body).fields == {}


def test_a_form_is_read_and_an_array_is_none():
    """curl's -d says form and sends JSON: what begins as JSON is read as that, and an array is refused all the same."""
    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    assert read("POST", headers=form, body=b"a=b&c=%20").fields == {"a": Raw(b'"b"'), "c": Raw(b'" "')}
    assert read("POST", headers=form, body=b'{"a":1}').fields == {"a": Raw(b"1")}
    with pytest.raises(Invalid, match="failed to decode JSON input"):
        read("POST", headers=form, body=b"[]")


def test_a_patch_needs_its_media_type():
    """PATCH is a merge patch, and says so."""
    good = [(b"content-type", b"application/merge-patch+json")]
    assert read("PATCH", headers=good, body=b'{"a":1}').verb == "patch"
    with pytest.raises(Invalid, match="mime: no media type") as missing:
        read("PATCH", body=b'{"a":1}')
    with pytest.raises(Invalid, match="PATCH needs Content-Type") as other:
        read("PATCH", headers=[(b"content-type", b"application/json")], body=b'{"a":1}')
    assert (status_of(missing.value), status_of(other.value)) == (400, 415)


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("BREW", b"/v1/a", Unsupported),
        ("GET", b"/v2/a", NotFound),
        ("HEAD", b"/v1/secret/data/a", Unsupported),
        ("POST", b"/v1/secret/data/a/", Invalid),
        ("GET", b"/v1/secret/%2e%2e/a", Invalid),
    ],
)
def test_what_leads_nowhere_is_refused(method, path, error):
    """Unknown verbs, other roots, folders where there are none, paths that are not canonical."""
    with pytest.raises(error):
        read(method, path)


def test_numbers_and_text_come_back_byte_for_byte(whole):
    """2**53 + 1 stays what it is, and so do escapes (check 75)."""
    body = whole.ask("GET", "secret/data/a").body
    assert b'{"n":9007199254740993,"t":"\\u00e9"}' in body


def test_a_read_has_an_etag_and_a_conditional_read_gets_304(whole):
    """The same ETag means the same version; another version is sent whole."""
    first = whole.ask("GET", "secret/data/a")
    etag = first.headers["etag"]
    http = HttpRequest(
        "GET",
        b"/v1/secret/data/a",
        b"",
        [(b"x-vault-token", b"root-token-for-tests"), (b"if-none-match", etag.encode())],
        ("127.0.0.1", 1),
    )
    again = whole_exchange(whole, http)
    assert (again.status, again.body) == (304, b"")
    whole.ask("POST", "secret/data/a", {"data": {"n": 1}})
    assert whole_exchange(whole, http).status == 200


def test_a_conditional_read_without_the_right_is_refused(whole):
    """An ETag opens nothing: 403 comes before 304."""
    etag = whole.ask("GET", "secret/data/a").headers["etag"]
    http = HttpRequest(
        "GET", b"/v1/secret/data/a", b"", [(b"if-none-match", etag.encode())], ("127.0.0.1", 1)
    )
    assert whole_exchange(whole, http).status == 403


def whole_exchange(whole, http):
    from ml_secrets.server.exchange import exchange

    return exchange(whole.server.pipeline, http)


def test_errors_have_the_shape_that_clients_parse(whole):
    """{"errors": [...]} as application/json without a charset, with our hint beside it."""
    answer = whole.ask("GET", "secret/data/a", token=None)
    assert answer.headers["content-type"] == "application/json"
    body = json.loads(answer.body)
    assert body["errors"] == ["permission denied"]
    assert "log in" in body["hint"]
