"""A secret gives its values by `reveal` and by nothing else."""

import copy
import dataclasses
import json
import pickle

import pytest

from ml_secrets import NotFound, Secret, Sensitive
from ml_secrets.client.answer import Answer
from ml_secrets.client.encoding import conceal, members
from ml_secrets.client.live import AsyncLiveSecret, LiveSecret


def secret(**fields):
    body = conceal(fields)
    return Secret(
        "team/db",
        body,
        members(body),
        mount="secret",
        version=3,
        created_time="2026-01-02T03:04:05Z",
        metadata={"owner": "ada"},
    )


@dataclasses.dataclass
class Configured:
    key: object


VALUE = "hunter2-not-real"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{0!r:>40} {0!s}".format, lambda s: repr([s, {"a": s}])]
)
def test_it_prints_as_dots(show):
    """In no way of printing it does a value show."""
    for thing in (
        secret(value=VALUE),
        secret(value=VALUE)["value"],
        Answer(200, data={"value": VALUE}, auth={"client_token": VALUE}),
    ):
        assert VALUE not in show(thing)
        assert "••••" in show(thing)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_does_not_pickle(protocol):
    """A pickle would carry it into files, queues and other machines."""
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(secret(value=VALUE), protocol)


def test_it_is_no_json_and_has_no_dict():
    """Serialisers that look inside find nothing."""
    with pytest.raises(TypeError) as caught:
        json.dumps(secret(value=VALUE))
    assert VALUE not in str(caught.value)
    with pytest.raises(TypeError):
        vars(secret(value=VALUE))
    for name in dir(secret(value=VALUE)):
        if name not in ("reveal", "reveal_fields"):
            assert VALUE not in repr(getattr(secret(value=VALUE), name, ""))


def test_a_copy_is_the_same():
    """Copying makes no second place where values are."""
    for one in (
        secret(value=VALUE),
        LiveSecret(None, "a", None, None),
        AsyncLiveSecret(None, "a", None, None),
    ):
        assert copy.copy(one) is one
        assert copy.deepcopy(one) is one
        assert dataclasses.asdict(Configured(one))["key"] is one


@pytest.mark.parametrize("kind", [LiveSecret, AsyncLiveSecret])
def test_a_handle_prints_as_dots_too(kind):
    """With its name in `repr`, at any width; and no serialiser finds a state in it."""
    handle = kind(None, "team/db", None, None)
    assert (f"{handle}", f"{handle:>6}") == ("••••", "  ••••")
    assert repr(handle) == f"<{kind.__name__} team/db ••••>"
    with pytest.raises(TypeError):
        handle.__getstate__()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"value": "a", "other": "b"}, "a"),
        ({"password": "p"}, "p"),
        ({"n": 5}, "5"),
        ({"value": True}, "true"),
        ({"value": None}, "null"),
        ({"value": [1, "x"]}, '[1,"x"]'),
        ({"a": "1", "b": 2}, '{"a":"1","b":2}'),
        ({}, "{}"),
        ({"value": ""}, ""),
    ],
)
def test_reveal_gives_the_value_or_the_only_field_or_all(fields, text):
    """`value` first, else the only field, else the whole as a JSON object."""
    assert secret(**fields).reveal() == text


def test_fields_are_sensitive():
    """Each field comes as a Sensitive; unpacking and iterating work as with a dict."""
    one = secret(user="ada", password=VALUE)
    assert isinstance(one["password"], Sensitive)
    assert one["password"].reveal() == VALUE
    assert (list(one), sorted(one.keys()), len(one), "user" in one, "x" in one) == (
        ["user", "password"],
        ["password", "user"],
        2,
        True,
        False,
    )
    assert {name: value.reveal() for name, value in dict(**one).items()} == {"user": "ada", "password": VALUE}
    assert one.reveal_fields() == {"user": "ada", "password": VALUE}


def test_it_can_be_narrowed_to_a_field():
    """Then `reveal` gives that field, and nothing else of it is to be had."""
    one = secret(value="v", password="p").only("password")
    assert (one.reveal(), list(one), one.reveal_fields(), one.version, one.metadata) == (
        "p",
        ["password"],
        {"password": "p"},
        3,
        {"owner": "ada"},
    )


def test_a_field_that_is_not_there_names_those_that_are():
    """Names are no secrets."""
    with pytest.raises(NotFound, match="password, user"):
        secret(user="ada", password=VALUE).only("pass")
    with pytest.raises(KeyError, match="password, user") as caught:
        secret(user="ada", password=VALUE)["pass"]
    assert VALUE not in str(caught.value)
