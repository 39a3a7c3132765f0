"""What the SDK reveals, guards know."""

import gc

from ml_secrets import Client, redaction
from ml_secrets.redaction.known import KNOWN


def test_a_secret_that_was_read_is_known_once_guards_stand(serve, wire):
    """Read before or after: what the SDK handed out is redacted, by its name and field. So is the token."""
    client = Client(
        serve(lambda asked, number: wire.kv2(f"value-number-{number}")).url, "token-of-the-client"
    )
    first = client.get_secret("db")
    try:
        redaction.install(only=["logging"])
        text = [first.reveal(), client.get_secret("other").reveal(), "token-of-the-client", "else"]
        assert redaction.redact(text) == ["[masked]", "[masked]", "[masked]", "else"]
        assert KNOWN.search(b"value-number-2")[0][0].names == {"other#value"}
    finally:
        redaction.uninstall()
        client.close()


def test_nothing_is_kept_before_somebody_watches(serve, wire):
    """Without guards a secret is remembered weakly only: when everybody drops it, so do we."""
    client = Client(serve(lambda asked, number: wire.kv2("value-number-1")).url, "t", cache_ttl=0)
    before = len(KNOWN._sources)
    secret = client.get_secret("db")
    assert len(KNOWN._sources) >= before
    assert secret in KNOWN._sources
    del secret
    gc.collect()
    assert len(KNOWN) == 0
    assert not any(getattr(source, "name", "") == "db" for source in KNOWN._sources)
    client.close()


def test_answers_of_other_calls_are_known_where_they_are_surely_secret(serve, wire):
    """Once guards stand: tokens of a login, leased credentials, a KV secret read by its path. Names and settings are none."""
    answers = {
        "/v1/auth/userpass/login/ada": wire.envelope(
            auth={"client_token": "token-of-the-login", "lease_duration": 60}
        ),
        "/v1/database/creds/train": wire.envelope({"username": "v-train-1", "password": "leased-password"})
        | {"lease_id": "database/creds/train/1"},
        "/v1/secret/data/db": wire.envelope(
            {"data": {"value": "by-its-path", "pin": 123456}, "metadata": {"version": 1}}
        ),
        "/v1/sys/mounts": wire.envelope({"secret/": {"type": "kv-of-version-2"}}),
    }
    client = Client(serve(lambda asked, number: wire.http(200, answers[asked.path])).url)
    redaction.install(only=["logging"])
    try:
        client.login_userpass("ada", "x")
        for path in ("database/creds/train", "secret/data/db", "sys/mounts"):
            client.read(path)
        texts = ["token-of-the-login", "leased-password", "by-its-path", "123456", "kv-of-version-2"]
        assert redaction.redact(texts) == ["[masked]"] * 4 + ["kv-of-version-2"]
    finally:
        redaction.uninstall()
        client.close()
