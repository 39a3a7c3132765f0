"""Signals that reach the runner reach the command; stops and goes are shared."""

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.unit.agent.run.sitting import eventually, gone

COUNTING = """
import os, signal, sys
def told(number, _): print(signal.Signals(number).name, flush=True)
for name in sys.argv[1:]: signal.signal(getattr(signal, name), told)
print(os.getpid(), flush=True)
while True: signal.pause()
"""


def state(process):
    """T for a stopped process."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def running(job):
    """Start a run in a session of its own, as a service manager would; ended at the end."""
    started = []

    def start(*words):
        started.append(job.start(*words, start_new_session=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.mark.parametrize(
    "name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGIO"]
)
def test_signals_are_passed_on(running, name):
    """Each once; the command decides what it means."""
    run = running("--", sys.executable, "-c", COUNTING, name)
    child = int(run.stdout.readline())
    run.send_signal(getattr(signal, name))
    assert run.stdout.readline() == f"{name}\n".encode()
    os.kill(child, signal.SIGKILL)
    assert run.stdout.read() == b""
    assert run.wait() == 128 + 9


def test_real_time_signals_too(running):
    """Slurm and others use them."""
    script = "import os, signal\nsignal.signal(40, lambda *_: print('heard', flush=True))\nprint('up', flush=True)\nwhile True: signal.pause()"
    run = running("--", sys.executable, "-c", script)
    run.stdout.readline()
    run.send_signal(40)
    assert run.stdout.readline() == b"heard\n"


def test_an_interrupt_reaches_the_whole_group(running):
    """As Ctrl-C would: what the command started is interrupted with it."""
    run = running("--", "sh", "-c", "sleep 1000 & echo $!; wait")
    below = int(run.stdout.readline())
    assert not gone(below)
    run.send_signal(signal.SIGINT)
    assert run.wait() == 128 + signal.SIGINT
    # a shell starts background jobs with SIGINT ignored, so the job itself has to be told by other means
    os.kill(below, signal.SIGKILL)


def test_a_termination_reaches_the_command_alone(running):
    """It knows what to tell its own: a launcher's workers are not told twice."""
    script = f"import subprocess, sys\nbelow = subprocess.Popen([sys.executable, '-c', {COUNTING!r}, 'SIGTERM'])\nimport signal\nsignal.signal(signal.SIGTERM, lambda *_: (below.kill(), sys.exit(3)))\nbelow.wait()"
    run = running("--", sys.executable, "-c", script)
    run.stdout.readline()
    run.send_signal(signal.SIGTERM)
    assert run.stdout.read() == b""
    assert run.wait() == 3


def test_a_stop_and_a_continue_are_shared(running):
    """SIGTSTP stops both, SIGCONT lets both go on."""
    run = running("--", sys.executable, "-c", COUNTING, "SIGUSR1")
    child = int(run.stdout.readline())
    run.send_signal(signal.SIGTSTP)
    eventually(lambda: state(run.pid) == state(child) == "T")
    run.send_signal(signal.SIGCONT)
    eventually(lambda: state(child) != "T")
    run.send_signal(signal.SIGUSR1)
    assert run.stdout.readline() == b"SIGUSR1\n"


def test_what_was_ignored_before_us_stays_ignored(running):
    """`nohup`: the command ignores it too; and SIGPIPE is what it was."""
    script = "import signal; print(signal.getsignal(signal.SIGHUP).name); print(open('/proc/self/status').read().split('SigIgn:')[1].split()[0])"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = running("--", sys.executable, "-c", script)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.stdout.readline() == b"SIG_IGN\n"


def test_no_signal_is_blocked_in_the_command(running):
    """We block them; it does not."""
    run = running("--", "grep", "SigBlk", "/proc/self/status")
    assert run.stdout.read().split()[1] == b"0" * 16
