"""Whatever is killed: no process, folder or token of a run stays behind longer than `guardian.SECONDS`; the state of the terminal neither."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest
from tests.unit.agent.run.conftest import PASSWORD
from tests.unit.agent.run.sitting import eventually, gone, keeper_of

from ml_secrets import Client, Unauthenticated, places
from ml_secrets.agent.run import guardian
from ml_secrets.testing import programs

FILE = ("--file", "DB_PASSWORD_FILE=secret://secret/team-a/db#password")
TELLING = "echo $$; echo $DB_PASSWORD_FILE; cat $ML_SECRETS_TOKEN_FILE | rev; echo; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait"


@pytest.fixture
def telling(job):
    """A run that has a folder, a token, and processes below it; and what it says of them."""
    run = job.start(*FILE, "--job-token", "--", "sh", "-c", TELLING, start_new_session=True)
    said = [run.stdout.readline().decode().strip() for _ in range(5)]
    yield run, Path(said[1]), said[2][::-1], [int(said[0]), int(said[3]), int(said[4])]
    run.kill()
    run.communicate()


def refused(told, token):
    """Is the token known no more?"""
    with Client(told.url, token) as client:
        try:
            client.read("auth/token/lookup-self")
        except Unauthenticated:
            return True
    return False


def test_a_killed_runner_leaves_nothing(telling, told):
    """kill -9: the command and all below it are gone, also what left its session; the folder and the token too."""
    run, file, token, processes = telling
    assert file.exists()
    assert not refused(told, token)
    run.send_signal(signal.SIGKILL)
    began = time.monotonic()
    for process in processes:
        eventually(lambda process=process: gone(process))
    eventually(lambda: not file.parent.exists())
    eventually(lambda: refused(told, token))
    assert time.monotonic() - began < guardian.SECONDS + 2  # the machine that runs tests is busy


def test_killing_everything_below_leaves_nothing(telling, told):
    """As a CI runner does it, or Slurm: `kill -9` of the run and of all that came from it; the guardian is nobody's child."""
    run, file, token, _ = telling
    found, new = [], [run.pid]
    while new:
        found += new
        children = [Path(f"/proc/{one}/task/{one}/children").read_text().split() for one in new]
        new = [int(child) for below in children for child in below]
    for process in found:
        os.kill(process, signal.SIGKILL)
    eventually(lambda: not file.parent.exists())
    eventually(lambda: refused(told, token))


def test_a_killed_command_leaves_nothing(telling, told):
    """The run ends with 137, and its folder and token are gone by then."""
    run, file, token, processes = telling
    os.kill(processes[0], signal.SIGKILL)
    assert run.wait(30) == 128 + 9
    assert not file.parent.exists()
    assert refused(told, token)
    for process in processes[1:]:
        os.kill(process, signal.SIGKILL)  # what the command left running is not ours to end


def test_a_killed_guardian_is_missed_by_nobody(telling, told):
    """The runner takes back what it made."""
    run, file, token, processes = telling
    os.kill(keeper_of(run), signal.SIGKILL)
    os.kill(processes[0], signal.SIGTERM)
    assert run.wait(30) == 128 + 15
    assert not file.parent.exists()
    assert refused(told, token)
    for process in processes[1:]:
        os.kill(process, signal.SIGKILL)


def test_a_killed_guardian_is_replaced(telling, told):
    """At once, and the next one knows all: when the run is killed, too, files, token and processes are gone."""
    run, file, token, processes = telling
    for _ in range(2):
        before = keeper_of(run)
        os.kill(before, signal.SIGKILL)
        eventually(lambda before=before: gone(before) and _keeper(run))
    run.kill()
    run.wait()
    for process in processes:
        eventually(lambda process=process: gone(process))
    eventually(lambda: not file.parent.exists())
    eventually(lambda: refused(told, token))


def _keeper(run):
    with contextlib.suppress(StopIteration):
        return keeper_of(run)


def test_a_guardian_that_is_killed_again_and_again_is_missed(job):
    """After five others it is said what does not hold any more; the run goes on, and takes back what it made."""
    run = job.start(*FILE, "--", "sh", "-c", "echo $DB_PASSWORD_FILE; read line", stdin=-1)
    file = Path(run.stdout.readline().decode().strip())
    for _ in range(6):
        keeper = eventually(lambda: _keeper(run))
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda keeper=keeper: gone(keeper))
    assert run.stderr.readline().startswith(b"ml-secrets: somebody kills ml-secrets-keep again and again")
    assert _keeper(run) is None
    _, err = run.communicate(b"\n", timeout=30)
    assert (run.returncode, err) == (0, b"")
    assert not file.parent.exists()


def test_what_a_fallen_machine_left_goes_with_the_next_run(job):
    """Runner and guardian both killed: the next run removes the folder; one that is in use stays."""
    one, other = (
        job.start(*FILE, "--", "sh", "-c", "echo $DB_PASSWORD_FILE; exec sleep 1000") for _ in range(2)
    )
    left, used = (Path(run.stdout.readline().decode().strip()) for run in (one, other))
    one.send_signal(signal.SIGSTOP)  # else it would start another guardian
    for process in (keeper_of(one), one.pid):
        os.kill(process, signal.SIGKILL)
    one.communicate()
    assert left.exists()
    assert job.run(*FILE, "--", "true").returncode == 0
    assert not left.parent.exists()
    assert used.exists()
    other.terminate()
    other.communicate()


def test_what_another_container_left_stays(job, room):
    """Its processes have numbers of their own: nobody here knows whether one lives. What is nobody's, and ours, goes."""
    ours = places.process_namespace()
    names = [f"run-{namespace}-{2**31 - 1}-7-{'0' * 16}" for namespace in (ours, ours + 1, 0)]
    folders = [room / "ml-secrets" / name for name in names]
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True)
        (folder / "db_password").write_text("fake-left-behind")
    assert job.run(*FILE, "--", "true").returncode == 0
    assert [folder.exists() for folder in folders] == [False, True, True]
    for folder in folders[1:]:
        shutil.rmtree(folder)


def test_a_run_in_another_namespace_keeps_its_files(job):
    """A container that shares the folder: runs outside of it, and in others, leave the files of a run within alone."""
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make namespaces")
    command = [
        *apart,
        *job.command(
            *FILE, "--", "sh", "-c", "echo $DB_PASSWORD_FILE; read line; cat $DB_PASSWORD_FILE | rev"
        ),
    ]
    with subprocess.Popen(
        command, env=job.environment, cwd=job.folder, stdin=-1, stdout=-1, stderr=-1
    ) as within:
        file = Path(within.stdout.readline().decode().strip())
        assert file.exists()
        assert job.run(*FILE, "--", "true").returncode == 0
        other = subprocess.run([*apart, *job.command(*FILE, "--", "true")], check=False, env=job.environment)
        assert other.returncode == 0
        out, err = within.communicate(b"\n", timeout=30)
    assert (out, err) == (PASSWORD[::-1].encode(), b"")
    assert not file.exists()


def test_a_leftover_that_cannot_be_removed_keeps_no_run(job, room):
    """One that others can write to is not opened; it is not what the run is for."""
    folder = room / "ml-secrets" / f"run-{places.process_namespace()}-{2**31 - 1}-7-{'0' * 16}"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert job.run(*FILE, "--", "true").returncode == 0
    folder.rmdir()


def test_a_run_leaves_no_process(job):
    """Neither guardian nor leader."""
    mark = job.run(*FILE, "--", "sh", "-c", "echo $ML_SECRETS_RUN").stdout.decode().strip()
    runner = mark.split("-")[1]
    assert gone(int(runner))
    assert not list(guardian._marked(mark))


def test_nobody_waits_for_the_guardian(job):
    """`$(ml-secrets run …)` ends with the run: the guardian holds no stream of ours."""
    run = job.start(*FILE, "--", "echo", "x")
    out, _ = run.communicate(timeout=30)
    assert out == b"x\n"


def test_a_killed_runner_leaves_the_terminal_as_it_was(job, sit_down):
    """The guardian puts it back."""
    terminal = sit_down(
        "sh",
        "-c",
        f"{' '.join(job.command('--', 'sh', '-c', chr(39) + 'stty raw; echo up; sleep 1000' + chr(39)))}; echo over; read line",
    )
    before = termios.tcgetattr(terminal.outer)
    terminal.until(b"up")
    assert termios.tcgetattr(terminal.outer) != before
    shell = int(Path(f"/proc/{terminal.process}/task/{terminal.process}/children").read_text().split()[0])
    os.kill(shell, signal.SIGKILL)
    terminal.until(b"over")
    eventually(lambda: termios.tcgetattr(terminal.outer) == before)


def test_runs_within_runs_know_their_marks(job):
    """The inner command has both; each run's processes are found by its own."""
    inner = " ".join(job.command("--", "sh", "-c", "'echo $ML_SECRETS_RUN'"))
    marks = job.run("--own-token", "--", "sh", "-c", inner).stdout.decode().split()
    assert len(marks) == 2
    assert all(re.fullmatch(r"\d+-\d+-\d+-[0-9a-f]{16}", mark) for mark in marks)


def test_a_server_that_is_away_at_the_end_keeps_nobody(job, tmp_path):
    """The run ends and says so; the guardian stays, to try on."""
    with programs.dev_server(tmp_path) as server:
        ran = job.start(
            "--job-token", "--", "sh", "-c", "echo up; read line",
            env={"ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": server.token}, stdin=-1,
        )  # fmt: skip
        assert ran.stdout.readline() == b"up\n"
        keeper = keeper_of(ran)
    _, err = ran.communicate(b"\n", timeout=40)
    assert b"the server is away: the command's token is revoked once it is back" in err
    assert ran.returncode == 0
    assert not gone(keeper)
    os.kill(keeper, signal.SIGKILL)
