"""Webhooks, Secrets of a namespace, and pods whose volumes are laid out."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from tests.unit.integrations.kubernetes import layout
from tests.unit.integrations.kubernetes.asked import IMAGE, Webhook

from ml_secrets import Client


@pytest.fixture(scope="module")
def webhook(tmp_path_factory, dev_server):
    """One for the development server, with a Secret for each role."""
    folder = tmp_path_factory.mktemp("webhook")
    config = folder / "webhook.toml"
    config.write_text('[login]\nidentity = "identity-{role}"\n')
    running = Webhook(folder, "--config", str(config), "--address", dev_server.url, "--image", IMAGE).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def identities(dev_server):
    """The Secrets of the pods' namespace, made of files that end in a line break: an AppRole that reads secret/team-a, and one that reads nothing."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        with contextlib.suppress(Exception):
            root.write("sys/auth/approle", {"type": "approle"})
        root.write(
            "sys/policies/acl/pods", {"policy": 'path "secret/data/team-a/*" { capabilities = ["read"] }'}
        )
        found = {}
        for role, policies in (("train", "pods"), ("stranger", "default")):
            root.write(f"auth/approle/role/{role}", {"token_policies": policies, "token_ttl": "1h"})
            found[f"identity-{role}"] = {
                "role-id": root.read(f"auth/approle/role/{role}/role-id").data["role_id"] + "\n",
                "secret-id": root.write(f"auth/approle/role/{role}/secret-id").data["secret_id"] + "\n",
            }
        root.kv.put("team-a/db", {"user": "ada", "password": "fake-1"})
        yield found


@pytest.fixture
def pods(identities):
    """`pods(patched)`: its volumes laid out in memory."""
    layout.possible()
    rooms, started = [], []

    def lay(pod, **objects):
        room = Path(tempfile.mkdtemp(prefix="ml-secrets-pod-", dir="/dev/shm"))
        rooms.append(room)
        room.chmod(0o755)
        started.append(layout.Pod(pod, room, secrets=identities | objects.pop("secrets", {}), **objects))
        return started[-1]

    yield lay
    for pod in started:
        pod.stop()
    for room in rooms:
        shutil.rmtree(room)
