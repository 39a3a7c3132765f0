"""The program that an agent runs, a Vault agent's configuration, systemd's ear, and kill -9."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from .conftest import APPROLE, private, until

PROGRAM = """
import os, signal, sys, time
told = open(sys.argv[1], "a", buffering=1)
signal.signal(signal.SIGTERM, lambda *_: (told.write("term\\n"), sys.exit(3)))
signal.signal(signal.SIGHUP, lambda *_: told.write("hup\\n"))
told.write(f"up {os.getpid()} {os.environ.get('KEY')} {os.environ.get('ML_SECRETS_TOKEN')}\\n")
time.sleep(60)
"""
EXEC = """
[server]
address = "{url}"
[exec]
command = ["{python}", "{folder}/program.py", "{folder}/told"]
stop-timeout = "5s"
{more}
[exec.env]
KEY = '{{{{ secret("secret/exec/key").value }}}}'
"""


@pytest.fixture
def told(tmp_path, root):
    """What the program has said so far, in lines; its secret is "one"."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "told").touch()
    root.kv.put("exec/key", {"value": "one"})
    return lambda: (tmp_path / "told").read_text().splitlines()


@pytest.fixture
def config(dev_server, tmp_path, role, door):
    """A configuration with that program: `config(more)`."""

    def text(more="", program=sys.executable):
        return APPROLE + EXEC.format(url=dev_server.url, python=program, folder=tmp_path, more=more) + door

    return text


def test_the_program_has_its_secrets_and_is_started_anew_with_others(agents, root, told, config):
    """Its variable is there, the agent's token is not; after a rotation it is stopped and started; at the end it is stopped."""
    agent = agents(config(), environment={"ML_SECRETS_TOKEN": "not-for-others"})
    until(lambda: len(told()) == 1)
    process = int(told()[0].split()[1])
    assert told()[0] == f"up {process} one None"
    assert agent.health()["program"] == process
    assert b"not-for-others" not in Path(f"/proc/{process}/environ").read_bytes()
    root.kv.put("exec/key", {"value": "two"})
    until(lambda: len(told()) == 3)
    assert told()[1] == "term"
    assert told()[2].split()[2] == "two"
    assert agent.stop() == 0
    assert told()[3] == "term"


def test_the_program_gets_a_signal_where_that_is_asked_for(agents, root, told, config):
    """on-change = "HUP": the same process, told."""
    agents(config('on-change = "HUP"'))
    until(lambda: len(told()) == 1)
    root.kv.put("exec/key", {"value": "two"})
    until(lambda: told()[1:] == ["hup"])


def test_the_program_outlasts_a_configuration_that_says_the_same_of_it(agents, root, told, config):
    """SIGHUP with another poll is no restart; with another variable it is."""
    agent = agents(config())
    until(lambda: len(told()) == 1)
    agent.configure('poll = "7s"\n' + config())
    agent.signal(signal.SIGHUP)
    until(lambda: agent.log.read_text().count("everything is there") > 1)
    assert len(told()) == 1
    agent.configure(config().replace(".value }}", ".value }}!"))
    agent.signal(signal.SIGHUP)
    until(lambda: len(told()) == 3)
    assert told()[2].split()[2] == "one!"


def test_the_program_is_started_again_as_it_is_said(agents, told, config):
    """Killed, it is there again, after a pause; the agent's health counts it."""
    agent = agents(config('restart = "always"'))
    until(lambda: len(told()) == 1)
    os.kill(int(told()[0].split()[1]), signal.SIGKILL)
    until(lambda: len(told()) == 2)
    assert agent.health()["restarts"] == 1


@pytest.mark.parametrize(("restart", "code"), [("on-failure", 0), ("never", 7)])
def test_the_program_s_end_is_the_agent_s(agents, told, config, tmp_path, restart, code):
    """Where it is not started again the agent ends with its exit code."""
    (tmp_path / "program.py").write_text(f"import sys\nsys.exit({code})\n")
    agent = agents(config(f'restart = "{restart}"'), wait=False)
    assert agent.process.wait(20) == code


def test_nothing_is_left_of_the_program_when_the_agent_is_killed(agents, told, config):
    """kill -9 of the agent ends its program within a second."""
    agent = agents(config())
    until(lambda: len(told()) == 1)
    process = int(told()[0].split()[1])
    agent.process.kill()
    agent.process.wait()

    def gone():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    until(gone, 1)


HCL = """
# as Vault's documentation has it
pid_file = "{folder}/agent.pid"
vault {{
  address = "{url}"
  retry {{ num_retries = 5 }}
}}
auto_auth {{
  method "approle" {{
    mount_path = "auth/approle"
    config = {{
      role_id_file_path = "{folder}/role-id"
      secret_id_file_path = "{folder}/secret-id"
      remove_secret_id_file_after_reading = false
    }}
  }}
  sink "file" {{
    config = {{
      path = "{room}/out/token"
      mode = 0600
    }}
  }}
}}
cache {{ use_auto_auth_token = true }}
listener "unix" {{
  address = "{room}/door/agent.sock"
  tls_disable = true
  agent_api {{ enable_quit = true }}
}}
template_config {{ static_secret_render_interval = "5m" }}
template {{
  destination = "{room}/out/db.env"
  perms = "0600"
  contents = <<-EOT
    {{{{- with secret "secret/data/agent/db" }}}}
    DB_USER={{{{ .Data.data.user }}}}
    DB_PASSWORD={{{{ .Data.data.password }}}}
    {{{{- end }}}}
  EOT
  exec {{ command = ["sh", "-c", "echo changed >> {folder}/told"] }}
}}
"""


def test_a_vault_agent_s_configuration_runs_as_it_is(agents, root, role, room, dev_server, tmp_path):
    """Login, sink, template with a here-document and a command, listener, pid file and quit."""
    root.kv.put("agent/db", {"user": "app", "password": "one"})
    agent = agents(HCL.format(folder=tmp_path, url=dev_server.url, room=room), name="agent.hcl")
    assert (room / "out" / "db.env").read_text() == "\nDB_USER=app\nDB_PASSWORD=one\n"
    assert (tmp_path / "agent.pid").read_text() == f"{agent.process.pid}\n"
    assert (
        agent.ask(
            "GET", "/v1/auth/token/lookup-self", {"X-Vault-Token": (room / "out" / "token").read_text()}
        )[0]
        == 200
    )
    root.kv.put("agent/db", {"user": "app", "password": "two"})
    until(lambda: (tmp_path / "told").read_text() == "changed\nchanged\n")
    assert agent.ask("POST", "/agent/v1/quit")[0] == 200
    assert agent.process.wait(15) == 0
    assert not (tmp_path / "agent.pid").exists()


def test_a_pid_file_is_its_agent_s_alone(agents, root, role, room, dev_server, tmp_path):
    """A second agent that cannot start leaves the first one's; a link in its place is not followed."""
    root.kv.put("agent/db", {"user": "app", "password": "one"})
    config = HCL.format(folder=tmp_path, url=dev_server.url, room=room)
    first = agents(config, name="agent.hcl")
    assert agents(config, name="agent.hcl", wait=False).process.wait(20) == 1
    assert (tmp_path / "agent.pid").read_text() == f"{first.process.pid}\n"
    first.stop()
    (tmp_path / "other").write_text("kept")
    (tmp_path / "agent.pid").symlink_to(tmp_path / "other")
    assert agents(config, name="agent.hcl", wait=False).process.wait(20) == 1
    assert (tmp_path / "other").read_text() == "kept"


def test_the_same_in_json(agents, root, role, room, dev_server, tmp_path):
    """A Vault agent's process supervisor, as JSON: exec and env_template."""
    root.kv.put("exec/key", {"value": "one"})
    tree = {
        "vault": {"address": dev_server.url},
        "auto_auth": {
            "method": [
                {
                    "type": "approle",
                    "config": {"role_id_file_path": "role-id", "secret_id_file_path": "secret-id"},
                }
            ]
        },
        "env_template": [
            {"KEY": {"contents": '{{ with secret "secret/data/exec/key" }}{{ .Data.data.value }}{{ end }}'}}
        ],
        "exec": {
            "command": ["sh", "-c", f"printf %s $KEY > {tmp_path}/told; exit 4"],
            "restart_on_secret_changes": "always",
        },
    }
    agent = agents(json.dumps(tree), name="agent.json", wait=False)
    assert agent.process.wait(20) == 4
    assert (tmp_path / "told").read_text() == "one"


def test_systemd_is_told(agents, root, role, room, dev_server, door, tmp_path):
    """READY once all is there, signs of life, RELOADING and READY with SIGHUP, STOPPING at the end."""
    root.kv.put("agent/db", {"password": "one"})
    template = f'\n[[template]]\ncontents = \'{{{{ secret("secret/agent/db#password") }}}}\'\npath = "{room}/out/x"\n'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        agent = agents(
            f'[server]\naddress = "{dev_server.url}"\n' + APPROLE + door + template, environment=environment
        )

        def heard(wanted):
            while True:
                lines = ear.recv(4096).decode().splitlines()
                if wanted in lines:
                    return lines

        heard("READY=1")
        assert (room / "out" / "x").read_text() == "one"
        heard("WATCHDOG=1")
        agent.signal(signal.SIGHUP)
        assert any(line.startswith("MONOTONIC_USEC=") for line in heard("RELOADING=1"))
        heard("READY=1")
        agent.signal(signal.SIGTERM)
        heard("STOPPING=1")


def test_a_log_that_cannot_be_written_ends_no_agent(agents, root, role, room, dev_server, door):
    """On a full disk (/dev/full) it logs in, follows, and says nothing of a secret that is gone."""
    root.kv.put("agent/db", {"password": "one"})
    private(role / "token", root.token.reveal())
    template = f'\n[[template]]\ncontents = \'{{{{ secret("secret/agent/db#password") }}}}\'\npath = "{room}/out/x"\n'
    config = f'[server]\naddress = "{dev_server.url}"\n[login]\ntoken-file = "token"\n' + door + template
    (role / "agent.log").symlink_to("/dev/full")
    agent = agents(config, wait=False)
    agent.log = role / "agent.toml"  # what it was started with is no file to be read
    agent.fine()
    root.kv.delete_all("agent/db")
    until(lambda: agent.health()["problems"])
    root.kv.put("agent/db", {"password": "two"})
    until(lambda: (room / "out" / "x").read_text() == "two")
    assert agent.stop() == 0


def test_after_kill_9_the_next_agent_takes_over(agents, root, role, room, dev_server, door):
    """The socket that was left is replaced, files that were left are taken as they are, and nothing half done stays."""
    root.kv.put("agent/db", {"password": "one"})
    private(role / "token", root.token.reveal())
    template = f'\n[[template]]\ncontents = \'{{{{ secret("secret/agent/db#password") }}}}\'\npath = "{room}/out/x"\n'
    config = f'[server]\naddress = "{dev_server.url}"\n[login]\ntoken-file = "token"\n' + door + template
    for number in range(3):
        agent = agents(config)
        root.kv.put("agent/db", {"password": str(number)})
        time.sleep(0.01 * number)
        agent.process.kill()
        agent.process.wait()
    agents(config)
    until(lambda: (room / "out" / "x").read_text() == "2")
    assert [path.name for path in (room / "out").iterdir()] == ["x"]
    assert [path.name for path in (room / "door").iterdir()] == ["agent.sock"]
