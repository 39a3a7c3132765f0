"""An API server's part: recorded questions, and a webhook of its own process that is asked over TLS."""

import base64
import copy
import http.client
import json
import signal
import ssl
import subprocess
import time
from pathlib import Path

import jsonpatch
from tests.certificates import certificate

from ml_secrets.testing.programs import free_port, own_command

VECTORS = Path(__file__).parents[3] / "vectors" / "kubernetes"
IMAGE = "registry.example.org/ml-secrets:0.1.0"


def recorded(name, annotations, **spec):
    """A recorded review, with these annotations and changes of its pod's spec."""
    review = json.loads((VECTORS / f"{name}.json").read_text())
    pod = review["request"]["object"]
    pod["metadata"]["annotations"] = dict(annotations)
    pod["spec"] |= copy.deepcopy(spec)
    return review


class Webhook:
    """One that runs. `ask(review)` gives the response and, if it has a patch, the patched pod."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.port = free_port()
        self.cert, self.key = certificate(folder)
        self.log = folder / "webhook.log"
        self.arguments = arguments
        self.process = None

    def start(self):
        words = [
            "--listen",
            f"127.0.0.1:{self.port}",
            "--tls-cert",
            str(self.cert),
            "--tls-key",
            str(self.key),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*own_command(), "webhook", "run", *words, *self.arguments], stdout=log, stderr=log
            )
        ends = time.monotonic() + 20
        while b"listening" not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.02)
        return self

    def context(self):
        return ssl.create_default_context(cafile=str(self.cert))

    def line(self, context=None):
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=15, context=context or self.context()
        )

    def request(self, method, path, body=None, headers=(), context=None):
        line = self.line(context)
        try:
            line.request(method, path, body, dict(headers))
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def ask(self, review):
        status, body = self.request(
            "POST", "/mutate?timeout=10s", json.dumps(review), {"Content-Type": "application/json"}
        )
        assert status == 200, body
        answer = json.loads(body)
        assert (answer["kind"], answer["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
        response = answer["response"]
        assert response["uid"] == review["request"]["uid"]
        if "patch" not in response:
            return response, None
        assert response["patchType"] == "JSONPatch"
        steps = json.loads(base64.b64decode(response["patch"]))
        return response, jsonpatch.apply_patch(review["request"]["object"], steps)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
        return self.process.returncode
