"""The server as a program: TLS and its reload, signals, settings that are wrong, and what strangers may ask (check 121)."""

import contextlib
import datetime as dt
import json
import re
import shlex
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.security.serving import Store, head, send, statuses, stored, talk

from ml_secrets import catalog
from ml_secrets.testing.programs import free_port, own_command

PUBLIC = {
    "approle": {"write login"},
    "userpass": {"write login/{name}"},
    "system": {
        "read health",
        "read init",
        "read internal/ui/mounts",
        "read internal/ui/mounts/{path:path}",
        "read leader",
        "read seal-status",
        "read wrapping/lookup",
        "write decode-token",
        "write init",
        "write unseal",
        "write wrapping/lookup",
        "write wrapping/unwrap",
    },
}
GUARDED = ("rekey/", "rekey-recovery-key/", "generate-root/")
"""Public in name: they check by themselves for `sudo`, or (where the operator opened them) for key shares and nonce."""


def test_121_what_needs_no_token_is_a_frozen_list():
    """Check 121: an operation that becomes public is seen here first."""
    found = {}
    for kind in (*catalog.ENGINES, *catalog.AUTH_METHODS):
        for operation in catalog.load(kind).operations:
            if operation.public and not operation.template.startswith(GUARDED):
                found.setdefault(kind, set()).add(f"{operation.verb} {operation.template}")
    assert found == PUBLIC


@pytest.mark.parametrize("token", [None, "unknown"])
def test_121_nothing_else_answers_a_stranger(store, token):
    """Check 121: every other operation, over HTTP, without a token or with a wrong one: 403, whether it exists or not."""
    from tests.security.test_inputs import METHODS, MOUNTS, OPERATIONS, path_of

    for kind, operation in OPERATIONS:
        if operation.public and f"{operation.verb} {operation.template}" in PUBLIC.get(kind, ()):
            continue
        answer = store.ask(METHODS[operation.verb], path_of(kind, operation.template)[4:], token=token)
        guarded = operation.template.startswith(GUARDED)
        assert answer.status in ((400, 403, 405) if guarded else (403,)), (
            operation.verb,
            operation.template,
            answer.body,
        )
    assert MOUNTS
    for path in (
        "nowhere",
        "sys/nowhere",
        "auth/nowhere",
        "auth/nowhere/login",
        "sys/raw/x",
        "sys/pprof/heap",
        "sys/monitor",
        "sys/batch",
    ):
        answer = store.ask("GET", path, token=token)
        assert answer.status in (403, 405), path
    answer = store.ask("POST", "sys/batch", {"paths": ["secret/data/x", "sys/health"]}, token=token)
    assert answer.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ui",
        "/ui/",
        "/v2/sys/health",
        "/metrics",
        "/debug",
        "/v1",
        "/v1/",
        "/favicon.ico",
        "/.well-known/x",
        "/openapi.json",
        "/docs",
    ],
)
def test_121_nothing_lies_outside_the_api(store, path):
    """Check 121: other paths are 404 (or refused), and say nothing of the server."""
    received = talk(store.url, head("GET", path, token=None))
    assert statuses(received)[0] in (400, 403, 404)
    assert b"version" not in received.lower()


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def certificate(folder, name, curve=ec.SECP256R1):
    """A self-signed certificate for localhost and its key, written where the server looks for them."""
    key = ec.generate_private_key(curve())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def tls_client(highest=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if highest is not None:
        context.maximum_version = highest
    return context


def presented(store):
    """The common name in the certificate that the server presents now."""
    with (
        socket.create_connection(("127.0.0.1", store.port), 10) as plain,
        tls_client().wrap_socket(plain) as line,
    ):
        found = x509.load_der_x509_certificate(line.getpeercert(binary_form=True))
        return found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


def tls_health(store, context):
    with socket.create_connection(("127.0.0.1", store.port), 10) as plain, context.wrap_socket(plain) as line:
        line.sendall(head("GET", "/v1/sys/health", token=None))
        received = b""
        with contextlib.suppress(ssl.SSLEOFError):
            while part := line.recv(65536):
                received += part
        return statuses(received)


@pytest.fixture
def secured(tmp_path):
    """A server with TLS; its store is not initialised (health is 501)."""
    store = Store(tmp_path / "store", audit=False)
    certificate(store.folder, "first")
    text = store.config.read_text().replace(
        "tls_disable = true",
        f'tls_cert_file = "{store.folder / "tls.crt"}"\ntls_key_file = "{store.folder / "tls.key"}"',
    )
    store.config.write_text(text)
    with store.log.open("wb") as log:
        store.process = subprocess.Popen(
            [*own_command(), "server", "--config", str(store.config)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_for(lambda: ready(store))
        yield store
    finally:
        store.stop()


def ready(store):
    try:
        return tls_health(store, tls_client()) == [501]
    except OSError:
        return False


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_tls_is_1_3_only(secured):
    """TLS 1.3 is served; a client of TLS 1.2, and one without TLS, are turned away, and the server goes on."""
    assert tls_health(secured, tls_client()) == [501]
    with pytest.raises(ssl.SSLError):
        tls_health(secured, tls_client(ssl.TLSVersion.TLSv1_2))
    assert statuses(
        talk(f"http://127.0.0.1:{secured.port}", head("GET", "/v1/sys/health", token=None), timeout=1)
    ) in ([], [400])
    assert tls_health(secured, tls_client()) == [501]


def test_a_new_certificate_is_taken_without_losing_a_request(secured):
    """SIGHUP: requests go on in a loop all the while, on new connections and on a kept one; none fails, and the new certificate comes."""
    failures, done, over = [], [0], threading.Event()

    def ask():
        while not over.is_set():
            try:
                assert tls_health(secured, tls_client()) == [501]
                done[0] += 1
            except (OSError, AssertionError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for name in ("second", "third", "fourth"):
        certificate(secured.folder, name)
        secured.process.send_signal(signal.SIGHUP)
        wait_for(lambda name=name: presented(secured) == name, 30)
    wait_for(lambda: done[0] > 20 or failures, 30)
    over.set()
    for thread in threads:
        thread.join()
    assert not failures, (failures[:3], len(failures), done)


def test_a_broken_certificate_leaves_the_old_one(secured):
    """SIGHUP with a key that does not fit, one that cannot be served, an empty file, and none: the old one stays, the log says why."""
    certificate(secured.folder, "second")
    good = (secured.folder / "tls.key").read_bytes()
    certificate(secured.folder, "other")
    (secured.folder / "tls.key").write_bytes(good)
    for break_it in (
        lambda: None,
        lambda: certificate(secured.folder, "large", ec.SECP521R1),
        lambda: (secured.folder / "tls.crt").write_bytes(b""),
        (secured.folder / "tls.crt").unlink,
    ):
        break_it()
        before = secured.log.read_text().count("not reloaded")
        secured.process.send_signal(signal.SIGHUP)
        wait_for(lambda before=before: secured.log.read_text().count("not reloaded") > before, 10)
        assert presented(secured) == "first"
    assert secured.process.poll() is None


# ── is it well? ─────────────────────────────────────────────────────────────────────────────────────────────────────


def health_check(store):
    """The container's health check, as its file has it, on this store's configuration: (exit status, output)."""
    text = (Path(__file__).parents[2] / "deploy" / "Containerfile").read_text()
    command = re.search(r"^HEALTHCHECK .* CMD (.*)$", text, re.MULTILINE)[1]
    command = command.replace("/etc/ml-secrets/server.toml", shlex.quote(str(store.config)))
    command = command.replace("ml-secrets status", shlex.join([*own_command(), "status"]))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_containers_health_check_speaks_tls(secured):
    """It trusts the listener's own certificate, whatever its names; one that was replaced and not loaded, and a server that is gone, are unwell."""
    code, said = health_check(secured)
    assert (code, "Initialized" in said) == (0, True)
    certificate(secured.folder, "second")
    assert health_check(secured)[0] == 1
    secured.process.send_signal(signal.SIGHUP)
    wait_for(lambda: presented(secured) == "second", 30)
    assert health_check(secured)[0] == 0
    secured.stop()
    assert health_check(secured)[0] == 1


def test_the_containers_health_check_speaks_plain_http(tmp_path):
    """As the configuration says; unsealed and sealed servers are up, and the exit status of `status` tells them apart."""
    with stored(tmp_path / "store") as store:
        status = [*own_command(), "status", "--config", str(store.config)]
        assert health_check(store)[0] == 0
        assert subprocess.run(status, capture_output=True, check=False).returncode == 0
        store.ask("PUT", "sys/seal")
        assert health_check(store)[0] == 0
        assert subprocess.run(status, capture_output=True, check=False).returncode == 2


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sigterm_finishes_what_is_in_flight(tmp_path):
    """SIGTERM: a request whose body is still on its way, and logins being hashed, are answered; then status 0, and the store is released."""
    with stored(tmp_path / "store") as store:
        store.ask("POST", "sys/auth/userpass", {"type": "userpass"})
        store.ask("POST", "auth/userpass/users/alice", {"password": "fake-password"})
        answers = []

        def log_in():
            answers.append(
                store.ask(
                    "POST", "auth/userpass/login/alice", {"password": "fake-password"}, token=None
                ).status
            )

        body = json.dumps({"policy": 'path "x" { capabilities = ["read"] }'}).encode()
        with socket.create_connection(("127.0.0.1", store.port), 10) as line:
            line.settimeout(20)
            line.sendall(
                head("PUT", "/v1/sys/policies/acl/late", f"Content-Length: {len(body)}", token=store.token)
                + body[:10]
            )
            threads = [threading.Thread(target=log_in) for _ in range(6)]
            for thread in threads:
                thread.start()
            time.sleep(0.15)
            store.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            line.sendall(body[10:])
            received = line.recv(65536)
        for thread in threads:
            thread.join()
        assert statuses(received) == [204]
        assert answers == [200] * 6
        assert store.process.wait(20) == 0
        store.start()
        assert store.ask("GET", "sys/policies/acl/late").status == 200


def test_sigint_ends_it_as_well(tmp_path):
    """What a terminal sends: status 0."""
    with stored(tmp_path / "store") as store:
        store.process.send_signal(signal.SIGINT)
        assert store.process.wait(20) == 0


def test_idle_connections_do_not_keep_it_from_ending(tmp_path):
    """A kept-alive connection that says nothing, and one that never ends its request, are closed within seconds; status 0."""
    with (
        stored(tmp_path / "store") as store,
        socket.create_connection(("127.0.0.1", store.port), 10) as line,
        socket.create_connection(("127.0.0.1", store.port), 10) as slow,
    ):
        line.sendall(head("GET", "/v1/sys/health", "Connection: keep-alive", token=None))
        line.recv(65536)
        slow.sendall(head("POST", "/v1/sys/wrapping/lookup", "Content-Length: 100", token=None))
        start = time.monotonic()
        store.process.send_signal(signal.SIGTERM)
        assert store.process.wait(30) == 0
        assert time.monotonic() - start < 20


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_config(folder, name, text):
    """Start a server that should not start."""
    file = folder / name
    file.write_text(
        text.replace(
            'type = "tcp"',
            f'type = "tcp"\naddress = "127.0.0.1:{free_port()}"',
            0 if "address" in text else 1,
        )
    )
    done = subprocess.run(
        [*own_command(), "server", "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", 'colour = "red"\n[storage]\ntype = "inmem"', "colour"),
        ("a.hcl", 'storage "inmem" {}\ncolour = "red"', "colour"),
        ("a.hcl", 'storage "inmem" {}\nlistener "tcp" { tls_minimum = 1 }', "tls_minimum"),
        ("a.hcl", 'storage "consul" {}', "consul"),
        ("a.hcl", 'storage "inmem" {}\nseal "awskms" {}', "awskms"),
        ("a.hcl", 'storage "inmem" {', "HCL"),
        ("a.json", '{"storage": {"inmem": {}}, "colour": 1}', "colour"),
        ("a.json", "{", "JSON"),
        ("a.toml", "= =", "TOML"),
        ("a.toml", '[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\naddress = "nowhere"', "nowhere"),
        (
            "a.toml",
            '[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\nmax_request_size = 1000000000',
            "max_request_size",
        ),
        (
            "a.toml",
            '[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\nmax_request_size = -1',
            "max_request_size",
        ),
        (
            "a.toml",
            '[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\ntls_cert_file = "/nowhere/c"\ntls_key_file = "/nowhere/k"',
            "/nowhere/c",
        ),
        ("a.toml", '[storage]\ntype = "sqlite"\npath = "/proc/nowhere"', "/proc/nowhere"),
    ],
)
def test_what_cannot_be_honoured_stops_the_start_and_is_named(tmp_path, name, text, said):
    """Status 1 and one clear line that names the setting; no traceback."""
    code, error = run_config(tmp_path, name, text)
    assert code == 1
    assert said in error


VAULT_FILES = {
    "raft.hcl": 'storage "raft" {{ path = "{path}"  node_id = "n1" }}\nlistener "tcp" {{ address = "{address}" tls_disable = 1 }}\ndisable_mlock = true\nui = true\napi_addr = "http://{address}"\n',
    "file.hcl": 'storage "file" {{\n  path = "{path}"\n}}\nlistener "tcp" {{\n  address     = "{address}"\n  tls_disable = "true"\n}}\n',
    "inmem.hcl": 'backend "inmem" {{}}\nlistener "tcp" {{ address = "{address}" tls_disable = true }}\n',
    "file.json": '{{"storage": {{"file": {{"path": "{path}"}}}}, "listener": [{{"tcp": {{"address": "{address}", "tls_disable": true}}}}], "max_lease_ttl": "10h", "default_lease_ttl": "10h"}}',
}


@pytest.mark.parametrize("name", VAULT_FILES)
def test_configuration_files_of_vaults_kind_start_a_server(tmp_path, name):
    """raft, file and inmem, in HCL and JSON: it starts sealed, is initialised and unsealed as clients of Vault do it, and keeps a secret."""
    address = f"127.0.0.1:{free_port()}"
    file = tmp_path / name
    file.write_text(VAULT_FILES[name].format(path=tmp_path / "data", address=address))
    from ml_secrets.testing.programs import configured_server

    with configured_server(file, f"http://{address}") as server:
        made = send(
            server.url, "PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None
        ).json
        assert (
            send(server.url, "PUT", "sys/unseal", {"key": made["keys_base64"][0]}, token=None).json["sealed"]
            is False
        )
        root = made["root_token"]
        assert send(server.url, "POST", "sys/mounts/kv", {"type": "kv"}, token=root).status == 204
        assert send(server.url, "POST", "kv/a", {"v": "1"}, token=root).status == 204
        assert send(server.url, "GET", "kv/a", token=root).data == {"v": "1"}


def test_a_listener_has_its_own_limit(tmp_path):
    """`max_request_size`: a body at the limit passes, one byte more is 413."""
    store = Store(tmp_path / "store")
    store.config.write_text(
        store.config.read_text().replace("tls_disable = true", "tls_disable = true\nmax_request_size = 1000")
    )
    try:
        store.start().initialize()
        body = b'{"path": "x"}'
        assert store.ask("POST", "sys/capabilities-self", body + b" " * (1000 - len(body))).status == 200
        assert store.ask("POST", "sys/capabilities-self", body + b" " * (1001 - len(body))).status == 413
    finally:
        store.stop()
