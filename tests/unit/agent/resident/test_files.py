"""An agent logs in, writes a template's file, and writes it anew when a secret of it changes."""

import stat
import time

import pytest

from .conftest import APPROLE, until

TEMPLATE = """
[server]
address = "{url}"
[[template]]
contents = 'password={{{{ secret("secret/agent/db").password }}}}'
path = "{room}/out/db.env"
"""
LOGINS = {
    "token": '[login]\nmethod = "token"\ntoken-file = "token"\n',
    "approle": APPROLE,
    "userpass": '[login]\nmethod = "userpass"\nusername = "ada"\npassword-file = "password"\n',
}


@pytest.mark.parametrize("method", LOGINS)
def test_a_file_is_written_and_follows_rotation(agents, root, role, room, door, dev_server, method):
    """By each login method: the file is 0400 and whole, and a rotation reaches it within a second."""
    root.kv.put("agent/db", {"password": "first"})
    agent = agents(LOGINS[method] + TEMPLATE.format(url=dev_server.url, room=room) + door)
    path = room / "out" / "db.env"
    assert path.read_text() == "password=first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert (role / "secret-id").exists() == (method != "approle")
    root.kv.put("agent/db", {"password": "second"})
    began = time.monotonic()
    until(lambda: path.read_text() == "password=second")
    assert time.monotonic() - began < 1
    health = agent.health()
    assert (health["follows"], health["problems"], health["logged_in"]) == ("events", {}, True)
    assert agent.stop() == 0
    assert path.read_text() == "password=second"
