"""Check 128: an agent's doors. Whoever gets past one of them has the agent's rights at the server."""

import contextlib
import http.client
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.security.serving import talk
from tests.unit.agent.resident.conftest import Running, private

from ml_secrets import Client
from ml_secrets.agent.resident import guard
from ml_secrets.agent.resident.http import MOST
from ml_secrets.testing.programs import free_port, own_command

VALUE = "value-that-only-some-may-have"
SAYS = {"X-Vault-Request": "true"}
CONFIG = """
[server]
address = "{url}"
[login]
token-file = "token"
[[listener]]
socket = "{room}/door/agent.sock"
[[listener]]
tcp = "127.0.0.1:{tcp}"
[[listener]]
tcp = "127.0.0.1:{open}"
users = ["*"]
quit = true
hosts = ["agent.local"]
[aws]
listen = "127.0.0.1:{aws}"
token-file = "{room}/door/aws-token"
"""
NOBODY = 65534


@pytest.fixture(scope="module")
def ports():
    """Ports of the doors, by name."""
    return {name: free_port() for name in ("tcp", "open", "aws")}


@pytest.fixture(scope="module")
def agent(dev_server, ports, tmp_path_factory):
    """An agent with a door of each kind, in front of a secret."""
    room = Path(tempfile.mkdtemp(prefix="ml-secrets-test-", dir="/dev/shm"))
    room.chmod(0o755)
    folder = tmp_path_factory.mktemp("agent")
    private(folder / "token", dev_server.token)
    with Client(dev_server.url, dev_server.token) as client:
        client.kv.put("guarded", {"value": VALUE})
    running = Running(folder, room, CONFIG.format(url=dev_server.url, room=room, **ports)).start()
    yield running.fine()
    running.stop()
    shutil.rmtree(room)


def ask(port, path="/v1/secret/data/guarded", headers=(), method="GET"):
    """Status and text of an answer over TCP."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(line):
        line.request(method, path, headers=dict(headers))
        answer = line.getresponse()
        return answer.status, answer.read().decode()


@contextlib.contextmanager
def another(program, *arguments):
    """A program of another user, as it runs; this test needs root to become one."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    script = f"import encodings.idna, os, socket, sys\nos.setgroups([])\nos.setgid({NOBODY})\nos.setuid({NOBODY})\n{program}"
    command = [sys.executable, "-I", "-S", "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def as_nobody(program, *arguments):
    """What a program of another user prints."""
    with another(program, *arguments) as running:
        told, _ = running.communicate(timeout=20)
        assert running.returncode == 0
    return told


OVER = """
kind, place = sys.argv[1:]
line = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
line.settimeout(10)
try:
    line.connect(place if kind == "unix" else ("127.0.0.1", int(place)))
    line.sendall(b"GET /v1/secret/data/guarded HTTP/1.1\\r\\nHost: localhost\\r\\nX-Vault-Request: true\\r\\nConnection: close\\r\\n\\r\\n")
    answer = b""
    while part := line.recv(65536):
        answer += part
    print(answer.decode())
except OSError as error:
    print(type(error).__name__)
"""


def test_128_the_socket_is_ours_alone(agent):
    """Mode 0600 in a folder of mode 0700; the caller's user is asked of the kernel, too."""
    assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.socket.parent.stat().st_mode) == 0o700
    assert agent.ask("GET", "/v1/secret/data/guarded")[0] == 200


def test_128_another_user_is_refused_even_where_the_socket_lets_them_in(agent):
    """With folder and socket open to all, SO_PEERCRED still tells another user from us."""
    agent.socket.parent.chmod(0o755)
    agent.socket.chmod(0o666)
    try:
        told = as_nobody(OVER, "unix", str(agent.socket))
    finally:
        agent.socket.chmod(0o600)
        agent.socket.parent.chmod(0o700)
    assert " 403 " in told
    assert VALUE not in told


def test_128_another_user_is_refused_on_loopback(agent, ports):
    """The owner of the other end of the connection is asked of the kernel; with users = ["*"] nobody is."""
    told = as_nobody(OVER, "tcp", str(ports["tcp"]))
    assert " 403 " in told
    assert VALUE not in told
    assert VALUE in as_nobody(OVER, "tcp", str(ports["open"]))


IDLE = """
lines = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
print("there", flush=True)
sys.stdin.read()
"""


def test_128_strangers_take_no_place_from_those_who_may(agent, ports):
    """While another user holds more connections than the door has places, and asks nothing, we are answered and they are refused."""
    with another(IDLE, str(ports["tcp"]), str(MOST + 12)) as running:
        assert running.stdout.readline() == "there\n"
        assert ask(ports["tcp"], headers=SAYS)[0] == 200


def test_128_a_connection_whose_other_end_was_closed_is_nobody_s():
    """Connect, send and close: the kernel shows that end as root's, and it is taken for nobody's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = "line = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\nline.sendall(b'GET')\nline.close()"
        as_nobody(program, str(listening.getsockname()[1]))
        line, _ = listening.accept()
        with line:
            user = guard.peer_of(line)
    assert user is None
    assert not guard.is_ours(user)


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Basic YTpi",
        b"Authorization: Bearer ",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b",
        b"X-Vault-Inline-Auth-Path: auth/approle/login",
        b"X-Vault-Namespace: a\r\nX-Vault-Namespace: b",
        b"X-Vault-Token: a\r\nX-Vault-Token: b",
        b"X-Vault-Token: ",
    ],
)
def test_128_what_says_differently_who_asks_is_no_request_with_the_agent_s_token(agent, ports, header):
    """Another authorization, a login inside the request, two namespaces or two tokens: 400, and no secret."""
    line = b"GET /v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nConnection: close\r\n"
    told = talk(f"http://127.0.0.1:{ports['open']}", line + header + b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 400 ")
    assert VALUE.encode() not in told


def test_128_the_request_header_has_to_be_there(agent, ports):
    """Without X-Vault-Request: true, or with it twice, nothing is answered but health."""
    for headers in ({}, {"X-Vault-Request": "false"}, {"X-Vault-Request": ""}):
        status, text = ask(ports["open"], headers=headers)
        assert (status, VALUE in text) == (412, False)
    twice = b"GET /v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nX-Vault-Request: true\r\nConnection: close\r\n\r\n"
    assert VALUE.encode() not in talk(f"http://127.0.0.1:{ports['open']}", twice)
    assert ask(ports["open"], headers=SAYS)[0] == 200
    assert ask(ports["open"], "/agent/v1/health")[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost:1", "", "localhost@evil", "[::2]", "2130706433"],
)
def test_128_a_name_that_is_not_ours_is_refused(agent, ports, host):
    """What a web page has resolved to this machine says so in Host."""
    status, text = ask(ports["open"], headers={**SAYS, "Host": host})
    assert (status, VALUE in text) == (403, False)
    assert ask(ports["open"], "/agent/v1/health", {"Host": host})[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "agent.local"])
def test_128_this_machine_s_names_are_not(agent, ports, host):
    """With the door's own port, or without one."""
    assert ask(ports["open"], headers={**SAYS, "Host": host})[0] == 200
    assert ask(ports["open"], headers={**SAYS, "Host": f"{host}:{ports['open']}"})[0] == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "Origin", "Sec-Fetch-Site"])
def test_128_what_others_send_on_is_refused(agent, ports, header):
    """From a web page, or by way of a proxy: also with the header that has to be there."""
    status, text = ask(ports["open"], headers={**SAYS, header: "1.2.3.4"})
    assert (status, VALUE in text) == (403, False)


def test_128_quit_is_guarded(agent, ports):
    """Not by GET, not without the header, not where it was not allowed, not by another user; the agent lives on."""
    assert ask(ports["open"], "/agent/v1/quit", SAYS)[0] == 404
    assert ask(ports["open"], "/agent/v1/quit", method="POST")[0] == 412
    assert ask(ports["tcp"], "/agent/v1/quit", SAYS, method="POST")[0] == 403
    quits = OVER.replace("GET /v1/secret/data/guarded", "POST /agent/v1/quit").replace(
        "Connection", "Content-Length: 0\\r\\nConnection"
    )
    assert " 403 " in as_nobody(quits, "tcp", str(ports["open"]))
    assert agent.health()["state"] == "fine"


def test_128_the_aws_endpoint_wants_its_token(agent, ports):
    """Without it, with a wrong one, with two, or sent on, nothing is given; with it, the secret is."""
    path = "/secretsmanager/get?secretId=guarded"
    token = (agent.room / "door" / "aws-token").read_text()
    assert stat.S_IMODE((agent.room / "door" / "aws-token").stat().st_mode) == 0o400
    named = "X-Aws-Parameters-Secrets-Token"
    for headers in ({}, {named: ""}, {named: token[:-1]}, {named: f"{token}, {token}"}):
        status, text = ask(ports["aws"], path, headers)
        assert (status, VALUE in text) == (403, False)
    assert ask(ports["aws"], path, {named: token, "X-Forwarded-For": "1.2.3.4"})[0] == 400
    assert ask(ports["aws"], path, {named: token, "Host": "evil.example"})[0] == 403
    status, text = ask(ports["aws"], path, {named: token})
    assert (status, VALUE in text) == (200, True)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v1/secret/data/guarded HTTP/1.1\r\nX-Vault-Request: true\r\n",
        b"GET /v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nX-Vault-Request: true\r\n",
        b"GET /v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request : true\r\n",
        b"GET /v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"GET /v1/secret%2fdata/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nConnection: close\r\n",
        b"GET http://evil.example/v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nConnection: close\r\n",
        b"GET /v1/secret/data/guarded HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nX-Filler: "
        + b"x" * 70000
        + b"\r\n",
    ],
)
def test_128_what_is_no_request_is_refused(agent, ports, request_line):
    """Answered with 400 and a like, or not at all; the door stays open."""
    told = talk(f"http://127.0.0.1:{ports['open']}", request_line + b"\r\n")
    assert VALUE.encode() not in told
    assert told.startswith(b"HTTP/1.1 4")
    assert ask(ports["open"], headers=SAYS)[0] == 200


def refused(folder, config):
    """What an agent says of a configuration that it does not take."""
    (folder / "agent.toml").write_text(config)
    command = [*own_command(), "agent", "run", "--config", str(folder / "agent.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    return done.stderr


def test_128_an_agent_listens_on_this_machine_only(tmp_path):
    """Any other address is refused before anything else is done."""
    for address in ("0.0.0.0:8100", "192.0.2.1:8100", "[::]:8100", "example.org:8100"):
        assert "on this machine only" in refused(tmp_path, f'[[listener]]\ntcp = "{address}"\n')


def test_128_a_folder_that_others_can_change_gets_no_socket(tmp_path):
    """Nor a place where something else lies; a socket that somebody listens at stays theirs."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(tmp_path / "taken"))
        line.listen()
        (tmp_path / "file").write_text("kept")
        for path, problem in (
            (shared / "s", "others can change"),
            (tmp_path / "file", "is no socket"),
            (tmp_path / "taken", "listens at"),
        ):
            assert problem in refused(tmp_path, f'[[listener]]\nsocket = "{path}"\n')
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_128_a_file_that_another_user_left_is_no_secret_of_ours(tmp_path):
    """In a folder where all may write: neither the token that AWS's callers show nor one to log in with; the owner that was named may."""
    token = tmp_path / "shared" / "token"
    token.parent.mkdir()
    token.parent.chmod(0o1777)
    private(token, "planted-by-another-user")
    os.chown(token, NOBODY, NOBODY)
    aws = f'[login]\nonce = true\ntoken-file = "{tmp_path}/missing"\n[aws]\nlisten = "127.0.0.1:{free_port()}"\ntoken-file = "{token}"\n'
    assert "another user wrote" in refused(tmp_path, aws)
    login = (
        f'[login]\nonce = true\ntoken-file = "{token}"\n[[sink]]\non-disk = true\npath = "{tmp_path}/sink"\n'
    )
    assert "another user wrote" in refused(tmp_path, login)
    named = refused(tmp_path, f'{aws}owner = "{NOBODY}:{NOBODY}"\n')
    assert "another user wrote" not in named
    assert "no such file" in named


@pytest.mark.parametrize(
    "path",
    [
        "/secretsmanager/get?secretId=guarded&endpoint=http://127.0.0.1:1/",
        "/secretsmanager/get?secretId=file:///etc/passwd",
        "/secretsmanager/get?secretId=../../../etc/passwd",
        "/secretsmanager/get?secretId=http://127.0.0.1:1/x",
    ],
)
def test_129_who_asks_names_no_file_and_no_address(agent, ports, path):
    """The AWS endpoint's callers name secrets: what looks like a path or an address is no secret, and nothing is opened or called."""
    token = (agent.room / "door" / "aws-token").read_text().strip()
    status, text = ask(ports["aws"], path, {"X-Aws-Parameters-Secrets-Token": token})
    assert status in {400, 404}
    assert "root:" not in text
    assert agent.health()["state"] == "fine"


def test_131_the_agent_s_memory_and_environment_are_closed(agent):
    """Another process of its user, if it is not root, cannot read them; its command line holds no secret; it leaves no core."""
    pid = agent.process.pid
    assert VALUE.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert Path(f"/proc/{pid}/status").stat().st_uid == 0
    assert "Max core file size        1" in Path(f"/proc/{pid}/limits").read_text()
