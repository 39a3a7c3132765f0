"""Read-only tokens: made so, or made so by themselves, and held to it by the whole pipeline."""

import re

import pytest

from ml_secrets.contract.operation import Verb

RENEW, LOOKUP = "auth/token/renew-self", "auth/token/lookup-self"
METHODS = {Verb.WRITE: "POST", Verb.PATCH: "PATCH", Verb.DELETE: "DELETE"}
ITSELF = {
    "auth/token/lookup-self",
    "auth/token/renew-self",
    "auth/token/revoke-self",
    "sys/capabilities-self",
    "sys/leases/lookup",
    "sys/leases/renew",
    "sys/policies/simulate-self",
}
ALL = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]


@pytest.fixture
def powerful(policy, token_of):
    """A token whose policies allow everything."""
    return token_of(policies=[policy("all", {"*": ALL})], ttl="1h")


@pytest.fixture(params=["root", "all"])
def looking(request, token_of, powerful):
    """A read-only token: root's child, or one that made itself so."""
    return token_of(read_only=True, ttl="1h") if request.param == "root" else powerful


@pytest.fixture
def only(server, looking, request):
    """The same, held to reading."""
    if "all" in request.node.name:
        assert server.ask("POST", RENEW, {"read_only": True}, token=looking).status == 200
    return looking


def changing(server):
    """(method, path) of each operation that asks for a token and for more than reading or listing."""
    mounts = server.house.units.read(lambda unit: list(server.house.mounts.table(unit).by_path.values()))
    for mount in mounts:
        for operation in server.house.engine(mount).operations:
            path = mount.path + re.sub(r"{(\w+)(:path)?}", r"\1", operation.template)
            if operation.verb in METHODS and not operation.public:
                yield METHODS[operation.verb], path


def test_no_operation_takes_a_change_from_it(server, only):
    """Every operation of every mount that writes or deletes is refused, but for those on the token itself; and says why."""
    asked = [(method, path) for method, path in changing(server) if path not in ITSELF]
    assert len(asked) > 60
    for method, path in asked:
        answer = server.ask(method, path, {}, token=only)
        assert answer.status == 403, (method, path, answer)
    assert "read-only" in answer.json["hint"]


def test_it_reads_and_lists(server, only):
    """What its policies let it: secrets, lists, searches, itself, what it may do."""
    server.ask("POST", "secret/data/a/b", {"data": {"v": "1"}})
    for method, path, body in [
        ("GET", "secret/data/a/b", None),
        ("LIST", "secret/metadata/a", None),
        ("SCAN", "secret/metadata/a", None),
        ("GET", "sys/mounts", None),
        ("GET", LOOKUP, None),
        ("GET", "sys/internal/ui/mounts/secret", None),
        ("POST", "sys/batch", {"paths": ["secret/data/a/b"]}),
        ("POST", "sys/policies/simulate-self", {"requests": [{"path": "sys/mounts"}]}),
    ]:
        assert server.ask(method, path, body, token=only).status == 200, path
    assert server.ask("GET", LOOKUP, token=only).data["read_only"] is True


def test_what_it_may_do_is_told_so(server, only):
    """By capabilities, by the rules that hold, by a simulation of itself and by accessor."""
    path = "secret/data/a"
    told = server.ask("POST", "sys/capabilities-self", {"paths": [path]}, token=only).data
    assert told["capabilities"] == ["list", "read", "scan", "sudo"]
    rules = server.ask("GET", "sys/internal/ui/resultant-acl", token=only).data
    assert rules["root"] is False
    assert set(rules["glob_paths"][""]["capabilities"]) == {"list", "read", "scan", "sudo"}
    asked = {"requests": [{"path": path}, {"path": path, "operation": "update"}]}
    own = server.ask("POST", "sys/policies/simulate-self", asked, token=only).data["results"]
    accessor = server.ask("GET", LOOKUP, token=only).data["accessor"]
    others = server.ask("POST", "sys/policies/simulate", asked | {"accessor": accessor}).data["results"]
    assert [row["allowed"] for row in own] == [row["allowed"] for row in others] == [True, False]


def test_it_stays_so(server, powerful):
    """A renewal that does not ask for it, or asks for the contrary, gives nothing back; the accessor's neither."""
    server.ask("POST", RENEW, {"read_only": True}, token=powerful)
    accessor = server.ask("GET", LOOKUP, token=powerful).data["accessor"]
    for body in ({}, {"read_only": False}, {"increment": "30m"}):
        assert server.ask("POST", RENEW, body, token=powerful).status == 200
    assert server.ask("POST", "auth/token/renew-accessor", {"accessor": accessor}).status == 200
    assert server.ask("POST", "secret/data/a", {"data": {}}, token=powerful).status == 403


def test_its_end_is_moved_with_it(server, powerful):
    """The same request shortens its life, and later renewals give as much again."""
    made = server.ask("POST", RENEW, {"read_only": True, "increment": "15m"}, token=powerful)
    assert made.json["auth"]["lease_duration"] == 900
    server.now += 600
    assert server.ask("POST", RENEW, {}, token=powerful).json["auth"]["lease_duration"] == 900


def test_a_rule_that_gives_nothing_any_more_keeps_its_place(server, policy, token_of):
    """A narrow rule for writing hides a wide one for reading, as it did before; and a deny stays one."""
    rules = {"secret/*": ["read"], "secret/data/drop/*": ["create"], "secret/data/no": ["deny"]}
    token = token_of(policies=[policy("team", rules)], read_only=True)
    server.ask("POST", "secret/data/drop/a", {"data": {}})
    server.ask("POST", "secret/data/no", {"data": {}})
    for path in ("secret/data/drop/a", "secret/data/no"):
        assert server.ask("GET", path, token=token).status == 403


def test_a_batch_token_is_held_to_it_too(server, policy, token_of):
    """It is sealed into the token."""
    token = token_of(policies=[policy("all", {"*": ALL})], type="batch", read_only=True, ttl="1h")
    assert server.ask("GET", LOOKUP, token=token).data["read_only"] is True
    assert server.ask("POST", "secret/data/a", {"data": {}}, token=token).status == 403


def test_others_are_shown_as_ever(server, powerful):
    """No field of it where it is not so."""
    assert "read_only" not in server.ask("GET", LOOKUP, token=powerful).data
