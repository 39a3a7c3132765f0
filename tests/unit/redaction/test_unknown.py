"""Secrets that nobody handed out, by their shape, where that was asked for; and by a name that says what they are."""

import logging

import pytest

from ml_secrets.errors import Leaked
from ml_secrets.redaction.named import says_so, without_named

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"


def test_a_token_of_a_provider(value, install):
    """Masked beside known values; told by the rule's name."""
    pytest.importorskip("kingfisher_sdk")
    seen = []
    log = logging.Logger("train")  # noqa: LOG001 - of this test alone
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    log.addHandler(handler)
    install(only=["logging"])
    log.error("token %s of %s", TOKEN, value)
    install("mask", only=["logging"], unknown=True)
    log.error("token %s of %s", TOKEN, value)
    install("fail", only=["logging"], unknown=True)
    with pytest.raises(Leaked, match="the value of nobody known") as caught:
        log.error("token %s", TOKEN)
    assert seen == [f"token {TOKEN} of [masked]", "token [masked] of [masked]"]
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "db.password",
        "API_KEY",
        "api-key",
        "hf_token",
        "github_token",
        "token",
        "aws_secret_access_key",
        "client_secret",
    ],
)
def test_names_that_say_so(name):
    """What people call their secrets."""
    assert says_so(name)


@pytest.mark.parametrize(
    "name",
    [
        "pad_token",
        "eos_token",
        "max_tokens",
        "tokenizer",
        "secretary",
        "key",
        "keys",
        "monkey",
        "n_token",
        7,
        None,
    ],
)
def test_names_that_only_sound_alike(name):
    """What models and trainers are configured with."""
    assert not says_so(name)


def test_values_by_name():
    """In mappings, in overrides, behind options; references, numbers and what is empty stay."""
    thing = {
        "db": {"password": "typed", "user": "ada", "port": 5432},
        "api_key": "${oc.env:KEY}",
        "token": "secret://a/b#c",
        "secret": "",
        "password": None,
        "list": [
            "db.password=typed",
            "+x.api_key=typed",
            "lr=0.1",
            "--token",
            "typed",
            "--token=typed",
            "--lr",
            "3",
        ],
    }
    found, names = without_named(thing)
    assert found == thing | {
        "db": {"password": "[masked]", "user": "ada", "port": 5432},
        "list": [
            "db.password=[masked]",
            "+x.api_key=[masked]",
            "lr=0.1",
            "--token",
            "[masked]",
            "--token=[masked]",
            "--lr",
            "3",
        ],
    }
    assert names == {"password", "db.password", "x.api_key", "token"}
    assert without_named({"a": [1, "b"]})[0] == {"a": [1, "b"]}
