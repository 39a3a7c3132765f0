"""The Helm chart, by Helm's own library, and patched pods, by the schemas of Kubernetes' API. No cluster took part."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import ssl
import tempfile
from pathlib import Path

import grpc
import jsonpatch
import pytest
import yaml
from tests.certificates import certificate
from tests.soon import eventually
from tests.unit.integrations.kubernetes import layout
from tests.unit.integrations.kubernetes.asked import recorded

from ml_secrets.domain.tree import parse
from ml_secrets.integrations.kubernetes import manifest, review, settings
from ml_secrets.testing import programs

helm = pytest.importorskip("helm_python", reason="Helm's library (PyPI helm-python-sdk) is not installed")
validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")

pytestmark = pytest.mark.hosts
ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "ml-secrets"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nfake\n-----END CERTIFICATE-----\n"
IMAGE = {"repository": "registry.example.org/ml-secrets"}
PLAIN = {
    "image": IMAGE,
    "webhook": {
        "address": "https://secrets.example.org:8200",
        "tls": {"secretName": "webhook-tls", "caBundle": AUTHORITY},
    },
}
WHOLE = {
    "image": IMAGE | {"digest": f"sha256:{'0' * 64}", "pullSecrets": ["registry"]},
    "webhook": {
        "serverCa": AUTHORITY,
        "namespace": "team-a",
        "mode": "init",
        "sidecar": "classic",
        "login": {"method": "approle", "identity": "identity-{role}", "mount": "roles"},
        "tls": {"certManager": {"enabled": True, "issuer": {"kind": "ClusterIssuer", "name": "ca"}}},
        "excludedNamespaces": ["legacy"],
        "apiServers": ["192.0.2.0/24"],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
    },
    "server": {
        "enabled": True,
        "tlsSecretName": "server-tls",
        "storage": {"size": "1Gi", "className": "fast"},
    },
}
OF_NODES = {
    "image": IMAGE,
    "webhook": {"enabled": False},
    "csi": {"enabled": True, "address": "https://secrets.example.org:8200", "serverCa": AUTHORITY},
}
OF_THE_SERVER = {
    "image": IMAGE,
    "webhook": {"enabled": False},
    "server": {"enabled": True, "tlsSecretName": "server-tls"},
}
ALL = pytest.mark.parametrize(
    "values", [PLAIN, WHOLE, OF_THE_SERVER, OF_NODES], ids=["plain", "whole", "server", "nodes"]
)


def rendered(values):
    """The chart's objects, in the namespace `safe`."""
    texts = helm.Chart.load(CHART).render(values, name="ml-secrets", namespace="safe")
    found = [
        one for path, text in texts.items() if path.endswith(".yaml") for one in yaml.safe_load_all(text)
    ]
    return {(one["kind"], one["metadata"]["name"]): one for one in found if one}


def containers(objects):
    """Every container of every object, with its pod's spec."""
    for one in objects.values():
        spec = one.get("spec", {}).get("template", {}).get("spec", {})
        for container in spec.get("containers", []):
            yield spec, container


@ALL
def test_helm_finds_nothing_to_say(values):
    """`helm lint --strict`: no error, no warning."""
    report = helm.lint(CHART, values, strict=True, namespace="safe")
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert report["errors"] in ([], None)


@ALL
@pytest.mark.parametrize("version", ["1.30", "1.33", "1.37"])
def test_objects_are_what_kubernetes_knows(values, version):
    """By the schemas of its API, strictly: no field that is not there. cert-manager's own kind is not among them."""
    for (kind, _), one in rendered(values).items():
        if kind != "Certificate":
            validate.validate(one, version, strict=True)


@ALL
def test_no_container_has_rights(values):
    """What the Pod Security Standard "restricted" asks for, a read-only root, and no token of the cluster's. On nodes it is root, without root's powers."""
    found = list(containers(rendered(values)))
    assert found
    for spec, container in found:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"].get("runAsNonRoot") is (None if container["name"] == "csi" else True)
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


@ALL
def test_it_asks_the_cluster_for_no_right(values):
    """No role of any kind."""
    assert not [kind for kind, _ in rendered(values) if "Role" in kind]


def test_the_registration_is_the_one_that_the_command_prints():
    """`ml-secrets webhook manifest`, but for labels: written in two places, the same in both."""
    (found,) = (one for (kind, _), one in rendered(PLAIN).items() if kind == "MutatingWebhookConfiguration")
    del found["metadata"]["labels"]
    assert found == manifest.configuration("ml-secrets-webhook", "safe", AUTHORITY.encode(), 10)
    assert base64.b64decode(found["webhooks"][0]["clientConfig"]["caBundle"]).decode() == AUTHORITY


@pytest.mark.parametrize("values", [PLAIN, WHOLE], ids=["plain", "whole"])
def test_the_webhook_takes_its_configuration(values, tmp_path):
    """The ConfigMap's file is one that our own reader takes, and says what the values say."""
    (found,) = (
        one for (kind, name), one in rendered(values).items() if kind == "ConfigMap" and "webhook" in name
    )
    for name, text in found["data"].items():
        (tmp_path / name).write_text(text)
    read = settings.load(tmp_path / "webhook.toml", {})
    wanted = values["webhook"]
    assert read.address == wanted.get("address", "https://ml-secrets.safe.svc:8200")
    assert read.stays == (wanted.get("mode", "sidecar") == "sidecar")
    assert read.native == (wanted.get("sidecar", "native") == "native")
    assert read.cacert == wanted.get("serverCa", "")
    assert read.image.startswith("registry.example.org/ml-secrets")
    assert read.limits == {"memory": "256Mi"}


def test_the_server_takes_its_configuration(tmp_path):
    """The default one, by the server's own reader."""
    from ml_secrets.server.config import load

    found = rendered(WHOLE)["ConfigMap", "ml-secrets"]["data"]["server.toml"]
    assert parse(found, ".toml")["listener"][0]["address"] == "0.0.0.0:8200"
    (tmp_path / "server.toml").write_text(found)
    assert load(tmp_path / "server.toml").listeners


def volumes(workload):
    """Those of its pods."""
    return workload["spec"]["template"]["spec"]["volumes"]


@pytest.fixture
def started(tmp_path):
    """`started(objects, kind, name)`: a workload's container, run in its pod's layout as its user; gives what asks it over TLS."""
    layout.possible()
    room = Path(tempfile.mkdtemp(prefix="ml-secrets-chart-", dir="/dev/shm"))
    room.chmod(0o755)
    cert, key = certificate(tmp_path)
    tls = {"tls.crt": cert.read_text(), "tls.key": key.read_text()}
    pods = []

    def start(objects, kind, name, port):
        workload = objects[kind, name]["spec"]
        spec = workload["template"]["spec"]
        claims = [one["metadata"]["name"] for one in workload.get("volumeClaimTemplates", [])]
        spec["volumes"] += [{"name": claim} for claim in claims]
        configs = {one: found["data"] for (of, one), found in objects.items() if of == "ConfigMap"}
        secrets = dict.fromkeys(("webhook-tls", "server-tls"), tls)
        pods.append(layout.Pod({"metadata": {}, "spec": spec}, room, secrets=secrets, configmaps=configs))
        for claim in claims:  # as fsGroup has it
            os.chown(room / claim, 0, spec["securityContext"]["fsGroup"])
            (room / claim).chmod(0o2775)
        process = pods[0].start(spec["containers"][0])

        def ask(path):
            line = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=15, context=ssl.create_default_context(cafile=str(cert))
            )
            with contextlib.closing(line):
                line.request("GET", path)
                return line.getresponse().status

        def answered(path):
            with contextlib.suppress(ConnectionRefusedError):
                return ask(path)
            assert process.poll() is None, process.communicate()[0]
            return None

        return lambda path: eventually(lambda: answered(path))

    yield start
    for pod in pods:
        pod.stop()
    shutil.rmtree(room)


def probed(objects, kind, name, probe):
    """The path that a probe asks."""
    return objects[kind, name]["spec"]["template"]["spec"]["containers"][0][probe]["httpGet"]["path"]


def test_the_webhook_starts_in_its_pod(started):
    """With a read-only root, as its user, and its probes are answered."""
    port = programs.free_port()
    objects = rendered(PLAIN)
    config = objects["ConfigMap", "ml-secrets-webhook"]["data"]
    config["webhook.toml"] = config["webhook.toml"].replace("8443", str(port))
    ask = started(objects, "Deployment", "ml-secrets-webhook", port)
    assert ask(probed(objects, "Deployment", "ml-secrets-webhook", "readinessProbe")) == 200


def test_the_server_starts_in_its_pod(started):
    """On volumes that its group may write to: alive, and not ready before it is initialised."""
    port = programs.free_port()
    objects = rendered(WHOLE)
    config = objects["ConfigMap", "ml-secrets"]["data"]
    config["server.toml"] = config["server.toml"].replace("8200", str(port))
    ask = started(objects, "StatefulSet", "ml-secrets", port)
    assert ask(probed(objects, "StatefulSet", "ml-secrets", "livenessProbe")) == 200
    assert ask(probed(objects, "StatefulSet", "ml-secrets", "readinessProbe")) == 501


def test_the_provider_starts_in_its_pod(started, tmp_path):
    """As root without its powers, in the node's folder: the driver finds it there."""
    objects = rendered(OF_NODES)
    node = tmp_path / "providers"
    node.mkdir(mode=0o755)
    (folder,) = (
        one["hostPath"] for one in volumes(objects["DaemonSet", "ml-secrets-csi"]) if "hostPath" in one
    )
    folder["path"] = str(node)
    started(objects, "DaemonSet", "ml-secrets-csi", 0)
    socket = node / "ml-secrets.sock"
    assert eventually(socket.exists)
    with grpc.insecure_channel(f"unix:{socket}") as line:
        ask = line.unary_unary("/v1alpha1.CSIDriverProvider/Version")
        assert b"ml-secrets" in ask(b"", timeout=20, wait_for_ready=True)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"webhook": PLAIN["webhook"]}, "image.repository is missing"),
        ({"image": IMAGE}, "webhook.address is missing"),
        ({"image": IMAGE, "webhook": {"address": "https://x"}}, "webhook.tls.secretName is missing"),
        ({"image": IMAGE, "webhook": {"address": "http://x"}}, "webhook"),
        ({"image": IMAGE, "webhook": {"adress": "https://x"}}, "adress"),
        (
            {"image": IMAGE, "webhook": {"address": "https://x", "tls": {"secretName": "x"}}},
            "webhook.tls.caBundle is missing",
        ),
        (
            {"image": IMAGE, "webhook": {"enabled": False}, "server": {"enabled": True}},
            "server.tlsSecretName is missing",
        ),
    ],
)
def test_what_is_missing_is_told(values, says):
    """By its name; a server in the clear, and a value that there is none of, are refused by the schema."""
    with pytest.raises(helm.HelmError, match=says):
        rendered(values)


OURS = {
    "ml-secrets.io/identity": "train",
    "ml-secrets.io/secret-DB_FILE": "secret://secret/team-a/db#password",
    "ml-secrets.io/first": "true",
    "ml-secrets.io/user": "1000",
}
THEIRS = {
    "vault.hashicorp.com/agent-inject": "true",
    "vault.hashicorp.com/role": "train",
    "vault.hashicorp.com/agent-inject-secret-db": "secret/data/team-a/db",
    "vault.hashicorp.com/agent-run-as-user": "1000",
    "vault.hashicorp.com/agent-share-process-namespace": "true",
    "vault.hashicorp.com/agent-limits-ephemeral": "10Mi",
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", ["pod-of-a-job", "pod-with-two-containers"])
@pytest.mark.parametrize(
    "annotations",
    [OURS | {"ml-secrets.io/inject": "init"}, OURS | {"ml-secrets.io/inject": "sidecar"}, THEIRS],
    ids=["init", "sidecar", "vault"],
)
def test_patched_pods_are_what_kubernetes_knows(annotations, name, native):
    """Strictly, by the schemas of three versions: every field that the patch adds is one of a Pod's."""
    asked = recorded(name, annotations)
    chosen = settings.Settings(
        address="https://s.example.org", image="ours:1", identity="identity-{role}", native=native
    )
    found = review.decide(review.read(json.dumps(asked).encode()), chosen)
    assert found.patch, found.refused
    pod = jsonpatch.apply_patch(asked["request"]["object"], json.loads(json.dumps(found.patch)))
    del pod["metadata"]["creationTimestamp" if "creationTimestamp" in pod["metadata"] else "namespace"]
    for version in ("1.30", "1.33", "1.37"):
        validate.validate(pod, version, strict=True)
