"""The steps of `ml-secrets demo`: the main job, end to end, on the embedded default. Each checks what it claims.

1  a server starts: embedded store, sealed at rest, opened by its own key file
2  a real .env is imported, and nothing of it can be read in the store's files
3  a policy for one team, and a short-lived token that has it and nothing else
4  a training job fetches its secrets just in time
5  the job asks for another team's secret, and is refused
6  the key is rotated under the running job; then its token is revoked
7  the audit log tells who read what; it verifies, and one changed byte is noticed
"""

from __future__ import annotations

import secrets
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from ml_secrets.cli.demo_stage import (
    PATIENCE,
    Stage,
    Tracker,
    make_database,
    training_script,
)
from ml_secrets.cli.failures import LocalError

if TYPE_CHECKING:
    import subprocess

SECRET: Final = "team-vision/training"  # noqa: S105 - a name, not a value
OTHER: Final = "team-speech/training"
POLICY: Final = """\
# The vision team's training jobs: read the team's secrets, nothing else.
path "secret/data/team-vision/*"     { capabilities = ["read"] }
path "secret/metadata/team-vision/*" { capabilities = ["list"] }
"""
_ACCURATE: Final = 0.9


class StepFailedError(LocalError):
    """A step of the demo did not do what it claims."""


class Demo:
    """The seven steps."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._api_key = f"demo-key-{secrets.token_urlsafe(24)}"
        self._model_key = f"demo-key-{secrets.token_urlsafe(24)}"

    def play(self) -> None:
        """All steps in order. Raises `StepFailedError` at the first that does not hold."""
        began = time.monotonic()
        with Tracker(self._api_key) as tracker:
            _title(1, "A server on the embedded store, sealed at rest, opened by its own key file")
            with self._stage.server() as told:
                _say("$ ml-secrets server")
                _show(
                    "\n".join(
                        line
                        for line in told.splitlines()
                        if "recovery" not in line and not line.startswith("    ")
                    )
                )
                self._import_dotenv(tracker)
                self._make_policy()
                token, accessor = self._make_token()
                self._train(token, tracker)
                self._ask_for_another_teams_secret(token)
                self._rotate_and_revoke(token, accessor, tracker)
                self._audit()
        _say(f"\nAll seven steps did what they claim, in {time.monotonic() - began:.0f} seconds.")

    # ── 2 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _import_dotenv(self, tracker: Tracker) -> None:
        _title(2, "A .env file moves into the store")
        database_url = make_database(self._stage.folder / "team-vision.db")
        values = {
            "DATABASE_URL": database_url,
            "TRACKING_URL": tracker.url,
            "TRACKING_API_KEY": self._api_key,
            "OPENAI_API_KEY": self._model_key,
        }
        dotenv = self._stage.folder / ".env"
        dotenv.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        self._do("import", "--prefix", SECRET, str(dotenv))
        dotenv.unlink()
        self._do(
            "kv",
            "put",
            OTHER,
            "api-key=-",
            stdin=f"demo-key-{secrets.token_urlsafe(24)}",
            show='printf %s "$KEY" | ',
        )
        names = [SECRET.partition("/")[0], "TRACKING_API_KEY"]
        self._search(list(values.values()), names)

    def _search(self, values: list[str], names: list[str]) -> None:
        files = [path for path in (self._stage.folder / "data" / "store").rglob("*") if path.is_file()]
        for path in files:
            content = path.read_bytes()
            for needle in (*values, *names):
                _check(needle.encode() not in content, f"{path.name} holds something in the clear")
        log = self._stage.audit_log.read_bytes()
        _check(not any(value.encode() in log for value in values), "the audit log holds a value in the clear")
        size = sum(path.stat().st_size for path in files)
        _say(
            f"  Searched {len(files)} files of the store ({size:,} bytes) and the audit log: no value is in them; nor does the store show a name."
        )

    # ── 3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_policy(self) -> None:
        _title(3, "A policy for the team, and a short-lived token for the job")
        _show(POLICY)
        self._do("policy", "write", "team-vision", "-", stdin=POLICY, show="cat team-vision.hcl | ")

    def _make_token(self) -> tuple[str, str]:
        made = self._do(
            "token",
            "create",
            "--policy",
            "team-vision",
            "--ttl",
            "10m",
            "--display-name",
            "train-job",
            "--format",
            "json",
            quiet=True,
        )
        import json  # noqa: PLC0415 - the command line's help does not need it

        auth = json.loads(made)
        auth = auth.get("auth", auth)
        _check(sorted(auth["policies"]) == ["default", "team-vision"], "the token has other policies")
        _say(
            f"  a token for ten minutes, policies {', '.join(auth['policies'])}, accessor {auth['accessor']}"
        )
        return auth["client_token"], auth["accessor"]

    # ── 4 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self, token: str, tracker: Tracker) -> None:
        _title(4, "The training job fetches its secrets just in time")
        _say("$ python examples/train.py --epochs 5")
        job = self._job(token, "--epochs", "5")
        output, _ = job.communicate(timeout=PATIENCE)
        _show(output)
        _check(job.returncode == 0, f"the job failed with exit code {job.returncode}")
        accuracy = tracker.metrics[-1]["accuracy"] if tracker.metrics else 0.0
        _check(len(tracker.metrics) == 5 and accuracy >= _ACCURATE, "the tracker did not get the metrics")
        _say(
            f"  The tracker took {len(tracker.metrics)} metrics; the job knew a secret's name, an address and its own token."
        )

    def _job(self, token: str, *arguments: str) -> subprocess.Popen[str]:
        return self._stage.start([sys.executable, str(training_script()), *arguments], token=token)

    # ── 5 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask_for_another_teams_secret(self, token: str) -> None:
        _title(5, "The job asks for another team's secret")
        _say(f"$ ml-secrets kv get {OTHER}")
        answer = self._stage.run("kv", "get", OTHER, token=token)
        _show(answer.stderr)
        _check(answer.returncode == 2 and "permission denied" in answer.stderr, "it was not refused")
        _check(
            "next:" in answer.stderr and "capabilities" in answer.stderr,
            "the refusal does not say what to do",
        )

    # ── 6 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _rotate_and_revoke(self, token: str, accessor: str, tracker: Tracker) -> None:
        _title(6, "The key is rotated under the running job; then its token is revoked")
        _say("$ python examples/train.py --epochs 2000 --pause 0.1 &")
        job = self._job(token, "--epochs", "2000", "--pause", "0.1")
        try:
            _show(_await_line(job, "key version 1"))
            fresh = f"demo-key-{secrets.token_urlsafe(24)}"
            tracker.keys.add(fresh)
            self._do(
                "kv",
                "patch",
                SECRET,
                "TRACKING_API_KEY=-",
                stdin=fresh,
                show='printf %s "$NEW_KEY" | ',
                quiet=True,
            )
            _show(_await_line(job, "key version 2"))
            tracker.keys.discard(self._api_key)
            _check(tracker.refused == 0, "a metric was refused during the rotation")
            _say("  The job uses the new key, without a restart and without a lost metric.")
            self._do("token", "revoke", "--accessor", accessor, quiet=True)
            _show(_await_line(job, "stopped:"))
            _check(job.wait(timeout=PATIENCE) == 1, "the job went on")
        finally:
            if job.poll() is None:
                job.kill()
            if job.stdout is not None:
                job.stdout.close()
        refused = self._stage.run("kv", "get", SECRET, token=token)
        _check(refused.returncode == 2, "the revoked token can still read")
        _say("  The revoked token reads nothing any more.")

    # ── 7 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _audit(self) -> None:
        _title(7, "The audit log: who read what, when, from where, allowed or not")
        log = self._stage.audit_log
        table = self._do("audit", "tail", "-n", "8", "--path", "secret/data/", str(log))
        table += self._do("audit", "report", "--path", "secret/data/", str(log))
        _check("train-job" in table and OTHER in table, "the log does not tell of the job's reads")
        self._do("audit", "verify", "--device", "file", str(log))
        copy = self._stage.folder / "audit-copy.log"
        content = bytearray(log.read_bytes())
        content[len(content) // 2] ^= 1
        copy.write_bytes(content)
        _say("\nOne bit of one byte is changed in a copy:")
        _say("$ ml-secrets audit verify --device file audit-copy.log")
        answer = self._stage.run("audit", "verify", "--device", "file", str(copy))
        _show(answer.stdout + answer.stderr)
        _check(answer.returncode == 1, "the change was not noticed")

    # ── running commands ────────────────────────────────────────────────────────────────────────────────────────────

    def _do(
        self,
        *arguments: str,
        stdin: str = "",
        show: str = "",
        quiet: bool = False,
    ) -> str:
        told = f"$ {show}ml-secrets {' '.join(arguments)}"
        _say(told.replace(f"{self._stage.folder}/data/", "").replace(f"{self._stage.folder}/", ""))
        done = self._stage.run(*arguments, stdin=stdin)
        if not quiet or done.returncode:
            _show(done.stdout + done.stderr)
        _check(done.returncode == 0, f"the command failed with exit code {done.returncode}")
        return done.stdout


def _await_line(job: subprocess.Popen[str], text: str) -> str:
    """The next line of the job that holds `text`."""
    deadline = time.monotonic() + PATIENCE
    last = ""
    while job.stdout is not None and time.monotonic() < deadline:
        line = job.stdout.readline()
        if text in line:
            return line
        if not line:
            break
        last = line
    raise StepFailedError(f"the job never said {text!r}; its last line: {last!r}")


def _check(holds: bool, complaint: str) -> None:
    if not holds:
        raise StepFailedError(
            f"the demo failed: {complaint}", hint="run it again with --keep and look at the scratch folder"
        )


def _title(number: int, text: str) -> None:
    click.secho(f"\n{number}. {text}", bold=True)


def _say(text: str) -> None:
    click.echo(text)


def _show(text: str) -> None:
    for line in text.rstrip("\n").splitlines():
        click.echo(f"  {line}")
