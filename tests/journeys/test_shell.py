"""The tutorial's job in a shell: `ml-secrets run -- python train_anywhere.py`, as a person types it."""

import os
import signal
import subprocess

import pytest
from tests.journeys.seen import processes_with
from tests.journeys.team import ADDRESS, DATABASE, EXAMPLE, KEY, PASSWORD, TRACKING, typed
from tests.unit.agent.run.sitting import eventually


@pytest.fixture
def shell(team, tmp_path):
    """Run a line in a shell of its own; what it printed, both streams in one."""

    def run(line):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=tmp_path,
            env=team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    "options",
    [
        (*DATABASE, *TRACKING, *ADDRESS),
        (*DATABASE, "--job-token"),
        (*DATABASE, "--own-token"),
        ("--own-token",),
    ],
    ids=["files", "own identity", "same identity", "no file"],
)
def test_it_trains_and_nothing_is_printed(shell, team, options):
    """Credentials that it prints are masked, however it got them; the tracker is sent the key itself."""
    told = team.told[0, KEY]
    printed = shell(typed("ml-secrets", "run", *options, "--", "python", EXAMPLE, "--careless"))
    assert "accuracy 0.9" in printed
    assert printed.count("[masked]") == 2
    assert PASSWORD not in printed
    assert KEY not in printed
    assert team.told[0, KEY] == told + 20


def test_with_its_own_identity_nothing_is_left_of_it(shell, team):
    """The command's token ends with the command, the run's with the run."""
    before = team.live_tokens()
    role = ("--role-id", team.role_id, "--secret-id-file", team.secret_id_file)
    shell(typed("ml-secrets", "run", *role, "--job-token", "--", "python", EXAMPLE))
    assert team.live_tokens() == before


def test_while_it_runs_no_process_shows_a_value(team, tmp_path):
    """Not the shell, not the run, not the job, and nobody beside them: neither in what was typed nor in variables."""
    line = typed(
        "ml-secrets",
        "run",
        *DATABASE,
        "--own-token",
        "--",
        "python",
        EXAMPLE,
        "--epochs",
        1000,
        "--pause",
        0.1,
    )
    told = team.told[0, KEY]
    with subprocess.Popen(
        ["bash", "-c", f"{line} & wait"],
        cwd=tmp_path,
        env=team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    ) as started:
        eventually(lambda: team.told[0, KEY] > told)
        assert not processes_with(KEY, PASSWORD, team.token_file.read_text())
        os.killpg(started.pid, signal.SIGTERM)
