"""crypto/hmac.py beside the standard library's."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.crypto.hmac import Hmac


@given(st.binary(max_size=64), st.binary(max_size=200), st.binary(max_size=10))
def test_it_is_hmac_sha256(key, message, other):
    """Every time, also after another message."""
    one = Hmac(key)
    assert one.hex(other) == hmac.digest(key, other, "sha256").hex()
    assert one.digest(message) == hmac.digest(key, message, "sha256")
    assert one.hex(message) == hmac.digest(key, message, "sha256").hex()
