"""KV and cubbyhole beside a real OpenBao: the same calls, the same answers.

Each story is a list of calls on a fresh mount. Both sides play it; status and body are compared call by call, with
times and request ids made equal. Error texts are compared where clients know them (TEXTS). Where we differ on
purpose, the call says why.
"""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

from ml_secrets import catalog
from ml_secrets.testing.mounted import Mounted

TEXTS = {
    "no data provided",
    "missing data fields",
    "No version number provided",
    "no version number provided",
    "error parsing check-and-set parameter",
    "check-and-set parameter did not match the current version",
    "check-and-set parameter required for this call",
    "metadata check-and-set parameter required for this call",
    "metadata check-and-set parameter does not match the current version",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
ABOUT_US = ("request_id", "mount_type", "hint")
_fresh = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """One request below the mount. `ours` is the status that we give on purpose where it differs, `why` the reason."""

    method: str
    path: str
    body: object = None
    query: str = ""
    ours: int | None = None
    why: str = ""


class Http:
    """A server at a URL."""

    def __init__(self, url, token):
        self.url, self.token = url, token

    def mount(self, kind):
        """Mount a fresh engine; its path."""
        if kind == "cubbyhole":
            return "cubbyhole/"
        path = f"like-{next(_fresh)}/"
        self.ask("POST", f"sys/mounts/{path[:-1]}", {"type": "kv", "options": {"version": kind[-1]}})
        while kind == "kv-v2" and self.ask("GET", f"{path}config")[0] != 200:
            time.sleep(0.02)  # OpenBao prepares a version 2 mount in the background
        return path

    def ask(self, method, path, body=None, query=""):
        """(status, body)."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/v1/{path}{'?' + query if query else ''}", data=data, method=method
        )
        request.add_header("X-Vault-Token", self.token)
        media_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request.add_header("Content-Type", media_type)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


class InProcess:
    """Our engines without a server."""

    def __init__(self):
        self.mounts = {}

    def mount(self, kind):
        path = "cubbyhole/" if kind == "cubbyhole" else f"like-{next(_fresh)}/"
        self.mounts[path] = Mounted(catalog.load(kind), path=path, now=time.time())
        return path

    def ask(self, method, path, body=None, query=""):
        mount, _, below = path.partition("/")
        mounted = self.mounts[mount + "/"]
        mounted.now += 0.001
        answer = mounted.ask(method, below, body, query=query)
        return answer.status, answer.body


@pytest.fixture(params=["engine", "server"])
def ours(request):
    """Our side: the engine alone, and a whole server."""
    if request.param == "engine":
        return InProcess()
    server = request.getfixturevalue("dev_server")
    return Http(server.url, server.token)


@pytest.fixture
def theirs(openbao):
    """The other side."""
    return Http(openbao.url, openbao.token)


def play(side, kind, calls):
    """Every answer of a story, made comparable."""
    path = side.mount(kind)
    return [made_equal(*side.ask(call.method, path + call.path, call.body, call.query)) for call in calls]


def made_equal(status, body):
    if not body:
        return status, None
    shown = json.loads(TIME.sub("<time>", body.decode()))
    for name in ABOUT_US:
        shown.pop(name, None)
    if "errors" in shown:
        shown["errors"] = [text if text in TEXTS else "<text>" for text in shown["errors"]]
    return status, shown


def story(data, *calls):
    """Read as: after these writes, these calls."""
    return [Call("POST", *write) for write in data] + list(calls)


def put(path="a", data=None, **options):
    return Call(
        "POST",
        f"data/{path}",
        {"data": {"x": 1} if data is None else data, **({"options": options} if options else {})},
    )


def get(path="data/a", query=""):
    return Call("GET", path, None, query)


STRICT = "numbers are numbers: a text, a fraction or a truth is refused, not guessed at"
PATCHED = "version 1 has PATCH, too"
NO_500 = "OpenBao answers 500 for what is the caller's mistake"

KV2 = {
    "write and read": [
        put(), get(), put(data={}), get(), Call("POST", "data/a", {"data": None}), get(),
        Call("POST", "data/a", {}), Call("POST", "data/a", {"data": "text"}), Call("POST", "data/a", {"data": [1]}),
        Call("POST", "data/a", {"data": {"x": 1}, "options": None}), Call("POST", "data/a", {"data": {"x": 1}, "options": 5}),
        Call("PUT", "data/a", {"data": {"x": [1, {"y": None}], "\u00e9": "\u00e9"}}), get(),
        Call("POST", "data/a", {"data": {"x": 1}, "cas": 0}),
    ],
    "read a version": [
        put(data={"n": 1}), put(data={"n": 2}), get(query="version=0"), get(query="version=-1"), get(query="version=1"),
        get(query="version=2"), get(query="version=3"), get(query="version=x"), get(query="other=1"), get("data/none"), get("data/none", "version=1"),
    ],
    "check and set": [
        put(cas=0), put(cas=0), put(cas=1), put(cas=7), put(cas="x"), put(cas=1.5), put(cas=2**64), get("metadata/a"),
        Call("POST", "data/b", {"data": {}, "options": {"cas": "0"}}, ours=400, why=STRICT),
    ],
    "cas of another type": [
        put(),
        Call("POST", "data/a", {"data": {}, "options": {"cas": True}}, ours=400, why=STRICT),
        Call("POST", "data/d", {"data": {}, "options": {"cas": None}}, ours=400, why=STRICT),
    ],
    "patch": [
        Call("PATCH", "data/a", {"data": {"x": 1}}), put(data={"x": 1, "y": {"z": 1, "q": 2}}),
        Call("PATCH", "data/a", {"data": {"x": None, "y": {"w": 2, "q": None}}}), get(),
        Call("PATCH", "data/a", {}), Call("PATCH", "data/a", {"data": "x"}), Call("PATCH", "data/a", {"data": [1]}),
        Call("PATCH", "data/a", {"data": {"n": 1}, "options": {"cas": 0}}), Call("PATCH", "data/a", {"data": {"n": 1}, "options": {"cas": 2}}), get(),
        Call("PATCH", "data/a", {"data": None}), get(),
        Call("DELETE", "data/a"), Call("PATCH", "data/a", {"data": {"n": 1}}),
        Call("POST", "destroy/a", {"versions": [4]}), Call("PATCH", "data/a", {"data": {"n": 1}}),
    ],
    "patch onto null": [
        Call("POST", "data/a", {"data": None}), Call("PATCH", "data/a", {"data": {"n": 1}}, ours=200, why=NO_500),
    ],
    "delete, undelete, destroy": [
        put(), put(), put(), Call("DELETE", "data/a"), get(), get("metadata/a"), Call("DELETE", "data/a"), get("data/a", "version=1"),
        Call("POST", "undelete/a", {"versions": [3]}), get(), Call("POST", "delete/a", {"versions": ["1", 2]}), get("data/a", "version=1"),
        Call("POST", "destroy/a", {"versions": "1,2"}), get("data/a", "version=1"), Call("POST", "undelete/a", {"versions": [1, 2]}),
        get("metadata/a"), put(), get("metadata/a"), Call("POST", "destroy/a", {"versions": [4]}), get(), put(cas=4), get(),
    ],
    "versions of nothing": [
        Call("DELETE", "data/none"), *(Call("POST", f"{verb}/none", {"versions": [1]}) for verb in ("delete", "undelete", "destroy")),
        put(), *(Call("POST", f"{verb}/a", body) for verb in ("delete", "undelete", "destroy") for body in ({}, {"versions": []}, {"versions": [99, -1]}, {"versions": ["x"]}, {"versions": [1.5]})),
        get("delete/a"), Call("DELETE", "destroy/a"), Call("LIST", "data/a"), get("metadata/a"),
    ],
    "metadata": [
        get("metadata/a"), Call("POST", "metadata/a", {}), get("metadata/a"), Call("PATCH", "metadata/a", {"max_versions": 3}),
        Call("POST", "metadata/a", {"max_versions": 3, "cas_required": True, "delete_version_after": "3h25m19s", "custom_metadata": {"a": "b"}}),
        get("metadata/a"), get(), Call("LIST", "metadata"), Call("DELETE", "data/a"), put(), put(cas=0), put(cas=0), get(),
        Call("POST", "metadata/a", {"max_versions": "5", "cas_required": "false"}), get("metadata/a"),
        Call("POST", "metadata/a", {"max_versions": 1.5}), Call("POST", "metadata/a", {"cas_required": "maybe"}),
        Call("POST", "metadata/a", {"delete_version_after": "-1s"}), Call("POST", "metadata/a", {"delete_version_after": "abc"}),
        Call("POST", "metadata/a", {"delete_version_after": 90}), get("metadata/a"), Call("POST", "metadata/a", {"delete_version_after": "1d"}), get("metadata/a"),
        Call("POST", "metadata/a", {"delete_version_after": "0s"}), get("metadata/a"),
        Call("POST", "metadata/a", {"custom_metadata": {"c": "d"}}), get(), Call("POST", "metadata/a", {"custom_metadata": None}), get("metadata/a"),
        Call("PATCH", "metadata/a", {"custom_metadata": {"a": "b", "c": "d"}}), Call("PATCH", "metadata/a", {"custom_metadata": {"a": None, "e": "f"}}),
        get("metadata/a"), Call("PATCH", "metadata/a", {}), Call("PATCH", "metadata/a", {"max_versions": None, "cas_required": None, "custom_metadata": None}), get("metadata/a"),
        Call("PATCH", "metadata/a", {"custom_metadata": "x"}), Call("PATCH", "metadata/a", {"custom_metadata": {"a": 5}}, ours=400, why=NO_500),
        Call("POST", "metadata/a", {"custom_metadata": "x"}), Call("POST", "metadata/a", {"custom_metadata": {"a": {"b": 1}}}),
        Call("DELETE", "metadata/a"), Call("DELETE", "metadata/a"), get(), get("metadata/a"), put(), get("metadata/a"),
    ],
    "custom metadata limits": [
        *(Call("POST", "metadata/a", {"custom_metadata": custom}) for custom in
          ({"": "b"}, {"k": ""}, {"k\x01": "x"}, {"k": "x\x01"}, {"k\u00e9": "x\u00e9"}, {"k" * 129: "x"}, {"k": "v" * 513}, {"k" * 128: "v" * 512}, {f"k{n}": "v" for n in range(65)}, {f"k{n}": "v" for n in range(64)})),
        get("metadata/a"),
    ],
    "metadata check and set": [
        Call("POST", "config", {"metadata_cas_required": True}), get("config"), Call("POST", "metadata/a", {"max_versions": 3}),
        Call("POST", "metadata/a", {"max_versions": 3, "metadata_cas": 0}), Call("POST", "metadata/a", {"max_versions": 3, "metadata_cas": 0}),
        Call("POST", "metadata/a", {"max_versions": 4, "metadata_cas": 1}), Call("PATCH", "metadata/a", {"max_versions": 4}),
        Call("PATCH", "metadata/a", {"max_versions": 4, "metadata_cas": 2}), Call("POST", "metadata/a", {"max_versions": 4, "metadata_cas": "3"}),
        Call("POST", "metadata/a", {"max_versions": 4, "metadata_cas": "x"}), Call("POST", "metadata/a", {"max_versions": 4, "metadata_cas": -1}),
        put(), get("metadata/a"), Call("POST", "config", {"metadata_cas_required": False}), Call("PATCH", "metadata/a", {"max_versions": 2, "metadata_cas": 99}),
    ],
    "config": [
        get("config"), Call("POST", "config", {"max_versions": 2, "cas_required": True, "delete_version_after": "1h"}), get("config"),
        put(), put(cas=0), Call("POST", "metadata/a", {"cas_required": False}), put(), get("metadata/a"),
        Call("POST", "config", {"cas_required": False, "delete_version_after": "-7s"}), get("config"), put(), put(), put(), get("metadata/a"),
        Call("POST", "metadata/a", {"delete_version_after": "1h"}), put(), Call("POST", "config", {"delete_version_after": "0s", "max_versions": 0}), put(),
        get("config"), get("metadata/a"), Call("POST", "config", {}), Call("POST", "config", {"max_versions": "x"}),
    ],
    "pruning": [
        *(put(data={"n": n}) for n in range(12)), get("metadata/a"), get("data/a", "version=2"), get("data/a", "version=3"),
        Call("POST", "metadata/a", {"max_versions": 4}), get("metadata/a"), put(), get("metadata/a"),
    ],
    "listing": [
        *(put(path) for path in ("l/a", "l/b", "l/a/c", "l/d/e/f", "l/z")),
        *(Call("LIST", f"metadata{path}") for path in ("", "/", "/l", "/l/", "/none", "/l/b")),
        *(get("metadata/l", f"list=true&{page}") for page in ("after=a&limit=2", "after=a/&limit=2", "limit=2", "limit=0", "limit=-1", "limit=x", "after=zz")),
        Call("LIST", "detailed-metadata/l/d"), Call("LIST", "detailed-metadata/l/a"), Call("LIST", "detailed-metadata/none"), get("metadata/l"),
    ],
    "subkeys": [
        put(data={"a": {"b": {"c": 1}, "l": [1, {"z": 2}]}, "e": {}, "s": "x", "n": None}),
        *(get("subkeys/a", query) for query in ("", "depth=0", "depth=1", "depth=2", "depth=9", "depth=x", "version=1", "version=9")),
        get("subkeys/none"), Call("POST", "data/a", {"data": None}), get("subkeys/a"), put(data={}), get("subkeys/a"), Call("DELETE", "data/a"), get("subkeys/a"),
        Call("POST", "destroy/a", {"versions": [1]}), get("subkeys/a", "version=1"),
    ],
}  # fmt: skip

KV1 = {
    "write and read": [
        Call("POST", "a", {}), Call("POST", "a"), Call("POST", "a", b"null"),
        Call("POST", "a", b'{"x":9007199254740993,"ttl":"1h"}'), get("a"), Call("POST", "a", {"lease": "90", "\u00e9": "<"}), get("a"),
        Call("POST", "a", {"ttl": "bogus"}), get("a"), Call("POST", "a", {"ttl": 30}), get("a"), Call("POST", "a", {"ttl": "5", "lease": "9"}), get("a"),
        Call("POST", "a", {"ttl": "9999999h"}), get("a"), Call("POST", "a", {"ttl": "0"}), get("a"), Call("POST", "a", {"ttl": True}), get("a"),
        Call("POST", "a", {"x": None}), get("a"), Call("PATCH", "a", {"x": 1}, ours=204, why=PATCHED), get("none"), Call("DELETE", "none"), Call("DELETE", "a"), get("a"),
    ],
    "listing": [
        Call("LIST", ""), Call("POST", "f/a", {"x": 1}), Call("POST", "f/b/c", {"x": 1}), Call("POST", "f", {"x": 1}),
        Call("LIST", ""), Call("LIST", "f"), Call("SCAN", ""), Call("SCAN", "f"), Call("LIST", "none"), get("f/b"),
    ],
}  # fmt: skip

CUBBYHOLE = {
    "all of it": [
        get("none"), Call("POST", "like", b'{"x":9007199254740993,"ttl":"5s"}'), get("like"), Call("LIST", ""), Call("POST", "f/b", {"x": 1}),
        Call("LIST", ""), Call("LIST", "f"), Call("LIST", "none"), Call("SCAN", ""), Call("PATCH", "like", {"x": 1}), Call("DELETE", "like"),
        Call("DELETE", "like"), get("like"), Call("POST", "a", {}, ours=400, why=NO_500), Call("DELETE", "f/b"),
    ],
}  # fmt: skip

STORIES = [
    pytest.param(kind, calls, id=f"{kind}: {name}")
    for kind, stories in (("kv-v2", KV2), ("kv-v1", KV1), ("cubbyhole", CUBBYHOLE))
    for name, calls in stories.items()
]


@pytest.mark.parametrize(("kind", "calls"), STORIES)
def test_same_calls_same_answers(ours, theirs, kind, calls):
    """Status and body of every call of the story are the peer's, but where the call says why not."""
    for call, our_answer, their_answer in zip(
        calls, play(ours, kind, calls), play(theirs, kind, calls), strict=True
    ):
        if call.ours is None:
            assert our_answer == their_answer, call
        else:
            assert our_answer[0] == call.ours != their_answer[0], call


def test_the_peer_changes_big_numbers_and_we_do_not(ours, theirs):
    """Why our KV keeps bytes: 9007199254740993 is read back from OpenBao's version 2 as another number."""
    seen = []
    for side in (ours, theirs):
        path = side.mount("kv-v2")
        side.ask("POST", f"{path}data/a", b'{"data":{"x":9007199254740993}}')
        seen.append(json.loads(side.ask("GET", f"{path}data/a")[1])["data"]["data"]["x"])
    assert seen == [9007199254740993, 9007199254740992]


@pytest.mark.parametrize("side", ["dev_server", "openbao"])
def test_a_version_1_mount_becomes_version_2(request, side):
    """Tuning the mount keeps the secrets, as version 1 of each; there is no way back."""
    server = request.getfixturevalue(side)
    peer = Http(server.url, server.token)
    path = peer.mount("kv-v1")
    peer.ask("POST", f"{path}app/db", {"user": "ada"})
    status, body = peer.ask("POST", f"sys/mounts/{path}tune", {"options": {"version": "2"}})
    assert (status, len(json.loads(body)["warnings"])) == (200, 1)
    while (answer := peer.ask("GET", f"{path}data/app/db"))[0] == 400:
        time.sleep(0.02)
    assert made_equal(*answer)[1]["data"] == {
        "data": {"user": "ada"},
        "metadata": {
            "created_time": "<time>",
            "custom_metadata": None,
            "deletion_time": "",
            "destroyed": False,
            "version": 1,
        },
    }
    status, body = peer.ask("POST", f"sys/mounts/{path}tune", {"options": {"version": "1"}})
    assert (status, json.loads(body)["errors"]) == (400, ["cannot downgrade mount from version 2"])
