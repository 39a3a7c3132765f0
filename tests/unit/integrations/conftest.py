"""Real services to log in to: PostgreSQL, Redis, AWS as moto serves it with its rights on, and a web server that tells what it was sent."""

import http.server
import json
import shutil
import ssl
import subprocess
import threading

import pytest
from tests import soon
from tests.certificates import certificate
from tests.postgres import postgres  # noqa: F401 - a fixture

from ml_secrets import Client
from ml_secrets.testing import programs


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with programs.dev_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def writer(server):
    """Somebody else, who stores and rotates."""
    with Client(server.url, server.token, cache_ttl=0) as made:
        yield made


@pytest.fixture
def here(server, surroundings, monkeypatch, tmp_path):
    """Nothing of the machine's own plays a part."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return surroundings(server)


@pytest.fixture
def eventually():
    return soon.eventually


# ── Redis ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory):
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = programs.free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path_factory.mktemp("redis")
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(15)


# ── AWS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def aws(monkeypatch):
    """moto, which from now on looks at who signs."""
    pytest.importorskip("moto", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    from moto.moto_api._internal.models import moto_api_backend
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer("127.0.0.1", programs.free_port(), verbose=False)
    moto.start()
    url = "http://{}:{}".format(*moto.get_host_and_port())
    iam = boto3.client("iam", "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="s")
    iam.create_user(UserName="train")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="train", PolicyName="all", PolicyDocument=json.dumps(everything))
    made = [iam.create_access_key(UserName="train")["AccessKey"] for _ in range(2)]
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    yield Aws(boto3, url, *made)
    moto.stop()
    moto_api_backend.reset()


class Aws:
    """Two access keys of one user, as secrets have them; `drop` ends the first."""

    def __init__(self, boto3, url, first, second):
        self.boto3, self.url = boto3, url
        self.first, self.second = (
            {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
            for key in (first, second)
        )

    def drop(self):
        iam = self.boto3.client(
            "iam",
            "us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=self.second["access_key"],
            aws_secret_access_key=self.second["secret_key"],
        )
        iam.delete_access_key(UserName="train", AccessKeyId=self.first["access_key"])


# ── the web ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Web:
    """`asked` has the path and the headers of each request, their names in lower case; `answer(headers)` gives (status, document)."""

    def __init__(self, tls=None):
        self.asked, self.answer = [], lambda _: (200, {})
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
                web.asked.append(asked)
                status, document = web.answer(asked)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}"
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web():
    made = Web()
    yield made
    made.close()


@pytest.fixture
def safe_web(tmp_path):
    """The same over TLS; `authority` is its certificate."""
    cert, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    made = Web(tls)
    made.authority = cert
    yield made
    made.close()
