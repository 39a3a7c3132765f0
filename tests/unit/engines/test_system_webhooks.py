"""`sys/webhooks`: who may, what is shown, what is refused."""

import json

import pytest

from ml_secrets.registry import webhooks

URL = "https://hooks.example/key-fake-in-a-url"


def make(server, name="one", **fields):
    return server.ask("POST", f"sys/webhooks/{name}", {"url": URL, **fields})


def test_the_key_is_shown_once(server):
    """In the answer to its making, and after a rotation; in no other answer."""
    made = make(server, kinds="write,delete", path="secret/team/", description="the reloader")
    key = made.data["key"]
    assert key.startswith("whsec_")
    shown = server.ask("GET", "sys/webhooks/one").data
    assert shown == {
        "url": URL,
        "kinds": ["delete", "write"],
        "path": "secret/team",
        "description": "the reloader",
        "created_time": "2023-11-14T22:13:20Z",
    }
    assert make(server).status == 204
    rotated = make(server, rotate_key=True).data["key"]
    assert rotated.startswith("whsec_")
    assert rotated != key
    assert server.ask("GET", "sys/webhooks/one").data["kinds"] == ["*"]


def test_they_are_listed_and_removed(server):
    """By name, whatever its case; a removed one leaves nothing behind."""
    make(server, "Two")
    make(server, "one")
    assert server.ask("LIST", "sys/webhooks").data["keys"] == ["one", "two"]
    server.ask("POST", "secret/data/a", {"data": {"fake": "x"}})
    server.ask("POST", "sys/webhooks/one/test")
    for name in ("one", "two", "two"):
        assert server.ask("DELETE", f"sys/webhooks/{name}").status == 204
    assert server.ask("LIST", "sys/webhooks").status == 404
    assert server.rows("open/webhook/") == server.rows("webhook/") == []


@pytest.mark.parametrize("path", ["sys/webhooks/none", "sys/webhooks/none/status"])
def test_what_is_not_there_is_404(server, path):
    """And so is a test of it."""
    assert server.ask("GET", path).status == 404
    assert server.ask("POST", "sys/webhooks/none/test").status == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://hooks.example/"},
        {"url": "https://10.0.0.1/"},
        {"url": "https://169.254.169.254/latest"},
        {"url": "https://[::ffff:169.254.169.254]/"},
        {"url": ""},
        {"kinds": "wrote"},
        {"path": "x" * 513},
        {"description": "x" * 513},
    ],
)
def test_what_makes_no_sense_is_refused(server, fields):
    """URLs that must not be called, kinds that there are not, and what is too long; the URL is not repeated."""
    refused = make(server, **fields)
    assert refused.status == 400
    assert not fields.get("url") or fields["url"] not in refused.body.decode()


def test_there_are_so_many_and_no_more(server, monkeypatch):
    """Each costs every change a row; those that are there can still be written."""
    monkeypatch.setattr(webhooks, "MOST", 1)
    assert make(server).status == 200
    assert make(server, "two").status == 400
    assert make(server).status == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("LIST", "sys/webhooks"),
        ("GET", "sys/webhooks/one"),
        ("POST", "sys/webhooks/one"),
        ("DELETE", "sys/webhooks/one"),
        ("GET", "sys/webhooks/one/status"),
        ("POST", "sys/webhooks/one/test"),
    ],
)
def test_all_of_it_needs_sudo(server, policy, token_of, method, path):
    """Whoever may write one has changes of every secret told to wherever they say."""
    make(server)
    rights = ["create", "read", "update", "delete", "list"]
    weak = token_of(policies=[policy("weak", {"sys/webhooks": rights, "sys/webhooks/*": rights})])
    strong = token_of(
        policies=[policy("strong", {"sys/webhooks": [*rights, "sudo"], "sys/webhooks/*": [*rights, "sudo"]})]
    )
    body = {"url": URL} if method == "POST" else None
    assert server.ask(method, path, body, token=weak).status == 403
    assert server.ask(method, path, body, token=strong).status < 300


def test_url_and_key_are_hashed_in_the_audit_log(server, tmp_path):
    """Both are secrets: the log tells that they came, and not what they are."""
    log = tmp_path / "audit.log"
    server.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})
    key = make(server, path="secret/team").data["key"]
    server.ask("GET", "sys/webhooks/one")
    text = log.read_text()
    assert URL not in text
    assert key not in text
    asked = next(
        line
        for line in map(json.loads, text.splitlines())
        if line.get("request", {}).get("path") == "sys/webhooks/one"
    )
    assert asked["request"]["data"]["path"] == "secret/team"
    assert asked["request"]["data"]["url"].startswith("hmac-sha256:")


def test_an_unsealed_store_does_not_show_names_or_urls(tmp_path):
    """Rows are sealed, names of webhooks with them."""
    from ml_secrets.testing.whole import Whole

    server = Whole(tmp_path)
    make(server, "name-of-a-webhook")
    server.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"name-of-a-webhook" not in stored
    assert b"hooks.example" not in stored
    assert b"whsec_" not in stored
