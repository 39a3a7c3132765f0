"""Reads that are answered again: quicker, and in nothing else different from the first time."""

import json
import socket

import pytest

from ml_secrets.audit.sinks import SinkFault
from ml_secrets.barrier.opened import Opened
from ml_secrets.errors import Sealed, TamperFault
from ml_secrets.pipeline import recall
from ml_secrets.testing.whole import Whole

SECRET = "secret/data/team/db"
READER = 'path "secret/data/team/*" { capabilities = ["read"] }'

DENIES = 'path "secret/data/team/*" { capabilities = ["deny"] }'


@pytest.fixture
def whole(tmp_path):
    """A server with a secret, an audit log, and a token that may read it."""
    server = Whole()
    device = {"type": "file", "options": {"file_path": str(tmp_path / "audit.log")}}
    assert server.ask("PUT", "sys/audit/file", device).status == 204
    assert server.ask("POST", SECRET, {"data": {"password": "fake-first"}}).status == 200
    assert server.ask("PUT", "sys/policies/acl/reader", {"policy": READER}).status == 204
    server.log = tmp_path / "audit.log"
    yield server
    server.close()


@pytest.fixture
def reader(whole):
    """That token."""
    return token_of(whole, policies=["reader"], ttl="1h")


@pytest.fixture
def repeats(monkeypatch):
    """Names of all reads that were answered again."""
    found, again = [], recall.again

    def spied(house, reads):
        reads = list(reads)
        again(house, reads)
        found.extend(read.name for read in reads if read.data is not None)

    monkeypatch.setattr(recall, "again", spied)
    return found


def token_of(whole, **fields):
    return whole.ask("POST", "auth/token/create", fields).json["auth"]["client_token"]


def warm(whole, token):
    """Ask as often as it takes: the next read of this state is answered again."""
    for _ in range(2):
        assert whole.ask("GET", SECRET, token=token).status == 200


def records(whole):
    return [json.loads(line) for line in whole.log.read_text().splitlines()]


def test_an_answer_again_is_the_first_one_but_for_its_id(whole, reader, repeats):
    """Status, headers and body are the same to the last byte; the request ids differ, and are the ones in the audit log."""
    whole.ask("GET", SECRET, token=reader)
    first, again = (whole.ask("GET", SECRET, token=reader) for _ in range(2))
    assert len(repeats) == 1
    ids = first.json["request_id"], again.json["request_id"]
    assert first.status == again.status == 200
    assert first.headers == again.headers
    assert first.body.replace(ids[0].encode(), b"") == again.body.replace(ids[1].encode(), b"")
    assert ids[0] != ids[1]
    assert [record["request"]["id"] for record in records(whole)[-4:]] == [ids[0], ids[0], ids[1], ids[1]]


def test_the_records_of_both_are_the_same_but_for_id_time_and_place(whole, reader, repeats):
    """The audit log tells a read that is answered again exactly as it told the first."""
    whole.ask("GET", SECRET, token=reader)
    for address in ("127.0.0.1", "192.0.2.7"):
        whole.ask("GET", SECRET, token=reader, address=address)
    assert len(repeats) == 1
    told = []
    for record in records(whole)[-4:]:
        for name in ("time", "seq", "prev", "mac"):
            del record[name]
        assert record["request"].pop("id")
        told.append((record["request"].pop("remote_address"), record))
    assert [address for address, _ in told] == ["127.0.0.1"] * 2 + ["192.0.2.7"] * 2
    assert told[0][1] == told[2][1]
    assert told[1][1] == told[3][1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "value"),
    [
        ("POST", SECRET, {"data": {"password": "fake-second"}}, 200, "fake-second"),
        ("DELETE", SECRET, None, 404, None),
        ("DELETE", "secret/metadata/team/db", None, 404, None),
        ("PUT", "secret/destroy/team/db", {"versions": [1]}, 404, None),
        ("PUT", "sys/policies/acl/reader", {"policy": DENIES}, 403, None),
        ("DELETE", "sys/policies/acl/reader", None, 403, None),
        ("POST", "auth/token/revoke", {"token": "READER"}, 403, None),
        ("DELETE", "sys/mounts/secret", None, 404, None),
        ("POST", "sys/remount", {"from": "secret", "to": "moved"}, 404, None),
        ("POST", "secret/metadata/team/db", {"custom_metadata": {"a": "b"}}, 200, "fake-first"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_whatever_is_written_is_seen_by_the_next_read(whole, reader, method, path, body, status, value):
    """A read that was answered again shows every change at once: of the secret, of rights, of the token, of mounts."""
    warm(whole, reader)
    assert whole.ask("GET", SECRET, token=reader).status == 200
    body = {name: reader if text == "READER" else text for name, text in body.items()} if body else None
    assert whole.ask(method, path, body).status < 300
    after = whole.ask("GET", SECRET, token=reader)
    assert after.status == status
    if value is not None:
        assert after.json["data"]["data"] == {"password": value}
    if "custom_metadata" in (body or {}):
        assert after.json["data"]["metadata"]["custom_metadata"] == {"a": "b"}


def test_a_token_that_looks_itself_up_sees_each_second_pass(whole, repeats):
    """What is left of it is right to the nearest second in every answer, in the audit log too; within one the look-up is repeated."""
    token = token_of(whole, policies=["reader"], ttl="100s")
    for passed in (0.0, 0.0, 0.3, 0.4, 0.4, 0.6, 1.4, 1.6, 1.6):
        whole.now = 1_700_000_000.0 + passed
        found = whole.ask("GET", "auth/token/lookup-self", token=token)
        assert found.json["data"]["ttl"] == round(100 - passed)
        assert found.json["data"]["id"] == token
        assert records(whole)[-1]["response"]["data"]["ttl"] == round(100 - passed)
    assert len(repeats) == 5
    assert token not in whole.log.read_text()


def test_nothing_is_answered_again_after_its_end(whole, repeats):
    """The token's own end, its parent's, and the version's are kept to the second, though nothing is written at any of them."""
    parent = token_of(whole, policies=["root"], ttl="40s")
    child = whole.ask("POST", "auth/token/create", {"policies": ["reader"], "ttl": "1h"}, token=parent)
    child = child.json["auth"]["client_token"]
    own = token_of(whole, policies=["reader"], ttl="60s")
    whole.ask("POST", "secret/metadata/team/db", {"delete_version_after": "80s"})
    whole.ask("POST", SECRET, {"data": {"password": "fake-dying"}})
    lasting = token_of(whole, policies=["reader"], ttl="1h")
    for seconds, expected in (
        (0, (200, 200, 200)),
        (39, (200,) * 3),
        (2, (403, 200, 200)),
        (18, (403, 200, 200)),
    ):
        whole.now += seconds
        for _ in range(3):
            found = tuple(whole.ask("GET", SECRET, token=one).status for one in (child, own, lasting))
            assert found == expected, seconds
    whole.now += 2
    assert whole.ask("GET", SECRET, token=own).status == 403
    whole.now += 20
    assert whole.ask("GET", SECRET, token=lasting).status == 404
    assert repeats


def test_a_read_that_is_answered_again_warns_from_the_moment_on_when_the_secret_expires(
    whole, reader, repeats
):
    """Nothing is written then; in time, and from the first answer on."""
    whole.ask("POST", "secret/metadata/team/db", {"expires_at": "40s"})
    for seconds, warnings in ((0, None), (39, None), (1, ["this secret expired on 2023-11-14T22:14:00Z"])):
        whole.now += seconds
        before = len(repeats)
        for _ in range(4):
            assert whole.ask("GET", SECRET, token=reader).json["warnings"] == warnings
        assert len(repeats) > before


@pytest.mark.parametrize("path", ["", "secret/", "secret/data/team/db"])
def test_what_differs_from_request_to_request_is_not_remembered(whole, repeats, path):
    """Limited uses are spent, addresses are looked at, quotas are counted: each time."""
    few = token_of(whole, policies=["reader"], num_uses=3)
    assert [whole.ask("GET", SECRET, token=few).status for _ in range(4)] == [200, 200, 200, 403]
    bound = whole.ask(
        "POST",
        "auth/token/roles/near",
        {"token_bound_cidrs": ["127.0.0.1/32"], "allowed_policies": ["reader"]},
    )
    assert bound.status == 204
    near = whole.ask("POST", "auth/token/create/near", {"policies": ["reader"]}).json["auth"]["client_token"]
    assert [whole.ask("GET", SECRET, token=near).status for _ in range(3)] == [200] * 3
    assert whole.ask("GET", SECRET, token=near, address="192.0.2.7").status == 403
    lasting = token_of(whole, policies=["reader"])
    quota = {"rate": 3, "interval": "60s", "path": path}
    assert whole.ask("POST", "sys/quotas/rate-limit/all", quota).status == 204
    assert [whole.ask("GET", SECRET, token=lasting).status for _ in range(4)] == [200, 200, 200, 429]
    assert repeats == []


def test_recorded_headers_are_recorded_each_time(whole, reader, repeats):
    """Where the audit log shows request headers, each read goes the whole way."""
    assert whole.ask("PUT", "sys/config/auditing/request-headers/host", {}).status == 204
    for _ in range(3):
        whole.ask("GET", SECRET, token=reader)
    assert repeats == []
    assert [record["request"]["headers"] for record in records(whole)[-4:]] == [{"host": ["vault.test"]}] * 4


def test_a_device_added_or_taken_away_counts_at_once(whole, reader, tmp_path, repeats):
    """The next read is recorded by the devices that there are then."""
    warm(whole, reader)
    whole.ask("GET", SECRET, token=reader)
    second = {"type": "file", "options": {"file_path": str(tmp_path / "second.log")}}
    whole.ask("PUT", "sys/audit/second", second)
    for _ in range(3):
        whole.ask("GET", SECRET, token=reader)
    assert sum("team/db" in line for line in (tmp_path / "second.log").read_text().splitlines()) == 6
    whole.ask("DELETE", "sys/audit/second")
    whole.ask("DELETE", "sys/audit/file")
    for _ in range(3):
        assert whole.ask("GET", SECRET, token=reader).status == 200
    assert len(repeats) == 3


def test_without_a_record_there_is_no_answer(whole, reader, repeats, monkeypatch):
    """When no device can record a repeated read, it is refused, like the first; and it is answered once one can again."""
    warm(whole, reader)

    def fails(*_):
        raise SinkFault("no space left")

    for device in whole.house.devices.cast:
        monkeypatch.setattr(device, "write", fails)
    assert whole.ask("GET", SECRET, token=reader).status == 503
    assert repeats == []
    monkeypatch.undo()
    assert whole.ask("GET", SECRET, token=reader).status == 200


def test_a_device_that_may_keep_us_waiting_is_not_written_to_on_the_short_way(
    whole, reader, repeats, tmp_path
):
    """With a socket among the devices each single read goes the whole way, which knows where to wait."""
    with socket.socket(socket.AF_UNIX) as collector:
        collector.bind(str(tmp_path / "collector"))
        collector.listen()
        device = {
            "type": "socket",
            "options": {"address": str(tmp_path / "collector"), "socket_type": "unix"},
        }
        assert whole.ask("PUT", "sys/audit/collector", device).status == 204
        for _ in range(3):
            assert whole.ask("GET", SECRET, token=reader).status == 200
        assert repeats == []
        assert whole.ask("DELETE", "sys/audit/collector").status == 204


def test_a_row_that_does_not_open_is_told_the_whole_way(whole, reader, monkeypatch):
    """Damage under a remembered read is the fault that it always is, and nothing comes back instead."""
    warm(whole, reader)
    reveal = Opened.reveal

    def damaged(opened, row, context):
        reveal(opened, row, context)
        raise TamperFault("a sealed record does not open")

    monkeypatch.setattr(Opened, "reveal", damaged)
    answer = whole.ask("GET", SECRET, token=reader)
    assert answer.status == 500
    assert b"fake-first" not in answer.body
    assert records(whole)[-1]["error"] == "a sealed record does not open"


def test_a_sealed_server_answers_nothing_again(whole, reader, repeats):
    """Sealing ends every repetition, and nothing is remembered beyond it."""
    warm(whole, reader)
    whole.ask("GET", SECRET, token=reader)
    assert whole.ask("PUT", "sys/seal").status == 204
    assert whole.ask("GET", SECRET, token=reader).status == 503
    whole.server.opening.unseal(whole._key, reset=False)
    warm(whole, reader)
    assert len(repeats) == 1


def test_a_server_that_seals_while_a_read_is_recorded_gives_no_answer(whole, reader, monkeypatch):
    """The devices may have been closed by then, and have recorded nothing."""
    warm(whole, reader)
    again = whole.house.devices.again

    def sealing(*arguments):
        again(*arguments)
        whole.server.opening.seal()

    monkeypatch.setattr(whole.house.devices, "again", sealing)
    assert whole.ask("GET", SECRET, token=reader).status == 503


def test_a_server_that_seals_before_an_answer_is_remembered_still_gives_it(whole, reader, monkeypatch):
    """The read is recorded by then; only the remembering is left out."""
    asked = []

    def sealed(*_):
        asked.append("scripts")
        raise Sealed("Vault is sealed")

    monkeypatch.setattr(whole.house.devices, "scripts", sealed)
    for _ in range(3):
        assert whole.ask("GET", SECRET, token=reader).status == 200
    assert asked == ["scripts"] * 2


def test_where_writes_come_in_between_nothing_is_remembered(whole, reader, monkeypatch):
    """A read that is not asked twice of one state costs what it did: no records are prepared for a next time."""
    prepared = []
    scripts = whole.house.devices.scripts
    monkeypatch.setattr(whole.house.devices, "scripts", lambda visit: prepared.append(1) or scripts(visit))
    for number in range(4):
        assert whole.ask("GET", SECRET, token=reader).status == 200
        whole.ask("POST", "secret/data/other", {"data": {"n": number}})
    assert prepared == []
    warm(whole, reader)
    assert prepared == [1]


def test_a_name_shows_no_token_and_tells_all_apart(whole):
    """Names depend on token and target, each whole, and on a key that every opening makes anew."""
    name = whole.house.recalls.name
    tokens, targets = (b"hvs.fake-a", b"hvs.fake-ab"), (b"/v1/secret/data/x", b"b/v1/secret/data/x")
    found = {name(token, target) for token in tokens for target in targets}
    assert len(found) == 4
    assert not any(b"fake" in one for one in found)
    before = name(*tokens)
    whole.house.recalls.forget_all()
    assert name(*tokens) != before


def test_of_too_many_the_oldest_is_let_go(whole, reader, repeats, monkeypatch):
    """What is remembered is bounded, and so is what was asked once."""
    monkeypatch.setattr(recall, "_MOST_ASKED", 2)
    monkeypatch.setattr(recall, "_MOST_BYTES", 12_000)
    for number in range(3):
        whole.ask("POST", f"secret/data/team/{number}", {"data": {}})
    for number in (0, 0, 1, 1, 2, 2, 2, 1, 0):
        assert whole.ask("GET", f"secret/data/team/{number}", token=reader).status == 200
    assert len(repeats) == 2
    recalls = whole.house.recalls
    assert len(recalls._known) == 2
    assert recalls._taken == sum(known.size for known in recalls._known.values()) <= 12_000
    assert len(recalls._asked) <= 2


@pytest.mark.parametrize("method", ["HEAD", "LIST"])
def test_only_a_get_is_a_plain_read(whole, reader, method, repeats):
    """Another verb on the same path is another question."""
    for _ in range(3):
        whole.ask("GET", SECRET, token=reader)
    assert whole.ask(method, SECRET, token=reader).status >= 400
    assert len(repeats) == 1


def test_what_is_secret_is_not_kept(whole, reader, repeats):
    """Of an answer there is kept what is around its data; that, and the id of the request, are each answer's own."""
    warm(whole, reader)
    (kept,) = whole.house.recalls._known.values()
    outcome = kept.outcome
    assert (outcome.request_id, outcome.response.data, outcome.response.state) == ("", None, None)
    assert outcome.response.again is None
    assert "fake-first" not in repr(outcome)
    assert all(reader not in repr(part) for part in (outcome, kept.scripts))
    assert whole.ask("GET", SECRET, token=reader).data["data"] == {"password": "fake-first"}
    assert len(repeats) == 1


def test_a_read_that_is_remembered_anew_takes_the_place_of_the_old(whole, reader):
    """It is counted once."""
    for value in ("fake-second", "fake-third"):
        warm(whole, reader)
        whole.ask("POST", SECRET, {"data": {"password": value}})
    warm(whole, reader)
    recalls = whole.house.recalls
    assert [recalls._taken] == [known.size for known in recalls._known.values()]
