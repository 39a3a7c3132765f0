"""The CSI provider on its socket, asked by a gRPC client as the driver asks: no driver and no kubelet took part."""

import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import grpc
import pytest
from tests.soon import eventually

from ml_secrets import Client
from ml_secrets.integrations.kubernetes.csi_wire import messages
from ml_secrets.testing.programs import own_command

OBJECTS = """
- objectName: password
  reference: secret://secret/team-a/db#password
- objectName: url
  reference: postgres://{{ secret://secret/team-a/db#user }}@db
  filePermission: "0444"
- objectName: db.env
  reference: secret://secret/team-a/db
  format: dotenv
  filePermission: 0440
- objectName: theirs
  secretPath: secret/data/team-a/db
  secretKey: user
"""
POD = {
    "csi.storage.k8s.io/pod.name": "train-x",
    "csi.storage.k8s.io/pod.namespace": "team-a",
    "csi.storage.k8s.io/pod.uid": "1",
    "csi.storage.k8s.io/ephemeral": "true",
    "csi.storage.k8s.io/serviceAccount.name": "default",
    "secretProviderClass": "db",
}


class Provider:
    """One that runs, and a connection to it."""

    def __init__(self, folder, server):
        self.folder = folder
        self.socket = folder / "providers" / "ml-secrets.sock"
        self.log = folder / "csi.log"
        words = ["csi", "--socket", str(self.socket), "--address", server.url]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*own_command(), *words], stdout=log, stderr=log)
        assert eventually(lambda: b"listening" in self.log.read_bytes()), self.log.read_text()
        self.line = grpc.insecure_channel(
            f"unix:{self.socket}", options=[("grpc.default_authority", "localhost")]
        )

    def call(self, name, **fields):
        made = messages()
        ask = self.line.unary_unary(
            f"/v1alpha1.CSIDriverProvider/{name}",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=made[f"{name}Response"].FromString,
        )
        return ask(made[f"{name}Request"](**fields), timeout=20)

    def mount(self, secrets, objects=OBJECTS, **parameters):
        attributes = POD | {"objects": objects} | parameters
        return self.call(
            "Mount",
            attributes=json.dumps(attributes),
            secrets=json.dumps(secrets),
            target_path="/x",
            permission="420",
        )

    def stop(self):
        self.line.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@pytest.fixture(scope="module")
def provider(tmp_path_factory, dev_server):
    running = Provider(tmp_path_factory.mktemp("csi"), dev_server)
    yield running
    running.stop()


@pytest.fixture
def db(dev_server, identities):
    """The secret, as it was."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        root.kv.put("team-a/db", {"user": "ada", "password": "fake-1"})
        yield root.kv


def test_messages_are_the_drivers_on_the_wire():
    """By hand, from the protocol's numbers: who reads and writes by the same wrong table would not notice."""
    made = messages()
    answer = made["MountResponse"]()
    answer.object_version.add(id="a", version="1")
    answer.error.code = "c"
    answer.files.add(path="f", mode=0o400, contents=b"x")
    assert answer.SerializeToString() == (
        b"\x0a\x06\x0a\x01a\x12\x011\x12\x03\x0a\x01c\x1a\x09\x0a\x01f\x10\x80\x02\x1a\x01x"
    )
    asked = made["MountRequest"].FromString(
        b"\x0a\x02{}\x12\x01s\x1a\x02/t\x22\x03420\x2a\x06\x0a\x01a\x12\x011"
    )
    assert (asked.attributes, asked.secrets, asked.target_path, asked.permission) == ("{}", "s", "/t", "420")
    assert [(one.id, one.version) for one in asked.current_object_version] == [("a", "1")]
    told = made["VersionResponse"](version="v", runtime_name="n", runtime_version="1")
    assert told.SerializeToString() == b"\x0a\x01v\x12\x01n\x1a\x011"


def test_the_driver_learns_which_provider_it_is(provider):
    """Its name, and a version that SemVer knows."""
    told = provider.call("Version", version="v1alpha1")
    assert (told.version, told.runtime_name) == ("v1alpha1", "ml-secrets")
    assert told.runtime_version.count(".") == 2


def test_a_volume_has_its_files(provider, db, identities):
    """Contents and modes as the class says, versions as the server has them; the driver writes them."""
    answer = provider.mount(identities["identity-train"])
    files = {one.path: (oct(one.mode), one.contents) for one in answer.files}
    assert files == {
        "password": ("0o400", b"fake-1"),
        "url": ("0o444", b"postgres://ada@db"),
        "db.env": ("0o440", b"user='ada'\npassword='fake-1'\n"),
        "theirs": ("0o400", b"ada"),
    }
    first = {one.id: one.version for one in answer.object_version}
    assert first.keys() == files.keys()
    db.put("team-a/db", {"user": "ada", "password": "fake-2"})
    answer = provider.mount(identities["identity-train"])
    assert {one.path: one.contents for one in answer.files}["password"] == b"fake-2"
    second = {one.id: one.version for one in answer.object_version}
    assert all(int(second[name]) == int(first[name]) + 1 for name in first)
    assert b"fake" not in provider.log.read_bytes()
    assert b"team-a/train-x: 4 files" in provider.log.read_bytes()


def test_where_no_versions_are_a_digest_is_the_version(provider, dev_server, identities):
    """Another value, another version; and nobody else can make it from a guess, as it lands in the cluster."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        root.write("sys/mounts/plain-kv", {"type": "kv", "options": {"version": "1"}})
        token = {"token": root.write("auth/token/create", {"ttl": "5m"}).auth["client_token"]}
        found = []
        for value in ("one", "one", "two"):
            root.write("plain-kv/a", {"value": value})
            answer = provider.mount(token, "- {objectName: a, secretPath: plain-kv/a, secretKey: value}")
            assert answer.files[0].contents == value.encode()
            found.append(answer.object_version[0].version)
    assert found[0] == found[1] != found[2]
    import hashlib

    assert found[0] != hashlib.sha256(b"one").hexdigest()[:32]


def test_a_name_and_a_password_log_in(provider, db, dev_server):
    """userpass, inside each request: no token is made."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        root.write("sys/auth/people", {"type": "userpass"})
        root.write("auth/people/users/ada", {"password": "pass-for-tests", "token_policies": "pods"})
    answer = provider.mount({"username": "ada", "password": "pass-for-tests"}, authPath="auth/people")
    assert len(answer.files) == 4


@pytest.mark.parametrize(
    ("secrets", "objects", "parameters", "code", "says"),
    [
        ({}, OBJECTS, {}, "UNAUTHENTICATED", "the volume names no Secret"),
        (
            {"role-id": "x", "secret-id": "fake-y"},
            OBJECTS,
            {},
            "UNAUTHENTICATED",
            "invalid role or secret ID",
        ),
        (None, OBJECTS, {}, "PERMISSION_DENIED", "secret://secret/team-a/db"),
        ({"token": "t"}, "", {}, "INVALID_ARGUMENT", "objects is no list"),
        ({"token": "t"}, "[", {}, "INVALID_ARGUMENT", "objects is no list"),
        ({"token": "t"}, "[1]", {}, "INVALID_ARGUMENT", "object 1 is no object"),
        ({"token": "t"}, "- x\n" * 20000, {}, "INVALID_ARGUMENT", "longer than 64 KiB"),
        ({"token": "t"}, "- {objectName: a}", {}, "INVALID_ARGUMENT", "one of reference and secretPath"),
        ({"token": "t"}, "- &a {objectName: a}\n- *a", {}, "INVALID_ARGUMENT", "an alias in YAML"),
        (
            {"token": "t"},
            "- {objectName: a, secretPath: s/a, secretKey: [b]}",
            {},
            "INVALID_ARGUMENT",
            "secretKey is no name",
        ),
        (
            {"token": "t"},
            "- {objectName: a, reference: 'secret://s/a', secretKey: b}",
            {},
            "INVALID_ARGUMENT",
            "secretKey is no name",
        ),
        (
            {"token": "t"},
            "- {objectName: ../a, secretPath: s/a}",
            {},
            "INVALID_ARGUMENT",
            "no name for one file",
        ),
        (
            {"token": "t"},
            "- {objectName: ..a, secretPath: s/a}",
            {},
            "INVALID_ARGUMENT",
            "no name for one file",
        ),
        (
            {"token": "t"},
            "- {objectName: a, reference: fake-plain}",
            {},
            "INVALID_ARGUMENT",
            "there is no reference",
        ),
        (
            {"token": "t"},
            "- {objectName: a, secretPath: s/a, method: PUT}",
            {},
            "INVALID_ARGUMENT",
            "no setting 'method'",
        ),
        (
            {"token": "t"},
            "- {objectName: a, secretPath: s/a, filePermission: 0777}",
            {},
            "INVALID_ARGUMENT",
            "filePermission",
        ),
        (
            {"token": "t"},
            "- {objectName: a, secretPath: s/a, filePermission: 0o640}",
            {},
            "INVALID_ARGUMENT",
            "filePermission",
        ),
        (
            {"token": "t"},
            "- {objectName: a, secretPath: s/a, format: xml}",
            {},
            "INVALID_ARGUMENT",
            "no such format",
        ),
        (
            {"token": "t"},
            "- {objectName: a, secretPath: s/a}\n- {objectName: a, secretPath: s/b}",
            {},
            "INVALID_ARGUMENT",
            "two objects are named a",
        ),
        (
            {"token": "t"},
            OBJECTS,
            {"vaultAddress": "http://192.0.2.1"},
            "INVALID_ARGUMENT",
            "where the server is",
        ),
        (
            {"token": "t"},
            OBJECTS,
            {"vaultSkipTLSVerify": "true"},
            "INVALID_ARGUMENT",
            "no parameter 'vaultSkipTLSVerify'",
        ),
        ({"token": "t"}, OBJECTS, {"roleName": "x"}, "INVALID_ARGUMENT", "no parameter 'roleName'"),
        ({"token": 1}, OBJECTS, {}, "INVALID_ARGUMENT", "the Secret cannot be read"),
    ],
)
def test_what_cannot_be_done_is_the_pods_event(
    provider, identities, secrets, objects, parameters, code, says
):
    """By gRPC's codes, in words, without a value; and no file at all."""
    with pytest.raises(grpc.RpcError) as refused:
        provider.mount(identities["identity-stranger"] if secrets is None else secrets, objects, **parameters)
    told = refused.value.details()
    assert says in told
    assert "fake" not in told
    assert refused.value.code().name == code
    assert b"fake" not in provider.log.read_bytes()


def test_a_long_answer_still_says_why(provider, identities):
    """gRPC has it in a header, where only so much fits: a driver that cuts the line knows nothing."""
    objects = "".join(
        f"- {{objectName: a{number}, secretPath: secret/data/team-a/n{number}}}\n" for number in range(300)
    )
    with pytest.raises(grpc.RpcError) as refused:
        provider.mount(identities["identity-train"], objects)
    assert refused.value.code().name == "NOT_FOUND"
    assert "300 of 300 secrets cannot be had" in refused.value.details()
    assert refused.value.details().endswith("…")


@pytest.mark.parametrize(
    "objects",
    [
        "".join(
            f"- {{objectName: a{number}, reference: 'secret://secret/team-a/big#v'}}\n"
            for number in range(900)
        ),
        f"- {{objectName: a, reference: '{'{{ secret://secret/team-a/big#v }}' * 1500}'}}",
    ],
    ids=["files", "text"],
)
def test_much_of_one_secret_is_not_written_out(provider, db, identities, objects):
    """More than a driver takes is refused before it takes memory from every other pod of the node."""
    db.put("team-a/big", {"v": "x" * 900_000})
    with pytest.raises(grpc.RpcError) as refused:
        provider.mount(identities["identity-train"], objects)
    assert "larger than 4 MiB together" in refused.value.details()
    most = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{provider.process.pid}/status").read_text())
    assert int(most[1]) < 256 << 10, "the chart's limit"


def test_its_socket_is_for_its_user_alone(provider):
    """0600 in a folder that others cannot change: what comes over it is not asked who it is."""
    assert stat.S_IMODE(provider.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(provider.socket.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("variable", ["ML_SECRETS_ADDR", "VAULT_ADDR"])
def test_the_surroundings_may_say_where_the_server_is(tmp_path, variable):
    """As for every command; nothing else does, not even a server of this machine."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    words = [*own_command(), "csi", "--socket", str(tmp_path / "open" / "ml-secrets.sock")]
    surroundings = {name: text for name, text in os.environ.items() if not name.endswith("_ADDR")}
    for more, says in (
        ({}, "nothing says where the server is"),
        ({variable: "http://127.0.0.1:9"}, "others can change"),
    ):
        done = subprocess.run(
            words, env=surroundings | more, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert says in done.stderr


def test_it_ends_when_it_is_told(tmp_path, dev_server):
    """Its socket goes; a second provider at the same place is refused while the first one is there."""
    running = Provider(tmp_path, dev_server)
    second = subprocess.run(
        [*own_command(), "csi", "--socket", str(running.socket), "--address", dev_server.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (second.returncode, "somebody listens at" in second.stderr) == (1, True)
    assert running.call("Version").runtime_name == "ml-secrets"
    assert running.stop() == 0
    assert not running.socket.exists()
    assert list(running.socket.parent.iterdir()) == []
