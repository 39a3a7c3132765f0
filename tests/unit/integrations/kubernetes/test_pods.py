"""What the patch says, done: the containers that it adds run against a real server, in a pod's volumes, as the pod's user. No kubelet took part."""

from tests.unit.integrations.kubernetes.asked import recorded

OURS = {
    "ml-secrets.io/inject": "init",
    "ml-secrets.io/identity": "identity-train",
    "ml-secrets.io/secret-DB_PASSWORD_FILE": "secret://secret/team-a/db#password",
    "ml-secrets.io/secret-db-url": "postgres://{{ secret://secret/team-a/db#user }}@db/app",
}
READ = ["sh", "-c", "cd /run/ml-secrets; stat -c '%a %u %n' *; cat db_password; echo; cat db-url"]


def app(pod):
    """The container of the pod's own, on our image."""
    return pod.container("train") | {"image": "ours"}


def test_an_init_container_writes_the_files_for_the_pod(webhook, pods):
    """`fetch` in a pod's layout: 0400, the pod's user's, and what the references name; the job sees them at its path, read-only."""
    response, patched = webhook.ask(recorded("pod-of-a-job", OURS))
    assert response["allowed"], response
    pod = pods(patched)
    done = pod.run(pod.container("ml-secrets-fetch"))
    assert done[0] == 0, done[1]
    code, out = pod.run(app(pod), READ)
    assert (code, out.splitlines()) == (
        0,
        ["400 1234 db-url", "400 1234 db_password", "fake-1", "postgres://ada@db/app"],
    )
    code, out = pod.run(
        app(pod), ["sh", "-c", "echo $DB_PASSWORD_FILE; cat $DB_PASSWORD_FILE; touch /run/ml-secrets/x"]
    )
    assert out.splitlines()[:2] == [
        "/run/ml-secrets/db_password",
        "fake-1touch: cannot touch '/run/ml-secrets/x': Read-only file system",
    ]
