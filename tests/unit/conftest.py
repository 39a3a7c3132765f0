"""A whole server in memory for each test, with a clock to turn."""

from collections import Counter
from contextlib import contextmanager

import pytest

from ml_secrets.client import default
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


@pytest.fixture
def surroundings(monkeypatch):
    """`surroundings(server)`: they say where that is, and the client of the process asks there, which goes with the test.

    Its cache is good for minutes, so that only being told makes it current.
    """

    def say(server):
        monkeypatch.setenv("ML_SECRETS_ADDR", server.url)
        monkeypatch.setenv("ML_SECRETS_TOKEN", server.token)
        monkeypatch.setenv("ML_SECRETS_REVALIDATE", "300")
        return server

    default.forget()
    yield say
    default.forget()


class Noted:
    """A transaction that notes its steps: (verb, key, how many names or rows that was)."""

    def __init__(self, tx, *, write):
        self.tx = tx
        self.write = write
        self.steps = []

    def get(self, key):
        self.steps.append(("get", key, 1))
        return self.tx.get(key)

    def put(self, key, value):
        self.steps.append(("put", key, 1))
        self.tx.put(key, value)

    def delete(self, key):
        self.steps.append(("delete", key, 1))
        self.tx.delete(key)

    def list(self, prefix, *, after="", limit=-1):
        names = self.tx.list(prefix, after=after, limit=limit)
        self.steps.append(("list", prefix, len(names)))
        return names

    @property
    def work(self):
        """How often each verb was used."""
        return Counter(verb for verb, _, _ in self.steps)

    @property
    def looked_through(self):
        """How many names all its lists together gave."""
        return sum(size for verb, _, size in self.steps if verb == "list")


class Noting:
    """The server's storage, whose transactions note their steps."""

    def __init__(self, storage):
        self.storage = storage
        self.transactions = []

    def __getattr__(self, name):
        return getattr(self.storage, name)

    @contextmanager
    def begin(self, *, write):
        with self.storage.begin(write=write) as tx:
            self.transactions.append(Noted(tx, write=write))
            yield self.transactions[-1]


@pytest.fixture
def noted(server, monkeypatch):
    """Start noting: `noted()` gives the list to which each transaction from now on is added as it begins."""

    def start():
        noting = Noting(server.house.units._storage)
        monkeypatch.setattr(server.house.units, "_storage", noting)
        return noting.transactions

    return start
