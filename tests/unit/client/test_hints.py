"""A mistake is told in the SDK's errors as the server tells it."""

import pytest

from ml_secrets import Client, errors

POLICY = 'path "secret/data/hints/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def reader(dev_server):
    """A client that may read some secrets, of which there is one."""
    with Client(dev_server.url, dev_server.token) as root:
        root.write("sys/policies/acl/hints", {"policy": POLICY})
        root.kv.put("hints/db", {"key": "FAKE-value"})
        made = root.write("auth/token/create", {"policies": ["hints"]})
    with Client(dev_server.url, made.auth["client_token"]) as client:
        yield client


@pytest.mark.parametrize(
    ("ask", "error", "hint"),
    [
        (lambda client: client.read("secret/hints/db"), errors.Denied, "did you mean secret/data/hints/db?"),
        (
            lambda client: client.get_secret("data/hints/db"),
            errors.Denied,
            "did you mean secret/data/hints/db?",
        ),
        (
            lambda client: client.get_secret("secret/hints/db"),
            errors.Denied,
            "did you mean secret/data/hints/db?",
        ),
        (lambda client: client.get_secret("Hints/db"), errors.Denied, "did you mean secret/data/hints/db?"),
        (
            lambda client: client.get_secret("hints/none"),
            errors.NotFound,
            "ml-secrets list secret/metadata/hints",
        ),
        (
            lambda client: client.read("secret/data/hints/none"),
            errors.NotFound,
            "ml-secrets list secret/metadata/hints",
        ),
        (
            lambda client: client.kv.put("hints/db", {}),
            errors.Denied,
            'add "create", "update" to its capabilities',
        ),
    ],
)
def test_an_error_says_what_to_do_next(reader, ask, error, hint):
    """Its class, and its hint."""
    with pytest.raises(error) as caught:
        ask(reader)
    assert hint in caught.value.hint
