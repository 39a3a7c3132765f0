"""The webhook over TLS, as a process of its own."""

import concurrent.futures
import contextlib
import json
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tests.certificates import certificate
from tests.unit.integrations.kubernetes.asked import IMAGE, Webhook, recorded

from ml_secrets.testing.programs import own_command

OURS = {
    "ml-secrets.io/inject": "init",
    "ml-secrets.io/identity": "train",
    "ml-secrets.io/secret-db": "secret://secret/team-a/db#password",
}
ADDRESS = ("--address", "https://secrets.example.org:8200", "--image", IMAGE)


@pytest.fixture
def own(tmp_path):
    """`own(…)`: one with these flags, of the test's own."""
    started = []

    def start(*flags):
        started.append(Webhook(tmp_path, *ADDRESS, *flags).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


def shown(webhook):
    """The certificate that it shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", webhook.port), timeout=15) as line,
        context.wrap_socket(line) as spoken,
    ):
        return spoken.getpeercert(binary_form=True)


def test_a_dry_run_is_answered_as_any_other(webhook):
    """Nothing is done but answering, so there is nothing to leave out; the log says which it was."""
    wet, dry = recorded("pod-of-a-job", OURS), recorded("pod-of-a-job", OURS)
    dry["request"]["dryRun"] = True
    assert webhook.ask(wet) == webhook.ask(dry)
    assert "team-a/train-… (dry run): injected: 1 files, written once" in webhook.log.read_text()


def test_one_connection_carries_many_reviews(webhook):
    """As an API server keeps it open."""
    line = webhook.line()
    body = json.dumps(recorded("pod-of-a-job", OURS))
    for _ in range(20):
        line.request("POST", "/mutate?timeout=10s", body, {"Content-Type": "application/json"})
        answer = line.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["response"]["allowed"]
    line.close()


def test_many_pods_at_once(webhook):
    """A Job of 60 pods: each on a connection of its own, each answered."""
    review = recorded("pod-of-a-job", OURS)
    with concurrent.futures.ThreadPoolExecutor(20) as many:
        found = list(many.map(lambda _: webhook.ask(review)[0]["allowed"], range(60)))
    assert found == [True] * 60


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/", {}, None, 404),
        ("GET", "/mutate", {}, None, 415),
        ("POST", "/healthz", {}, "{}", 405),
        ("POST", "/mutate", {"Content-Type": "text/plain"}, "{}", 415),
        ("POST", "/mutate", {"Content-Type": "application/json"}, "{}", 400),
        ("POST", "/mutate", {"Content-Type": "application/json"}, "{" * 9000, 400),
        (
            "POST",
            "/mutate",
            {"Content-Type": "application/json"},
            '{"kind": "Pod", "apiVersion": "v1", "request": 1}',
            400,
        ),
        ("POST", "/mutate", {"Content-Type": "application/json"}, b"\xff\xfe", 400),
    ],
)
def test_what_is_no_review_gets_no_answer_to_one(webhook, method, path, headers, body, status):
    """And no traceback; an API server then does what failurePolicy says."""
    assert webhook.request(method, path, body, headers)[0] == status


def test_a_body_without_end_is_not_taken(webhook):
    """Not read into memory to the end: the connection is, and others go on."""

    def pour():
        with (
            socket.create_connection(("127.0.0.1", webhook.port), timeout=15) as line,
            webhook.context().wrap_socket(line, server_hostname="127.0.0.1") as spoken,
        ):
            spoken.sendall(
                b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
            )
            for _ in range(1000):
                spoken.sendall(b" " * (1 << 20))

    with pytest.raises(OSError, match=r"reset|Broken pipe|EOF"):
        pour()
    assert webhook.request("GET", "/healthz")[0] == 200


@pytest.mark.parametrize("begun", [False, True], ids=["knocks", "begins"])
def test_who_only_holds_connections_open_keeps_nobody_out(webhook, begun):
    """Anybody in a cluster may: where all places are taken, whoever has waited longest goes, and an API server is answered."""
    with contextlib.ExitStack() as held:
        for _ in range(200):
            line = held.enter_context(socket.create_connection(("127.0.0.1", webhook.port), timeout=15))
            if begun:
                line = held.enter_context(webhook.context().wrap_socket(line, server_hostname="127.0.0.1"))
                line.sendall(b"POST /mutate HTTP/1.1\r\n")
        assert webhook.request("GET", "/healthz")[0] == 200
        assert webhook.ask(recorded("pod-of-a-job", OURS))[0]["allowed"]


def test_a_review_of_another_version_is_refused(webhook):
    """v1beta1 is gone from clusters, and not guessed at."""
    review = recorded("pod-of-a-job", OURS) | {"apiVersion": "admission.k8s.io/v1beta1"}
    status, body = webhook.request(
        "POST", "/mutate", json.dumps(review), {"Content-Type": "application/json"}
    )
    assert status == 400
    assert b"admissionReviewVersions" in body


def test_only_tls_1_3_is_spoken(webhook):
    """Not 1.2, and nothing in the clear; what knocks wrongly does no harm."""
    context = webhook.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        webhook.request("GET", "/healthz", context=context)
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=15) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"200" not in line.recv(4096)
    assert webhook.request("GET", "/healthz")[0] == 200


def test_a_renewed_certificate_is_served(own, tmp_path):
    """By the next connection, without a signal. A renewal that is half there leaves the old one, and health says so until it is whole."""
    webhook = own()
    old = shown(webhook)
    (tmp_path / "new").mkdir()
    cert, key = certificate(tmp_path / "new")
    shutil.copy(cert, tmp_path / "half")
    (tmp_path / "half").replace(webhook.cert)
    assert shown(webhook) == old
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(old))
    status, body = webhook.request("GET", "/healthz", context=context)
    assert (status, json.loads(body)["state"]) == (200, "troubled")
    key.replace(webhook.key)
    assert shown(webhook) != old
    assert json.loads(webhook.request("GET", "/healthz")[1]) == {"state": "fine", "problems": {}}
    webhook.key.unlink()
    assert shown(webhook) != old


def test_only_the_api_server_is_answered_where_it_has_a_certificate(own, tmp_path):
    """--client-ca: a review needs one, a probe does not; one by another authority gets no connection."""
    (tmp_path / "api").mkdir()
    (tmp_path / "other").mkdir()
    cert, key = certificate(tmp_path / "api")
    webhook = own("--client-ca", str(cert))
    body, headers = json.dumps(recorded("pod-of-a-job", OURS)), {"Content-Type": "application/json"}
    assert webhook.request("GET", "/healthz")[0] == 200
    assert webhook.request("POST", "/mutate", body, headers)[0] == 403
    context = webhook.context()
    context.load_cert_chain(cert, key)
    assert webhook.request("POST", "/mutate", body, headers, context)[0] == 200
    context = webhook.context()
    context.load_cert_chain(*certificate(tmp_path / "other"))
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        webhook.request("POST", "/mutate", body, headers, context)


def test_it_ends_when_it_is_told(own):
    """With exit code 0, and nobody is let in any more."""
    webhook = own()
    webhook.process.send_signal(signal.SIGTERM)
    assert webhook.process.wait(15) == 0
    with pytest.raises(OSError, match="refused"):
        webhook.request("GET", "/healthz")
    assert "ended" in webhook.log.read_text()


def test_no_value_is_in_log_or_answer(webhook):
    """Somebody writes a value where a reference belongs: it is refused, and neither logged nor sent back."""
    response, pod = webhook.ask(recorded("pod-of-a-job", OURS | {"ml-secrets.io/secret-db": "fake-hunter2"}))
    assert (response["allowed"], pod) == (False, None)
    assert "ml-secrets.io/secret-db" in response["status"]["message"]
    assert "hunter2" not in json.dumps(response)
    assert "hunter2" not in webhook.log.read_text()


def test_no_pod_writes_a_line_of_the_log(webhook):
    """A name with a line break in it, which a cluster looks at only afterwards, stays within its line."""
    asked = recorded("pod-of-a-job", OURS)
    asked["request"]["object"]["metadata"]["name"] = "x\n2026-01-01T00:00:00Z ml-secrets webhook: forged"
    webhook.ask(asked)
    lines = webhook.log.read_text().splitlines()
    assert any(r"x\n2026-01-01T00:00:00Z ml-secrets webhook: forged" in line for line in lines)
    assert not any(line.startswith("2026-01-01T00:00:00Z") for line in lines)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (ADDRESS, "an API server speaks TLS only"),
        ((*ADDRESS, "--tls-cert", "{cert}"), "a certificate and its key go together"),
        ((*ADDRESS, "--tls-cert", "{cert}", "--tls-key", "/nowhere"), "cannot read /nowhere"),
        ((*ADDRESS, "--tls-cert", "{cert}", "--tls-key", "{cert}"), "cannot use"),
        ((*ADDRESS, "--tls-cert", "{cert}", "--tls-key", "{locked}"), "cannot use"),
        (("--image", IMAGE), "the server's address is missing"),
        (("--image", IMAGE, "--address", "https://u:p@x"), "no URL"),
        (("--address", "https://x.example.org"), "the image of what is injected is missing"),
        (
            (*ADDRESS, "--tls-cert", "{cert}", "--tls-key", "{key}", "--listen", "8443"),
            "no address to listen at",
        ),
        (
            (*ADDRESS, "--tls-cert", "{cert}", "--tls-key", "{key}", "--listen", "192.0.2.1:8443"),
            "cannot listen at",
        ),
        (("--config", "/nowhere"), "/nowhere"),
        (("--config", "{odd}"), "there is no setting 'inject.imgae'"),
        (("--config", "{wrong}"), "inject.user is not the number"),
    ],
)
def test_what_is_wrong_is_told_before_it_begins(tmp_path, flags, says):
    """Exit code 1, and what to do."""
    cert, key = certificate(tmp_path)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        load_pem_private_key(key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"fake-pass-phrase")
        )
    )
    odd, wrong = tmp_path / "odd.toml", tmp_path / "wrong.toml"
    odd.write_text('[inject]\nimgae = "x"\n')
    wrong.write_text("[inject]\nuser = 0\n")
    words = [flag.format(cert=cert, key=key, locked=locked, odd=odd, wrong=wrong) for flag in flags]
    done = subprocess.run(
        [*own_command(), "webhook", "run", *words], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
