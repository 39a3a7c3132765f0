"""Bad input for every operation of the server, made from the engines' own declarations, sent over HTTP.

Whatever comes, the answer is JSON with `errors` (or a success), never a 5xx, and it comes in time.
"""

import contextlib
import http.client
import itertools
import json

import pytest
from tests.security.serving import Reply, place_of, stored

from ml_secrets import catalog
from ml_secrets.contract.operation import Verb

MOUNTS = {
    "system": "sys",
    "kv-v1": "kv1",
    "kv-v2": "secret",
    "cubbyhole": "cubbyhole",
    "token": "auth/token",
    "userpass": "auth/userpass",
    "approle": "auth/approle",
}
METHODS = {
    Verb.READ: "GET",
    Verb.LIST: "LIST",
    Verb.SCAN: "SCAN",
    Verb.WRITE: "POST",
    Verb.PATCH: "PATCH",
    Verb.DELETE: "DELETE",
}
ENDS = {
    "seal",
    "step-down",
    "init",
    "revoke-self",
    "revoke-prefix/{prefix:path}",
    "revoke-force/{prefix:path}",
}
"""Operations that end the test's own server or token when they succeed."""

EXPECTED = {200, 202, 204, 304, 400, 403, 404, 405, 413, 415, 429, 501, 503}
VALUES = [
    b"null", b"true", b"0", b"-1", b"1.5", b"1e999", b"9223372036854775808", b"1" * 400, b"-" + b"9" * 400,
    b'""', b'"x"', b'" "', b'"root"', b'"-1"', b'"1e3"', b'"\\u0000"', b'"\\ud800"', b'"\\u202e\\u200b"', b'"' + b"x" * 5000 + b'"',
    b'"1h1h"', b'"99999999999999h"', b'"{{identity.entity.name}}"', b'"../../x"', b'"%s%n"', b'"2001:db8::/129"', b'"\xc3\xa9"',
    b"[]", b"[[]]", b"[null]", b'[""]', b'["a",1,true,{}]', b"{}", b'{"":""}', b'{"a":{"b":[1]}}', b'{"a":null}', b'{"\\u0000":"x"}',
]  # fmt: skip
BODIES = [
    b"[", b"{", b"[]", b'"x"', b"7", b"true", b"{}{}", b'{"a":1}x', b'{"a":1,"a":2}', b"{'a':1}", b'{"a":\x00}', b"\xff\xfe", b"\xef\xbb\xbf{}",
    '{"a":"b"}'.encode("utf-16"), b'{"a":"\xff"}', b'{"\\ud800":1}', b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b"\x00" * 100, b"a=b&c=d", b"<x/>",
    b'{"' + b"k" * 100_000 + b'":1}',
]  # fmt: skip
SEGMENTS = [
    "x",
    "X" * 65,
    "%20",
    "a%0ab",
    "root",
    "-",
    "0",
    "99999999999999999999",
    "%C3%A9",
    "*",
    "+",
    "{{x}}",
    "a'b",
    "%00",
    ".hidden",
    "a" * 400,
]


def operations():
    for kind, table in (
        *((k, catalog.load(k)) for k in catalog.ENGINES),
        *((k, catalog.load(k)) for k in catalog.AUTH_METHODS),
    ):
        for operation in table.operations:
            yield kind, operation


OPERATIONS = list(operations())


class Line:
    """One kept connection; a fresh one after each that the server closed."""

    def __init__(self, url, token):
        self.url, self.token = url, token
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, method, path, body=b"", media_type="application/json"):
        for last in (False, True):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(*place_of(self.url), timeout=20)
            try:
                if method == "PATCH" and media_type == "application/json":
                    media_type = "application/merge-patch+json"
                self.connection.request(
                    method, path, body or None, {"X-Vault-Token": self.token, "Content-Type": media_type}
                )
                answer = self.connection.getresponse()
                if answer.getheader("Content-Type") == "text/event-stream":  # which does not end by itself
                    self.close()
                    return Reply(answer.status, dict(answer.getheaders()), b"")
                content = answer.read()
            except (http.client.HTTPException, ConnectionError):
                self.close()
                if last:
                    raise
            else:
                return Reply(answer.status, dict(answer.getheaders()), content)
        raise AssertionError


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A store with every engine and method mounted, and no audit file to be disabled by the test."""
    with stored(tmp_path_factory.mktemp("inputs")) as store:
        for kind, where in MOUNTS.items():
            if where in ("sys", "cubbyhole", "auth/token"):
                continue
            if where.startswith("auth/"):
                store.ask("POST", f"sys/{where}", {"type": kind})
            else:
                store.ask("POST", f"sys/mounts/{where}", {"type": "kv", "options": {"version": kind[-1]}})
        yield store


@pytest.fixture(scope="module")
def line(server):
    """A connection to it, kept open."""
    with contextlib.closing(Line(server.url, server.token)) as kept:
        yield kept


def path_of(kind, template, segment="x"):
    filled = "/".join(segment if part.startswith("{") else part for part in template.split("/"))
    return f"/v1/{MOUNTS[kind]}/{filled}".rstrip("/")


def check(answer, said):
    assert answer.status in EXPECTED, (answer.status, said, answer.body[:300])
    if answer.status >= 400 and answer.body:
        found = json.loads(answer.body)
        assert "errors" in found or "data" in found or "sealed" in found, said
        assert all(isinstance(text, str) for text in found.get("errors", []))
    elif answer.status >= 400:
        assert answer.status == 404


def ends(operation):
    return operation.template in ENDS or (
        operation.verb is not Verb.READ
        and operation.template.startswith(("unseal", "rekey", "generate-root", "rotate", "audit"))
    )


def check_fields(line, kind, share):
    """Each field of each operation with a share of the values: all of them for 1; for 3 every third, another third each time."""
    assert kind in MOUNTS, "a new engine: mount it in this test"
    turn = itertools.count()
    for _, operation in (found for found in OPERATIONS if found[0] == kind and not ends(found[1])):
        path, method = path_of(kind, operation.template), METHODS[operation.verb]
        for field in (*(f.name for f in operation.fields if not f.in_path), "unknown"):
            for value in VALUES[next(turn) % share :: share]:
                check(
                    line.ask(method, path, b'{"%s": %s}' % (field.encode(), value)),
                    (method, path, field, value[:60]),
                )


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in OPERATIONS}))
def test_every_field_of_every_operation_takes_or_refuses_odd_values(line, kind):
    """Each field gets odd values: a success or a refusal with its reason, for every operation that there is."""
    check_fields(line, kind, 4)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted({kind for kind, _ in OPERATIONS}))
def test_every_field_of_every_operation_takes_or_refuses_every_value(line, kind):
    """The same with every value in every field."""
    check_fields(line, kind, 1)


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in OPERATIONS}))
def test_every_operation_refuses_bodies_that_are_none(line, kind):
    """Broken JSON, other encodings, bombs and other media: 400 (or, where no body is read, as without one)."""
    for _, operation in (found for found in OPERATIONS if found[0] == kind and not ends(found[1])):
        path, method = path_of(kind, operation.template), METHODS[operation.verb]
        for body in BODIES:
            check(line.ask(method, path, body), (method, path, body[:40]))
        for media_type in (
            "text/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "\xff",
            "",
        ):
            check(line.ask(method, path, b'{"a": "b"}', media_type), (method, path, media_type))


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in OPERATIONS}))
def test_every_path_takes_or_refuses_every_name(line, kind):
    """Odd names in every place of every path, with every verb and with odd queries."""
    for _, operation in (found for found in OPERATIONS if found[0] == kind and not ends(found[1])):
        if "{" in operation.template:
            for segment in SEGMENTS:
                path = path_of(kind, operation.template, segment)
                check(line.ask(METHODS[operation.verb], path, b"{}"), (operation.verb, path))
        path = path_of(kind, operation.template)
        for method in ("GET", "LIST", "SCAN", "PATCH", "HEAD", "OPTIONS", "PROPFIND"):
            check(line.ask(method, path), (method, path)) if method != "HEAD" else line.ask(method, path)
        for query in (
            "limit=-1",
            "limit=x",
            "after=%00",
            "after=%ff",
            "list=2",
            "version=x",
            "version=-1",
            "version=1e3",
            "depth=-1",
            "&&&",
            "a&b=&=c",
            "help=1",
            "x" * 3000,
        ):
            check(line.ask("GET", f"{path}?{query}"), (path, query))


def test_what_ends_the_server_refuses_bad_input_too(tmp_path):
    """Sealing, initialising, rekeying, root tokens, audit devices: the same values, on a server of their own."""
    with (
        stored(tmp_path / "store") as store,
        contextlib.closing(Line(store.url, store.token)) as line,
    ):
        for kind, operation in OPERATIONS:
            if (
                not ends(operation)
                or operation.template in ("seal", "step-down", "revoke-self")
                or "revoke-" in operation.template
            ):
                continue
            path, method = path_of(kind, operation.template), METHODS[operation.verb]
            for field, value in itertools.product(
                (*(f.name for f in operation.fields if not f.in_path), "unknown"), VALUES[len(path) % 3 :: 3]
            ):
                check(
                    line.ask(method, path, b'{"%s": %s}' % (field.encode(), value)),
                    (method, path, field, value[:60]),
                )
            for body in BODIES:
                check(line.ask(method, path, body), (method, path, body[:40]))
        assert "Traceback" not in store.log.read_text()


def test_no_fault_was_logged(server):
    """After all of the above: no unforeseen error in the server's log, and it still serves."""
    said = server.log.read_text()
    assert " failed: " not in said, [line for line in said.splitlines() if " failed: " in line][:5]
    assert "Traceback" not in said
    assert server.ask("GET", "auth/token/lookup-self").status == 200
