"""A server with a store on disk, shared by the tests of a file that leave it as they found it."""

import pytest
from tests.security.serving import stored


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Our server on SQLite, with an audit log and a key file; `.url`, `.token`, `.ask(...)`."""
    with stored(tmp_path_factory.mktemp("hostile")) as running:
        running.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        running.ask("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        running.ask("POST", "sys/auth/userpass", {"type": "userpass"})
        running.ask("POST", "sys/auth/approle", {"type": "approle"})
        yield running
