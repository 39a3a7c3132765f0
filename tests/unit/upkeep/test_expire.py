"""upkeep/expire.py: rounds of sweeping."""

import threading

import pytest
from tests.tokens import fill

from ml_secrets.upkeep import expire


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


@pytest.mark.parametrize("number", [1500, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_round_is_short_however_much_is_due(server, noted, number):
    """Matrix 40: a hundred tokens in each write, and nothing looks through more than those (how long it takes is in tests/security)."""
    fill(server, number)
    server.now += 61
    transactions = noted()
    assert server.sweep() == number // expire.ROUND + 1
    writes = [transaction for transaction in transactions if transaction.write]
    assert len(writes) == number // expire.ROUND
    for write in writes:
        ended = [key for verb, key, _ in write.steps if verb == "delete" and key.startswith("open/token/id/")]
        assert len(ended) == expire.ROUND
        assert write.work["put"] == 0
        assert write.work["delete"] <= 5 * expire.ROUND
        assert write.work["get"] <= 2 * expire.ROUND
        assert write.work["list"] <= 2 * expire.ROUND + 2
    assert max(transaction.looked_through for transaction in transactions) <= 2 * expire.ROUND
    assert max(len(transaction.steps) for transaction in transactions if not transaction.write) <= 5
    assert len(server.rows("open/token/id/")) == 1


def test_requests_find_their_turn_between_the_rounds(server, monkeypatch):
    """Matrix 40: a read is answered in the middle of a round, a write right after it, before the next round."""
    fill(server, 350)
    server.now += 61
    sweep, answers = server.house.sweep_tokens, []

    def read():
        answers.append(server.ask("GET", "auth/token/lookup-self").status)

    def write():
        answers.append(server.ask("POST", "secret/data/x", {"data": {"a": "b"}}).status)

    writers = []

    def round_with_requests(unit, *, limit):
        more = sweep(unit, limit=limit)
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(60)
        assert answers == [200]
        writers.append(threading.Thread(target=write))
        writers[-1].start()
        return more

    monkeypatch.setattr(server.house, "sweep_tokens", round_with_requests)
    while expire.run_once(server.house, server.now):
        writers[-1].join(60)
        assert answers == [200, 200]
        answers.clear()
    assert len(writers) == 4
    assert len(server.rows("open/token/id/")) == 1
