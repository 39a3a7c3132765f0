"""The tutorial's job as a pod that the webhook was asked about: what its annotations brought it runs beside it, in a pod's layout. No cluster took part."""

import shutil
import tempfile
from pathlib import Path

import pytest
from tests.journeys.seen import processes_with
from tests.journeys.team import EXAMPLE, FIELDS, KEY, PASSWORD, SECRET
from tests.soon import eventually
from tests.unit.integrations.kubernetes import layout
from tests.unit.integrations.kubernetes.asked import Webhook, recorded

ANNOTATIONS = {
    "ml-secrets.io/inject": "sidecar",
    "ml-secrets.io/identity": "vision",
    **{f"ml-secrets.io/secret-{name}_FILE": f"secret://secret/{SECRET}#{name}" for name in FIELDS},
}
ROTATED = "fake-tracking-k3y/rotated+in-a-pod=="


@pytest.fixture
def pod(team, tmp_path):
    """A pod of the tutorial's job, patched by a webhook for the team's server; `pod(annotations)`."""
    layout.possible()
    room = Path(tempfile.mkdtemp(prefix="ml-secrets-journey-", dir="/dev/shm"))
    room.chmod(0o755)
    webhook = Webhook(tmp_path, "--address", team.server.url, "--image", "ours").start()
    identity = {"role-id": team.role_id, "secret-id": team.secret_id_file.read_text()}
    started = []

    def made(annotations):
        samples = [{"name": "samples", "hostPath": {"path": str(team.folder)}}]
        response, patched = webhook.ask(recorded("pod-of-a-job", annotations, volumes=samples))
        assert response["allowed"], response
        started.append(layout.Pod(patched, room, secrets={"vision": identity}))
        return started[0]

    yield made
    for one in started:
        one.stop()
    webhook.stop()
    shutil.rmtree(room)


def job(pod):
    """The job's container, with its samples where they always are."""
    found = pod.container("train")
    found["env"].append({"name": "OPENBLAS_NUM_THREADS", "value": "1"})
    samples = {
        "name": "samples",
        "mountPath": pod.pod["spec"]["volumes"][0]["hostPath"]["path"],
        "readOnly": True,
    }
    seen = [mount for mount in found["volumeMounts"] if mount["name"] == "ml-secrets-files"]
    return found | {"volumeMounts": [*seen, samples]}


def test_a_job_trains_through_a_rotation(team, pod):
    """A line of annotation for each secret, and none in the job: it begins once its files are there, and reports with the new key after a rotation."""
    told = team.told[0, KEY]
    one = pod(ANNOTATIONS)
    agent = one.pod["spec"]["initContainers"][-1]
    one.start(agent)
    assert eventually(lambda: one.run(agent, agent["startupProbe"]["exec"]["command"])[0] == 0)
    process = one.start(job(one), ["python", str(EXAMPLE), "--epochs", "400", "--pause", "0.05"])
    assert eventually(lambda: team.told[0, KEY] > told or process.poll() is not None)
    team.root.kv.patch(SECRET, {"TRACKING_API_KEY": ROTATED})
    try:
        assert eventually(lambda: team.told[0, ROTATED] or process.poll() is not None)
        assert team.told[0, ROTATED], process.communicate()[0]
        assert not processes_with(PASSWORD, KEY, ROTATED)
    finally:
        team.root.kv.patch(SECRET, {"TRACKING_API_KEY": KEY})


def test_a_job_starts_with_what_was_fetched(team, pod):
    """`inject: init`: the init container ends and leaves no token; the job trains to its end."""
    tokens = team.live_tokens()
    one = pod(ANNOTATIONS | {"ml-secrets.io/inject": "init"})
    code, out = one.run(one.container("ml-secrets-fetch"))
    assert code == 0, out
    assert team.live_tokens() == tokens
    code, out = one.run(job(one), ["python", str(EXAMPLE)])
    assert code == 0, out
    assert "accuracy 0.9" in out
