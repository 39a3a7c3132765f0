"""One configuration at work, in this process."""

import pytest

from ml_secrets import Client
from ml_secrets.agent.resident.load import load
from ml_secrets.agent.resident.work import Work
from ml_secrets.client.events import Feed, next_event

from .conftest import private, until

CONFIG = """
[server]
address = "{url}"
[login]
token-file = "token"
[[template]]
contents = '{{{{ secret("secret/agent/db").password }}}}'
path = "{room}/out/x"
"""


@pytest.fixture
def work(root, dev_server, role, room):
    """A configuration with one file, not begun."""
    root.kv.put("agent/db", {"password": "one"})
    private(role / "agent.toml", CONFIG.format(url=dev_server.url, room=room))
    made = Work(load(role / "agent.toml"), lambda _: None, None, lambda _: None)
    yield made
    made.stop()


def test_it_is_alive_at_each_moment_of_its_start(work, room):
    """Whoever looks before, between and after the starts of its threads sees nothing that has ended."""
    seen = []
    for thread in (work.identity, work._follower):

        def start(begin=thread.start):
            seen.append(work.alive)
            begin()
            seen.append(work.alive)

        thread.start = start
    work.prepare()
    work.start()
    work._thread.join()
    assert [*seen, work.alive] == [True] * 5
    assert (room / "out" / "x").read_text() == "one"


def test_once_stopped_it_lets_go_of_its_connection(work, root):
    """With the next thing that the server says its thread ends, and the stream of events is closed."""
    work.prepare()
    work.start()
    until(lambda: work._follower.by == "events")
    feed = work._follower._feed
    assert feed.stream is not None
    work.stop()
    root.kv.put("agent/db", {"password": "two"})
    work._follower.join(20)
    assert not work._follower.is_alive()
    assert feed.stream is None


def test_a_sign_of_life_is_heard_of_by_who_asked_for_it(dev_server):
    """What is no change and no message gives "alive", so that whoever follows can look up."""
    with Client(dev_server.url, dev_server.token) as client:
        feed = Feed("", (), tells_alive=True, stream=object(), scope=client.session.scope)
        flow = next_event(client.session, feed)
        next(flow)
        with pytest.raises(StopIteration) as ended:
            flow.send(b": still here\n\n")
    assert ended.value.value.kind == "alive"
