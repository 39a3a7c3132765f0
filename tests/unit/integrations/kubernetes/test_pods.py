"""What a patch says, done: the containers that it adds run against a real server, in a pod's volumes, as the pod's user. No kubelet took part."""

import json
import time

import pytest
from tests.soon import eventually
from tests.unit.integrations.kubernetes.asked import Webhook, recorded

from ml_secrets import Client

OURS = {
    "ml-secrets.io/inject": "init",
    "ml-secrets.io/identity": "identity-train",
    "ml-secrets.io/secret-DB_PASSWORD_FILE": "secret://secret/team-a/db#password",
    "ml-secrets.io/secret-db-url": "postgres://{{ secret://secret/team-a/db#user }}@db/{% app %}",
}
TEMPLATE = '{{ secret("secret/team-a/db").user }}:{{ secret("secret/team-a/db").password }}'
THEIRS = {
    "vault.hashicorp.com/agent-inject": "true",
    "vault.hashicorp.com/role": "train",
    "vault.hashicorp.com/agent-inject-secret-db": "secret/data/team-a/db",
    "vault.hashicorp.com/agent-inject-secret-Config": "secret/data/team-a/db",
    "vault.hashicorp.com/agent-inject-file-Config": "config.txt",
    "vault.hashicorp.com/agent-inject-template-Config": (
        '{{- with secret "secret/data/team-a/db" -}}{{ .Data.data.user }}={{ .Data.data.password }}{{- end -}}'
    ),
    "vault.hashicorp.com/agent-inject-perms-Config": "0440",
}


@pytest.fixture
def db(dev_server, identities):
    """The secret that all of them name, as it was; `put` changes it."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        root.kv.put("team-a/db", {"user": "ada", "password": "fake-1"})
        yield root.kv


def seen(pod, folder):
    """What the job's container sees in its folder: {name: (mode, owner, content)}."""
    script = f"import json, os, pathlib; print(json.dumps({{p.name: (oct(p.stat().st_mode)[-4:], p.stat().st_uid, p.read_text()) for p in pathlib.Path('{folder}').iterdir()}}))"
    code, out = pod.run(pod.container("train"), ["python", "-c", script])
    assert code == 0, out
    return {name: tuple(about) for name, about in json.loads(out).items()}


def ready(pod, agent):
    """Wait as a kubelet does, by the probe: it is asked until it says yes."""
    for _ in range(agent["startupProbe"]["failureThreshold"]):
        code, out = pod.run(agent, agent["startupProbe"]["exec"]["command"])
        if code == 0:
            return
        assert pod.processes[0].poll() is None, pod.processes[0].communicate()[0]
        time.sleep(0.1)
    raise AssertionError(out)


def test_an_init_container_writes_the_files_for_the_pod(webhook, pods, db):
    """`fetch`, as the pod's user: 0400, what the references name, at the pod's path and read-only there; a variable holds its file's path."""
    response, patched = webhook.ask(recorded("pod-of-a-job", OURS))
    assert response["allowed"], response
    pod = pods(patched)
    code, out = pod.run(pod.container("ml-secrets-fetch"))
    assert code == 0, out
    assert "fake-1" not in out
    assert seen(pod, "/run/ml-secrets") == {
        "db_password": ("0400", 1234, "fake-1"),
        "db-url": ("0400", 1234, "postgres://ada@db/{% app %}"),
    }
    code, out = pod.run(
        pod.container("train"), ["sh", "-c", "cat $DB_PASSWORD_FILE; touch /run/ml-secrets/x"]
    )
    assert (code, out.startswith("fake-1touch: ")) == (1, True)
    assert "Read-only file system" in out


@pytest.mark.parametrize("kind", ["init", "sidecar"])
def test_a_group_of_volumes_opens_nothing(webhook, pods, db, kind):
    """fsGroup: the volume is that group's, and hands it down. The files are their user's alone all the same."""
    context = {"runAsUser": 1234, "runAsGroup": 1234, "fsGroup": 2000}
    asked = recorded("pod-of-a-job", OURS | {"ml-secrets.io/inject": kind}, securityContext=context)
    _, patched = webhook.ask(asked)
    pod = pods(patched)
    ours = patched["spec"]["initContainers"][-1]
    if kind == "init":
        code, out = pod.run(ours)
        assert code == 0, out
    else:
        pod.start(ours)
        ready(pod, ours)
    assert seen(pod, "/run/ml-secrets")["db_password"] == ("0400", 1234, "fake-1")
    assert (pod.room / "ml-secrets-files" / "files").stat().st_mode & 0o777 == 0o700


def test_a_template_is_written_once_by_an_agent(webhook, pods, db):
    """`inject: init` with a template: an agent that ends; a text with references is what `fetch` makes of it."""
    annotations = OURS | {"ml-secrets.io/template-login": TEMPLATE, "ml-secrets.io/mode-login": "0440"}
    _, patched = webhook.ask(recorded("pod-of-a-job", annotations))
    pod = pods(patched)
    code, out = pod.run(pod.container("ml-secrets-fetch"))
    assert code == 0, out
    assert seen(pod, "/run/ml-secrets") == {
        "db_password": ("0400", 1234, "fake-1"),
        "db-url": ("0400", 1234, "postgres://ada@db/{% app %}"),
        "login": ("0440", 1234, "ada:fake-1"),
    }


def test_a_sidecar_keeps_the_files_fresh(webhook, pods, db):
    """An agent that is an init container which stays: its probe lets the pod begin once every file is there; a rotation is there soon after, and its command was run."""
    annotations = OURS | {
        "ml-secrets.io/inject": "true",
        "ml-secrets.io/template-login": TEMPLATE,
        "ml-secrets.io/command-login": "cat /run/ml-secrets/files/login > /run/ml-secrets/told",
    }
    _, patched = webhook.ask(recorded("pod-of-a-job", annotations))
    agent = patched["spec"]["initContainers"][-1]
    assert agent["restartPolicy"] == "Always"
    assert len(patched["spec"]["containers"]) == 1, "a sidecar of the old kind keeps a Job from ending"
    pod = pods(patched)
    pod.start(agent)
    ready(pod, agent)
    assert seen(pod, "/run/ml-secrets")["login"] == ("0400", 1234, "ada:fake-1")
    db.put("team-a/db", {"user": "ada", "password": "fake-2"})
    ends = time.monotonic() + 10
    while seen(pod, "/run/ml-secrets")["login"][2] != "ada:fake-2":
        assert time.monotonic() < ends
    assert seen(pod, "/run/ml-secrets")["db_password"][2] == "fake-2"
    assert eventually(lambda: (pod.room / "ml-secrets-files" / "told").read_text() == "ada:fake-2")


def test_a_vault_pod_runs_as_it_is(webhook, pods, db):
    """Vault's annotations: files in /vault/secrets, names in lower case or as said, its templates converted, nothing for others."""
    response, patched = webhook.ask(recorded("pod-of-a-job", THEIRS))
    assert response["allowed"], response
    pod = pods(patched)
    agent = patched["spec"]["initContainers"][-1]
    pod.start(agent)
    ready(pod, agent)
    assert seen(pod, "/vault/secrets") == {
        "db": ("0400", 1234, "password: fake-1\nuser: ada\n"),
        "config.txt": ("0440", 1234, "ada=fake-1"),
    }


def test_a_rotated_secret_id_is_used(webhook, pods, db, identities, dev_server):
    """A Secret that changes is replaced by the kubelet's rename of ..data: the agent's next login reads it there, through the links."""
    secrets = {"identity-train": dict(identities["identity-train"])}
    _, patched = webhook.ask(recorded("pod-of-a-job", OURS | {"ml-secrets.io/template-login": TEMPLATE}))
    pod = pods(patched, secrets=secrets)
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        fresh = root.write("auth/approle/role/train/secret-id").data["secret_id"]
    wrong = pod.change("ml-secrets-identity", secrets["identity-train"] | {"secret-id": "no-such-id"})
    process = pod.start(pod.container("ml-secrets-fetch"))
    assert "not logged in" in process.stdout.readline()
    pod.change("ml-secrets-identity", wrong | {"secret-id": fresh})
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out


def test_who_may_not_gets_nothing(webhook, pods, db):
    """A pod with another identity: its init container fails, by name of the secret, and no file is there."""
    _, patched = webhook.ask(recorded("pod-of-a-job", OURS | {"ml-secrets.io/identity": "identity-stranger"}))
    pod = pods(patched)
    code, out = pod.run(pod.container("ml-secrets-fetch"))
    assert code == 2
    assert "secret://secret/team-a/db" in out
    assert seen(pod, "/run/ml-secrets") == {}


def test_a_vault_agents_own_configuration_is_run(webhook, pods, db):
    """agent-configmap: config-init.hcl fills the folder, config.hcl stays beside the pod's containers; both log in by the extra Secret."""
    common = """
auto_auth { method "approle" { config {
  role_id_file_path = "/vault/custom/role-id"
  secret_id_file_path = "/vault/custom/secret-id"
} } }
template {
  destination = "/vault/secrets/db"
  contents = "{{ with secret \\"secret/data/team-a/db\\" }}{{ .Data.data.password }}{{ end }}"
}
"""
    annotations = {
        "vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/agent-configmap": "agents",
        "vault.hashicorp.com/agent-extra-secret": "identity-train",
    }
    _, patched = webhook.ask(recorded("pod-of-a-job", annotations))
    configs = {"config-init.hcl": f"exit_after_auth = true\n{common}", "config.hcl": common}
    pod = pods(patched, configmaps={"agents": configs})
    code, out = pod.run(pod.container("ml-secrets-fetch"))
    assert code == 0, out
    assert seen(pod, "/vault/secrets") == {"db": ("0400", 1234, "fake-1")}
    assert [one["name"] for one in patched["spec"]["containers"]] == ["train", "ml-secrets-agent"]
    pod.start(pod.container("ml-secrets-agent"))
    db.put("team-a/db", {"user": "ada", "password": "fake-2"})
    ends = time.monotonic() + 15
    while seen(pod, "/vault/secrets")["db"][2] != "fake-2":
        assert time.monotonic() < ends


def test_an_older_cluster_gets_two_containers(tmp_path, dev_server, pods, db):
    """sidecar = "classic": what `fetch` wrote, an agent beside the pod's containers goes on with; the server's API is on the pod's loopback."""
    config = tmp_path / "webhook.toml"
    config.write_text(
        '[inject]\nsidecar = "classic"\nuser = 4321\ngroup = 4321\n[login]\nidentity = "identity-train"\n'
    )
    running = Webhook(
        tmp_path, "--config", str(config), "--address", dev_server.url, "--image", "ours"
    ).start()
    try:
        annotations = OURS | {"ml-secrets.io/inject": "sidecar", "ml-secrets.io/proxy-port": "18234"}
        del annotations["ml-secrets.io/identity"]
        _, patched = running.ask(recorded("pod-of-a-job", annotations))
    finally:
        assert running.stop() == 0
    pod = pods(patched)
    fetcher, agent = pod.container("ml-secrets-fetch"), pod.container("ml-secrets-agent")
    assert fetcher["args"][0] == "fetch"
    code, out = pod.run(fetcher)
    assert code == 0, out
    pod.start(agent)
    health = ["ml-secrets", "agent", "health", "--socket", "/run/ml-secrets/door/agent.sock"]
    ends = time.monotonic() + 15
    while pod.run(agent, health)[0]:
        assert time.monotonic() < ends
    asked = {"ML_SECRETS_ADDR": "http://127.0.0.1:18234", "PYTHONPATH": ""}
    job = pod.container("train") | {
        "env": [{"name": name, "value": value} for name, value in asked.items() if value]
    }
    code, out = pod.run(job, ["ml-secrets", "kv", "get", "--field", "password", "secret/team-a/db"])
    assert (code, out.strip()) == (0, "fake-1")
