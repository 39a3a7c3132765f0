"""What a webhook is told, and how it is signed: as Standard Webhooks has it, so that its libraries verify it.

    webhook-id          the same for every try of one notification
    webhook-timestamp   seconds since 1970, of this try
    webhook-signature   v1,base64(HMAC-SHA256(key, "<id>.<timestamp>.<body>"))

The key is what "whsec_" and base64 stand for. A body names a secret and what happened to it; no value is ever in it.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final

import msgspec

from ml_secrets.domain.instant import rfc3339

KEY_PREFIX: Final = "whsec_"
KEY_SIZE: Final = 32
TEST: Final = "test"
_encode = msgspec.json.Encoder().encode


class Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to tell. kind: what happened to the secret, or `TEST`. now: when, in seconds since 1970."""

    id: str
    kind: str
    now: float
    mount: str = ""
    path: str = ""
    version: int = 0
    etag: str = ""


def body(notification: Notification, *, missed: int) -> bytes:
    """The body. missed: how many could not be kept since the last one that was delivered."""
    one = notification
    time = rfc3339(one.now)
    if one.kind == TEST:
        return _encode({"type": TEST, "timestamp": time, "data": {}})
    data = {
        "kind": one.kind,
        "mount": one.mount,
        "path": one.path,
        "version": one.version,
        "etag": f'"{one.etag}"' if one.etag else "",
        "missed": missed,
    }
    return _encode({"type": f"secret.{one.kind}", "timestamp": time, "data": data})


def new_key(random: bytes) -> str:
    """A key as people hand it on."""
    return KEY_PREFIX + base64.b64encode(random).decode()


def headers(key: str, notification: Notification, text: bytes, now: float) -> dict[str, str]:
    """The headers of one try."""
    moment = str(int(now))
    signed = f"{notification.id}.{moment}.".encode() + text
    digest = hmac.digest(base64.b64decode(key.removeprefix(KEY_PREFIX)), signed, "sha256")
    return {
        "content-type": "application/json",
        "user-agent": "ml-secrets-webhook",
        "webhook-id": notification.id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
