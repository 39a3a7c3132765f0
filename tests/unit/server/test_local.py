"""The local server's token: it goes where the clients look, and nothing that lies there is lost or passed over."""

import logging
import stat

import pytest

from ml_secrets.server.assemble import assemble
from ml_secrets.server.local import keep_token, local_config, set_token_aside, stored_token
from ml_secrets.server.run import _open


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's configuration folder."""
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path))
    return tmp_path


def test_a_token_that_is_there_is_set_aside(folder, caplog):
    """It may be one for another server: it keeps its content and its mode under another name, which is told."""
    for token in ("one", "two", "three"):
        with caplog.at_level(logging.WARNING):
            path = keep_token(token)
        assert path.read_text() == token
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [(folder / f"token.{number}").read_text() for number in (1, 2)] == ["one", "two"]
    assert stat.S_IMODE((folder / "token.1").stat().st_mode) == 0o600
    assert [record.args[1].name for record in caplog.records] == ["token.1", "token.2"]
    assert "two" not in caplog.text


def test_where_there_is_no_token_none_is_set_aside(folder):
    """The folder stays empty."""
    set_token_aside()
    assert stored_token() is None
    assert list(folder.iterdir()) == []


@pytest.fixture
def told(folder, monkeypatch):
    """What the local server says at a start, and whether the token that lies there is one of its own; called again, of the next start."""
    monkeypatch.setenv("ML_SECRETS_DATA_DIR", str(folder / "data"))

    def start():
        server = assemble(local_config(), kv_at_secret=True)
        try:
            return "\n".join(_open(server)), server.knows(stored_token())
        finally:
            server.close()

    return start


def test_a_later_start_says_who_is_logged_in(told, folder):
    """A token of this store needs no word; where there is none, one is made; one of another server stays, and the way in is told."""
    token = folder / "token"
    text, logged_in = told()
    assert "You are logged in" in text
    assert logged_in
    token.write_text(token.read_text() + "\n")
    text, logged_in = told()
    assert "logged in" not in text
    assert logged_in
    for stranger in (b"hvs.of-another-server", b"mls_b_\xff"):
        token.write_bytes(stranger)
        text, logged_in = told()
        assert "You are not logged in here" in text
        assert "ml-secrets login --address http://127.0.0.1:8200" in text
        assert not logged_in
        assert token.read_bytes() == stranger
        assert "of-another-server" not in text
    token.unlink()
    text, logged_in = told()
    assert "a new root token" in text
    assert logged_in
