"""What the documentation shows can be typed: every `sh` and `python` block of these pages runs, in order."""

import httpx
import pytest
from pages import ROOT, play, unsaid

from ml_secrets.testing import programs

RUN = [
    "docs/how-to/policies.md",
    "docs/how-to/use-with-hvac-and-bao.md",
    "docs/how-to/give-a-job-its-own-identity.md",
    "docs/how-to/rotate-and-revoke.md",
    "docs/how-to/read-the-audit-log.md",
    "docs/how-to/backup-and-restore.md",
    "docs/how-to/sdk.md",
    "docs/how-to/organise-and-recover.md",
    "docs/how-to/be-told-of-changes.md",
    "docs/how-to/fetch-into-files.md",
    "docs/how-to/run-a-command-with-secrets.md",
    "docs/how-to/run-an-agent.md",
    "docs/how-to/live-secrets.md",
    "docs/how-to/credential-helpers.md",
    "docs/how-to/run-many-processes.md",
    "docs/how-to/use-in-ci.md",
    "docs/how-to/keep-secrets-out-of-logs-and-trackers.md",
]


@pytest.mark.parametrize("name", RUN)
def test_a_page_does_what_it_says(name, tmp_path):
    """Its commands and programs succeed, from the first to the last, on a fresh server, and print what it shows."""
    code, told = play(ROOT / name, tmp_path)
    assert code == 0, told[-3000:]
    assert not unsaid(ROOT / name, told)


def test_the_tutorial_by_hand(tmp_path):
    """From the .env file to the changed line of the log; the job sees the new key, and then its end."""
    tracker = f"127.0.0.1:{programs.free_port()}"
    quick = ("rm .env\n", "rm .env\nexport ML_SECRETS_REVALIDATE=0.5\n")
    changes = [
        quick,
        ("sleep 4\n", until("key version 1", "job.log")),
        (
            "sleep 7\ntail -n 1 job.log\ntail -n 1 tracker.log\n",
            f"{until('key version 2', 'job.log')}{until('new2', 'tracker.log')}tail -n 1 job.log\ntail -n 1 tracker.log\n",
        ),
        ("sleep 7\n", until("stopped", "job.log")),
        ("127.0.0.1:8111", tracker),
        ('("127.0.0.1", 8111)', str(pair(tracker)).replace("'", '"')),
    ]
    code, told = play(ROOT / "docs/tutorial.md", tmp_path, changes=changes)
    assert code == 0, told[-3000:]
    for claim in (
        "nothing to be found",
        "done: accuracy 0.9",
        "••••",
        "this one would allow it",
        "(tracking key version 2)",
        "key ...new2",
        "stopped: permission denied",
        "no value in the log",
        "Intact:",
        "NOT intact:",
    ):
        assert claim in told, f"{claim}\n{told[-3000:]}"
    assert not unsaid(ROOT / "docs/tutorial.md", told)


def until(text, file):
    """A wait as long as it takes, in place of the reader's few seconds."""
    return f"until grep -q '{text}' {file}; do sleep 0.2; done\n"


def pair(address):
    host, _, port = address.partition(":")
    return host, int(port)


def test_running_a_server_with_tls(tmp_path):
    """The commands for a certificate of one's own, a configured server and a reload."""
    here = f"127.0.0.1:{programs.free_port()}"
    code, told = play(ROOT / "docs/how-to/run-a-server.md", tmp_path, changes=[("127.0.0.1:8843", here)])
    assert code == 0, told[-3000:]


def test_importing_from_files_and_from_another_vault(tmp_path, openbao):
    """Every source, OpenBao as the other Vault."""
    folder = f"{openbao.url}/v1/secret/data/old/db"
    body = {"data": {"password": "example"}}
    httpx.post(folder, json=body, headers={"X-Vault-Token": openbao.token}).raise_for_status()
    there = [
        ("https://vault.example:8200", openbao.url),
        ("example-token-of-the-other-server", openbao.token),
    ]
    code, told = play(ROOT / "docs/how-to/import-existing-secrets.md", tmp_path, changes=there)
    assert code == 0, told[-3000:]


def test_the_readme_does_what_it_says(tmp_path):
    """So does the README, whose first example reads what its quick start stores."""
    code, told = play(ROOT / "README.md", tmp_path, last=1)
    assert code == 0, told[-3000:]
