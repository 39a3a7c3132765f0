"""`on-change = "restart"`: the command is ended, its files are fresh, it starts anew; and how often, how soon, and with what code."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.unit.agent.run.sitting import eventually, gone

from ml_secrets import Client

SERVING = """
import os, signal, sys, time
def end(number, _):
    print("ends", os.getpid(), signal.Signals(number).name, flush=True)
    sys.exit(int(os.environ.get("CODE", "0")))
for name in ("TERM", "INT", "USR2"):
    signal.signal(getattr(signal, "SIG" + name), end if "DEAF" not in os.environ else signal.SIG_IGN)
print("up", os.getpid(), open(os.environ["VALUE_FILE"]).read()[::-1], os.environ.get("ALSO", "-")[::-1], flush=True)
while True: time.sleep(0.1)
"""


@pytest.fixture
def secret(told):
    """Rotates: `secret(text)`."""
    with Client(told.url, told.token) as client:
        yield lambda text: client.kv.put("again/x", {"value": f"fake-{text}"})


@pytest.fixture
def declare(job):
    """What is declared: a file that has the command started anew, and more."""

    def write(more="", change='"restart"'):
        file = job.folder / "ml-secrets.toml"
        file.write_text(
            f'[files.VALUE_FILE]\nvalue = "secret://secret/again/x#value"\non-change = {change}\n{more}\n'
        )
        file.chmod(0o600)

    write()
    return write


def serving(job, **settings):
    return job.start("--", sys.executable, "-c", SERVING, **settings)


def heard(run):
    return run.stdout.readline().decode().split()


def end(job, run):
    """However deaf it is: the guardian takes back what there is."""
    run.kill()
    run.communicate()
    eventually(lambda: not list(job.runtime.glob("ml-secrets/run-*")))


def test_it_is_ended_and_starts_anew_with_fresh_files(job, declare, secret):
    """Asked to end by SIGTERM, once; the file at the same place is new, and so are variables; the code of its last end is the run's."""
    declare('[env]\nALSO = "secret://secret/again/x#value"')
    secret("1")
    run = serving(job, env={"CODE": "7"})
    up, first, *values = heard(run)
    assert (up, values) == ("up", ["1-ekaf", "1-ekaf"])
    secret("2")
    assert heard(run) == ["ends", first, "SIGTERM"]
    up, second, *values = heard(run)
    assert (up, values) == ("up", ["2-ekaf", "2-ekaf"])
    assert second != first
    run.terminate()
    assert heard(run) == ["ends", second, "SIGTERM"]
    out, err = run.communicate(timeout=20)
    assert (out, err, run.returncode) == (b"", b"", 7)


def test_a_command_that_does_not_end_is_killed(job, declare, secret):
    """After the time that it is given, by a signal of its own choice."""
    declare('[restart]\nstop-signal = "USR2"\nstop-timeout = "1s"')
    secret("1")
    run = serving(job, env={"DEAF": "1"})
    first = int(heard(run)[1])
    began = time.monotonic()
    secret("2")
    assert heard(run)[2] == "2-ekaf"
    assert 1 <= time.monotonic() - began < 10
    assert gone(first)
    end(job, run)


def test_what_it_left_behind_goes_with_it(job, declare, secret):
    """A process in the background has the old secrets: it is gone before the command starts anew; what runs on a change is not."""
    child = job.folder / "child"
    secret("1")
    script = f"setsid sleep 1000 & echo $! > {child}; echo up; wait"
    run = job.start("--", "sh", "-c", script)
    assert heard(run) == ["up"]
    left = int(child.read_text())
    secret("2")
    assert heard(run) == ["up"]
    assert gone(left)
    end(job, run)


def test_it_starts_anew_at_a_terminal(job, declare, secret, sit_down):
    """Keys reach each in turn, Ctrl-Z and fg too; the terminal is as it was at the end."""
    secret("1")
    terminal = sit_down("bash", "--norc", "-i")
    terminal.type(b"PS1='shell''> '\r")
    terminal.until(b"shell> ")
    script = 'echo "up $$ of 1"; while read word; do echo "heard-$word"; done'
    words = " ".join(
        job.command("--config", f"{job.folder}/ml-secrets.toml", "--", "sh", "-c", f"'{script}'")
    )
    terminal.type(f"{words}\r".encode())
    terminal.until(b" of 1\r\n")
    terminal.type(b"one\r")
    terminal.until(b"heard-one")
    secret("2")
    terminal.until(b" of 1\r\n")
    terminal.type(b"two\r")
    terminal.until(b"heard-two")
    terminal.type(b"\x1a")
    terminal.until(b"Stopped")
    terminal.until(b"shell> ")
    terminal.type(b"fg\r")
    terminal.type(b"three\r")
    terminal.until(b"heard-three")
    terminal.type(b"\x04")
    terminal.until(b"shell> ")
    terminal.type(b"echo done-$?\r")
    terminal.until(b"done-0")
    terminal.type(b"exit\r")
    assert terminal.end()[0] == 0


def test_one_that_restarts_often_rests_in_between(job, declare, secret):
    """The second restart within half a minute waits a second, and is said; what changes meanwhile is the same one."""
    secret("0")
    run = serving(job, stderr=-1)
    heard(run)
    secret("1")
    assert [heard(run)[0], heard(run)[2]] == ["ends", "1-ekaf"]
    began = time.monotonic()
    secret("2")
    assert heard(run)[0] == "ends"
    secret("3")
    assert heard(run)[2] == "3-ekaf"
    assert time.monotonic() - began >= 1
    assert run.stderr.readline() == b"ml-secrets: secrets changed again: the command is started anew in 1 s\n"
    time.sleep(0.5)
    run.terminate()
    out, err = run.communicate(timeout=20)
    assert (out.count(b"ends"), out.count(b"up"), err) == (1, 0, b"")


def test_there_is_a_limit_where_one_is_set(job, declare, secret):
    """Then it goes on as it is, with files that stay fresh; that is said once."""
    declare("[restart]\nmost = 1")
    secret("0")
    run = serving(job)
    heard(run)
    secret("1")
    assert heard(run)[0] == "ends"
    process = int(heard(run)[1])
    (file,) = job.runtime.glob("ml-secrets/run-*/value")
    for turn in "23":
        secret(turn)
        eventually(lambda turn=turn: file.read_text() == f"fake-{turn}")
    assert not gone(process)
    run.terminate()
    _, err = run.communicate(timeout=20)
    assert err.count(b"started anew 1 times: it goes on as it is") == 1


@pytest.mark.parametrize("when", ["ending", "resting"])
def test_a_signal_to_the_run_ends_it(job, declare, secret, when):
    """Whether the command is just ending, or there is none just now."""
    declare('[restart]\nstop-timeout = "2s"')
    secret("0")
    run = serving(job, env={"DEAF": "1"} if when == "ending" else {"CODE": "3"})
    heard(run)
    secret("1")
    if when == "resting":
        assert heard(run)[0] == "ends"
        heard(run)
        secret("2")
        assert heard(run)[0] == "ends"
        run.stderr.readline()
    else:
        eventually(lambda: run.poll() is None and _is_asked(run))
    run.terminate()
    out, _ = run.communicate(timeout=20)
    assert b"up" not in out
    assert run.returncode == (137 if when == "ending" else 143)


def _is_asked(_):
    time.sleep(0.5)
    return True


def test_one_that_ends_by_itself_is_not_started_anew(job, declare, secret):
    """Only a change of secrets starts it; and one that cannot be started anew ends the run as it would at first."""
    program = job.folder / "program"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$1"\n')
    program.chmod(0o700)
    secret("0")
    assert job.run("--", str(program), "raise SystemExit(5)").returncode == 5
    run = job.start("--", str(program), SERVING)
    heard(run)
    program.unlink()
    secret("1")
    _, err = run.communicate(timeout=20)
    assert run.returncode == 127
    assert b"No such file" in err


def test_what_runs_on_a_change_is_done_before(job, declare, secret):
    """Two files of one secret: a command for one, a restart for the other; the command that runs is not taken for a leftover."""
    mark = job.folder / "mark"
    words = json.dumps(["sh", "-c", f"sleep 1; echo ran >> {mark}"])
    declare(f'[files.OTHER_FILE]\nvalue = "secret://secret/again/x#value"\non-change = {words}')
    secret("0")
    run = serving(job)
    heard(run)
    secret("1")
    assert heard(run)[0] == "ends"
    assert mark.read_text() == "ran\n"
    assert heard(run)[0] == "up"
    end(job, run)


def test_files_without_a_place_are_new_then(job, declare, secret):
    """With --memfd they stay as they were; a command that starts anew has new ones."""
    secret("0")
    run = job.start("--memfd", "--", sys.executable, "-c", SERVING)
    assert heard(run)[2] == "0-ekaf"
    secret("1")
    assert heard(run)[0] == "ends"
    assert heard(run)[2] == "1-ekaf"
    end(job, run)


def test_a_killed_run_leaves_nothing_of_a_later_start(job, declare, secret):
    """The guardian finds the command by the run's mark, whichever start it is."""
    secret("0")
    run = serving(job)
    heard(run)
    secret("1")
    assert heard(run)[0] == "ends"
    process = int(heard(run)[1])
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    eventually(lambda: gone(process))
    eventually(lambda: not list(job.runtime.glob("ml-secrets/run-*")))


def test_descriptors_do_not_add_up(job, declare, secret):
    """After a restart the run has as many open as before."""
    secret("0")
    run = serving(job)
    heard(run)

    def opened():
        time.sleep(0.5)
        return len(list(Path(f"/proc/{run.pid}/fd").iterdir()))

    secret("1")
    heard(run)
    heard(run)
    before = opened()
    secret("2")
    heard(run)
    heard(run)
    assert opened() == before
    end(job, run)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[restart]\nstop-signal = "NOPE"', b"nothing to do on a change"),
        ('[restart]\nstop-signal = "restart"', b"restart.stop-signal is no signal"),
        ('[restart]\nstop-timeout = "soon"', b"restart.stop-timeout is no duration"),
        ("[restart]\nmost = -1", b"restart.most is no number"),
        ("[restart]\noften = 3", b"unknown setting 'often'"),
    ],
)
def test_what_is_said_wrong_starts_nothing(job, declare, more, said):
    """With the place in the declaration."""
    declare(more)
    done = job.run("--", "echo", "up")
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr
