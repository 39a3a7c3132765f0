"""Requests made from our own OpenAPI document, sent to development servers by schemathesis: `make schema` (FOR=... seconds).

No answer may be a 5xx but those that a document names, every status and media type is one that is documented for that
operation, and JSON bodies have the documented form. Operations that end or empty a server have a server of their own.
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from ml_secrets.testing.programs import dev_server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ENDS = r"^/sys/(seal|step-down|init)$"
CHANGES = r"^/sys/(unseal|mounts|auth|remount|rekey|generate-root|rotate|audit/|leases/revoke)|revoke-self"
RUNS = {
    "what leaves a server as it is": ["--exclude-path-regex", f"{ENDS}|{CHANGES}"],
    "what changes a server": ["--include-path-regex", CHANGES],
}


def ask(server, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{server.url}/v1/{path}", data, {"X-Vault-Token": server.token}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def run(name, options, seconds, folder):
    with dev_server(folder) as server:
        for kind in ("userpass", "approle"):
            ask(server, "POST", f"sys/auth/{kind}", {"type": kind})
        ask(server, "POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        document = folder / "openapi.json"
        document.write_bytes(ask(server, "GET", "sys/internal/specs/openapi"))
        print(f"== {name}", flush=True)
        command = [
            str(Path(sys.executable).with_name("st")), "run", str(document), "--url", f"{server.url}/v1", "-H", f"X-Vault-Token: {server.token}",
            "--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-time", str(seconds), "--request-timeout", "30",
            "--continue-on-failure", "--warnings", "off", "--no-color", *options,
        ]  # fmt: skip
        done = subprocess.run(command, check=False, cwd=folder)
        said = server.log.read_text()
        faults = [line for line in said.splitlines() if " failed: " in line or "Traceback" in line]
        print(*faults, sep="\n")
        return done.returncode or bool(faults)


def main(seconds):
    with tempfile.TemporaryDirectory() as folder:
        failed = []
        for number, (name, options) in enumerate(RUNS.items()):
            place = Path(folder, str(number))
            place.mkdir()
            if run(name, options, seconds // len(RUNS), place):
                failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
