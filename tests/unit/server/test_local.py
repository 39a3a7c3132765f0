"""The local server's token: it goes where the clients look, and nothing that lies there is lost."""

import logging
import stat

import pytest

from ml_secrets.server.local import has_token, keep_token, set_token_aside


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
    assert not has_token()
    assert list(folder.iterdir()) == []
