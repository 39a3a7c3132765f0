"""D. Wrapping, against a real process."""

from collections import Counter

import pytest
from tests.security.serving import many


def wrapped(store, ttl="5m"):
    store.ask("POST", "secret/data/wrapped", {"data": {"v": "inside"}})
    return store.ask("GET", "secret/data/wrapped", headers={"X-Vault-Wrap-TTL": ttl}).json["wrap_info"][
        "token"
    ]


@pytest.mark.parametrize("own_token", [True, False])
def test_41_a_wrapping_is_opened_once(store, own_token):
    """Check 41: of 128 unwraps at once exactly one gets the content, by its own token or by the body."""
    token = wrapped(store)

    def unwrap(_):
        if own_token:
            return store.ask("POST", "sys/wrapping/unwrap", token=token)
        return store.ask("POST", "sys/wrapping/unwrap", {"token": token})

    answers = many(128, unwrap)
    assert Counter(answer.status for answer in answers)[200] == 1
    assert {answer.status for answer in answers} <= {200, 400, 403, 429}
    assert sum(b"inside" in answer.body for answer in answers) == 1


def test_43_a_wrapping_token_opens_nothing_else(store):
    """Check 43: a lookup tells where and when it was made; elsewhere it is 403, which spends its one use, as at the peers."""
    token = wrapped(store)
    told = store.ask("POST", "sys/wrapping/lookup", {"token": token}, token=None).data
    assert told["creation_path"] == "secret/data/wrapped"
    assert told["creation_ttl"] == 300
    for method, path in (
        ("GET", "secret/data/wrapped"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/token/create"),
        ("POST", "auth/token/renew-self"),
        ("GET", "cubbyhole/response"),
        ("LIST", "cubbyhole"),
        ("POST", "sys/capabilities-self"),
    ):
        assert store.ask(method, path, {} if method == "POST" else None, token=token).status == 403, path
    assert store.ask("POST", "sys/wrapping/unwrap", {"token": token}).status == 400


def test_44_a_rewrap_ends_the_old_token(store):
    """Check 44: of 20 rewraps at once one wins, and its token alone opens the content."""
    token = wrapped(store)
    answers = many(20, lambda _: store.ask("POST", "sys/wrapping/rewrap", {"token": token}))
    (new,) = [answer.json["wrap_info"]["token"] for answer in answers if answer.status == 200]
    assert store.ask("POST", "sys/wrapping/unwrap", {"token": token}).status == 400
    assert store.ask("POST", "sys/wrapping/unwrap", {"token": new}).data["data"] == {"v": "inside"}


@pytest.mark.parametrize(
    "ttl",
    [
        "0",
        "-1",
        "-1s",
        "0s",
        "1e99",
        "9" * 30,
        "1_0",
        "\uff11".encode().decode("latin-1"),
        "soon",
        "1.5.5h",
        "nan",
        "inf",
        "10000d",
        "1h;1h",
    ],
)
def test_44_a_lifetime_that_makes_no_sense_is_refused(store, ttl):
    """Check 44: 400, and nothing is wrapped."""
    answer = store.ask("GET", "secret/data/wrapped", headers={"X-Vault-Wrap-TTL": ttl})
    assert answer.status == 400, answer.body
