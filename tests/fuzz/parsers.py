"""Every parser that takes bytes from outside, as a function of bytes: driven by hypothesis (test_parsers.py) and by atheris (run.py).

Each returns in silence where the input is refused by an error of our own tree, and where it is taken for exactly what
it says. It raises `AssertionError` where a value was altered; any other exception is one that escaped.
"""

import contextlib
import functools
import io
import itertools
import json
import os
import re
import tempfile
import tomllib
from fractions import Fraction
from pathlib import Path
from urllib.parse import parse_qsl, quote_from_bytes, unquote_to_bytes

import msgspec
from tests.fuzz.delivery import declarations, fills_env, fills_json, fills_yaml, references
from tests.fuzz.pods import reviews, volumes
from tests.fuzz.streams import requests_of

from ml_secrets.barrier import backup
from ml_secrets.cli import import_sources
from ml_secrets.cli.failures import LocalError
from ml_secrets.dialects.vault import headers, wire
from ml_secrets.domain import audit_chain, audit_log, lint, policy
from ml_secrets.domain.acl import Acl
from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.path import policy_name, request_path, resource_name, user_name
from ml_secrets.domain.token import address_allowed, address_ranges
from ml_secrets.domain.value import check_json, merge_patch, shown_as_json
from ml_secrets.errors import Invalid, MlSecretsError, Refusal, TooLarge
from ml_secrets.server import config as configuration
from ml_secrets.server.exchange import exchange
from ml_secrets.testing.programs import ROOT_TOKEN
from ml_secrets.testing.whole import Whole

STORES = Path(__file__).parents[1] / "vectors" / "stores"
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def as_text(data):
    return data.decode("utf-8", errors="surrogateescape")


# ── paths and names ─────────────────────────────────────────────────────────────────────────────────────────────────


def paths(data):
    """A path is refused, or it is its bytes decoded once; sent again in another spelling it is the same path."""
    try:
        path, folder = request_path(data)
    except Invalid:
        return
    assert (path + "/" * folder).encode() == unquote_to_bytes(data)
    assert not {"", ".", ".."} & set(path.split("/")) or not data
    assert request_path(quote_from_bytes((path + "/" * folder).encode()).encode()) == (path, folder)


def names(data):
    """A name is refused, or it is ASCII in lower case and stays what it is."""
    for read in (policy_name, resource_name, user_name):
        try:
            name = read(as_text(data))
        except Invalid:
            continue
        assert name.encode() == data.lower()
        assert read(name) == name
        assert name != "root" or read is not policy_name


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


def policies(data):
    """A policy is refused, or every rule of the text is in it; it survives being stored, enforced and linted."""
    try:
        text = data.decode()
        found = policy.parse_policy("fuzzed", text)
    except (Invalid, UnicodeDecodeError):  # texts of requests are UTF-8 by then
        return
    assert msgspec.json.decode(msgspec.json.encode(found), type=policy.Policy) == found
    if text.lstrip()[:1] == "{":
        assert [rule.pattern for rule in found.rules] == [
            path.removeprefix("/") for path in _json_paths(text)
        ]
    acl = Acl.compile([found])
    for path in ("secret/data/a", "sys/mounts", ""):
        acl.capabilities(path)
    lint.lint([found], mounts={"secret/": "kv", "sys/": "system"})


def _json_paths(text):
    """Every path in a JSON policy, repeated ones too, in order. An object is a list of its pairs here."""
    for key, value in json.loads(text, object_pairs_hook=list):
        if key == "path":
            is_list = value and not isinstance(value[0], tuple)
            for table in value if is_list else [value]:
                yield from (path for path, _ in table)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _strictly(data):
    """What the standard library makes of JSON, numbers kept as written; raises ValueError."""

    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    return json.loads(data.decode(), object_pairs_hook=once, parse_int=str, parse_float=str)


def bodies(data):
    """A body is refused, or its members are the bytes that were sent, each once."""
    try:
        found = wire.read_body(data)
    except Invalid:
        return
    if not data.strip() or data.strip() == b"null":
        assert found == {}
        return
    for name, raw in found.items():
        assert bytes(raw) in data, name
    # Bytes that are no UTF-8 may lie within a member: they are refused when it is used.
    assert list(found) == [
        name for name, _ in json.loads(data.decode(errors="replace"), object_pairs_hook=list, parse_int=str)
    ]


def forms(data):
    """A form is refused, or holds the first or only value of each name as text."""
    try:
        found = wire.read_body(data, "application/x-www-form-urlencoded")
    except Invalid:
        return
    if data[:1] in b"{ \t\r\n":
        return
    told = dict(parse_qsl(data.decode("ascii"), keep_blank_values=True, strict_parsing=False))
    assert {name: json.loads(bytes(raw)) for name, raw in found.items()}.keys() == told.keys()


def values(data):
    """A value is refused, or both readers read it alike; patched with nothing it stays as it is; shown to others it comes back."""
    try:
        check_json("value", data)
    except (Invalid, TooLarge):
        pass
    else:
        strict = _strictly(data)
        assert json.loads(data.decode(), parse_int=str, parse_float=str) == strict
        if isinstance(strict, dict):
            assert _strictly(bytes(merge_patch(data, b"{}"))) == strict
    shown = shown_as_json(data)
    json.loads(shown)


def stored_values(data):
    """KV 2: data is refused with 4xx, or read back byte for byte."""
    server = whole()
    answer = server.ask("POST", "secret/data/fuzzed", b'{"data":' + data + b"}")
    assert answer.status in (200, 400, 413), (answer.status, answer.body)
    if answer.status == 200:
        told = server.ask("GET", "secret/data/fuzzed")
        read = msgspec.json.decode(told.body, type=dict[str, msgspec.Raw])["data"]
        read = msgspec.json.decode(read, type=dict[str, msgspec.Raw])["data"]
        sent = msgspec.json.decode(b'{"data":' + data + b"}", type=dict[str, msgspec.Raw])["data"]
        assert bytes(read) == bytes(sent)


# ── durations ───────────────────────────────────────────────────────────────────────────────────────────────────────

_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h|d)")
_SIZES = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
}
_SIZES |= {"ms": Fraction(1, 1000), "s": 1, "m": 60, "h": 3600, "d": 86_400}


def durations(data):
    """A duration is refused, or it is what exact arithmetic says, rounded down to whole seconds."""
    text = as_text(data)
    try:
        seconds = parse_duration(text)
    except Invalid:
        return
    assert text.isascii() or {"µ", "μ"} & set(text)
    if re.fullmatch("[0-9]*", text):
        assert seconds == int(text or "0")
        return
    total, at = Fraction(0), 0
    while at < len(text):
        part = _PART.match(text, at)
        total += (Fraction(f"{part[1] or 0}.{part[2] or 0}")) * _SIZES[part[3]]
        at = part.end()
    assert 0 <= total - seconds < 1 + Fraction(len(text), 10**9)


def addresses(data):
    """A range of addresses is refused, or has one spelling."""
    try:
        (found,) = address_ranges((as_text(data),))
    except Invalid:
        return
    assert address_ranges((found,)) == (found,)
    address_allowed("127.0.0.1", (found,))
    address_allowed(as_text(data), (found,))


# ── tokens and headers ──────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def whole():
    """A server in memory that everything is sent to."""
    server = Whole()
    server.ask("POST", "sys/policies/acl/p", {"policy": 'path "secret/*" { capabilities = ["read"] }'})
    server.batch = server.ask("POST", "auth/token/create", {"type": "batch", "policies": ["p"]}).json["auth"]
    return server


def real_tokens():
    """Tokens that are good, to be changed: root's, a batch token."""
    return [ROOT_TOKEN.encode(), whole().batch["client_token"].encode()]


def tokens(data):
    """A token is one of the good ones, letter by letter, or refused."""
    for header in ([(b"x-vault-token", data)], [(b"authorization", b"Bearer " + data)]):
        answer = send("GET", b"/v1/auth/token/lookup-self", pairs=header)
        good = data.decode("latin-1").strip().encode("latin-1") in real_tokens()
        assert answer.status == 200 if good else answer.status in (400, 403), (answer.status, answer.body)
    answer = whole().ask("POST", "auth/token/lookup", {"token": data.decode("latin-1")})
    good = data in (b"", *real_tokens())  # no token there asks for the caller's own
    assert answer.status == 200 if good else answer.status in (400, 403, 404), (answer.status, answer.body)


def header_pairs(data):
    """Headers are refused, or the token that is taken is one that was sent, and every other header is as it was sent."""
    pairs = [
        (name.strip().lower(), value)
        for name, _, value in (line.partition(b":") for line in data.split(b"\n"))
    ]
    try:
        found = headers.read_headers(pairs)
    except (Invalid, TooLarge):
        return
    sent = {value.decode("latin-1").strip() for _, value in pairs}
    assert found.token is None or any(text.endswith(found.token) for text in sent)
    assert found.wrap_ttl == "" or found.wrap_ttl in sent
    assert {name: value.encode("latin-1") for name, value in found.plain.items()}.items() <= {
        name.decode("latin-1"): value for name, value in pairs
    }.items()
    assert not {"x-vault-token", "authorization", "cookie"} & set(found.plain)
    answer = send("GET", b"/v1/secret/data/none", pairs=[(b"x-vault-token", ROOT_TOKEN.encode()), *pairs])
    assert answer.status != 500, answer.body


def send(method, path, query=b"", pairs=(), body=b""):
    return exchange(
        whole().server.pipeline, wire.HttpRequest(method, path, query, list(pairs), ("127.0.0.1", 1), body)
    )


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "LIST", "SCAN", "HEAD", "OPTIONS", "get", "")
_QUIET = (
    b"sys/seal",
    b"sys/step-down",
    b"auth/token/revoke",
    b"sys/internal/specs",
    b"sys/remount",
    b"sys/mounts",
    b"sys/auth/",
)


def requests(data):
    """A whole request is answered with a status that an API has, and never with 500: method, path, query, header, body by lines."""
    first, _, rest = data.partition(b"\n")
    query, _, rest = rest.partition(b"\n")
    header, _, body = rest.partition(b"\n")
    method = _METHODS[first[0] % len(_METHODS)] if first else "GET"
    path = first[1:]
    if method != "GET" and any(word in unquote_to_bytes(path) for word in _QUIET):
        return  # these end or change the server that is asked
    name, _, value = header.partition(b":")
    pairs = [(b"x-vault-token", ROOT_TOKEN.encode())]
    if name and name.lower() not in (b"x-vault-token", b"authorization"):
        pairs.append((name.lower(), value))
    answer = send(method, b"/v1/" + path, query, pairs, body)
    assert answer.status in (200, 204, 304, 400, 403, 404, 405, 412, 413, 415, 429, 431, 473, 501, 503), (
        answer.status,
        answer.body[:300],
    )
    if answer.status >= 400 and answer.body[:1] == b"{":
        json.loads(answer.body)


def streams(data):
    """However its bytes are cut, what a client sends is the same requests; but the connection may end sooner in one of them."""
    step = 1 + data[0] % 9 if data else 1
    one, one_ends = requests_of([data[1:]])
    cut, cut_ends = requests_of([data[at : at + step] for at in range(1, len(data), step)])
    shared = min(len(one), len(cut))
    assert [taken.content for taken in one[:shared]] == [taken.content for taken in cut[:shared]]
    assert [taken.whole for taken in one[:shared]] == [taken.whole for taken in cut[:shared]]
    assert len(one) == shared or cut_ends
    assert len(cut) == shared or one_ends


# ── configuration ───────────────────────────────────────────────────────────────────────────────────────────────────


def _configured(data, suffix):
    file = FOLDER / f"config-{os.getpid()}{suffix}"
    file.write_bytes(data)
    try:
        found = configuration.load(file)
    except Invalid:
        return None
    assert found.storage == "memory" or found.path is not None
    assert 0 < found.default_lease_ttl <= found.max_lease_ttl
    for listener in found.listeners:
        assert 0 < listener.max_request_size <= configuration.MOST_BYTES
        with contextlib.suppress(Invalid):
            assert listener.url.startswith("http")
    return found


def configuration_toml(data):
    """Settings in TOML are refused, or every one at the top was read or named as ignored."""
    found = _configured(data, ".toml")
    if found is not None:
        tree = tomllib.loads(data.decode())
        assert isinstance(tree, dict)
        assert "storage" in tree or "backend" in tree


def configuration_hcl(data):
    """Settings in HCL."""
    _configured(data, ".hcl")


def configuration_json(data):
    """Settings in JSON."""
    _configured(data, ".json")


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def released_backup():
    """A good backup, and what opens it."""
    folder = max(STORES.glob("*/backup")).parent
    contents = json.loads((folder / "contents.json").read_text())
    return (folder / "backup").read_bytes(), backup.by_shares([contents["recovery_key"]])


def backups(data):
    """Anything but the backup itself is refused."""
    good, unlock = released_backup()
    file = FOLDER / f"backup-{os.getpid()}"
    file.write_bytes(data)
    try:
        backup.verify(file, unlock, os.urandom)
    except MlSecretsError:
        assert data != good
    else:
        assert data == good


def audit_logs(data):
    """A log of anything is checked and told: a line in it is a row, a problem is at a line that there is."""
    lines = io.BytesIO(data).readlines()
    rows = list(itertools.islice(audit_log.rows(lines), len(lines) + 1))
    assert len(rows) <= len(lines)
    audit_log.tally(rows)
    for row in rows:
        audit_log.seconds(row.time)
        assert 0 <= row.line <= len(lines)
    verdict = audit_chain.verify([("log", lines)])
    keyed = audit_chain.verify([("log", lines)], keys=[bytes(32)])
    for found in (verdict, keyed):
        assert found.lines <= len(lines)
        if found.problem is not None:
            assert found.problem.line <= len(lines) + 1
    # Without the key nobody makes a line that the key vouches for; a log without a whole record has nothing to deny.
    assert keyed.problem is not None or keyed.lines == 0


def _imported(data, kind):
    file = FOLDER / f"import-{os.getpid()}.{kind}"
    file.write_bytes(data)
    try:
        return import_sources.from_file(str(file), kind)
    except (LocalError, Refusal):
        return None


def imports_env(data):
    """A .env file is refused, or every assignment in it is a field, as python-dotenv reads it."""
    found = _imported(data, "env")
    if found is not None:
        from dotenv import dotenv_values

        told = dotenv_values(stream=io.StringIO(data.decode().removeprefix("\ufeff")), interpolate=False)
        assert found.get("", {}) == dict(told)


def imports_json(data):
    """A JSON file is refused, or its leaves are what was written."""
    found = _imported(data, "json")
    if found is not None:
        _compare(found, json.loads(data.decode().removeprefix("\ufeff")))


def imports_yaml(data):
    """A YAML file is refused, or holds only what JSON can say; where JSON reads it too, both read the same."""
    found = _imported(data, "yaml")
    if found is None:
        return
    json.dumps(found)
    try:
        tree = _strictly(data)
    except (ValueError, RecursionError):
        return
    if isinstance(tree, dict):
        assert {name.split("/")[0] for name in found if name} <= set(tree)


def _compare(found, tree):
    for name, fields in found.items():
        node = tree
        if name:
            assert any(fields == below for below in _below(tree, name)), name
        else:
            assert fields == node


def _below(node, name):
    """The objects that a name may stand for: a key may hold a slash itself."""
    if name == "":
        yield node
    if isinstance(node, dict):
        for key, below in node.items():
            if name == key.strip("/"):
                yield below
            for head in {key, key.strip("/")}:
                if name.startswith(f"{head}/"):
                    yield from _below(below, name[len(head) + 1 :])


PARSERS = {
    function.__name__: function
    for function in (
        paths, names, policies, bodies, forms, values, stored_values, durations, addresses, tokens, header_pairs, requests, streams,
        configuration_toml, configuration_hcl, configuration_json, backups, audit_logs, imports_env, imports_json, imports_yaml,
        references, declarations, fills_env, fills_json, fills_yaml, reviews, volumes,
    )
}  # fmt: skip
