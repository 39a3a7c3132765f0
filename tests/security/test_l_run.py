"""Checks 125, 126 and 131 of the runner: where a value is, and where it is not, seen from outside by /proc and strace."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.agent.run.sitting import Job, eventually, keeper_of

from ml_secrets import Client
from ml_secrets.testing import programs

VALUE = "fake-l131-value-that-must-not-be-seen"
FILE = ("--file", "DB_PASSWORD_FILE=secret://secret/l/db#password")
ENV = ("--env", "DB=secret://secret/l/db#password")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the secret."""
    with programs.dev_server(tmp_path_factory.mktemp("run")) as running:
        with Client(running.url, running.token) as client:
            client.kv.put("l/db", {"password": VALUE})
        yield running


@pytest.fixture
def runtime():
    """A folder in memory, as a login has it; umask 0 meanwhile."""
    folder = Path(f"/dev/shm/ml-secrets-test-l-{os.getpid()}")
    folder.mkdir(mode=0o700)
    held = os.umask(0)
    yield folder
    os.umask(held)
    shutil.rmtree(folder)


@pytest.fixture
def job(server, tmp_path, runtime):
    """Runs commands, in a home of their own."""
    return Job(server.url, server.token, tmp_path, runtime)


@pytest.fixture
def waiting(job):
    """Start a run whose command waits; gives the runner, the command's process, and what the command said of its file."""
    started = []

    def start(*options, more=""):
        run = job.start(*options, "--", "sh", "-c", f"echo $$ $DB_PASSWORD_FILE; {more} exec sleep 1000")
        started.append(run)
        words = run.stdout.readline().decode().split()
        return run, int(words[0]), words[-1]

    yield start
    for run in started:
        run.terminate()
        run.communicate()


def processes(run):
    """The runner, its guardian and all below it."""
    found, new = [keeper_of(run)], [run.pid]
    while new:
        found += new
        new = [
            int(child)
            for parent in new
            for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        ]
    return found


def holds(process, name):
    """Is the value, or the root token, in that file of /proc?"""
    content = Path(f"/proc/{process}/{name}").read_bytes()
    return VALUE.encode() in content


def test_l131_a_value_is_in_no_argv_and_in_no_environ(waiting):
    """As a file: neither the runner, nor the guardian, nor the command show it; the command's environment has the path alone."""
    run, _, path = waiting(*FILE)
    assert Path(path).read_text() == VALUE
    for process in processes(run):
        assert not holds(process, "cmdline")
        assert not holds(process, "environ")


def test_l131_a_variable_is_in_the_commands_environ_alone(waiting):
    """As a variable, asked for: no sibling, not the runner, no other process of the machine, no argv."""
    run, command, _ = waiting(*ENV)
    assert not any(
        holds(process, name)
        for process in processes(run)
        for name in ("cmdline", "environ")
        if process != command
    )
    having = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is nobody's to look into
            having += [(place.name, name) for name in ("cmdline", "environ") if holds(place.name, name)]
    assert having == [(str(command), "environ")]


def test_l131_our_token_is_not_in_the_commands_environ(waiting, server):
    """It is in ours, where it came from, and goes no further."""
    run, command, _ = waiting(*FILE)
    assert server.token.encode() not in Path(f"/proc/{command}/environ").read_bytes()
    assert server.token.encode() in Path(f"/proc/{run.pid}/environ").read_bytes()


def test_l131_no_system_call_carries_a_value_but_those_that_must(job, tmp_path):
    """strace of a whole run: the value is received from the server and written to the file; no exec and no path has it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    ran = subprocess.run(
        ["strace", "-f", "-s", "100000", "-o", str(trace), *job.command(*FILE, "--", "sh", "-c", "cat $DB_PASSWORD_FILE")],
        env=job.environment, cwd=job.folder, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.stdout == b"[masked]"
    calls = {
        line.split(None, 1)[1].split("(")[0]
        for line in trace.read_text(errors="replace").splitlines()
        if VALUE in line and "(" in line
    }
    assert calls <= {"recvfrom", "read", "write", "sendfile", "copy_file_range"}, calls


WRITTEN_TO = re.compile(r"[0-9]+ +p?write[v64]*\([0-9]+<([^>]*)>")


@pytest.mark.parametrize("way", [FILE, ("--memfd", *FILE), ("--stdin", FILE[1].partition("=")[2]), ENV])
def test_l131_a_value_is_on_no_disk(job, runtime, tmp_path, way):
    """By strace: it is written into memory (tmpfs, a memory file) and pipes alone, and no file has it after; swap is the machine's business."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace, temporary = tmp_path / "trace", tmp_path / "tmp"
    temporary.mkdir()
    script = "cat ${DB_PASSWORD_FILE:-/dev/stdin}; echo $DB"
    ran = subprocess.run(
        ["strace", "-f", "-y", "-s", "100000", "-o", str(trace), *job.command(*way, "--", "sh", "-c", script)],
        env=job.environment | {"TMPDIR": str(temporary)}, cwd=job.folder, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ran.stdout.strip() == b"[masked]"
    lines = [line for line in trace.read_text(errors="replace").splitlines() if VALUE in line]
    places = {found[1] for line in lines if (found := WRITTEN_TO.match(line))}
    assert places
    assert not [one for one in places if not one.startswith((f"{runtime}/", "pipe:", "/memfd:"))]
    trace.unlink()
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and VALUE.encode() in one.read_bytes()]


def test_l131_there_is_no_core_of_runner_and_command(waiting, job):
    """The limit leaves no room for one, nor for one that a program would be given; SIGABRT leaves no file."""
    run, command, path = waiting(*FILE)
    for process in (run.pid, command):
        limit = next(
            line for line in Path(f"/proc/{process}/limits").read_text().splitlines() if "core file" in line
        )
        assert limit.split()[4:6] == ["1", "1"]
    os.kill(command, signal.SIGABRT)
    assert run.wait(30) == 128 + signal.SIGABRT
    assert not [file for file in job.folder.iterdir() if file.name.startswith("core")]
    assert not Path(path).exists()


def test_l131_nobody_of_ours_reads_the_runners_memory(waiting):
    """It is not dumpable: the kernel gives its files to root, and a debugger of the same user is refused."""
    run, _, _ = waiting(*FILE)
    script = f"import os\nos.setgid(65534); os.setuid(65534)\nopen('/proc/{run.pid}/mem', 'rb')"
    peeked = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert b"PermissionError" in peeked.stderr
    source = "from ml_secrets.agent.run import system; import ctypes; system.hide_memory(); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, check=True).stdout == b"0\n"


def test_l131_an_error_shows_no_value(job):
    """What cannot be a variable, with the most telling output there is."""
    ran = job.run("--debug", *ENV, "--env", "X=secret://secret/l/none#password", "--", "true")
    assert ran.returncode == 2
    assert VALUE.encode() not in ran.stdout + ran.stderr


def test_l125_a_runtime_folder_behind_a_link_is_not_followed(job, runtime, tmp_path):
    """Somebody planted a link where the runs' folder goes: nothing is written behind it, and nothing runs without its file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (runtime / "ml-secrets").symlink_to(elsewhere)
    ran = job.run(*FILE, "--", "sh", "-c", "echo $DB_PASSWORD_FILE")
    assert not list(elsewhere.iterdir())
    assert ran.returncode != 0 or not ran.stdout.startswith(str(runtime).encode())


def test_l125_files_have_their_mode_under_any_umask(waiting):
    """0400 in 0700, with umask 0, and ours."""
    _, _, path = waiting(*FILE)
    assert {one.stat().st_uid for one in (Path(path), Path(path).parent)} == {os.geteuid()}
    assert Path(path).stat().st_mode & 0o777 == 0o400
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert Path(path).parent.parent.stat().st_mode & 0o777 == 0o700


def test_l126_a_killed_runner_leaves_no_file(waiting):
    """Neither whole nor in part."""
    run, _, path = waiting(*FILE)
    run.kill()
    eventually(lambda: not Path(path).parent.exists())
    assert not list(Path(path).parent.parent.iterdir())
