"""How a run ends: the command's own exit code, a shell's codes for what cannot run, and codes of ours before anything runs."""

import signal
import sys

import pytest


def test_the_exit_code_is_the_commands(job):
    """Whatever it is."""
    assert [job.run("--", "sh", "-c", f"exit {code}").returncode for code in (0, 1, 7, 255)] == [0, 1, 7, 255]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_is_128_and_its_number(job, number):
    """As shells have it."""
    assert job.run("--", "sh", "-c", f"kill -{number.value} $$").returncode == 128 + number


def test_what_is_not_there_is_127(job):
    """And said in a line."""
    ran = job.run("--", "no-such-program")
    assert (ran.returncode, ran.stderr) == (127, b"ml-secrets: no-such-program: No such file or directory\n")


def test_what_cannot_run_is_126(job, tmp_path):
    """A file without the right to be run, a folder."""
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    assert job.run("--", str(tmp_path / "plain")).returncode == 126
    assert job.run("--", str(tmp_path)).returncode == 126


def test_nothing_runs_without_its_secrets(job, tmp_path):
    """One that is not there, and the command does not start; the code is the server's, 2."""
    ran = job.run(
        "--file", "A_FILE=secret://secret/team-a/db#password",
        "--file", "B_FILE=secret://secret/team-a/none#x",
        "--", "touch", str(tmp_path / "ran"),
    )  # fmt: skip
    assert ran.returncode == 2
    assert b"team-a/none" in ran.stderr
    assert not (tmp_path / "ran").exists()


def test_nothing_runs_without_a_server(job, tmp_path):
    """It says so, with what to do."""
    ran = job.run(
        "--file", "A_FILE=secret://secret/a#b", "--", "touch", str(tmp_path / "ran"),
        env={"ML_SECRETS_ADDR": "http://127.0.0.1:1"},
    )  # fmt: skip
    assert ran.returncode == 2
    assert b"no server answers at http://127.0.0.1:1" in ran.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("true",), b"put -- before the command"),
        (("--",), b"COMMAND"),
        (("--file", "fake-leaked-value", "--", "true"), b"--file is not of the form"),
        (("--env", "A=fake-leaked-value", "--", "true"), b"there is no reference"),
        (("--env", "A=secret://a/b", "--env", "A=secret://a/c", "--", "true"), b"A is there already"),
        (("--stdin", "fake-leaked-value", "--", "true"), b"there is no reference"),
    ],
)
def test_a_wrong_command_line_is_1(job, words, said):
    """It says what is wrong, and repeats no value that lost its way."""
    ran = job.run(*words)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert b"leaked" not in ran.stderr


def test_options_of_the_command_are_its_own(job):
    """Also those that look like ours, and `--` again."""
    script = "import sys; print(sys.argv[1:])"
    ran = job.run("--", sys.executable, "-c", script, "--format", "json", "-version", "--", "--env", "x")
    assert ran.stdout == b"['--format', 'json', '-version', '--', '--env', 'x']\n"


def test_it_ends_with_the_command_not_with_what_that_left_running(job):
    """A process in the background that holds the output open keeps nobody waiting, and is not killed."""
    ran = job.run("--", "sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!; (sleep 30) & echo over")
    assert ran.stdout.endswith(b"over\n")
    background = int(ran.stdout.split()[0])
    import os

    os.kill(background, signal.SIGKILL)  # raises if it is gone
