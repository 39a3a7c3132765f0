"""Leased secrets: made at the first look, renewed, replaced before they end, and ended; against a scripted server and a clock to turn."""

import gc
import pickle
import threading
import time

import pytest
from tests.soon import eventually

from ml_secrets import EndsEarly, NotFound, Unreachable
from ml_secrets.client import leased as module
from ml_secrets.client.leased import leased

PATH = "database/creds/train"


class Engine:
    """Makes credentials for ten seconds; each renewal gives as much as `gives` says, or is refused."""

    def __init__(self, wire):
        self.wire, self.made, self.gives, self.away, self.known = wire, 0, 10, False, 200
        self.ended, self.asked, self.meanwhile = [], [], lambda: None

    def __call__(self, asked, _):
        self.asked.append((asked.method, asked.path.removeprefix("/v1/")))
        if self.away:
            return self.wire.http(503, {"errors": ["away"]})
        if asked.path.endswith("/renew"):
            self.meanwhile()
            if self.gives is None:
                return self.wire.http(400, {"errors": ["no more"]})
            return self.wire.http(200, self.wire.envelope(lease_duration=self.gives, renewable=True))
        if asked.path.endswith("/lookup"):
            return self.wire.http(self.known, self.wire.envelope() if self.known == 200 else {"errors": []})
        if asked.path.endswith("/revoke"):
            self.ended.append(asked.json["lease_id"])
            return self.wire.http(204)
        if asked.path.endswith("lookup-self"):
            return self.wire.http(200, self.wire.envelope({"ttl": 60, "renewable": False}))
        self.made += 1
        fields = {"username": f"u{self.made}", "password": f"FAKE-{self.made}", "port": 5432}
        more = {"lease_id": f"{PATH}/{self.made}", "lease_duration": 10, "renewable": True}
        return self.wire.http(200, self.wire.envelope(fields, **more))


@pytest.fixture
def engine(wire):
    return Engine(wire)


@pytest.fixture
def client(engine, serve, client_of, clock):
    return clock.drive(client_of(serve(engine), timeout=1))


@pytest.fixture
def alone(monkeypatch):
    """Nobody sees to leases but the test."""
    monkeypatch.setattr(module._Keeper, "start", lambda self: None)


def test_it_is_made_at_the_first_look_and_serves_all(client, engine, alone):
    """Its fields, each as in a secret, and its end."""
    login = leased(PATH, client=client)
    assert engine.made == 0
    assert [login.get()["username"].reveal() for _ in range(3)] == ["u1"] * 3
    assert login.get().reveal_fields() == {"username": "u1", "password": "FAKE-1", "port": 5432}
    assert 0 < login.get().ends_at.timestamp() - time.time() <= 10
    assert engine.asked == [("GET", PATH)]


def test_settings_are_written(client, engine, alone):
    """Where the path takes some."""
    leased("aws/sts/train", {"ttl": "15m"}, client=client).get()
    assert engine.asked == [("POST", "aws/sts/train")]


def test_it_is_renewed_in_time(client, engine, alone, clock):
    """After two thirds of its life, not before; the credentials stay."""
    login = leased(PATH, client=client)
    login.get()
    clock.now += 6.6
    assert 0 < login.see_to_it() < 0.1
    clock.now += 0.1
    assert login.see_to_it() == 0
    clock.now += 6
    assert login.get()["username"].reveal() == "u1"
    assert engine.asked == [("GET", PATH), ("POST", "sys/leases/renew")]


@pytest.mark.parametrize("gives", [None, 3])
def test_it_is_replaced_where_it_cannot_be_renewed_for_long(client, engine, alone, clock, gives):
    """Refused, or near its last end; callbacks are told of the others, and of no first ones."""
    heard, login = [], leased(PATH, client=client)
    login.on_change(lambda secret: heard.append(secret["username"].reveal()))
    login.on_change(lambda secret: 1 / 0)
    login.get()
    engine.gives = gives
    clock.now += 7
    login.see_to_it()
    assert login.get()["username"].reveal() == "u2"
    assert heard == ["u2"]
    assert engine.ended == []


def test_a_server_that_is_away_is_asked_again_and_nothing_is_given_after_the_end(
    client, engine, alone, clock
):
    """What holds is given until its end."""
    login = leased(PATH, client=client)
    login.get()
    engine.away = True
    clock.now += 7
    assert login.see_to_it() == 1
    assert login.get()["username"].reveal() == "u1"
    clock.now += 4
    with pytest.raises(Unreachable):
        login.get()
    engine.away = False
    assert login.get()["username"].reveal() == "u2"


def test_it_is_ended(client, engine, alone):
    """By a word, and by the end of a `with`; the next look has others made."""
    with leased(PATH, client=client) as login:
        login.get()
        login.revoke()
        assert login.get()["username"].reveal() == "u2"
    login.revoke()
    assert engine.ended == [f"{PATH}/1", f"{PATH}/2"]


def test_nothing_is_made_in_place_of_what_was_ended_meanwhile(client, engine, alone, clock):
    """The renewal that is refused for that reason is no reason to have others made, which nobody would end."""
    login = leased(PATH, client=client)
    login.get()
    engine.gives, engine.meanwhile = None, login.revoke
    clock.now += 7
    login.see_to_it()
    assert (engine.made, engine.ended) == (1, [f"{PATH}/1"])


@pytest.mark.parametrize(("known", "user"), [(200, "u1"), (403, "u1"), (400, "u2"), (404, "u2")])
def test_others_are_made_where_these_are_not_known_any_more(client, engine, alone, known, user):
    """A database that is away does not have new users made at each try."""
    login = leased(PATH, client=client)
    login.get()
    engine.known = known
    assert login.refresh()["username"].reveal() == user
    assert login.get()["username"].reveal() == user


def test_a_keeper_sees_to_it_and_ends_it_with_the_handle(client, engine, clock, monkeypatch):
    """Without a look; when nobody has the handle any more the server is told."""
    monkeypatch.setattr(module, "_LATEST", 0.01)
    login = leased(PATH, client=client)
    login.get()
    clock.now += 7
    assert eventually(lambda: ("POST", "sys/leases/renew") in engine.asked)
    del login
    gc.collect()
    assert eventually(lambda: engine.ended)
    assert engine.ended == [f"{PATH}/1"]


def test_many_threads_share_one_lease(client, engine, alone):
    """However many look first."""
    login, seen = leased(PATH, client=client), []
    threads = [
        threading.Thread(target=lambda: seen.append(login.get()["username"].reveal())) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["u1"] * 20
    assert engine.made == 1


def test_what_has_no_lease_is_asked_once(serve, client_of, wire, alone):
    """A path that gives what lasts; one that gives nothing is an error, and so is a refusal."""
    client = client_of(serve(lambda asked, number: wire.http(200, wire.envelope({"token": "FAKE"}))))
    handle = leased("static/x", client=client)
    assert (handle.get()["token"].reveal(), handle.get().ends_at) == ("FAKE", None)
    handle.revoke()
    nothing = client_of(serve(lambda asked, number: wire.http(200, wire.envelope())))
    with pytest.raises(Unreachable, match="nothing at"):
        leased("static/x", client=nothing).get()
    missing = client_of(serve(lambda asked, number: wire.http(404, {"errors": []})))
    with pytest.raises(NotFound):
        leased("static/x", client=missing).get()


def test_it_ends_with_the_token(client, engine, alone):
    """A job that goes on for longer is warned."""
    with pytest.warns(EndsEarly, match="the token ends"):
        leased(PATH, client=client, needed_for="1h").get()


def test_it_prints_as_dots_and_pickles_as_its_path(client, engine, alone):
    """And no value in either."""
    login = leased(PATH, {"ttl": "1h"}, client=client)
    login.get()
    assert (str(login), repr(login)) == ("••••", f"<LeasedSecret {PATH} ••••>")
    content = pickle.dumps(login)
    assert b"FAKE" not in content
    assert pickle.loads(content).name == PATH
