"""Secrets planted everywhere, every kind of request and failure, and then a search of all that a thief could read.

A canary is a text that exists once in the world. What is found is a leak; the audit log may show what an operation
declares plain, and nothing else.
"""

import base64
import itertools
import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from tests.security.breaking import WAYS
from tests.security.serving import head, stored, talk
from tests.security.test_inputs import METHODS, MOUNTS, ends, operations, path_of

from ml_secrets.contract.operation import Verb
from ml_secrets.sensitive import Sensitive


class Cage:
    """Makes canaries and remembers where each was let out."""

    def __init__(self):
        self.numbers = itertools.count()
        self.out = {}

    def canary(self, where):
        text = f"canary{next(self.numbers):06d}q{'zyxwvutsrq'[len(self.out) % 10]}K7pVd"
        self.out[text] = where
        return text

    def find(self, content, *, spare=()):
        """Where canaries that are in `content` came from, in plain, hex and base64."""
        found = []
        if b"canary" in content.lower():
            found += [
                where for text, where in self.out.items() if text.encode() in content and where not in spare
            ]
        for marker in (b"canary0", b"ACanary0"):
            for shift in range(3):
                piece = base64.b64encode(b"x" * shift + marker)[4 if shift else 0 : -4]
                if piece in content:
                    found.append(f"base64 of {marker!r}")
        if b"canary0".hex().encode() in content.lower():
            found.append("hex")
        return found


def plant(store, cage):
    """The secrets of everyday use, and failures around them."""
    ask = store.ask
    for kind, where in MOUNTS.items():
        if where.startswith("auth/") and kind != "token":
            ask("POST", f"sys/{where}", {"type": kind, "description": "no secret"})
        elif kind.startswith("kv"):
            ask("POST", f"sys/mounts/{where}", {"type": "kv", "options": {"version": kind[-1]}})
    for path in ("secret/data/app", "secret/data/other"):
        assert (
            ask(
                "POST",
                path,
                {
                    "data": {
                        "password": cage.canary("kv value"),
                        cage.canary("kv key"): {"deep": [cage.canary("kv list")]},
                    }
                },
            ).status
            == 200
        )
    assert (
        ask(
            "PATCH",
            "secret/data/app",
            {"data": {"more": cage.canary("kv patch")}},
            headers={"Content-Type": "application/merge-patch+json"},
        ).status
        == 200
    )
    assert ask("POST", "kv1/app", {"password": cage.canary("kv1 value")}).status == 204
    assert ask("POST", "cubbyhole/app", {"password": cage.canary("cubbyhole value")}).status == 204
    assert (
        ask(
            "POST", "secret/metadata/app", {"custom_metadata": {"note": cage.canary("custom metadata")}}
        ).status
        == 204
    )
    assert ask("POST", "auth/userpass/users/alice", {"password": cage.canary("password")}).status == 204
    assert (
        ask(
            "POST",
            "auth/token/create",
            {
                "id": cage.canary("token id"),
                "meta": {"note": cage.canary("token meta")},
                "display_name": "shown",
            },
        ).status
        == 200
    )
    assert ask("POST", "auth/approle/role/app", {"token_policies": "default"}).status == 204
    assert (
        ask(
            "POST",
            "auth/approle/role/app/custom-secret-id",
            {
                "secret_id": cage.canary("secret id"),
                "metadata": json.dumps({"k": cage.canary("secret id metadata")}),
            },
        ).status
        == 200
    )
    assert ask("POST", "auth/approle/role/app/role-id", {"role_id": cage.canary("role id")}).status == 204
    for word in ("wrap", "hash"):
        ask("POST", f"sys/wrapping/{word}", {"v": cage.canary("wrapped")}, headers={"X-Vault-Wrap-TTL": "1m"})
    ask(
        "POST",
        "sys/policies/acl/noted",
        {"policy": f'# {cage.canary("policy comment")}\npath "x" {{ capabilities = ["read"] }}'},
    )
    ask("POST", "sys/audit-hash/file", {"input": cage.canary("audit hash input")})
    # failures
    ask("POST", "auth/userpass/login/alice", {"password": cage.canary("wrong password")}, token=None)
    ask("POST", "auth/userpass/login/nobody", {"password": cage.canary("stranger's password")}, token=None)
    ask(
        "POST",
        "auth/approle/login",
        {"role_id": cage.canary("wrong role id"), "secret_id": cage.canary("wrong secret id")},
        token=None,
    )
    ask("PUT", "sys/unseal", {"key": cage.canary("unseal key")}, token=None)
    ask("GET", "secret/data/app", token=cage.canary("unknown token"))
    talk(
        store.url,
        head(
            "GET", "/v1/secret/data/app", f"Authorization: Bearer {cage.canary('unknown bearer')}", token=None
        ),
    )
    talk(
        store.url,
        head(
            "GET",
            "/v1/secret/data/app",
            f"Cookie: session={cage.canary('cookie')}",
            f"X-Other: {cage.canary('header')}",
            token=store.token,
        ),
    )
    talk(store.url, head("GET", f"/v1/secret/data/app?after={cage.canary('query')}", token=store.token))
    for body in (
        '{"data": {"v": "%s"',
        '{"data": "%s"}',
        '["%s"]',
        '"%s"',
        "%s",
        '{"data": {"v": "%s"}} x',
        '{"a": "%s", "a": 1}',
        "{'%s'}",
        '{"data": {"v": "%s\\ud800"}}',
        "token=%s&x=%%zz",
        '{"options": {"cas": "%s"}, "data": {}}',
    ):
        sent = (body % cage.canary("malformed body")).encode()
        ask("POST", "secret/data/app", sent)
        ask("POST", "auth/userpass/login/alice", sent, token=None)
        ask("POST", "sys/policies/acl/bad", {"policy": sent.decode() + " {"})
        talk(
            store.url,
            head("POST", "/v1/secret/data/app", f"Content-Length: {len(sent) + 9}", token=store.token),
            sent,
            half=True,
        )
    talk(store.url, f"{cage.canary('method')} / HTTP/1.1\r\n\r\n".encode())


def every_field(store, cage):
    """A canary in each field of each operation; returns (canary's place, answer's body) for each."""
    answers = []
    for kind, operation in operations():
        if ends(operation) or operation.verb in (Verb.READ, Verb.LIST, Verb.SCAN, Verb.DELETE):
            continue
        for field in (*(f for f in operation.fields if not f.in_path), None):
            name = field.name if field else "unknown_field"
            plain = "plain" if name in operation.plain else "hashed"
            for shape in ('{"%s": "%s"}', '{"%s": ["%s"]}', '{"%s": {"k": "%s"}}'):
                place = f"{plain} {operation.verb} {kind} {operation.template} {name} {shape}"
                body = (shape % (name, cage.canary(place))).encode()
                answers.append(
                    (
                        place,
                        store.ask(METHODS[operation.verb], path_of(kind, operation.template)[4:], body).body,
                    )
                )
    return answers


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A server that has been through all of it, its cage, and the answers to every request with a canary in a field."""
    with stored(tmp_path_factory.mktemp("canaries")) as store:
        cage = Cage()
        plant(store, cage)
        answers = every_field(store, cage)
        yield store, cage, answers


def test_canaries_are_found_where_they_are():
    """The search itself works: in plain, in hex and in base64 at any place."""
    cage = Cage()
    canary = cage.canary("here").encode()
    assert cage.find(b"..." + canary)
    assert cage.find(canary.hex().encode())
    assert all(cage.find(base64.b64encode(b"y" * n + canary)) for n in range(3))
    assert not cage.find(b"no bird here")


def test_the_servers_console_shows_none(searched):
    """Neither stdout nor stderr."""
    store, cage, _ = searched
    assert not cage.find(store.log.read_bytes())


def test_the_store_shows_none(searched):
    """No file of the store: database, WAL, index; nor the anchor; nor a backup."""
    store, cage, _ = searched
    files = [
        file
        for file in store.folder.rglob("*")
        if file.is_file() and file not in (store.audit_log, store.log)
    ]
    assert store.anchor in files
    assert any(file.name.endswith("-wal") for file in files)
    for file in files:
        assert not cage.find(file.read_bytes()), file
    assert not cage.find(store.ask("GET", "sys/storage/raft/snapshot").body)


def test_the_audit_log_shows_only_what_is_declared_plain(searched):
    """Every value is hashed but those of fields that an operation declares plain. Names of members are plain, as at the peers."""
    store, cage, _ = searched
    spare = {where for where in cage.out.values() if where.startswith("plain ")} | {
        "policy comment",
        "malformed body",
        "kv key",
        "token meta",
        "secret id metadata",
    }
    leaks = cage.find(store.audit_log.read_bytes(), spare=spare)
    # a malformed policy text is a policy text, which is plain; any other malformed body must not be there
    for line in store.audit_log.read_bytes().splitlines():
        record = json.loads(line)
        if "policies/acl" not in record.get("request", {}).get("path", ""):
            leaks += [where for where in cage.find(line) if where in ("malformed body", "policy comment")]
    assert not leaks, sorted(set(leaks))


def test_the_process_list_shows_none(searched):
    """Neither the command line nor the environment of the server."""
    store, cage, _ = searched
    for name in ("cmdline", "environ", "comm"):
        content = Path(f"/proc/{store.process.pid}/{name}").read_bytes()
        assert not cage.find(content)
        assert store.token.encode() not in content


def test_answers_to_other_requests_show_none(searched):
    """An error's body, metrics, help, OpenAPI and what strangers may read have no value that another request brought."""
    store, cage, answers = searched
    by_place = defaultdict(list)
    for place, body in answers:
        by_place[place].append(body)
    for place, bodies in by_place.items():
        for body in bodies:
            foreign = [where for where in cage.find(body) if where != place]
            if foreign and b'"errors"' in body:
                raise AssertionError((place, foreign))
    for path in (
        "sys/metrics",
        "sys/metrics?format=prometheus",
        "sys/health",
        "sys/seal-status",
        "sys/internal/specs/openapi",
        "sys/internal/ui/mounts",
        "sys/config/state/sanitized",
        "secret/data/app?help=1",
        "sys/host-info",
    ):
        for token in (None, store.token):
            assert not cage.find(store.ask("GET", path, token=token).body), path


def test_secret_fields_are_never_echoed_to_their_own_sender(searched):
    """An error does not repeat a field that holds a secret, even to who sent it: answers are logged by clients."""
    _, cage, answers = searched
    secret = {f.name for _, operation in operations() for f in operation.fields if f.sensitive}
    assert secret
    assert Sensitive("x").reveal() == "x"
    for place, body in answers:
        if place.split()[-2] in secret and b'"errors"' in body:
            assert not cage.find(body), place


# ── 123: faults ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def breaking(tmp_path_factory):
    """Our server with an engine that fails."""
    program = [sys.executable, str(Path(__file__).with_name("breaking.py"))]
    with stored(tmp_path_factory.mktemp("breaking"), program=program) as store:
        assert store.ask("POST", "sys/mounts/broken", {"type": "breaking"}).status == 204
        yield store


@pytest.mark.parametrize("way", WAYS)
def test_123_a_fault_tells_its_id_and_nothing_else(breaking, way):
    """Check 123: an exception in any operation, slow or public, read or write: 500 (or an honest refusal), no value in any log."""
    cage = Cage()
    requests = [
        ("POST", f"broken/fail/{way}", {}),
        ("PATCH", f"broken/fail/{way}", {"Content-Type": "application/merge-patch+json"}),
        ("POST", f"broken/slow/{way}", {}),
        ("POST", f"broken/exists/{way}", {}),
        ("POST", f"broken/public/{way}", {}),
        ("POST", f"broken/fail/{way}", {"X-Vault-Wrap-TTL": "1m"}),
    ]
    reads = [(method, f"broken/fail/{way}?secret=") for method in ("GET", "DELETE", "LIST")]
    for method, path, headers in requests:
        answer = breaking.ask(method, path, {"secret": cage.canary(path)}, headers=headers)
        check_fault(answer, cage, path)
    for method, path in reads:
        check_fault(breaking.ask(method, path + cage.canary(path)), cage, path)
    for file in (breaking.log, breaking.audit_log):
        content = file.read_bytes()
        assert not cage.find(content)
        assert b"Traceback" not in content
    assert breaking.ask("GET", "broken/fail/fine").data == {"v": "fine"}
    assert breaking.ask("GET", "auth/token/lookup-self").status == 200


def check_fault(answer, cage, path):
    """A fault; what cannot even be audited is one of the audit; a wrapped answer has its status inside."""
    assert not cage.find(answer.body)
    if answer.status == 200:
        assert answer.json["wrap_info"]
        return
    assert answer.status in (500, 503), (path, answer.body)
    assert answer.errors in (["internal error"], ["no audit device could record the request"]), path


def test_123_a_fault_changes_nothing_and_is_audited(breaking):
    """Check 123: the log has a line with the request's id, the audit log its error."""
    answer = breaking.ask("POST", "broken/fail/value", {"secret": "fake"})
    id_ = answer.json["hint"].split()[-1]
    assert id_ in breaking.log.read_text()
    records = [json.loads(line) for line in breaking.audit_log.read_bytes().splitlines()]
    (response,) = (r for r in records if r.get("request", {}).get("id") == id_ and r["type"] == "response")
    assert response["error"]
