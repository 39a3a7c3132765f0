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


def login(server, role_id):
    return server.ask(
        "POST", "auth/approle/login", {"role_id": role_id, "secret_id": "wrong"}, token=None
    ).status


@pytest.fixture
def ids(server):
    """The role ids of two roles."""
    server.ask("POST", "sys/auth/approle", {"type": "approle"})
    for role in ("web", "other"):
        server.ask("POST", f"auth/approle/role/{role}", {"role_id": f"id-of-{role}"})
    return "id-of-web", "id-of-other"


def test_a_roles_quota_counts_the_logins_of_that_role_alone(server, ids):
    """Two of one role, then no more; the other role, ids that nobody has and all other requests go on."""
    web, other = ids
    body = {"path": "auth/approle", "role": "Web", "rate": 2, "interval": "1m"}
    assert server.ask("POST", "sys/quotas/rate-limit/q", body).status == 204
    shown = server.ask("GET", "sys/quotas/rate-limit/q").data
    assert (shown["path"], shown["role"]) == ("auth/approle/", "web")
    assert [login(server, web) for _ in range(3)] == [400, 400, 429]
    assert [login(server, sent) for sent in [other, "nobody's", 7, "", *[other] * 3]] == [400] * 7
    assert [server.ask("GET", "auth/approle/role/web").status for _ in range(4)] == [200] * 4
    assert server.ask("POST", "auth/approle/login", {}, token=None).status == 400
    assert server.ask("GET", "auth/approle/login").status == 405
    server.now += 60
    assert login(server, web) == 400


def test_a_roles_quota_goes_before_those_of_paths(server, ids):
    """However long the path: a role may have less, or more, than the rest of its mount."""
    rates = {"whole": ("auth/approle/", 1), "path": ("auth/approle/login", 1)}
    for name, (path, rate) in rates.items():
        server.ask("POST", f"sys/quotas/rate-limit/{name}", {"path": path, "rate": rate, "interval": "1m"})
    body = {"path": "auth/approle/", "role": "web", "rate": 3, "interval": "1m"}
    assert server.ask("POST", "sys/quotas/rate-limit/role", body).status == 204
    web, other = ids
    assert [login(server, web) for _ in range(4)] == [400, 400, 400, 429]
    assert [login(server, other) for _ in range(2)] == [400, 429]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "needs the path of an auth method"),
        ("secret/", "needs the path of an auth method"),
        ("auth/approle/login", "either a role or a path inside a mount"),
        ("auth/token/", "logins of token name no role"),
        ("auth/userpass/", "logins of userpass name no role"),
    ],
)
def test_a_quota_by_role_is_for_methods_with_roles(server, ids, path, why):
    """As in OpenBao; what would limit nothing is not stored."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    answer = server.ask("POST", "sys/quotas/rate-limit/q", {"path": path, "role": "web", "rate": 1})
    assert answer.status == 400
    assert why in answer.json["errors"][0]
    assert server.ask("GET", "sys/quotas/rate-limit/q").status == 404


def test_two_quotas_for_the_same_requests_are_refused(server, ids):
    """Only one of them would count: the second is refused by name; the first may be changed, a role's is another."""
    assert server.ask("POST", "sys/quotas/rate-limit/a", {"path": "secret/", "rate": 9}).status == 204
    answer = server.ask("POST", "sys/quotas/rate-limit/b", {"path": "secret", "rate": 9})
    assert answer.status == 400
    assert '"a"' in answer.json["errors"][0]
    assert server.ask("POST", "sys/quotas/rate-limit/a", {"path": "secret/", "rate": 8}).status == 204
    for role in ("", "web"):
        body = {"path": "auth/approle/", "role": role, "rate": 9}
        assert server.ask("POST", f"sys/quotas/rate-limit/of{role}", body).status == 204


def test_blocked_addresses_do_not_pile_up(monkeypatch):
    """However many addresses are blocked, so many are remembered; the newest always are."""
    monkeypatch.setattr(quotas, "_MOST_ADDRESSES", 100)
    storage, limits = MemoryStorage(), Quotas()
    with storage.begin(write=True) as tx:
        unit = Unit(tx, 1000.0)
        limits.write(unit, Quota(name="q", rate=1, block_interval=60))
    with storage.begin(write=False) as tx:
        for number in range(500):
            limits.check(Unit(tx, 1000.0), "p", f"2001:db8::{number:x}")
            with pytest.raises(Limited):
                limits.check(Unit(tx, 1000.0), "p", f"2001:db8::{number:x}")
        with pytest.raises(Limited) as caught:
            limits.check(Unit(tx, 1030.0), "p", "2001:db8::1f3")
    assert caught.value.retry_after == 30
    assert len(limits._blocked) == 100


def test_many_addresses_give_nobody_a_new_window(monkeypatch):
    """Of too many, the one that asked longest ago is forgotten: whoever goes on asking stays limited."""
    monkeypatch.setattr(quotas, "_MOST_ADDRESSES", 10)
    storage, limits = MemoryStorage(), Quotas()
    with storage.begin(write=True) as tx:
        limits.write(Unit(tx, 1000.0), Quota(name="q", rate=2, interval=60))
    with storage.begin(write=False) as tx:
        unit = Unit(tx, 1000.0)
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
