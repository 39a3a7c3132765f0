"""Thirty mistakes, and what each is told to do next. Nobody learns from it what they could not have known."""

from urllib.parse import unquote

import pytest

from ml_secrets.contract.engine import Engine
from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.domain.mount import Mount
from ml_secrets.pipeline import hints
from ml_secrets.pipeline.route import NOWHERE, Route
from ml_secrets.pipeline.visit import Visit
from ml_secrets.testing.whole import Whole

ROOT, READER, WRITER, STRANGER = "root", "reader", "writer", "stranger"
NAMES = "see the names there are: `ml-secrets list {}`"
KNOWN = "did you mean {}? Your policies allow that"


@pytest.fixture(scope="module")
def sent(whole):
    """Send a request as somebody; its status and hint."""

    def send(who, method, path, body=None, **more):
        answer = whole.ask(method, path, body, token=whole.tokens[who], **more)
        said = answer.json.get("hint", "") if answer.body else ""
        return answer.status, said or unquote(answer.headers.get("x-ml-secrets-hint", ""))

    return send


@pytest.fixture(scope="module")
def whole():
    """A server with secrets of both KV versions, and one who may read and list some of them."""

    server = Whole()
    for path, kind in (("sys/auth/userpass", "userpass"), ("sys/mounts/one", "kv")):
        server.ask("POST", path, {"type": kind})
    for name, rules in RULES.items():
        policy = "\n".join(f'path "{path}" {{ capabilities = ["{right}"] }}' for path, right in rules.items())
        server.ask("POST", f"sys/policies/acl/{name}", {"policy": policy})
    for name in ("db", "gone", "dead"):
        server.ask("POST", f"secret/data/app/{name}", {"data": {"key": "FAKE-value"}})
    server.ask("DELETE", "secret/data/app/gone")
    server.ask("POST", "secret/destroy/app/dead", {"versions": [1]})
    server.ask("POST", "auth/userpass/users/bob", {"password": "FAKE-password"})
    made = {
        name: server.ask("POST", "auth/token/create", fields).json["auth"]["client_token"]
        for name, fields in TOKENS.items()
    }
    server.tokens = {
        "root": server.ask("POST", "auth/token/create", {}).json["auth"]["client_token"],
        "nobody": None,
    }
    server.tokens |= {"made up": "mls_s_nonsense", "Vault's": "hvs.CAESIJ", **made}
    server.now += 2
    yield server
    server.close()


RULES = {
    READER: {
        "secret/data/app/*": "read",
        "secret/metadata/app/*": "list",
        "secret/metadata/about": "read",
        "one/app/*": "read",
        "auth/token/accessors": "list",
        "sys/nothing": "read",
    },
    WRITER: {"secret/data/new/*": "create", "secret/metadata/": "list"},
}
TOKENS = {
    READER: {"policies": ["reader"], "ttl": "1h"},
    WRITER: {"policies": ["writer"], "ttl": "1h"},
    STRANGER: {"policies": ["default"], "ttl": "1h"},
    "expired": {"policies": ["reader"], "ttl": "1s"},
}


@pytest.mark.parametrize(
    ("who", "method", "path", "status", "hint"),
    [
        (ROOT, "GET", "sekret/data/app/db", 404, "list the mounts with `ml-secrets secrets list`"),
        (ROOT, "GET", "auth/none/users", 404, "list the mounts with `ml-secrets auth list`"),
        (ROOT, "GET", "v1/secret/data/app/db", 404, "leave out v1/"),
        (READER, "GET", "v1/secret/data/app/db", 403, KNOWN.format("secret/data/app/db")),
        (
            ROOT,
            "GET",
            "secret/app/db",
            404,
            "secret/ is a KV version 2 mount: the path is secret/data/app/db",
        ),
        (ROOT, "LIST", "secret/app", 404, "the path is secret/metadata/app"),
        (READER, "GET", "secret/app/db", 403, KNOWN.format("secret/data/app/db")),
        (READER, "LIST", "secret/app", 403, KNOWN.format("secret/metadata/app")),
        (READER, "LIST", "secret/data/app", 403, KNOWN.format("secret/metadata/app")),
        (WRITER, "LIST", "secret/data", 403, KNOWN.format("secret/metadata")),
        (WRITER, "POST", "secret/new/one", 403, KNOWN.format("secret/data/new/one")),
        (READER, "GET", "secret/data/data/app/db", 403, KNOWN.format("secret/data/app/db")),
        (READER, "GET", "secret/data/secret/app/db", 403, KNOWN.format("secret/data/app/db")),
        (READER, "GET", "secret/data/App/DB", 403, KNOWN.format("secret/data/app/db")),
        (READER, "GET", "one/data/app/db", 403, KNOWN.format("one/app/db")),
        (ROOT, "GET", "one/data/app/db", 404, "did you mean one/app/db? one/ is a KV version 1 mount"),
        (ROOT, "GET", "secret/data/data/app/db", 404, "did you mean secret/data/app/db?"),
        (READER, "GET", "secret/data/app/none", 404, NAMES.format("secret/metadata/app")),
        (READER, "GET", "secret/data/app/db?version=9", 404, "leave the version out"),
        (
            READER,
            "GET",
            "secret/data/app/gone",
            404,
            "version 1 is deleted; `ml-secrets kv undelete` brings it back",
        ),
        (READER, "GET", "secret/data/app/dead", 404, "version 1 is destroyed, which cannot be undone"),
        (READER, "LIST", "secret/metadata/app/none", 404, "no names are below it"),
        (READER, "LIST", "secret/metadata", 403, 'path "secret/metadata/" { capabilities = ["list"] }'),
        (READER, "POST", "secret/data/app/db", 403, 'add "create", "update" to its capabilities'),
        (READER, "DELETE", "secret/data/app/db", 403, 'add "delete" to its capabilities'),
        (READER, "LIST", "auth/token/accessors", 403, 'lacks "sudo"'),
        (READER, "GET", "cubbyhole/none", 404, NAMES.format("cubbyhole")),
        (READER, "GET", "cubbyhole/data/none", 404, NAMES.format("cubbyhole/data")),
        (ROOT, "GET", "secret/metadata/app/none", 404, NAMES.format("secret/metadata/app")),
        (ROOT, "GET", "one/none", 404, NAMES.format("one")),
        (ROOT, "GET", "sys/policies/acl/none", 404, NAMES.format("sys/policies/acl")),
        (ROOT, "GET", "auth/userpass/users/eve", 404, NAMES.format("auth/userpass/users")),
        (ROOT, "GET", "sys/nothing", 404, "see the paths there are: `ml-secrets path-help sys`"),
        (ROOT, "DELETE", "sys/mounts", 405, "this path knows: read"),
        (ROOT, "GET", "sys/quotas/rate-limit/none", 404, NAMES.format("sys/quotas/rate-limit")),
        (ROOT, "GET", "secret/data/app/", 400, "leave it out"),
        ("nobody", "GET", "secret/data/app/db", 403, "log in with `ml-secrets login`"),
        ("nobody", "POST", "secret/data/app/db", 403, "log in with `ml-secrets login`"),
        ("nobody", "GET", "auth/none/login", 403, "log in with `ml-secrets login`"),
        ("nobody", "POST", "auth/none/login", 403, "no login is at this path"),
        ("nobody", "POST", "auth/userpass/bob", 403, "no login is at this path"),
        ("nobody", "POST", "auth/userpass/login/bob", 400, "a name is locked out"),
        ("nobody", "POST", "auth/userpass/login/eve", 400, "a name is locked out"),
        ("made up", "GET", "secret/data/app/db", 403, "unknown, expired, used up or revoked: log in again"),
        ("expired", "GET", "secret/data/app/db", 403, "unknown, expired, used up or revoked: log in again"),
        ("Vault's", "GET", "secret/data/app/db", 403, "the token is of another server"),
    ],
)
def test_a_mistake_is_told_what_to_do_next(sent, who, method, path, status, hint):
    """The hint names the path that was meant, the right that is missing, or where to look."""
    body = {"password": "FAKE-wrong"} if method == "POST" else None
    found = sent(who, method, path, body)
    assert found[0] == status
    assert hint in found[1]


@pytest.mark.parametrize(
    ("there", "absent"),
    [
        ("secret/data/app/db", "secret/data/app/no"),
        ("secret/app/db", "sekret/app/db"),
        ("secret/data/App/db", "secret/data/Ape/db"),
        ("one/data/app/db", "two/data/app/db"),
        ("auth/userpass/users/bob", "auth/userpass/users/eve"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "LIST", "POST", "DELETE"])
def test_strangers_learn_nothing(sent, method, there, absent):
    """Who has no right there is told the same of what there is and of what there is not, but for the path they asked for."""
    body = {} if method == "POST" else None
    told = [
        (status, hint.replace(path, "PATH"))
        for path in (there, absent)
        for status, hint in [sent(STRANGER, method, path, body)]
    ]
    assert told[0] == told[1]
    assert "did you mean" not in told[0][1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "secret/other/db"),
        ("DELETE", "secret/app/db"),
        ("GET", "secret/data/about"),
        ("GET", "one/other/app/db"),
        ("GET", "sys/Nothing"),
    ],
)
def test_a_refusal_does_not_guess_beyond_the_policies(sent, method, path):
    """The path that was meant is named only where it is allowed, is there and is near by: elsewhere the rule is, as before."""
    assert sent(READER, method, path)[1].startswith("no rule of your policies matches this path")


def test_where_nothing_can_be_listed_nothing_is_advised():
    """An engine without lists, and a path without an engine, have no hint: an empty one is none."""
    mount = Mount(path="toy/", kind="toy", accessor="toy_1", uuid="1")
    toy = Route(mount, Engine("toy", summary="Has no lists."), None, {}, known=False)
    for route in (toy, NOWHERE):
        assert hints.nothing(Visit(Request("1", Verb.READ, "toy/a/b"), route)) == ""


def test_where_nothing_is_the_body_says_nothing_more(whole):
    """Vault's clients take a member beside the empty `errors` for a failure: the hint is in a header, whatever the name."""
    answer = whole.ask("GET", "secret/data/team%25/%C3%9Cbung/x")
    assert (answer.status, answer.json) == (404, {"errors": []})
    hint = answer.headers["x-ml-secrets-hint"]
    assert hint.isascii()
    assert hint.isprintable()
    assert unquote(hint) == NAMES.format("secret/metadata/team%/Übung")
