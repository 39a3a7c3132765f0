"""What is kept of leases, with a server that does as it is told and a clock to turn."""

import asyncio
import json

import pytest

from ml_secrets.client.messages import EXTEND, HOLD, LEASE, LEAVE
from ml_secrets.client.node import leases as module
from ml_secrets.client.node.leases import Leases
from ml_secrets.client.node.memory import key_of
from ml_secrets.client.node.words import Ask, Told, digest_of

PATH = "database/creds/train"
OURS = {"X-Vault-Token": "ours"}


class Server:
    """Makes leases of a minute; `status` is what it says to everything else, None that it is away."""

    def __init__(self):
        self.now, self.made, self.status, self.asked, self.leased = 100.0, 0, 204, [], True

    async def send(self, ask):
        self.asked.append((ask.path, ask.headers.get("X-Vault-Token")))
        await asyncio.sleep(0)
        if self.status is None:
            return Told(fault="lost")
        if ask.path != PATH:
            body = json.dumps({"lease_id": "1", "lease_duration": 60}).encode()
            return Told(self.status, {}, body if ask.kind == EXTEND else b"")
        self.made += 1
        told = {"lease_id": str(self.made) if self.leased else "", "lease_duration": 60, "data": {}}
        return Told(200, {}, json.dumps(told).encode())

    def leases(self, *, heir=False, draw=0.0):
        return Leases(self.send, key_of, clock=lambda: self.now, draw=lambda: draw, linger=10, heir=heir)


@pytest.fixture
def server():
    return Server()


def asked_for(**more):
    return Ask(LEASE, "GET", PATH, {}, OURS, **more)


def about(kind, lease="1", **more):
    held = json.dumps({"lease_id": lease, "lease_duration": 60}).encode()
    path = PATH if kind == HOLD else f"sys/leases/{'renew' if kind == EXTEND else 'revoke'}"
    return Ask(kind, "GET" if kind == HOLD else "POST", path, {}, OURS, lease=lease, held=held, **more)


def lease_in(told):
    return json.loads(told.body)["lease_id"]


async def settled(leases):
    leases.tidy()
    await asyncio.gather(*leases._ending)


def test_what_nobody_holds_is_ended_until_the_server_has_heard(server):
    """Not before its time; again and again while the server is away, with the token of who held it; and then not any more."""

    async def job():
        leases = server.leases()
        await leases.ask(asked_for(), "a")
        leases.gone("a")
        server.now += 9
        await settled(leases)
        assert server.asked == [(PATH, "ours")]
        server.status = None
        for _ in range(5):
            server.now += 2
            await settled(leases)
        assert 2 <= server.asked.count(("sys/leases/revoke", "ours")) <= 4
        assert leases.wanted
        server.status = 204
        server.now += 10
        await settled(leases)
        assert not leases.wanted
        before = list(server.asked)
        server.now += 60
        await settled(leases)
        assert server.asked == before

    asyncio.run(job())


@pytest.mark.parametrize("way", ["refused", "over"])
def test_what_cannot_be_ended_is_let_be(server, way):
    """Without the right, and when it has ended by itself: nobody stays for it."""

    async def job():
        leases = server.leases()
        await leases.ask(asked_for(), "a")
        leases.gone("a")
        server.status = 403
        server.now += 11 if way == "refused" else 61
        await settled(leases)
        assert not leases.wanted
        assert len(server.asked) == (2 if way == "refused" else 1)

    asyncio.run(job())


def test_an_answer_is_as_old_as_makes_it_end_when_the_lease_does(server):
    """Who comes later, and after a renewal, is told until when it holds."""

    async def job():
        leases = server.leases()
        assert (await leases.ask(asked_for(), "a")).age == 0
        server.now += 20
        assert (await leases.ask(asked_for(), "b")).age == 20
        server.status = 200
        await leases.ask(about(EXTEND, fresh=20), "a")
        server.now += 5
        assert (await leases.ask(asked_for(), "c")).age == 5
        assert (await leases.ask(about(EXTEND, fresh=20), "b")).age == 5
        assert server.asked.count(("sys/leases/renew", "ours")) == 1
        server.now += 16
        assert (await leases.ask(about(EXTEND, fresh=20), "b")).age == 0
        assert server.asked.count(("sys/leases/renew", "ours")) == 2

    asyncio.run(job())


def test_machines_do_not_renew_together(server):
    """By chance a lease counts as up to a tenth older, for all of a machine alike: it is renewed earlier, never later."""

    async def job():
        leases = server.leases(draw=0.5)
        told = [await leases.ask(asked_for(), holder) for holder in "ab"]
        assert [one.age for one in told] == [pytest.approx(3), pytest.approx(3)]
        server.status, server.now = 200, 140.0
        told = [await leases.ask(about(EXTEND, fresh=20), holder) for holder in "ab"]
        assert [one.age for one in told] == [pytest.approx(3), pytest.approx(3)]

    asyncio.run(job())


def test_what_was_replaced_is_left_to_end(server):
    """Who was refused has others made; those who still have the first may leave it, and it is not ended under anybody."""

    async def job():
        leases = server.leases()
        await leases.ask(asked_for(), "a")
        await leases.ask(asked_for(), "b")
        other = await leases.ask(asked_for(refused=digest_of("1")), "a")
        assert lease_in(other) == "2"
        assert lease_in(await leases.ask(asked_for(refused=digest_of("1")), "c")) == "2"
        assert (await leases.ask(about(LEAVE), "b")).status == 204
        server.now += 30
        await settled(leases)
        assert server.asked == [(PATH, "ours")] * 2

    asyncio.run(job())


def test_what_has_no_lease_is_for_one(server):
    """Who asks at the same time gets another."""

    async def job():
        server.leased = False
        leases = server.leases()
        await asyncio.gather(leases.ask(asked_for(), "a"), leases.ask(asked_for(), "b"))
        assert server.made == 2
        assert not leases.wanted

    asyncio.run(job())


def test_who_takes_over_hears_the_holders_first(server, monkeypatch):
    """Nothing is made or ended before they have had their time; a lease that two speak of is one, and the last of them ends it."""
    monkeypatch.setattr(module, "SETTLE", 0.2)

    async def job():
        server.made = 7
        leases = server.leases(heir=True)
        newcomer = asyncio.ensure_future(leases.ask(asked_for(), "c"))
        leaving = asyncio.ensure_future(leases.ask(about(LEAVE, "5", left=30.0), "a"))
        await asyncio.sleep(0)
        assert server.asked == []
        assert (await leases.ask(about(HOLD, "5", left=30.0), "b")).status == 204
        server.now += 0.2
        told = await newcomer
        assert (lease_in(told), told.age) == ("5", pytest.approx(30.2))
        assert (await leaving).status == 204
        assert server.asked == []
        await leases.ask(about(LEAVE, "5"), "b")
        assert server.asked == []
        await leases.ask(about(LEAVE, "5"), "c")
        assert server.asked == [("sys/leases/revoke", "ours")]

    asyncio.run(job())
