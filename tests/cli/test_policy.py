"""`ml-secrets policy` as somebody who is not root."""

import json

import httpx
import pytest
from session import run


@pytest.fixture
def as_reader(dev_server, at_home, monkeypatch):
    """A token that may read one secret, and no policy's text."""
    with httpx.Client(base_url=f"{dev_server.url}/v1/", headers={"X-Vault-Token": dev_server.token}) as api:
        text = 'path "secret/data/one" { capabilities = ["read"] }'
        assert api.put("sys/policies/acl/one-reader", json={"policy": text}).status_code == 204
        made = api.post("auth/token/create", json={"policies": ["one-reader"]}).json()
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", made["auth"]["client_token"])


@pytest.mark.usefixtures("as_reader")
@pytest.mark.parametrize("verb", ["explain", "simulate"])
def test_everybody_learns_why_they_may_not(verb):
    """One's own token is asked about without a right to read its policies."""
    assert run(["policy", "read", "one-reader"]).code == 2
    told = run(["policy", verb, "--format", "json", "update", "secret/data/one"])
    assert told.code == 1, told.stderr
    row = json.loads(told.stdout)
    assert (row["allowed"], row["rule"], row["policies"]) == (False, "secret/data/one", ["one-reader"])
    assert run(["policy", verb, "read", "secret/data/one"]).code == 0


@pytest.mark.usefixtures("as_reader")
def test_nobody_tries_other_policies_without_the_right():
    """What would be allowed by other policies is asked of sys/policies/simulate, which takes a right of its own."""
    told = run(["policy", "simulate", "--policy", "default", "read", "secret/data/one"])
    assert told.code == 2
    assert "sys/policies/simulate" in told.stderr
