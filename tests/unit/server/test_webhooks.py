"""Webhooks of a real server: what waits is delivered, whatever happens to the server in between."""

from ml_secrets.server.deliveries import Deliveries
from ml_secrets.testing.receiver import Receiver


def write(client, *names):
    for name in names:
        assert client.post(f"secret/data/{name}", json={"data": {"fake": "fake-value"}}).status_code == 200


def test_a_killed_server_loses_no_notification(home):
    """What waited when it was killed is delivered by its successor, in order; what was under way comes again, by its id."""
    with Receiver() as receiver:
        receiver.hold.clear()
        with home.server() as (process, client):
            assert client.post("sys/webhooks/one", json={"url": receiver.url}).status_code == 200
            write(client, "a", "b", "c")
            receiver.wait(1)
            process.kill()
            process.wait(10)
        receiver.hold.set()
        with home.server():
            got = receiver.wait(4)
    assert [one.json["data"]["path"] for one in got] == ["a", "a", "b", "c"]
    assert got[0].headers["webhook-id"] == got[1].headers["webhook-id"]
    assert len({one.headers["webhook-id"] for one in got}) == 3
    assert b"fake" not in b"".join(one.body for one in got)


def test_a_receiver_that_was_away_gets_everything(home):
    """A server that cannot get through tries again by itself, and one slow receiver keeps no other waiting."""
    with home.server() as (_, client), Receiver() as stuck, Receiver(503) as receiver:
        stuck.hold.clear()
        for name, url in (("stuck", stuck.url), ("one", receiver.url)):
            client.post(f"sys/webhooks/{name}", json={"url": url})
        write(client, "a", "b")
        receiver.wait(1)
        receiver.status = 200
        assert [one.json["data"]["path"] for one in receiver.wait(3)] == ["a", "a", "b"]
        assert len(stuck.got) == 1
        test = client.post("sys/webhooks/one/test").json()["data"]["id"]
        assert receiver.wait(4)[-1].headers["webhook-id"] == test


def test_stopping_waits_for_nobody(home):
    """A receiver that does not answer keeps no server from stopping."""
    with Receiver() as receiver:
        receiver.hold.clear()
        with home.server() as (process, client):
            client.post("sys/webhooks/one", json={"url": receiver.url})
            write(client, "a")
            receiver.wait(1)
            process.terminate()
            process.wait(5)


def test_where_nothing_is_written_and_nothing_waits_nothing_is_looked_at(server, noted):
    """The job that begins deliveries runs several times a second, so it has to cost nothing."""
    deliveries = Deliveries(server.house, lambda *_: "")
    deliveries.run_once()
    transactions = noted()
    for _ in range(5):
        deliveries.run_once()
    assert transactions == []


def test_a_sealed_server_delivers_nothing(server):
    """It could not read what waits."""
    server.server.opening.seal()
    assert Deliveries(server.house, lambda *_: "").run_once() is False


def test_a_server_of_ones_own_may_call_this_machine_and_another_may_not(tmp_path):
    """Where many share a server, none of them is to reach what listens on its machine."""
    from ml_secrets.server.config import Config
    from ml_secrets.server.settings import settings_of

    assert settings_of(Config(mode="configured")).outbound_networks == []
    assert "127.0.0.0/8" in settings_of(Config(mode="local")).outbound_networks
    named = Config(mode="configured", outbound_networks=["10.0.0.0/8"])
    assert settings_of(named).outbound_networks == ["10.0.0.0/8"]
