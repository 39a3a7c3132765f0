"""What the edge asks before a request, and while it waits: it reads, and spends, counts and records nothing."""

import json
import socket

import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.testing.programs import ROOT_TOKEN


@pytest.fixture
def look(server):
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    return server.server.pipeline.look


def asked(path="secret/data/app", *, verb=Verb.READ, token=ROOT_TOKEN):
    return Request("1", verb, path, token=token, remote_address="192.0.2.1")


def test_a_peek_is_what_a_read_would_answer_and_of_which_state(server, look):
    """As long as that state is the present one, so is the answer."""
    response, stamp = look.peek(asked())
    assert json.loads(bytes(response.data["data"])) == {"key": "FAKE-value"}
    assert stamp == look.stamp
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-other"}})
    assert stamp < look.stamp
    assert look.peek(asked())[1] == look.stamp


@pytest.mark.parametrize(
    "other",
    [
        asked(verb=Verb.WRITE),
        asked("secret/data/nothing"),
        asked("nowhere/app"),
        asked(token="mls_s_unknown"),
        asked(token=None),
    ],
)
def test_there_is_nothing_to_peek_at_in_what_is_not_answered_like_that(look, other):
    """A write, nothing, no mount, and who may not: the request itself is told so."""
    assert look.peek(other) is None


def test_looking_spends_no_use_and_counts_against_no_quota(server, look, token_of):
    """Who waits is looked after many times, and is one request."""
    token = token_of(policies=["root"], num_uses=2, ttl="1h")
    assert server.ask("POST", "sys/quotas/rate-limit/q", {"rate": 1, "interval": "1h"}).status == 204
    mount = server.house.units.read(server.house.mounts.table).by_path["secret/"].uuid
    for _ in range(3):
        assert look.peek(asked(token=token)) is not None
        assert look.still(asked(token=token), mount)
    server.ask("DELETE", "sys/quotas/rate-limit/q")
    itself = [server.ask("GET", "auth/token/lookup-self", token=token).status for _ in range(3)]
    assert itself == [200, 200, 403]


def test_who_is_served(server, look):
    """A live token; anybody while the server is sealed, who is told so by the request itself."""
    requests = [asked(), asked(token="mls_s_unknown"), asked(token=None)]
    assert [look.serves(request) for request in requests] == [True, False, False]
    server.server.opening.seal()
    assert [look.serves(request) for request in requests] == [True, True, True]


def test_who_listens_hears_each_change_until_they_have_heard_enough(server, look):
    """Once it is durable."""
    heard = []
    end = look.listen(lambda change: heard.append(change.path))
    server.ask("POST", "secret/data/heard", {"data": {}})
    end()
    server.ask("POST", "secret/data/unheard", {"data": {}})
    assert heard == ["heard"]


def test_records_are_written_at_once_unless_a_device_waits_for_others(server, look):
    """A file does not, the other end of a connection may."""
    assert look.records_at_once
    with socket.socket(type=socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{far.getsockname()[1]}"
        device = {"type": "socket", "options": {"address": address, "socket_type": "udp"}}
        assert server.ask("PUT", "sys/audit/far", device).status == 204
        assert not look.records_at_once
