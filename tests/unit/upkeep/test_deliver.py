"""upkeep/deliver.py: what waits for webhooks is told in order, at least once, and what fails is tried again."""

import json
import logging

import pytest

from ml_secrets.registry import webhooks
from ml_secrets.testing.whole import Whole
from ml_secrets.upkeep import deliver


class Post:
    """Stands in for the network. `error` is what goes wrong; `meanwhile` runs while a call is under way."""

    def __init__(self):
        self.error = ""
        self.meanwhile = lambda: None
        self.calls = []

    def __call__(self, url, headers, body):
        self.calls.append((url, headers, json.loads(body)))
        self.meanwhile()
        return self.error

    @property
    def paths(self):
        return [body["data"].get("path") for _, _, body in self.calls]

    @property
    def ids(self):
        return [headers["webhook-id"] for _, headers, _ in self.calls]


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def hook(server):
    """Make a webhook; returns its key."""

    def make(name="one", **fields):
        made = server.ask("POST", f"sys/webhooks/{name}", {"url": "https://hooks.example/x", **fields})
        return made.data["key"] if made.status == 200 else made

    return make


def write(server, *names):
    for name in names:
        assert server.ask("POST", f"secret/data/{name}", {"data": {"fake": "fake-value"}}).status == 200


def status(server, name="one"):
    return server.ask("GET", f"sys/webhooks/{name}/status").data


def deliver_all(server, post, name="one"):
    while deliver.run_once(server.house, name, post):
        pass


def test_changes_are_told_in_order_and_leave_the_queue(server, hook, post):
    """Each once, where all goes well; no value is among what is told."""
    hook()
    write(server, "a", "b", "a")
    assert status(server)["waiting"] == 3
    deliver_all(server, post)
    assert post.paths == ["a", "b", "a"]
    assert len(set(post.ids)) == 3
    assert "fake" not in json.dumps([call[2] for call in post.calls])
    shown = status(server)
    assert (shown["waiting"], shown["delivered"], shown["failures"]) == (0, 3, 0)
    deliver_all(server, post)
    assert len(post.calls) == 3


def test_only_what_was_asked_for_is_queued(server, hook):
    """By kind and by path."""
    hook(kinds="remove", path="secret/team")
    write(server, "team/a", "other")
    for name in ("team/a", "other"):
        server.ask("DELETE", f"secret/metadata/{name}")
    assert status(server)["waiting"] == 1


def test_what_rolls_back_is_not_told(server, hook):
    """A notification is in the queue exactly when its change is in the store."""
    hook()
    assert server.ask("POST", "secret/data/a", {"data": {}, "options": {"cas": 5}}).status == 400
    assert status(server)["waiting"] == 0


def test_what_fails_is_tried_again_later_with_the_same_id(server, hook, post):
    """After a pause that grows; what comes behind waits, so that the order holds."""
    hook()
    write(server, "a", "b")
    post.error = "the answer was 500"
    for _ in range(3):
        deliver_all(server, post)
        assert deliver.due(server.house, server.now) == ([], True)
        before = status(server)
        server.now += 2.0 ** before["failures"] * 1.5
    assert before["failures"] == 3
    assert before["last_error"] == "the answer was 500"
    assert before["next_try"]
    assert post.paths == ["a", "a", "a"]
    assert len(set(post.ids)) == 1
    post.error = ""
    assert deliver.due(server.house, server.now) == (["one"], True)
    deliver_all(server, post)
    assert post.paths[3:] == ["a", "b"]
    assert status(server)["failures"] == 0
    assert deliver.due(server.house, server.now) == ([], False)


def test_pauses_have_a_bound_and_are_drawn(server):
    """An hour, half as much more or less."""
    hook = webhooks.Webhook(name="x", uid="u", url="", key="", created=0.0)
    state = webhooks.State(failures=15)
    assert deliver._failed(state, hook, "e", 100.0, 0.0).try_at == 100.0 + 1800
    assert deliver._failed(state, hook, "e", 100.0, 1.0).try_at == 100.0 + 5400


def test_after_many_failures_it_is_given_up_with_a_note_until_it_is_written_again(server, hook, post, caplog):
    """What came meanwhile is kept, and told once somebody has looked at it. The log names the webhook, not its URL."""
    key = hook()
    write(server, "a")
    post.error = "there was no answer in time"
    with caplog.at_level(logging.WARNING):
        for _ in range(deliver.MOST_FAILURES + 3):
            deliver_all(server, post)
            server.now += 3 * deliver.LONGEST_PAUSE
    assert len(post.calls) == deliver.MOST_FAILURES
    shown = status(server)
    assert shown["enabled"] is False
    assert "20 times in a row" in shown["note"]
    assert "webhook one is not tried any more" in caplog.text
    assert "hooks.example" not in caplog.text
    write(server, "b")
    assert deliver.due(server.house, server.now) == ([], False)
    post.error = ""
    assert hook().status == 204
    deliver_all(server, post)
    assert post.paths[deliver.MOST_FAILURES :] == ["a", "b"]
    assert key.startswith("whsec_")


def test_a_full_queue_counts_what_it_misses_and_says_so(server, hook, post, monkeypatch):
    """The next one that gets through tells how many are missing: then all is to be read again."""
    monkeypatch.setattr(webhooks, "MOST_WAITING", 2)
    hook()
    write(server, "a", "b", "c", "d")
    assert (status(server)["waiting"], status(server)["missed"]) == (2, 2)
    post.error = "the answer was 500"
    deliver_all(server, post)
    server.now += 10
    post.error = ""
    deliver_all(server, post)
    assert [body["data"]["missed"] for _, _, body in post.calls] == [2, 2, 0]
    assert status(server)["missed"] == 0


def test_a_test_goes_ahead_of_everything_and_counts_for_nothing(server, hook, post):
    """Also for a webhook that was given up, and its outcome stands in the status."""
    hook()
    write(server, "a")
    post.error = "the answer was 404"
    deliver_all(server, post)
    failures = status(server)["failures"]
    id_ = server.ask("POST", "sys/webhooks/one/test").data["id"]
    deliver_all(server, post)
    assert post.ids[-1] == id_
    assert post.calls[-1][2]["type"] == "test"
    shown = status(server)
    assert (shown["test"]["id"], shown["test"]["delivered"], shown["test"]["error"]) == (
        id_,
        False,
        post.error,
    )
    assert shown["failures"] == failures
    post.error = ""
    server.ask("POST", "sys/webhooks/one/test")
    deliver.run_once(server.house, "one", post, limit=1)
    assert status(server)["test"]["delivered"] is True


@pytest.mark.parametrize("again", [False, True])
def test_one_that_is_removed_under_way_stays_removed(server, hook, post, again):
    """What comes of the call is nobody's, even where another one has its name by then."""

    def meanwhile():
        server.ask("DELETE", "sys/webhooks/one")
        if again:
            hook()

    hook()
    write(server, "a")
    post.meanwhile = meanwhile
    deliver_all(server, post)
    if again:
        assert status(server)["delivered"] == 0
    else:
        assert server.rows("open/webhook/") == []
        assert server.rows("webhook/") == []


def test_a_test_asked_for_anew_under_way_is_sent(server, hook, post):
    """The outcome of the first does not take away the second."""
    hook()
    server.ask("POST", "sys/webhooks/one/test")
    ids = []
    post.meanwhile = lambda: ids or ids.append(server.ask("POST", "sys/webhooks/one/test").data["id"])
    deliver_all(server, post)
    assert post.ids[-1] == ids[0]
    assert len(post.ids) == 2


def test_what_was_told_twice_at_once_is_counted_once(server, hook, post):
    """Two rounds of the same webhook do harm to nothing but the receiver's patience."""
    hook()
    write(server, "a", "b")
    inner = Post()

    def meanwhile():
        post.meanwhile = lambda: None
        deliver.run_once(server.house, "one", inner, limit=1)

    post.meanwhile = meanwhile
    deliver_all(server, post)
    assert (inner.paths, post.paths) == (["a"], ["a", "b"])
    assert status(server)["delivered"] == 2


def test_a_round_ends(server, hook, post):
    """After so many, and says that there is more."""
    hook()
    write(server, "a", "b", "c")
    assert deliver.run_once(server.house, "one", post, limit=2) is True
    assert len(post.calls) == 2
    assert deliver.run_once(server.house, "no-such", post) is False


def test_what_waits_outlasts_a_restart(tmp_path, post):
    """It lies in the store, and so does the number of the next try."""
    server = Whole(tmp_path)
    server.ask("POST", "sys/webhooks/one", {"url": "https://hooks.example/x"})
    write(server, "a", "b")
    deliver.run_once(server.house, "one", post, limit=1)
    server.reopen()
    deliver_all(server, post)
    assert post.paths == ["a", "b"]
    server.close()


def test_whose_change_waits_in_a_bundle_is_queued_with_it(server, hook, post):
    """Changes that share a commit each leave their notification, in order."""
    hook()
    with server.house.units.together():
        write(server, "a", "b")
    deliver_all(server, post)
    assert post.paths == ["a", "b"]
