"""What somebody who follows changes may hear: decided anew, and on the state that is there."""

import json

import msgspec
import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.errors import Denied, Unauthenticated
from ml_secrets.registry.changes import Wanted
from ml_secrets.testing.programs import ROOT_TOKEN


@pytest.fixture
def follow(server):
    """Follow everything with this token, as the edge does."""

    def begin(token=ROOT_TOKEN, **wanted):
        request = Request("r", Verb.READ, "sys/events/subscribe/*", token=token, remote_address="192.0.2.1")
        return server.server.pipeline.look.follow(request, Wanted(**wanted))

    return begin


def told(server, path="app", mount="secret/"):
    """A change of that mount, told now; and what is kept of it."""
    house = server.house
    place, _ = house.recent.now()
    with house.units.write() as unit:
        house.changes.tell(unit, house.mounts.table(unit).by_path[mount], path, "write", version=1, etag="e")
    return house.recent.since(place, most=10)


def test_root_hears_everything(server, follow):
    """With version and ETag."""
    changes = told(server)
    assert follow().heard(changes) == changes


def test_a_mount_that_is_gone_is_not_heard_of(server, follow):
    """Its rights cannot be known any more."""
    changes = told(server)
    server.ask("DELETE", "sys/mounts/secret")
    assert follow().heard(changes) == []


def test_an_engine_that_names_nobody_is_heard_by_nobody(server, follow):
    """Not even by root: silence is the default."""
    assert follow().heard(told(server, mount="cubbyhole/")) == []


def test_a_moved_mount_is_judged_by_where_it_is(server, follow, policy, token_of):
    """Rights to its former path count no more, those to the new one do."""
    change = told(server)
    rights = {"sys/events/subscribe/*": ["read"]}
    old = token_of(policies=[policy("old", {**rights, "secret/data/*": ["read"]})])
    new = token_of(policies=[policy("new", {**rights, "moved/data/*": ["read"]})])
    assert (len(follow(old).heard(change)), len(follow(new).heard(change))) == (1, 0)
    assert server.ask("POST", "sys/remount", {"from": "secret", "to": "moved"}).status == 200
    assert (len(follow(old).heard(change)), len(follow(new).heard(change))) == (0, 1)


def test_a_right_that_hangs_on_conditions_does_not_count(server, follow, token_of):
    """Where an answer has to be wrapped, an event would go around that."""
    text = (
        'path "sys/events/subscribe/*" { capabilities = ["read"] }\n'
        'path "secret/data/*" { capabilities = ["read"] min_wrapping_ttl = "1m" }'
    )
    server.ask("POST", "sys/policies/acl/wrapped", {"policy": text})
    assert follow(token_of(policies=["wrapped"])).heard(told(server)) == []


def test_while_nothing_is_written_nothing_is_looked_at(server, follow, noted):
    """The look within each second costs nothing on a quiet server; a write, or the end of the token's time, makes it one."""
    following = follow()
    following.check()
    transactions = noted()
    following.check()
    assert transactions == []
    told(server)
    before = len(transactions)
    following.check()
    assert len(transactions) == before + 1


def test_an_ended_token_hears_nothing(server, follow, token_of, policy):
    """By time, and by revocation."""
    name = policy("all", {"sys/events/subscribe/*": ["read"], "secret/*": ["read"]})
    token = token_of(policies=[name], ttl="1h")
    following, changes = follow(token), told(server)
    assert following.heard(changes) == changes
    following.check()
    server.now += 3600
    with pytest.raises(Unauthenticated):
        following.check()
    with pytest.raises(Unauthenticated):
        following.heard(changes)
    with pytest.raises(Unauthenticated):
        follow(token)


def test_listening_spends_no_use_of_the_token(server, follow, token_of):
    """The request that began it spent one."""
    token = token_of(policies=["root"], num_uses=2, ttl="1h")
    following, changes = follow(token), told(server)
    assert [following.heard(changes) for _ in range(3)] == [changes] * 3
    itself = [server.ask("GET", "auth/token/lookup-self", token=token).status for _ in range(3)]
    assert itself == [200, 200, 403]


def test_listening_counts_against_no_quota(server, follow):
    """The request that began it did."""
    assert server.ask("POST", "sys/quotas/rate-limit/q", {"rate": 1, "interval": "1h"}).status == 204
    following, changes = follow(), told(server)
    assert [following.heard(changes) for _ in range(3)] == [changes] * 3


def test_rules_about_parameters_are_held_to_what_was_asked_for(server, token_of):
    """For as long as it lasts; the bytes that the request came in are not kept for that."""
    rule = 'capabilities = ["read"] denied_parameters = { path = ["secret/hidden"] }'
    text = f'path "sys/events/subscribe/*" {{ {rule} }}\npath "secret/*" {{ capabilities = ["read"] }}'
    server.ask("POST", "sys/policies/acl/narrow", {"policy": text})
    token, look = token_of(policies=["narrow"]), server.server.pipeline.look

    def follow(path):
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        request = Request("r", Verb.READ, "sys/events/subscribe/*", token=token, fields=fields)
        return look.follow(request, Wanted(path=path))

    body = bytearray(b'{"path": "secret/hidden"}')
    with pytest.raises(Denied):
        follow("secret/hidden")
    body = bytearray(b'{"path": "secret/team"}')
    following, changes = follow("secret/team"), told(server, "team/app")
    body.clear()  # refused while somebody looks at it
    assert following.heard(changes) == changes


def test_the_end_is_recorded_as_another_answer(server, follow, tmp_path):
    """With its reason, how much was told, and by whose right it was begun."""
    log = tmp_path / "audit.log"
    server.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})
    follow().ended("gone", 3)
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["type"], last["request"]["id"]) == ("response", "r")
    assert last["response"]["data"] == {"ended": "gone", "sent": 3}
    assert last["auth"]["policy_results"]["granting_policies"]


def test_who_may_only_list_hears_names_alone(server, follow, policy, token_of):
    """Neither version nor ETag, which a list does not show."""
    name = policy("lister", {"sys/events/subscribe/*": ["read"], "secret/metadata/*": ["list"]})
    heard = follow(token_of(policies=[name])).heard(told(server, "team/app"))
    assert [(one.change.path, one.change.version, one.change.etag) for one in heard] == [("team/app", 0, "")]


def test_what_was_not_asked_for_is_sorted_out_first(server, follow):
    """By kind, mount and path, without a look at the store."""
    changes = told(server, "team/app")
    for wanted, fits in (
        ({}, 1),
        ({"path": "secret/team"}, 1),
        ({"path": "other"}, 0),
        ({"kinds": ("delete",)}, 0),
        ({"kinds": ("write",)}, 1),
    ):
        assert len(follow(**wanted).fitting(changes)) == fits
