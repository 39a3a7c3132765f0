"""The cubbyhole: one for each token."""

import pytest

from ml_secrets.testing.mounted import caller


def test_write_read_list_delete(cubbyhole):
    """Fields keep their bytes; folders end in a slash; there is no lease."""
    assert cubbyhole.ask("POST", "app", b'{"n": 9007199254740993, "ttl":"5s"}').status == 204
    assert cubbyhole.ask("POST", "f/b", {"a": 1}).status == 204
    answer = cubbyhole.ask("GET", "app")
    assert b'"data":{"n":9007199254740993,"ttl":"5s"}' in answer.body
    assert answer.json["lease_duration"] == 0
    assert cubbyhole.ask("LIST", "").data == {"keys": ["app", "f/"]}
    assert cubbyhole.ask("LIST", "f").data == {"keys": ["b"]}
    for _ in range(2):
        assert cubbyhole.ask("DELETE", "app").status == 204
    assert cubbyhole.ask("GET", "app").json == {"errors": []}
    assert cubbyhole.ask("LIST", "none").status == 404


def test_no_token_reaches_anothers(cubbyhole):
    """The same path is another place; another's key in the path is just a name."""
    cubbyhole.ask("POST", "app", {"a": 1})
    cubbyhole.caller = caller("caller-2")
    for path in ("app", "caller-1/app"):
        assert cubbyhole.ask("GET", path).status == 404
        assert not cubbyhole.exists(path)
    assert cubbyhole.ask("LIST", "").status == 404
    cubbyhole.ask("POST", "app", {"a": 2})
    cubbyhole.ask("DELETE", "app")
    cubbyhole.caller = caller("caller-1")
    assert cubbyhole.ask("GET", "app").data == {"a": 1}
    assert cubbyhole.exists("app")


def test_rows_lie_below_the_tokens_key(cubbyhole):
    """The pipeline clears `<key>/` when the token ends."""
    cubbyhole.ask("POST", "f/b", {"a": 1})
    assert cubbyhole.rows() == {"caller-1/f/b": b'{"a":1}'}


@pytest.mark.parametrize("body", [None, {}])
def test_no_fields_is_refused(cubbyhole, body):
    """400 (a peer answers 500)."""
    answer = cubbyhole.ask("POST", "app", body)
    assert (answer.status, answer.errors) == (400, ["missing data fields"])


def test_hostile_fields_are_refused(cubbyhole):
    """The same rule as for KV."""
    assert cubbyhole.ask("POST", "app", b'{"a":{"b":1,"b":2}}').status == 400
    assert cubbyhole.rows() == {}


def test_a_batch_token_has_none(cubbyhole):
    """Nothing would ever clear it."""
    for who in (caller("batch", kind="batch"), None):
        cubbyhole.caller = who
        for method, body in (("GET", None), ("POST", {"a": 1}), ("DELETE", None), ("LIST", None)):
            assert cubbyhole.ask(method, "app", body).errors == [
                "cubbyhole operations are only supported by service tokens"
            ]


def test_what_it_does_not_know(cubbyhole):
    """No patch, no scan."""
    cubbyhole.ask("POST", "app", {"a": 1})
    assert cubbyhole.ask("PATCH", "app", {"a": 1}).status == 405
    assert cubbyhole.ask("SCAN", "").status == 405
