"""Engines on a mount of their own."""

import pytest

from ml_secrets.engines.cubbyhole import ENGINE
from ml_secrets.engines.kv import KV1, KV2
from ml_secrets.testing.mounted import Mounted


@pytest.fixture
def kv2():
    """A KV version 2 mount."""
    return Mounted(KV2)


@pytest.fixture
def kv1():
    """A KV version 1 mount."""
    return Mounted(KV1)


@pytest.fixture
def cubbyhole():
    """A cubbyhole; `.caller` says whose."""
    return Mounted(ENGINE, path="cubbyhole/")


@pytest.fixture
def filtered(server):
    """The test's server, the lists of `secret/` filtered."""
    server.ask("POST", "secret/config", {"filtered_lists": True})
    yield server
    server.ask("POST", "secret/config", {"filtered_lists": False})


@pytest.fixture
def as_user(server):
    """Make a token with this policy's text alone, and give it."""

    def make(policy):
        assert server.ask("POST", "sys/policies/acl/user", {"policy": policy}).status == 204
        made = server.ask("POST", "auth/token/create", {"policies": ["user"], "no_default_policy": True})
        return made.json["auth"]["client_token"]

    return make
