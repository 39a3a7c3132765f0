"""One configuration at work, in this process."""

from ml_secrets.agent.resident.load import load
from ml_secrets.agent.resident.work import Work

from .conftest import private

CONFIG = """
[server]
address = "{url}"
[login]
token-file = "token"
[[template]]
contents = '{{{{ secret("secret/agent/db").password }}}}'
path = "{room}/out/x"
"""


def test_it_is_alive_at_each_moment_of_its_start(root, dev_server, role, room):
    """Whoever looks before, between and after the starts of its threads sees nothing that has ended."""
    root.kv.put("agent/db", {"password": "one"})
    private(role / "agent.toml", CONFIG.format(url=dev_server.url, room=room))
    work = Work(load(role / "agent.toml"), lambda _: None, None, lambda _: None)
    seen = []
    for thread in (work.identity, work._follower):

        def start(begin=thread.start):
            seen.append(work.alive)
            begin()
            seen.append(work.alive)

        thread.start = start
    try:
        work.prepare()
        work.start()
        work._thread.join()
        assert [*seen, work.alive] == [True] * 5
        assert (room / "out" / "x").read_text() == "one"
    finally:
        work.stop()
