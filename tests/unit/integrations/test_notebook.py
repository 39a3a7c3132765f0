"""Logging in from a notebook: asked for, kept in memory, gone with the kernel."""

import pytest

from ml_secrets import Client
from ml_secrets.client import default
from ml_secrets.errors import Invalid, MlSecretsError
from ml_secrets.integrations import notebook, notebook_login


@pytest.fixture
def at_work(dev_server, tmp_path, monkeypatch):
    """A user without a token, at a server where she has a password."""
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ML_SECRETS_TOKEN", raising=False)
    default.forget()
    with Client(dev_server.url, dev_server.token) as root:
        ours = "userpass/" not in root.read("sys/auth").data  # or another test's, on the same server
        if ours:
            root.write("sys/auth/userpass", {"type": "userpass"})
        root.write("auth/userpass/users/ada", {"password": "example-password", "token_ttl": "1h"})
        yield root
        root.delete("sys/auth/userpass" if ours else "auth/userpass/users/ada")
    default.forget()


def test_a_login_by_password(at_work, tmp_path, monkeypatch, capsys):
    """The password is asked for and not shown; nothing is written; at the kernel's end the token is revoked."""
    asked = []
    monkeypatch.setattr(notebook, "getpass", lambda text: asked.append(text) or "example-password")
    ends = []
    monkeypatch.setattr(notebook_login.atexit, "register", lambda *call: ends.append(call))
    notebook.secret_login("ada")
    client = default.default_client()
    assert asked == ["Password of ada: "]
    assert capsys.readouterr().out == (
        "logged in as ada: read-only, for 900 s, renewed while the kernel runs, revoked when it ends\n"
    )
    assert client.read("auth/token/lookup-self").data["display_name"] == "userpass-ada"
    assert list(tmp_path.iterdir()) == []
    token = client.token
    ((revoke, *arguments),) = ends
    revoke(*arguments)
    with pytest.raises(MlSecretsError):
        at_work.write("auth/token/lookup", {"token": token})


def test_a_login_by_token(at_work, dev_server, monkeypatch, capsys):
    """The token is somebody's own, so it is not revoked."""
    monkeypatch.setattr(notebook, "getpass", lambda text: dev_server.token)
    notebook.secret_login("")
    assert capsys.readouterr().out.startswith("logged in as the token")
    assert default.default_client().read("sys/auth").data


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("openai/api-key", ("openai/api-key", None, "api_key")),
        ("db password", ("db", "password", "db")),
        ("db password as pw", ("db", "password", "pw")),
        ("team/db as it", ("team/db", None, "it")),
    ],
)
def test_lines_of_the_magic(line, found):
    """Name, field, variable."""
    assert notebook.parsed(line) == found


@pytest.mark.parametrize("line", ["", "a b c", "9-lives", "a as 1x"])
def test_other_lines_are_refused(line):
    """With what is expected."""
    with pytest.raises(Invalid, match="NAME"):
        notebook.parsed(line)
