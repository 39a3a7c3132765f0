"""A whole server in memory for each test, with a clock to turn."""

import pytest

from ml_secrets.testing.whole import Whole


@pytest.fixture
def server():
    """An open server; root's token is the default of `ask`."""
    whole = Whole()
    yield whole
    whole.close()


@pytest.fixture
def policy(server):
    """Write a policy from {path: capabilities}, and give its name."""

    def write(name, rules):
        text = "".join(
            f'path "{path}" {{ capabilities = {list(rights)!r} }}\n'.replace("'", '"')
            for path, rights in rules.items()
        )
        assert server.ask("POST", f"sys/policies/acl/{name}", {"policy": text}).status == 204
        return name

    return write


@pytest.fixture
def token_of(server):
    """Make a token with these fields, and give it."""

    def make(**fields):
        answer = server.ask("POST", "auth/token/create", fields)
        assert answer.status == 200, answer.body
        return answer.json["auth"]["client_token"]

    return make
