"""What a webhook gets."""

import json

from ml_secrets.domain import notification
from ml_secrets.domain.notification import Notification

ONE = Notification(
    id="msg_1",
    kind="write",
    now=1_700_000_000.0,
    mount="secret/",
    path="app/db",
    version=3,
    etag="0a1b2c3d-3-0",
)


def test_a_signature_is_that_of_the_standard():
    """The vector that libraries of Standard Webhooks test themselves with."""
    one = Notification(id="msg_p5jXN8AQM9LWM0D4loKWxJek", kind="test", now=0.0)
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = notification.headers(key, one, b'{"test": 2432232314}', 1614265330.9)
    assert signed["webhook-id"] == one.id
    assert signed["webhook-timestamp"] == "1614265330"
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_body_names_the_change():
    """Kind, mount, path, version and ETag, the time of the change, and how many were missed before it."""
    assert json.loads(notification.body(ONE, missed=2)) == {
        "type": "secret.write",
        "timestamp": "2023-11-14T22:13:20Z",
        "data": {
            "kind": "write",
            "mount": "secret/",
            "path": "app/db",
            "version": 3,
            "etag": '"0a1b2c3d-3-0"',
            "missed": 2,
        },
    }


def test_a_removed_secret_has_no_etag():
    """An empty text, not a quoted nothing."""
    gone = Notification(id="msg_2", kind="remove", now=0.0, mount="secret/", path="app")
    assert json.loads(notification.body(gone, missed=0))["data"]["etag"] == ""


def test_a_test_says_that_it_is_one():
    """It tells of no change."""
    one = Notification(id="msg_3", kind="test", now=0.0)
    assert json.loads(notification.body(one, missed=5)) == {
        "type": "test",
        "timestamp": "1970-01-01T00:00:00Z",
        "data": {},
    }


def test_a_key_is_written_as_the_standard_has_it():
    """Its prefix, and its bytes in base64."""
    assert notification.new_key(bytes(24)) == "whsec_" + "A" * 32
