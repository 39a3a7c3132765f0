"""upkeep/expire.py: rounds of sweeping."""

import threading
from time import perf_counter

import pytest

from ml_secrets.domain.token import TokenEntry
from ml_secrets.upkeep import expire


def fill(server, number, ttl=60.0):
    tokens = server.house.tokens
    with server.house.units.write() as unit:
        for _ in range(number):
            made = TokenEntry(
                accessor=tokens.new_accessor(),
                policies=("default",),
                path="auth/ci/login",
                created=server.now,
                expires=server.now + ttl,
            )
            tokens.issue(unit, made)


def test_a_round_with_nothing_due_writes_nothing(server):
    """It looks, and that is all."""
    fill(server, 5)
    revision = server.server.storage.revision
    assert expire.run_once(server.house, server.now) is False
    assert server.server.storage.revision == revision


def test_expired_tokens_go_with_all_that_hangs_on_them(server):
    """Cubbyhole, wrapped answers, children, indexes; the living stay."""
    token = server.ask("POST", "auth/token/create", {"policies": ["default"], "ttl": "1m"}).json["auth"][
        "client_token"
    ]
    living = server.ask("POST", "auth/token/create", {"policies": ["default"]}).json["auth"]["client_token"]
    assert server.ask("POST", "cubbyhole/a/b", {"x": "y"}, token=token).status == 204
    assert server.ask("POST", "cubbyhole/a/b", {"x": "y"}, token=living).status == 204
    server.ask("POST", "sys/wrapping/wrap", {"a": 1}, wrap="60")
    before = len(server.rows())
    server.now += 61
    server.sweep()
    assert server.ask("GET", "cubbyhole/a/b", token=living).data == {"x": "y"}
    assert len(server.rows("open/token/id/")) == 2
    assert server.rows("open/wrap/") == []
    assert len(server.rows()) < before


def test_what_is_due_is_swept_in_rounds(server):
    """Each is one write; the last one says that nothing is left."""
    fill(server, 350)
    server.now += 61
    assert server.sweep() >= 3
    assert len(server.rows("open/token/id/")) == 1


@pytest.mark.parametrize("number", [1500, pytest.param(100_000, marks=pytest.mark.long)])
def test_requests_are_answered_while_many_leases_end(server, number):
    """Matrix 40: reads and writes find their turn between the rounds, in well under a quarter of a second."""
    fill(server, number)
    server.now += 61
    done, slowest = threading.Event(), []

    def sweep():
        while expire.run_once(server.house, server.now):
            done.wait(0.02)
        done.set()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    while not done.is_set():
        start = perf_counter()
        assert server.ask("GET", "auth/token/lookup-self").status == 200
        assert server.ask("POST", "secret/data/x", {"data": {"a": "b"}}).status == 200
        slowest.append(perf_counter() - start)
    sweeper.join()
    assert len(server.rows("open/token/id/")) == 1
    slowest.sort()
    assert slowest[int(len(slowest) * 0.99) - 1] < 0.25, slowest[-5:]
