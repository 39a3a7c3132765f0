"""An agent logs in, writes a template's file, and writes it anew when a secret of it changes."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from ml_secrets import Client
from ml_secrets.testing import programs

from .conftest import APPROLE, private, until

TEMPLATE = """
[server]
address = "{url}"
[[template]]
contents = 'password={{{{ secret("secret/agent/db").password }}}}'
path = "{room}/out/db.env"
"""
LOGINS = {
    "token": '[login]\nmethod = "token"\ntoken-file = "token"\n',
    "approle": APPROLE,
    "userpass": '[login]\nmethod = "userpass"\nusername = "ada"\npassword-file = "password"\n',
}


@pytest.fixture
def out(root, room):
    """The file that TEMPLATE writes, its secret being "first"."""
    root.kv.put("agent/db", {"password": "first"})
    return room / "out" / "db.env"


@pytest.fixture
def config(dev_server, room, door):
    """TEMPLATE and a door."""
    return TEMPLATE.format(url=dev_server.url, room=room) + door


@pytest.mark.parametrize("method", LOGINS)
def test_a_file_is_written_and_follows_rotation(agents, root, role, out, config, method):
    """By each login method: the file is 0400 and whole, and a rotation reaches it within a second."""
    agent = agents(LOGINS[method] + config)
    assert out.read_text() == "password=first"
    assert stat.S_IMODE(out.stat().st_mode) == 0o400
    assert (role / "secret-id").exists() == (method != "approle")
    root.kv.put("agent/db", {"password": "second"})
    began = time.monotonic()
    until(lambda: out.read_text() == "password=second")
    assert time.monotonic() - began < 1
    health = agent.health()
    assert (health["follows"], health["problems"], health["logged_in"]) == ("events", {}, True)
    assert agent.stop() == 0
    assert out.read_text() == "password=second"
    assert "first" not in agent.log.read_text()
    assert "second" not in agent.log.read_text()


def test_who_may_not_listen_to_events_watches(agents, root, out, config, tmp_path):
    """A token that may read the secret and nothing else has its file within a second of a rotation, too."""
    root.write(
        "sys/policies/acl/reads-only", {"policy": 'path "secret/data/agent/*" { capabilities = ["read"] }'}
    )
    token = root.write("auth/token/create", {"policies": ["reads-only"]}).auth["client_token"]
    private(tmp_path / "token", token)
    agent = agents(LOGINS["token"] + config)
    until(lambda: agent.health()["follows"] == "watch")
    root.kv.put("agent/db", {"password": "second"})
    began = time.monotonic()
    until(lambda: out.read_text() == "password=second")
    assert time.monotonic() - began < 1


def test_openbao_is_asked_now_and_then(agents, openbao, room, door, tmp_path):
    """A server without events is asked every `poll` seconds."""
    with Client(openbao.url, openbao.token, cache_ttl=0) as client:
        client.kv.put("agent/db", {"password": "first"})
        private(tmp_path / "token", openbao.token)
        agent = agents('poll = "1s"\n' + LOGINS["token"] + TEMPLATE.format(url=openbao.url, room=room) + door)
        assert (room / "out" / "db.env").read_text() == "password=first"
        until(lambda: agent.health()["follows"] == "poll")
        client.kv.put("agent/db", {"password": "second"})
        until(lambda: (room / "out" / "db.env").read_text() == "password=second")


def test_one_secret_that_is_gone_keeps_its_file_and_not_the_others(agents, root, role, out, config, room):
    """A deleted secret leaves its last file and is told of by name; the other file follows its own."""
    other = (
        '\n[[template]]\ncontents = \'{{ secret("secret/agent/other#key") }}\'\npath = "'
        f'{room}/out/other"\n'
    )
    root.kv.put("agent/other", {"key": "one"})
    agent = agents(APPROLE + config + other)
    root.kv.delete("agent/db")
    until(lambda: "secret://secret/agent/db" in agent.health()["problems"])
    root.kv.put("agent/other", {"key": "two"})
    until(lambda: (room / "out" / "other").read_text() == "two")
    assert out.read_text() == "password=first"
    assert agent.health()["state"] == "troubled"
    root.kv.put("agent/db", {"password": "back"})
    until(lambda: out.read_text() == "password=back")
    until(lambda: agent.health()["state"] == "fine")


def test_a_template_that_fails_never_shows_a_value(agents, root, role, out, config):
    """Its file stays, its problem names line and field, and the values in reach are nowhere in the log."""
    agent = agents(APPROLE + config)
    root.kv.put("agent/db", {"other": "a-value-not-to-be-seen"})
    until(lambda: agent.health()["problems"])
    assert "line 1: there is no field 'password'" in str(agent.health()["problems"])
    assert out.read_text() == "password=first"
    assert "a-value-not-to-be-seen" not in agent.log.read_text() + str(agent.health())


@pytest.fixture
def own_server(tmp_path):
    """A server that a test may stop: its store is a folder, its key a file."""
    port = programs.free_port()
    text = (
        f'[storage]\ntype = "sqlite"\npath = "{tmp_path}/store"\n[seal]\ntype = "keyfile"\npath = "{tmp_path}/unseal.key"\n'
        f'[[listener]]\ntype = "tcp"\naddress = "127.0.0.1:{port}"\ntls_disable = true\n'
    )
    (tmp_path / "server.toml").write_text(text)
    return lambda: programs.configured_server(tmp_path / "server.toml", f"http://127.0.0.1:{port}")


def test_the_last_good_file_outlasts_the_server(agents, own_server, room, door, tmp_path):
    """While the server is away the file stays and health says so; past the limit it is stale, and shredded where that was asked for; the server back, it is there again."""
    with own_server() as server:
        made = (
            Client(server.url, "none").write("sys/init", {"recovery_shares": 1, "recovery_threshold": 1}).data
        )
        private(tmp_path / "token", made["root_token"])
        with Client(server.url, made["root_token"], cache_ttl=0) as client:
            client.write("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
            client.kv.put("agent/db", {"password": "first"})
        config = 'stale-limit = "3s"\nwhen-stale = "remove"\n' + LOGINS["token"]
        agent = agents(config + TEMPLATE.format(url=server.url, room=room) + door)
    out = room / "out" / "db.env"
    until(lambda: agent.health()["state"] == "troubled")
    assert out.read_text() == "password=first"
    until(lambda: agent.health()["state"] == "stale")
    until(lambda: not out.exists())
    assert agent.ask("GET", "/agent/v1/health")[0] == 503
    with own_server():
        until(lambda: out.exists() and out.read_text() == "password=first", 60)


def test_sinks_have_the_token_and_the_next_one(agents, root, role, out, config, room):
    """A sink holds the agent's token, a wrapped one what gives it once; a token that is revoked is replaced in both."""
    sinks = (
        f'\n[[sink]]\npath = "{room}/out/token"\n[[sink]]\npath = "{room}/out/wrapped"\nwrap-ttl = "60s"\n'
    )
    agents(APPROLE.replace("remove-secret-id-file = true", "") + config + sinks)
    first = (room / "out" / "token").read_text()
    wrapped = json.loads((room / "out" / "wrapped").read_text())
    with Client(root.settings.address, wrapped["token"]) as client:
        assert client.write("sys/wrapping/unwrap").data["token"] == first
    with Client(root.settings.address, first, cache_ttl=0) as client:
        assert client.get_secret("agent/db")["password"].reveal() == "first"
    root.write("auth/token/revoke", {"token": first})
    root.kv.put("agent/db", {"password": "second"})
    until(lambda: (room / "out" / "token").read_text() != first)
    until(lambda: out.read_text() == "password=second")


def test_a_token_is_renewed_for_as_long_as_it_lives_and_then_there_is_another_login(
    agents, root, role, out, config
):
    """With tokens of two seconds and a maximum of four, the file follows rotations for eight seconds."""
    root.write("auth/approle/role/agents", {"token_ttl": "2s", "token_max_ttl": "4s"})
    try:
        agent = agents(APPROLE + config)
        for number in range(8):
            time.sleep(1)
            root.kv.put("agent/db", {"password": str(number)})
            until(lambda number=number: out.read_text() == f"password={number}", 5)
        assert agent.health()["logged_in"]
    finally:
        root.write("auth/approle/role/agents", {"token_ttl": "1h", "token_max_ttl": "0"})


def test_once_writes_everything_and_ends(agents, root, role, out, config):
    """Exit code 0 and the file; exit code 1 and what is wrong where a secret is not there."""
    agent = agents(APPROLE + config, "--once", wait=False)
    assert agent.process.wait(20) == 0
    assert out.read_text() == "password=first"
    private(role / "secret-id", root.write("auth/approle/role/agents/secret-id").data["secret_id"])
    agent.configure(agent.config.read_text().replace("agent/db", "agent/nothing-there"))
    assert agent.start("--once").process.wait(20) == 1
    assert "no secret 'agent/nothing-there'" in agent.log.read_text()


def test_a_change_runs_its_command_and_signals_its_process(agents, root, role, out, config, room, tmp_path):
    """The command runs once for what changed, without the agent's token; the process of the pid file gets its signal."""
    told = tmp_path / "told"
    program = "import signal,sys,time;signal.signal(signal.SIGHUP,lambda *_:(print('hup',flush=True),sys.exit()));print('up',flush=True);time.sleep(60)"
    listening = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert listening.stdout.readline() == "up\n"
    (tmp_path / "pid").write_text(str(listening.pid))
    more = f"""
[[template]]
contents = '{{{{ secret("secret/agent/other#key") }}}}'
path = "{room}/out/other"
on-change = "HUP"
pid-file = "{tmp_path}/pid"
"""
    command = ["sh", "-c", f'echo "$ML_SECRETS_TOKEN|changed" >> {told}']
    root.kv.put("agent/other", {"key": "one"})
    (room / "out").mkdir(0o700)
    (room / "out" / "other").write_text("one")
    (room / "out" / "other").chmod(0o400)
    agents(
        APPROLE + config.replace('out/db.env"', f'out/db.env"\non-change = {command}') + more,
        environment={"ML_SECRETS_TOKEN": "not-for-others"},
    )
    assert told.read_text() == "|changed\n"
    root.kv.put("agent/db", {"password": "second"})
    until(lambda: told.read_text() == "|changed\n|changed\n")
    assert listening.poll() is None
    root.kv.put("agent/other", {"key": "two"})
    assert listening.stdout.readline() == "hup\n"
    listening.wait(10)
    listening.stdout.close()


def test_sighup_reads_the_configuration_anew(agents, root, role, out, config, room):
    """Another template is written without another login; a wrong configuration changes nothing, and is told of."""
    agent = agents(APPROLE + config)
    token = json.loads(agent.ask("GET", "/v1/auth/token/lookup-self")[1])["data"]["id"]
    agent.configure(APPROLE + config.replace("password={{", "changed={{"))
    agent.signal(signal.SIGHUP)
    until(lambda: out.read_text() == "changed=first")
    assert json.loads(agent.ask("GET", "/v1/auth/token/lookup-self")[1])["data"]["id"] == token
    agent.configure("[[template]]\nnonsense = true\n")
    agent.signal(signal.SIGHUP)
    until(lambda: "the configuration stays as it was" in agent.log.read_text())
    root.kv.put("agent/db", {"password": "second"})
    until(lambda: out.read_text() == "changed=second")
    assert agent.stop() == 0


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_reader_never_sees_half_a_file(agents, root, role, out, config, count):
    """While a secret of 8,000 characters is rotated so often, each look finds one whole version, and none older than the last."""
    root.kv.put("agent/db", {"password": "0" * 8000})
    agents(APPROLE + config)
    over, seen = threading.Event(), []

    def read():
        while not over.is_set():
            seen.append(out.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, count):
        root.kv.put("agent/db", {"password": f"{number:x}".rjust(8, "0") * 1000})
    last = f"{count - 1:x}".rjust(8, "0") * 1000
    until(lambda: out.read_text() == f"password={last}")
    over.set()
    reader.join()
    found = [text.removeprefix("password=") for text in seen]
    assert all(len(text) == 8000 and text == text[:8] * 1000 for text in found)
    assert sorted(found) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_can_be_another_user_s(agents, root, role, room, door, dev_server):
    """Mode and owner as they are said, in a folder that is made for them."""
    root.kv.put("agent/db", {"password": "first"})
    room.chmod(0o755)
    more = 'owner = "65534:65534"\nmode = "0440"\n'
    agents(APPROLE + TEMPLATE.format(url=dev_server.url, room=room) + more + door)
    about = (room / "out" / "db.env").stat()
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (65534, 65534, 0o440)
    assert (room / "out").stat().st_uid == 65534


def test_a_folder_that_was_taken_away_is_made_anew(agents, root, role, out, config):
    """At the next rotation, checked as the first one was; what somebody put in its place that others can change is refused."""
    agent = agents(APPROLE + config)
    shutil.rmtree(out.parent)
    root.kv.put("agent/db", {"password": "second"})
    until(lambda: out.exists() and out.read_text() == "password=second")
    shutil.rmtree(out.parent)
    out.parent.mkdir(0o777)
    root.kv.put("agent/db", {"password": "third"})
    until(lambda: "others can write" in str(agent.health()["problems"]))
    assert not out.exists()
