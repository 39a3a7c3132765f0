"""sys/: what the server says of itself: what it can mount, and what it logs."""

import logging

import pytest


def test_the_catalogue_is_what_can_be_mounted(server):
    """Each name of it mounts; nothing else is listed, and nothing can be added."""
    found = server.ask("GET", "sys/plugins/catalog").data
    assert (found["auth"], found["database"], found["secret"]) == (["approle", "userpass"], [], ["kv"])
    assert [(row["type"], row["name"]) for row in found["detailed"]] == [
        ("auth", "approle"),
        ("auth", "userpass"),
        ("secret", "kv"),
    ]
    for kind, table in ("auth", "auth"), ("secret", "mounts"):
        assert server.ask("LIST", f"sys/plugins/catalog/{kind}").data == {"keys": found[kind]}
        for name in found[kind]:
            one = server.ask("GET", f"sys/plugins/catalog/{kind}/{name}").data
            assert (one["name"], one["builtin"], one["command"]) == (name, True, "")
            assert server.ask("POST", f"sys/{table}/try-{name}", {"type": name}).status == 204
    for path in ("secret/nothing", "auth/kv", "nothing/kv", "database/kv"):
        assert server.ask("GET", f"sys/plugins/catalog/{path}").status == 404
    assert server.ask("PUT", "sys/plugins/catalog/secret/own", {"command": "own"}).status == 405


def test_the_catalogues_parts_need_sudo(server, policy, token_of):
    """As in Vault: the whole is for who may read it, its entries take `sudo`, too."""
    token = token_of(policies=[policy("reader", {"sys/plugins/*": ["read", "list"]})])
    assert server.ask("GET", "sys/plugins/catalog", token=token).status == 200
    assert server.ask("LIST", "sys/plugins/catalog/secret", token=token).status == 403
    assert server.ask("GET", "sys/plugins/catalog/secret/kv", token=token).status == 403


def test_there_are_no_entities_to_count(server):
    """The counter says so."""
    assert server.ask("GET", "sys/internal/counters/entities").data == {
        "counters": {"entities": {"total": 0}}
    }


@pytest.fixture
def levels(server):
    """The levels of the loggers; they are as they were afterwards."""
    yield lambda: server.ask("GET", "sys/loggers").data
    assert server.ask("DELETE", "sys/loggers").status == 204


def test_a_logger_has_the_level_it_is_given(server, levels):
    """One, and those below it, until it is taken back; the others stay."""
    before = levels()
    name = "ml_secrets.server"
    logging.getLogger(name)
    assert server.ask("POST", f"sys/loggers/{name}", {"level": "trace"}).status == 204
    assert logging.getLogger(name).isEnabledFor(logging.DEBUG)
    found = levels()
    assert {one for one in found if found[one] == "debug"} == {one for one in found if one.startswith(name)}
    assert server.ask("GET", f"sys/loggers/{name}").data == {name: "debug"}
    assert server.ask("DELETE", f"sys/loggers/{name}").status == 204
    assert levels() == before | {name: before["ml_secrets"]}


@pytest.mark.parametrize(("level", "shown"), [("ERROR", "error"), ("notice", "info"), ("warning", "warn")])
def test_all_loggers_have_the_level_they_are_given(server, levels, level, shown):
    """Also those that had one of their own; no other library's."""
    server.ask("POST", "sys/loggers/ml_secrets.pipeline.handle", {"level": "debug"})
    others = logging.getLogger("asyncio").getEffectiveLevel()
    assert server.ask("PUT", "sys/loggers", {"level": level}).status == 204
    assert set(levels().values()) == {shown}
    assert logging.getLogger("asyncio").getEffectiveLevel() == others


def test_no_such_logger_and_no_such_level(server, levels):
    """Refused, and nothing changes; a look at a logger that is none shows nothing."""
    before = levels()
    for path, body in (
        ("ml_secrets.pipeline.handle", {}),
        ("ml_secrets.pipeline.handle", {"level": "loud"}),
        ("ml_secrets.pipeline.handle", {"level": ""}),
        ("asyncio", {"level": "debug"}),
    ):
        assert server.ask("POST", f"sys/loggers/{path}", body).status == 400
    assert server.ask("DELETE", "sys/loggers/asyncio").status == 400
    assert server.ask("GET", "sys/loggers/asyncio").data == {}
    assert levels() == before
