"""Sessions run against a real server, with files and settings of their own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """An empty home: no token, no settings, a working folder of its own."""
    for name, folder in (
        ("HOME", "home"),
        ("ML_SECRETS_CONFIG_DIR", "config"),
        ("ML_SECRETS_DATA_DIR", "data"),
    ):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


@pytest.fixture
def logged_in(at_home, openbao, monkeypatch):
    """As `at_home`, with a real server and its root token."""
    monkeypatch.setenv("ML_SECRETS_ADDR", openbao.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", openbao.token)
    return openbao
