"""The records: what OpenBao writes, without what could mislead."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.audit.entry import Scribe
from ml_secrets.audit.hashing import Hasher
from ml_secrets.contract import Caller, Engine, Login, Request, Response, Verb
from ml_secrets.domain.acl import Decision, Reason
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.mount import Mount
from ml_secrets.domain.token import TokenEntry, TokenParameters
from ml_secrets.errors import Denied, Invalid, NotFound, StoreFull, Unauthenticated
from ml_secrets.pipeline.route import Route
from ml_secrets.pipeline.visit import Visit

HASHER = Hasher(b"s" * 32)
TIME = b"2026-11-25T01:33:05.5Z"
ENGINE = Engine("kv", summary="for tests", version="v1.0")


@ENGINE.read("data/{path:path}", plain_response=("metadata",))
def read(ctx, path: str):
    """Read."""


@ENGINE.write("data/{path:path}", plain=("options",))
def write(ctx, path: str):
    """Write."""


@ENGINE.write("login", public=True)
def login(ctx):
    """Log in."""


READ, WRITE, LOGIN = ENGINE.operations
MOUNT = Mount(path="secret/", kind="kv", accessor="kv_1", uuid="u-1")
AUTH = Mount(path="auth/badge/", kind="badge", accessor="auth_badge_1", uuid="u-2")
ENTRY = TokenEntry(
    accessor="acc", policies=("default", "p"), path="auth/token/create", created=1_700_000_000.5, expires=None, display_name="ada",
    meta={"who": "ada"}, entity_id="e-1", creation_ttl=3600,
)  # fmt: skip


def granted(policies=("p",)):
    return Decision(
        True,
        None,
        policies,
        Reason.GRANTED,
        "secret/data/app",
        Capability.READ,
    )


def visit(verb=Verb.READ, path="secret/data/app", *, operation=READ, mount=MOUNT, known=True, **request):
    asked = Request(
        id="id-1", verb=verb, path=path, token="tok", remote_address="127.0.0.1", remote_port=51606, **request
    )
    seen = Visit(asked, Route(mount, ENGINE if mount else None, operation, {}, known=True))
    if known:
        seen.caller, seen.decision = Caller("key-1", ENTRY, "tok"), granted()
    return seen


def scribe(**options):
    return Scribe(HASHER, **{"hmac_accessor": True, "headers": {}, **options})


def pair(seen, error=None, **options):
    lines = scribe(**options).both(seen, TIME, error)
    assert all(b"\n" not in line for line in lines)
    return [json.loads(line) for line in lines]


def test_a_read_as_openbao_tells_it():
    """A read has the members that OpenBao's records have, with the same names and types."""
    seen = visit()
    seen.response = Response(
        {"data": msgspec.Raw(b'{"a":"hello","n":5}'), "metadata": {"created_time": "t", "version": 1}}
    )
    request, response = pair(seen)
    auth = {
        "client_token": HASHER.text("tok"),
        "accessor": HASHER.text("acc"),
        "display_name": "ada",
        "policies": ["default", "p"],
        "token_policies": ["default", "p"],
        "policy_results": {
            "allowed": True,
            "granting_policies": [{"name": "p", "namespace_id": "root", "type": "acl"}],
        },
        "metadata": {"who": "ada"},
        "entity_id": "e-1",
        "token_type": "service",
        "token_ttl": 3600,
        "token_issue_time": "2023-11-14T22:13:20Z",
    }
    asked = {
        "id": "id-1",
        "client_id": "e-1",
        "operation": "read",
        "mount_point": "secret/",
        "mount_type": "kv",
        "mount_accessor": "kv_1",
        "mount_running_version": "v1.0",
        "mount_class": "secret",
        "client_token": HASHER.text("tok"),
        "client_token_accessor": HASHER.text("acc"),
        "namespace": {"id": "root"},
        "path": "secret/data/app",
        "remote_address": "127.0.0.1",
        "remote_port": 51606,
    }
    assert request == {"time": TIME.decode(), "type": "request", "auth": auth, "request": asked}
    assert response == {
        "time": TIME.decode(),
        "type": "response",
        "auth": auth,
        "request": asked,
        "response": {
            "mount_point": "secret/",
            "mount_type": "kv",
            "mount_accessor": "kv_1",
            "mount_running_plugin_version": "v1.0",
            "mount_class": "secret",
            "data": {
                "data": {"a": HASHER.text("hello"), "n": 5},
                "metadata": {"created_time": "t", "version": 1},
            },
        },
    }


def test_a_write_is_two_records():
    """A write's intent has its data, hashed but for what is declared plain; its outcome has the answer."""
    seen = visit(
        Verb.WRITE,
        operation=WRITE,
        fields={"data": msgspec.Raw(b'{"a":"x"}'), "options": msgspec.Raw(b'{"cas":"0"}')},
        wrap_ttl=60,
    )
    seen.capability = "create"
    seen.response = Response({"version": 1})
    asked, outcome = map(json.loads, scribe().both(seen, TIME, None))
    assert asked["request"]["operation"] == "create"
    assert asked["request"]["data"] == {"data": {"a": HASHER.text("x")}, "options": {"cas": "0"}}
    assert asked["request"]["wrap_ttl"] == 60
    assert "response" not in asked
    assert outcome["request"] == asked["request"]
    assert outcome["response"]["data"] == {"version": 1}


def test_only_who_was_refused_has_the_reason_in_both_records():
    """An operation that failed was asked for rightly: its `request` record has no error, as in Vault's log."""
    seen = visit(Verb.WRITE, operation=WRITE, fields={"data": msgspec.Raw(b'{"a":"x"}')})
    seen.admitted = True
    asked, failed = map(
        json.loads, scribe().both(seen, TIME, Invalid("check-and-set parameter did not match"))
    )
    assert "error" not in asked
    assert failed["error"] == "check-and-set parameter did not match"
    assert "data" not in failed["response"]
    assert "reason" not in failed
    seen.admitted = False
    assert all("error" in json.loads(line) for line in scribe().both(seen, TIME, Denied("permission denied")))


def test_a_commit_that_failed_is_told_after_its_success():
    """What was recorded as done gets another `response` record with the error, for the same request."""
    seen = visit(Verb.WRITE, operation=WRITE, fields={"data": msgspec.Raw(b'{"a":"x"}')})
    asked, _ = map(json.loads, scribe().both(seen, TIME, None))
    corrected = json.loads(scribe().addition(seen, TIME, StoreFull("the disk is full")))
    assert corrected["request"] == asked["request"]
    assert (corrected["type"], corrected["error"]) == ("response", "the disk is full")


def test_a_mounts_own_keys_are_shown():
    """Keys that a mount names are shown, in requests and in answers apart."""
    mount = msgspec.structs.replace(
        MOUNT, audit_non_hmac_request_keys=["a"], audit_non_hmac_response_keys=["b"]
    )
    seen = visit(Verb.WRITE, operation=WRITE, mount=mount, fields={"data": msgspec.Raw(b'{"a":"x","b":"y"}')})
    seen.response = Response({"a": "x", "b": "y"})
    _, response = pair(seen)
    assert response["request"]["data"] == {"data": {"a": "x", "b": HASHER.text("y")}}
    assert response["response"]["data"] == {"a": HASHER.text("x"), "b": "y"}


def test_a_refusal_says_why():
    """A refused request has the error on both records, and the reason that our decision rests on."""
    seen = visit()
    seen.decision = msgspec.structs.replace(granted(), allowed=False)
    for record in pair(seen, Denied("1 error occurred:\n\t* permission denied\n\n", hint="no rule matches")):
        assert record["error"] == "1 error occurred:\n\t* permission denied\n\n"
        assert record["reason"] == "no rule matches"
        assert record["auth"]["policy_results"] == {"allowed": False}
        assert record["auth"]["display_name"] == "ada"


def test_a_stranger_is_told_by_the_hash_of_what_they_sent():
    """An unknown token appears as its hash, and no identity with it; no token at all as nothing."""
    seen = visit(known=False)
    request, _ = pair(seen, Unauthenticated("permission denied", hint="log in"))
    assert request["auth"] == {"policy_results": {"allowed": False}, "token_type": "default"}
    assert request["request"]["client_token"] == HASHER.text("tok")
    seen.request.token = None
    request, _ = pair(seen, Unauthenticated("permission denied"))
    assert "client_token" not in request["request"]


def test_a_login_names_who_logged_in():
    """The response of a login shows the identity and the hashes of the new token; a wrapped one at least the identity."""
    seen = visit(
        Verb.WRITE,
        "auth/badge/login",
        operation=LOGIN,
        mount=AUTH,
        known=False,
        fields={"pin": msgspec.Raw(b'"1234"')},
    )
    seen.login = Login("badge-ada", "ada", TokenParameters(), metadata={"badge": "7"})
    auth = {
        "client_token": "new",
        "accessor": "newacc",
        "policies": ["p"],
        "token_policies": ["p"],
        "metadata": {"badge": "7"},
    }
    seen.response = Response(
        auth={**auth, "lease_duration": 60, "entity_id": "", "token_type": "service"}, warnings=["w"]
    )
    asked, outcome = map(json.loads, scribe().both(seen, TIME, None))
    assert asked["auth"] == {"policy_results": {"allowed": True}, "token_type": "default"}
    assert asked["request"]["mount_class"] == "auth"
    shown = {
        "client_token": HASHER.text("new"),
        "accessor": HASHER.text("newacc"),
        "policies": ["p"],
        "token_policies": ["p"],
        "metadata": {"badge": "7"},
        "token_type": "service",
        "token_ttl": 60,
    }
    assert outcome["auth"] == {"policy_results": {"allowed": True}, "display_name": "badge-ada", **shown}
    assert outcome["response"]["auth"] == shown
    assert outcome["response"]["warnings"] == ["w"]
    seen.response = Response(
        wrap_info={"token": "wrap", "accessor": "wacc", "ttl": 60, "wrapped_accessor": "newacc"}
    )
    _, wrapped = pair(seen)
    assert wrapped["auth"]["display_name"] == "badge-ada"
    assert wrapped["response"]["wrap_info"] == {
        "token": HASHER.text("wrap"),
        "accessor": HASHER.text("wacc"),
        "wrapped_accessor": HASHER.text("newacc"),
        "ttl": 60,
    }


def test_accessors_can_be_shown():
    """hmac_accessor=false shows accessors, and only those."""
    seen = visit()
    seen.response = Response(auth={"client_token": "new", "accessor": "newacc"})
    request, response = pair(seen, hmac_accessor=False)
    assert request["auth"]["accessor"] == request["request"]["client_token_accessor"] == "acc"
    assert response["response"]["auth"] == {"client_token": HASHER.text("new"), "accessor": "newacc"}


def test_a_batch_token_has_no_accessor():
    """A batch token has none, and none is invented."""
    seen = visit()
    seen.caller = Caller(
        "key-2", msgspec.structs.replace(ENTRY, accessor="", kind="batch", entity_id=""), "tok"
    )
    request, _ = pair(seen)
    assert "accessor" not in request["auth"]
    assert "client_id" not in request["request"]
    assert request["auth"]["token_type"] == "batch"


def test_answers_of_other_kinds():
    """Leases are named; content that is no JSON is hashed; an error's data is hashed like an answer's."""
    seen = visit()
    seen.response = Response({"k": "v"}, lease_id="secret/creds/x/1", content=("text/plain", b"canary"))
    _, response = pair(seen)
    assert response["response"]["secret"] == {"lease_id": "secret/creds/x/1"}
    assert response["response"]["content"] == {"type": "text/plain", "body": HASHER.octets(b"canary")}
    _, response = pair(seen, NotFound(data={"data": None, "metadata": {"deletion_time": "t"}, "x": "y"}))
    assert response["response"]["data"] == {
        "data": None,
        "metadata": {"deletion_time": "t"},
        "x": HASHER.text("y"),
    }
    assert response["error"] == "not found"
    seen.response = None
    assert "data" not in pair(seen)[1]["response"]


def test_no_mount_and_no_decision():
    """A path that leads nowhere is told without a mount; a caller without a decision yet was at least known."""
    seen = visit(operation=None, mount=None, path="nowhere/x", fields={"a": msgspec.Raw(b'"b"')})
    seen.decision = None
    request, response = pair(seen, NotFound("no handler"))
    assert "mount_point" not in request["request"]
    assert request["request"]["data"] == {"a": HASHER.text("b")}
    assert request["auth"]["policy_results"] == {"allowed": True}
    assert response["response"] == {}


def test_chosen_headers_are_recorded():
    """Only the chosen request headers are recorded, as lists, hashed where asked for."""
    headers = {"x-plain": {"hmac": False}, "x-thing": {"hmac": True}, "x-absent": {"hmac": False}}
    seen = visit(headers={"x-plain": "hi", "x-thing": "abc", "x-other": "no"})
    request, _ = pair(seen, headers=headers)
    assert request["request"]["headers"] == {"x-plain": ["hi"], "x-thing": [HASHER.text("abc")]}
    request, _ = pair(visit(headers={"x-other": "no"}), headers=headers)
    assert "headers" not in request["request"]


def test_a_changed_token_or_mount_is_told_anew():
    """What is remembered of a token or mount is dropped when its row changed."""
    writer, seen = scribe(), visit()
    writer.both(seen, TIME, None)
    seen.caller = Caller("key-1", msgspec.structs.replace(ENTRY, display_name="eve"), "tok")
    seen.route = msgspec.structs.replace(seen.route, mount=msgspec.structs.replace(MOUNT, path="moved/"))
    record = json.loads(writer.both(seen, TIME, None)[0])
    assert record["auth"]["display_name"] == "eve"
    assert record["request"]["mount_point"] == "moved/"


def test_an_answer_of_a_known_state_is_hashed_once_and_told_in_full():
    """Its record is the same as before, also when its mount now shows a key plain, and holds no value."""
    writer, seen = scribe(), visit()
    told = []
    for state in (None, ("uid", 1), ("uid", 1), ("uid", 2)):
        seen.response = Response({"a": "canary", "b": "y"}, state=state)
        told.append(json.loads(writer.both(seen, TIME, None)[1])["response"]["data"])
    assert told == told[:1] * 4
    assert "canary" not in repr(list(writer._answers.values()))
    assert len(writer._answers) == 2
    mount = msgspec.structs.replace(MOUNT, audit_non_hmac_response_keys=["b"])
    seen.route = msgspec.structs.replace(seen.route, mount=mount)
    seen.response = Response({"a": "canary", "b": "y"}, state=("uid", 2))
    shown = json.loads(writer.both(seen, TIME, None)[1])["response"]["data"]
    assert shown == told[0] | {"b": "y"}


def test_a_long_answer_is_not_kept():
    """Memory is for the many short ones."""
    writer, seen = scribe(), visit()
    seen.response = Response({f"k{number}": "x" for number in range(100)}, state=1)
    writer.both(seen, TIME, None)
    assert not writer._answers


def test_what_is_remembered_is_bounded():
    """Thousands of tokens, mounts and grants do not pile up."""
    writer = scribe()
    for number in range(4200):
        seen = visit()
        seen.caller, seen.decision = Caller(f"k{number}", ENTRY, "tok"), granted((f"p{number}",))
        mount = msgspec.structs.replace(MOUNT, uuid=f"u{number}")
        seen.route = msgspec.structs.replace(seen.route, mount=mount)
        seen.response = Response({"a": "x"}, state=number)
        writer.both(seen, TIME, None)
    kept = (writer._tokens, writer._mounts, writer._grants, writer._answers)
    assert 4000 < min(map(len, kept[:2])) <= max(map(len, kept)) <= 4096


NASTY = [
    "\n",
    "\r\n{}",
    "\x1b[2J",
    '","type":"response',
    "\x7f",
    "\x9b31m",
    "\u2028",
    "\u202e",
    "\U000e0041",
    "\0",
    '"}\n{"type":"request"}',
    "é漢",
]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        min_size=4,
        max_size=4,
    )
)
def test_nothing_breaks_out_of_its_line(parts):
    """107: newlines, terminal codes and pieces of JSON in path, header, name or error leave one valid line that says what was sent."""
    path, header, name, error = parts
    seen = visit(path=path, headers={"x-h": header})
    seen.caller = Caller("key", msgspec.structs.replace(ENTRY, display_name=name or "x"), "tok")
    for line in scribe(headers={"x-h": {"hmac": False}}).both(seen, TIME, Denied(error or "x")):
        text = line.decode()
        assert len(text.splitlines()) == 1
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u202e\U000e0041" for c in text)
        record = json.loads(text)
        assert record["request"]["path"] == path
        assert record["request"]["headers"] == {"x-h": [header]}
        assert record["auth"]["display_name"] == (name or "x")
        assert record["error"] == (error or "x")


def test_plain_text_stays_readable():
    """Letters of any language are not escaped: a log can be searched."""
    seen = visit(path="secret/data/café")
    assert "café".encode() in scribe().both(seen, TIME, None)[0]


@pytest.mark.parametrize("verb", list(Verb))
def test_every_verb_has_a_word(verb):
    """Before rights are looked at, the verb alone names the operation; a write is an update."""
    request, _ = pair(visit(verb, operation=None))
    assert request["request"]["operation"] == ("update" if verb is Verb.WRITE else str(verb))
