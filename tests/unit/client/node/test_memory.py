"""What is kept of the server's answers, for how long, and what is asked once for all."""

import asyncio
import json

from ml_secrets.client.messages import BATCH, LOGIN, READ, RENEW, WAIT
from ml_secrets.client.node import memory
from ml_secrets.client.node.memory import LARGEST_KEPT, MOST_WAITING, Memory
from ml_secrets.client.node.words import FORGET, Ask, Told, digest_of

AWAY = Told(fault="not sent", text="no server answers")
INSTEAD = {"If-None-Match": '"1"'}


class Server:
    """Answers what it is told to, counts, and has a clock to turn."""

    def __init__(self, answer=None, draw=0.0):
        self.now = 100.0
        self.answer = answer or Told(200, {"etag": '"1"'}, b"one")
        self.asked = []
        self.open = asyncio.Event()
        self.open.set()
        self.memory = Memory(self.send, clock=lambda: self.now, draw=lambda: draw)

    async def send(self, ask):
        self.asked.append(ask)
        await self.open.wait()
        if self.answer.status == 200 and ask.headers.get("If-None-Match") == self.answer.headers.get(
            "etag", 0
        ):
            return Told(304, {"etag": self.answer.headers["etag"]})
        return self.answer

    def ask(self, **more):
        return self.memory.ask(read(**more))


def read(
    token="t", path="secret/data/a", headers=None, fresh=5.0, stale=300.0, kind=READ, query=None, **more
):
    return Ask(
        kind,
        "GET",
        path,
        query or {},
        {"X-Vault-Token": token, **(headers or {})},
        fresh=fresh,
        stale=stale,
        **more,
    )


def run(story):
    asyncio.run(story())


def auth(token="issued", life=60, **more):
    body = {"auth": {"client_token": token, "lease_duration": life, "renewable": True, **more}}
    return Told(200, {}, json.dumps(body).encode())


def login(refused=""):
    return Ask(LOGIN, "POST", "auth/approle/login", {}, {}, b"{}", fresh=float("inf"), refused=refused)


def test_those_who_ask_at_once_are_answered_by_one_request():
    """However many ask the same at the same time, the server is asked once."""

    async def story():
        server = Server()
        server.open.clear()
        asking = [asyncio.create_task(server.ask()) for _ in range(50)]
        await asyncio.sleep(0)
        server.open.set()
        assert {(told.status, told.body) for told in await asyncio.gather(*asking)} == {(200, b"one")}
        assert len(server.asked) == 1

    run(story)


def test_who_asks_is_part_of_the_question():
    """Another token, namespace or login inside the request is another question."""

    async def story():
        server = Server()
        await server.ask()
        await server.ask(token="other")
        await server.ask(headers={"X-Vault-Namespace": "team"})
        await server.ask(headers={"X-Vault-Inline-Auth-Path": "auth/a/login"})
        await server.ask(headers={"User-Agent": "another"})
        assert len(server.asked) == 4

    run(story)


def test_an_answer_is_as_fresh_as_the_asker_wants_it():
    """It is given with its age until it is too old for the asker; then the server says whether it still holds, and all have that."""

    async def story():
        server = Server()
        await server.ask()
        server.now += 4
        assert ((await server.ask()).age, len(server.asked)) == (4.0, 1)
        assert ((await server.ask(fresh=3.0)).body, len(server.asked)) == (b"one", 2)
        assert server.asked[1].headers["If-None-Match"] == '"1"'
        assert (await server.ask()).age == 0.0
        assert (await server.ask(headers=INSTEAD)).status == 304
        server.now += 6
        server.answer = Told(200, {"etag": '"2"'}, b"two")
        assert (await server.ask(headers=INSTEAD)).body == b"two"
        assert len(server.asked) == 3

    run(story)


def test_an_answer_without_a_mark_is_good_as_long_as_any():
    """Where the server cannot be asked whether it still holds, its whole time counts, as in a client's own cache."""

    async def story():
        server = Server(Told(200, {}, b"one"))
        await server.ask()
        server.now += 299
        await server.ask()
        server.now += 2
        await server.ask()
        assert len(server.asked) == 2

    run(story)


def test_answers_count_as_older_by_chance():
    """So machines that started together do not ask together: by up to a tenth of their time, never as younger."""

    async def story():
        early, late = Server(draw=1.0), Server(draw=0.0)
        for server in (early, late):
            await server.ask(fresh=10.0)
            server.now += 9.5
            await server.ask(fresh=10.0)
        assert (len(early.asked), len(late.asked)) == (2, 1)

    run(story)


def test_a_server_that_fails_is_stood_in_for_up_to_the_limit():
    """What is known is told with its age while the server is away or fails, and not after; it is not tried each time."""

    async def story():
        server = Server()
        await server.ask()
        server.now += 10
        for failure in (AWAY, Told(503), Told(429)):
            server.answer = failure
            assert (await server.ask()).body == b"one"
        assert len(server.asked) == 2
        assert (await server.ask(stale=5.0)).status == 429
        server.now += 291
        assert (await server.ask()).status == 429
        server.answer = AWAY
        assert (await server.ask()).fault == "not sent"

    run(story)


def test_a_refusal_ends_what_it_is_about():
    """A secret that is gone or forbidden is told of no more, also when the server fails after that."""

    async def story():
        for refusal in (Told(404), Told(403, {}, b'{"errors":["1 error occurred"]}')):
            server = Server()
            await server.ask()
            server.answer, server.now = refusal, server.now + 6
            assert (await server.ask()).status == refusal.status
            server.answer = AWAY
            assert (await server.ask()).fault

    run(story)


def test_a_token_that_is_none_any_more_is_told_nothing():
    """When the server does not know the token any more, all that it was given is forgotten; others' is not."""

    async def story():
        server = Server()
        await server.ask(path="secret/data/b")
        await server.ask(token="other")
        server.answer = Told(403, {}, b'{"errors":["permission denied"]}')
        assert (await server.ask()).status == 403
        assert (await server.ask(path="secret/data/b")).status == 403
        assert (await server.ask(token="other")).status == 200

    run(story)


def test_what_was_changed_is_asked_anew():
    """After a change nothing that was read before is told, nor what is being read just now kept; logins stay."""

    async def story():
        server = Server(auth())
        await server.memory.ask(login())
        server.answer = Told(200, {"etag": '"1"'}, b"one")
        await server.ask()
        server.open.clear()
        reading = asyncio.create_task(server.ask(path="secret/data/b"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(server.asked) == 3
        await server.memory.ask(Ask(FORGET, path="secret/data/a"))
        server.open.set()
        assert (await reading).body == b"one"
        await server.ask()
        await server.ask(path="secret/data/b")
        await server.memory.ask(login())
        assert len(server.asked) == 5
        await server.memory.ask(Ask(FORGET, path="auth/token/revoke-self"))
        await server.memory.ask(login())
        assert len(server.asked) == 6

    run(story)


def test_a_login_is_good_for_two_thirds_of_its_tokens_life():
    """Whoever logs in within that gets the token with its age; a renewal makes it longer, a refused token ends it."""

    async def story():
        server = Server(auth())
        await server.memory.ask(login())
        server.now += 39
        assert ((await server.memory.ask(login())).age, len(server.asked)) == (39.0, 1)
        renewal = Ask(
            RENEW, "POST", "auth/token/renew-self", {}, {"X-Vault-Token": "issued"}, b"{}", fresh=20.0
        )
        for _ in range(3):
            await server.memory.ask(renewal)
        assert len(server.asked) == 2
        server.now += 39
        assert ((await server.memory.ask(login())).age, len(server.asked)) == (39.0, 2)
        server.now += 2
        server.answer = auth("second")
        assert b"second" in (await server.memory.ask(login())).body
        await server.memory.ask(login(refused=digest_of("issued")))
        assert len(server.asked) == 3
        server.answer = auth("third")
        assert b"third" in (await server.memory.ask(login(refused=digest_of("second")))).body

    run(story)


def test_a_token_of_limited_uses_is_for_one():
    """Those who log in at the same time get a token each, where it is good for so many requests only."""

    async def story():
        server = Server(auth(num_uses=5))
        server.open.clear()
        asking = [asyncio.create_task(server.memory.ask(login())) for _ in range(3)]
        await asyncio.sleep(0)
        server.open.set()
        await asyncio.gather(*asking)
        assert len(server.asked) == 3

    run(story)


def test_those_who_wait_for_news_wait_together():
    """One request waits for all who know the same state; its news is what a read is told from then on."""

    async def story():
        server = Server()
        await server.ask()
        server.open.clear()
        waiting = [
            asyncio.create_task(server.ask(kind=WAIT, query={"wait": "24s"}, headers=INSTEAD))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
        server.answer = Told(200, {"etag": '"2"'}, b"two")
        server.open.set()
        assert {told.body for told in await asyncio.gather(*waiting)} == {b"two"}
        assert (await server.ask()).body == b"two"
        assert len(server.asked) == 2

    run(story)


class Batches(Server):
    """Answers batches and single reads, of secrets that `there` holds; `known` False: as a server without batches."""

    def __init__(self, there="abc", *, known=True):
        super().__init__()
        self.there, self.known = there, known

    def item(self, path):
        name = path[-1]
        if name not in self.there:
            return {"path": path, "status": 404, "errors": []}
        return {"path": path, "status": 200, "etag": f'"{name}"', "data": {"data": {"value": name}}}

    async def send(self, ask):
        self.asked.append(ask)
        await self.open.wait()
        if self.answer is AWAY:
            return AWAY
        if ask.method == "GET":
            item = self.item(ask.path)
            return Told(
                item["status"], {"etag": item.get("etag", "")}, json.dumps(item | {"path": None}).encode()
            )
        items = [self.item(path) for path in json.loads(ask.body)["paths"]]
        return Told(200, {}, json.dumps({"data": {"results": items}}).encode()) if self.known else Told(404)

    async def batch(self, names):
        paths = [f"secret/data/{name}" for name in names]
        body = json.dumps({"paths": paths}).encode()
        headers = {"X-Vault-Token": "t", "Content-Type": "application/json"}
        ask = Ask(BATCH, "POST", "sys/batch", {}, headers, body, fresh=5.0, stale=300.0)
        told = await self.memory.ask(ask)
        if told.status != 200:
            return told
        results = json.loads(told.body)["data"]["results"]
        assert [result["path"] for result in results] == paths
        return [(result["status"], result.get("etag"), result.get("data")) for result in results], told.age


def there(name):
    return 200, f'"{name}"', {"data": {"value": name}}


def test_a_batch_asks_for_what_is_not_known_yet():
    """Batches and single reads share what is known of each secret, and each is as old as it is."""

    async def story():
        server = Batches()
        assert await server.batch("ab") == ([there("a"), there("b")], 0.0)
        server.now += 2
        assert await server.batch("bca") == ([there("b"), there("c"), there("a")], 2.0)
        assert json.loads(server.asked[1].body) == {"paths": ["secret/data/c"]}
        assert json.loads((await server.ask(path="secret/data/c")).body)["data"] == there("c")[2]
        assert len(server.asked) == 2
        await server.ask(path="secret/data/d")
        server.there += "d"
        await server.ask(path="secret/data/d")
        assert (await server.batch("d"))[0] == [there("d")]
        assert len(server.asked) == 4

    run(story)


def test_batches_that_overlap_while_they_are_under_way_share_it():
    """What one batch or read is asking for just now another does not ask for again."""

    async def story():
        server = Batches()
        server.open.clear()
        asking = [asyncio.create_task(server.batch(names)) for names in ("ab", "bc", "ca")]
        single = asyncio.create_task(server.ask(path="secret/data/b"))
        for _ in range(5):
            await asyncio.sleep(0)
        server.open.set()
        got = [result[0] for result in await asyncio.gather(*asking)]
        assert got == [[there(name) for name in names] for names in ("ab", "bc", "ca")]
        assert (await single).status == 200
        assert [json.loads(ask.body)["paths"] for ask in server.asked] == [
            ["secret/data/a", "secret/data/b"],
            ["secret/data/c"],
        ]

    run(story)


def test_what_a_batch_was_refused_is_not_kept():
    """A secret that was not there is asked for again by the next batch, and by it alone."""

    async def story():
        server = Batches(there="a")
        assert (await server.batch("ab"))[0] == [there("a"), (404, None, None)]
        server.there = "ab"
        assert (await server.batch("ab"))[0] == [there("a"), there("b")]
        assert json.loads(server.asked[1].body) == {"paths": ["secret/data/b"]}

    run(story)


def test_a_server_that_is_away_is_stood_in_for_a_batch_if_all_is_known():
    """What is known of each is told while the server is away; if one is not, the batch fails as it would."""

    async def story():
        server = Batches()
        await server.batch("ab")
        server.answer, server.now = AWAY, server.now + 100
        assert await server.batch("ab") == ([there("a"), there("b")], 100.0)
        assert (await server.batch("abc")).fault == "not sent"

    run(story)


def test_a_server_without_batches_says_so_and_single_reads_go_on():
    """A batch is refused as a whole, and a read that went with it is asked by itself."""

    async def story():
        server = Batches(known=False)
        server.open.clear()
        batch = asyncio.create_task(server.batch("ab"))
        for _ in range(5):
            await asyncio.sleep(0)
        single = asyncio.create_task(server.ask(path="secret/data/a"))
        for _ in range(5):
            await asyncio.sleep(0)
        server.open.set()
        assert (await batch).status == 404
        assert (await single).status == 200

    run(story)


def waiting(server, path="secret/data/a", wait="24s"):
    return asyncio.create_task(server.ask(kind=WAIT, path=path, query={"wait": wait}, headers=INSTEAD))


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_joins_a_wait_waits_as_long_as_they_wished():
    """When it ends without news they wait on; and no longer than their own time, whatever the others do."""

    async def story():
        server = Server()
        server.open.clear()
        first = waiting(server)
        await settle()
        server.now += 20
        late, hasty = waiting(server), waiting(server, wait="0s")
        await settle()
        assert (hasty.done(), (await hasty).status) == (True, 304)
        server.now += 4
        server.open.set()
        server.open.clear()
        await settle()
        assert (first.done(), late.done()) == (True, False)
        assert len(server.asked) == 2
        server.answer = Told(200, {"etag": '"2"'}, b"two")
        server.open.set()
        assert (await late).body == b"two"

    run(story)


def test_not_all_connections_wait():
    """Beyond a number of secrets that are waited for, who asks for news is told what a reader is told, at once."""

    async def story():
        server = Server()
        server.open.clear()
        held = [waiting(server, f"secret/data/{number}") for number in range(MOST_WAITING)]
        await settle()
        beyond = waiting(server, "secret/data/beyond")
        await settle()
        assert "wait" not in server.asked[-1].query
        server.open.set()
        assert (await beyond).status == 304
        await asyncio.gather(*held)

    run(story)


def test_what_is_too_large_to_keep_is_given_and_not_kept():
    """A body of megabytes serves those who wait for it."""

    async def story():
        server = Server(Told(200, {}, b"x" * (LARGEST_KEPT + 1)))
        for _ in range(2):
            assert len((await server.ask()).body) > LARGEST_KEPT
        assert len(server.asked) == 2

    run(story)


def test_there_is_an_end_to_what_is_kept(monkeypatch):
    """The oldest answers make room for others."""
    monkeypatch.setattr(memory, "MOST", 3)

    async def story():
        server = Server()
        for name in "abcd":
            await server.ask(path=f"secret/data/{name}")
        assert len(server.memory._kept) == 3
        await server.ask(path="secret/data/d")
        await server.ask(path="secret/data/a")
        assert len(server.asked) == 5

    run(story)


def test_an_answer_that_makes_no_sense_is_passed_on():
    """A login's answer without a token, or that is no JSON, is the asker's to judge, and a batch's that does not fit, too."""

    async def story():
        for body in (b"no JSON", b'{"auth":null}', b'{"auth":"x"}'):
            server = Server(Told(200, {}, body))
            assert (await server.memory.ask(login())).body == body
            assert not server.memory._kept
        server = Batches()
        server.item = lambda path: {"path": path, "status": "odd"}
        assert (await server.batch("a"))[0] == [(500, None, None)]

    run(story)


def test_old_answers_do_not_stay_in_memory():
    """What is too old for anybody is swept away."""

    async def story():
        server = Server()
        await server.ask()
        server.now += 299
        server.memory.sweep()
        assert server.memory._kept
        server.now += 2
        server.memory.sweep()
        assert not server.memory._kept

    run(story)


def test_messages_do_not_show_what_is_in_them():
    """Neither questions nor answers print tokens or values."""
    assert "t0ken" not in repr(read(token="t0ken"))
    assert "v4lue" not in repr(Told(200, {}, b"v4lue"))
