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
