"""A run below a process that is named as Slurm's daemon of a step: it ends with that one. Slurm itself: tests/journeys/test_slurm.py."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.agent.run.sitting import eventually, gone

from ml_secrets.agent.run import slurm

DAEMON = """
import json, subprocess, sys, time
from ml_secrets.agent.run import system
system.be_named(sys.argv[1])
subprocess.Popen(json.loads(sys.argv[2]))
time.sleep(1000)
"""
FILE = ("--file", "DB_PASSWORD_FILE=secret://secret/team-a/db#password")


@pytest.fixture
def below(job):
    """Start a run below a process of that name; the process, the command's own number, and its file."""
    started = []

    def start(name, **environment):
        command = job.command(
            *FILE, "--", "sh", "-c", "echo $$ $DB_PASSWORD_FILE; trap '' TERM HUP; sleep 1000 & wait"
        )
        daemon = subprocess.Popen(
            [sys.executable, "-c", DAEMON, name, json.dumps(command)],
            env=job.environment | environment,
            cwd=job.folder,
            stdout=-1,
            stderr=-1,
        )
        number, file = daemon.stdout.readline().decode().split()
        started.append((daemon, int(number), Path(file)))
        return started[-1]

    yield start
    for daemon, number, file in started:
        daemon.kill()
        if not gone(number):
            os.kill(number, signal.SIGKILL)
        eventually(lambda file=file: not file.parent.exists())
        daemon.communicate()


def test_a_killed_daemon_ends_the_run(below):
    """Its command is killed, as the job counts as ended; its files are gone. It says why."""
    daemon, number, file = below("slurmstepd", SLURM_JOB_ID="7")
    daemon.kill()
    eventually(lambda: gone(number))
    eventually(lambda: not file.parent.exists())
    _, told = daemon.communicate()
    assert b"Slurm's daemon of this step has ended, and so does the command" in told


@pytest.mark.parametrize(("name", "job_id"), [("slurmstepd", {}), ("bash", {"SLURM_JOB_ID": "7"})])
def test_whoever_else_started_it_may_go(below, name, job_id):
    """As `nohup` has it: elsewhere a run outlives the one that started it."""
    daemon, number, file = below(name, **job_id)
    daemon.kill()
    daemon.wait()
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.communicate(timeout=0.5)
    assert not gone(number)
    assert file.exists()


def test_nothing_is_looked_for_elsewhere():
    """Nor found where no such daemon is above."""
    assert slurm.step_daemon({}) == slurm.NONE
    assert slurm.step_daemon({"SLURM_JOB_ID": "7"}) == slurm.NONE
