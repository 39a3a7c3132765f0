"""Ray: variables of a runtime environment, and what tasks close over."""

import json

import pytest

pytest.importorskip("ray")


def test_variables_of_a_runtime_environment(closed):
    """What would be sent to the cluster, of a job and of a task."""
    _, guarded = closed(
        """
        import ray
        from ray.job_config import JobConfig
        from ray.runtime_env import RuntimeEnv
        environment = {"env_vars": {"OPENAI_API_KEY": value, "EPOCHS": "3"}}
        open("job", "wb").write(JobConfig(runtime_env=environment)._serialize())
        open("task", "w").write(RuntimeEnv(**environment).serialize())

        @ray.remote(runtime_env=environment)
        def work(): pass
        open("options", "w").write(str(work._default_options["runtime_env"]))
        """
    )
    assert '"EPOCHS": "3"' in (guarded.folder / "task").read_text()
    assert "OPENAI_API_KEY" in (guarded.folder / "task").read_text()
    assert (
        "Leaking: Ray's runtime_env would have been given the value of openai; it was masked" in guarded.err
    )


def test_what_a_task_closes_over(closed):
    """A function is pickled with the globals that it uses."""
    closed(
        """
        from ray import cloudpickle
        def work():
            return value
        open("task", "wb").write(cloudpickle.dumps(work))
        """
    )


def test_a_submitted_job(closed):
    """What Ray's client sends to a job server: the command, the job's metadata and the client's, variables."""
    _, guarded = closed(
        """
        import http.server, json, threading
        from ray.job_submission import JobSubmissionClient

        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                import ray
                self.answer({"version": "4", "ray_version": ray.__version__, "ray_commit": ""})
            def do_POST(self):
                open("sent", "ab").write(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer({"job_id": "j", "submission_id": "j"})
            def answer(self, body):
                self.send_response(200); self.send_header("Content-Type", "application/json"); self.end_headers()
                self.wfile.write(json.dumps(body).encode())
            def log_message(self, *_): pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = JobSubmissionClient(f"http://127.0.0.1:{server.server_port}", metadata={"whose": f"by {value}"})
        client.submit_job(
            entrypoint=f"python train.py --key={value}",
            metadata={"note": value},
            runtime_env={"env_vars": {"KEY": value, "EPOCHS": "3"}},
        )
        """,
        environ={"RAY_ADDRESS": ""},
    )
    sent = json.loads((guarded.folder / "sent").read_text())
    assert sent["entrypoint"] == "python train.py --key=[masked]"
    assert sent["metadata"] == {"note": "[masked]", "whose": "by [masked]"}
    assert sent["runtime_env"]["env_vars"] == {"KEY": "[masked]", "EPOCHS": "3"}
