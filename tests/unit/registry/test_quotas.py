"""Rate limits: which paths a quota holds for, and how much it remembers."""

import pytest

from ml_secrets.errors import Limited
from ml_secrets.registry import quotas
from ml_secrets.registry.quotas import Quota, Quotas
from ml_secrets.registry.unit import Unit
from ml_secrets.storage.memory import MemoryStorage


@pytest.mark.parametrize("path", ["secret", "secret/", "/secret/", "/secret"])
def test_a_mounts_quota_has_one_spelling(server, path):
    """However its path is written, a quota limits that mount: none is stored that limits nothing."""
    server.ask("POST", "sys/quotas/rate-limit/q", {"path": path, "rate": 1, "interval": "1m"})
    assert server.ask("GET", "sys/quotas/rate-limit/q").data["path"] == "secret/"
    assert [server.ask("GET", "secret/data/x").status for _ in range(2)] == [404, 429]


@pytest.mark.parametrize(
    ("path", "asked", "holds"),
    [
        ("", "anything", True),
        ("secret/", "secret/data/x", True),
        ("secret/", "secret", True),
        ("secret/data/app", "secret/data/app", True),
        ("secret/data/app", "secret/data/app/db", True),
        ("secret/data/app", "secret/data/apple", False),
        ("secret/", "secrets/x", False),
    ],
)
def test_a_quota_holds_for_its_path_and_what_lies_below(path, asked, holds):
    """A name that only begins like it is another one."""
    assert Quota(name="q", path=path).holds(asked) is holds


def test_blocked_addresses_do_not_pile_up(monkeypatch):
    """However many addresses are blocked, so many are remembered; the newest always are."""
    monkeypatch.setattr(quotas, "_MOST_ADDRESSES", 100)
    storage, limits = MemoryStorage(), Quotas()
    with storage.begin(write=True) as tx:
        unit = Unit(tx, 1000.0, writes=True)
        limits.write(unit, Quota(name="q", rate=1, block_interval=60))
    with storage.begin(write=False) as tx:
        for number in range(500):
            limits.check(Unit(tx, 1000.0, writes=False), "p", f"2001:db8::{number:x}")
            with pytest.raises(Limited):
                limits.check(Unit(tx, 1000.0, writes=False), "p", f"2001:db8::{number:x}")
        with pytest.raises(Limited) as caught:
            limits.check(Unit(tx, 1030.0, writes=False), "p", "2001:db8::1f3")
    assert caught.value.retry_after == 30
    assert len(limits._blocked) == 100


def test_many_addresses_give_nobody_a_new_window(monkeypatch):
    """Of too many, the one that asked longest ago is forgotten: whoever goes on asking stays limited."""
    monkeypatch.setattr(quotas, "_MOST_ADDRESSES", 10)
    storage, limits = MemoryStorage(), Quotas()
    with storage.begin(write=True) as tx:
        limits.write(Unit(tx, 1000.0, writes=True), Quota(name="q", rate=2, interval=60))
    with storage.begin(write=False) as tx:
        unit = Unit(tx, 1000.0, writes=False)
        for _ in range(2):
            limits.check(unit, "p", "192.0.2.1")
        for number in range(50):
            limits.check(unit, "p", f"2001:db8::{number:x}")
            with pytest.raises(Limited):
                limits.check(unit, "p", "192.0.2.1")
    assert len(limits._windows) == 10


def test_no_rate_locks_everybody_out_for_good(server):
    """A rate below one request in a window lets one through, so that the quota can be taken away again."""
    server.ask("POST", "sys/quotas/rate-limit/q", {"rate": 0.000001})
    server.now += 10
    assert server.ask("DELETE", "sys/quotas/rate-limit/q").status == 204
    assert [server.ask("GET", "sys/mounts").status for _ in range(3)] == [200, 200, 200]
