"""At a terminal: the command has one of its own, and keys, sizes, Ctrl-C, Ctrl-Z and `fg` act as if nobody stood in between."""

import os
import signal
import sys
import termios
from pathlib import Path

import pytest
from tests.unit.agent.run.conftest import PASSWORD
from tests.unit.agent.run.sitting import eventually, gone

ENV = ("--env", "DB=secret://secret/team-a/db#password")


@pytest.fixture
def at_terminal(job, sit_down):
    """A run at a terminal, from its start."""
    return lambda *words, **settings: sit_down(*job.command(*words), **settings)


def test_the_command_sees_a_terminal_of_our_size(at_terminal):
    """For all three streams; and a change of size reaches it with its signal."""
    script = """
import os, signal, sys
def told(*_): print("now", *os.get_terminal_size(), flush=True)
signal.signal(signal.SIGWINCH, told)
print([os.isatty(number) for number in (0, 1, 2)], *os.get_terminal_size(), flush=True)
while True: signal.pause()
"""
    terminal = at_terminal("--", sys.executable, "-c", script, size=(31, 97))
    terminal.until(b"[True, True, True] 97 31\r\n")
    terminal.resize(40, 120)
    terminal.until(b"now 120 40\r\n")
    terminal.type(b"\x03")
    assert terminal.end()[0] == 128 + signal.SIGINT


def test_values_are_masked_there_too(at_terminal):
    """Also what is typed and echoed."""
    terminal = at_terminal(*ENV, "--", "sh", "-c", 'echo "db $DB"; read line; echo "got $line"')
    terminal.until(b"db [masked]\r\n")
    terminal.type(PASSWORD.encode() + b"\n")
    terminal.until(b"got [masked]\r\n")
    code, rest = terminal.end()
    assert code == 0
    assert PASSWORD.encode() not in rest


def test_a_prompt_is_seen_before_its_answer(at_terminal):
    """Though it ends as a value begins."""
    terminal = at_terminal(*ENV, "--", "sh", "-c", f'printf "{PASSWORD[:5]}"; read line; echo "$line"')
    terminal.until(PASSWORD[:5].encode())
    terminal.type(b"yes\n")
    terminal.until(b"yes\r\n")
    terminal.until(b"yes\r\n")
    assert terminal.end()[0] == 0


def test_a_password_is_asked_for_without_echo(at_terminal):
    """The command switches the echo off on its terminal, and no other echoes."""
    script = "import getpass; print('length', len(getpass.getpass()))"
    terminal = at_terminal("--", sys.executable, "-c", script)
    terminal.until(b"Password: ")
    terminal.type(b"fake-typed\n")
    assert terminal.until(b"length 10\r\n") == b"\r\n"


def test_keys_come_one_by_one_to_who_wants_them_so(at_terminal):
    """An editor, a pager: raw keys, arrows and Ctrl-C among them."""
    script = """
import os, sys, tty
tty.setraw(0)
os.write(1, b"ready ")
seen = b""
while not seen.endswith(b"q"): seen += os.read(0, 100)
os.write(1, seen.hex().encode())
"""
    terminal = at_terminal("--", sys.executable, "-c", script)
    terminal.until(b"ready ")
    terminal.type(b"\x1b[A\x03\x1aq")
    terminal.until(b"1b5b41031a71")
    assert terminal.end()[0] == 0


def test_end_of_input_is_ctrl_d(at_terminal):
    """As at any terminal."""
    terminal = at_terminal("--", "cat")
    terminal.type(b"line\n")
    terminal.until(b"line\r\nline\r\n")
    terminal.type(b"\x04")
    assert terminal.end()[0] == 0


def test_the_terminal_is_as_it_was(at_terminal):
    """After the end, also one by a signal."""
    terminal = at_terminal("--", "sh", "-c", "stty raw -echo; printf ready; read line; kill -9 $$")
    before = termios.tcgetattr(terminal.outer)
    terminal.until(b"ready")
    terminal.type(b"\n")
    assert terminal.end()[0] == 128 + 9
    assert termios.tcgetattr(terminal.outer) == before


def test_stderr_goes_its_own_way(job, sit_down, tmp_path):
    """Where ours is a file, the command's is a pipe to it."""
    words = " ".join(job.command("--", "sh", "-c", "'test -t 1 && test ! -t 2 && echo out && echo err >&2'"))
    terminal = sit_down("sh", "-c", f"exec {words} 2>{tmp_path}/err")
    terminal.until(b"out\r\n")
    assert terminal.end()[0] == 0
    assert (tmp_path / "err").read_bytes() == b"err\n"


def test_a_pager_at_the_end_of_a_pipe_keeps_its_keys(job, sit_down):
    """`run -- … | pager`: our output is a pipe, so the terminal is left alone, and Ctrl-C reaches all of the job once."""
    script = "import signal, time, sys\nsignal.signal(signal.SIGINT, lambda *_: print('once', flush=True))\nprint('up', flush=True)\nfor _ in range(20): time.sleep(0.1)"
    words = " ".join(job.command("--", sys.executable, "-c", f'"{script}"'))
    terminal = sit_down("sh", "-c", f"trap '' INT; {words} | cat")
    terminal.until(b"up\r\n")
    terminal.type(b"\x03")
    _, rest = terminal.end()
    assert rest.count(b"once") == 1


def shell(sit_down):
    """A real shell with job control."""
    terminal = sit_down("bash", "--norc", "--noprofile", "-i")
    terminal.type(b"PS1='prompt> '; PS2=''\n")
    terminal.until(b"prompt> ")
    terminal.until(b"prompt> ")
    return terminal


def test_ctrl_z_stops_the_job_and_fg_goes_on(job, sit_down):
    """The shell gets its terminal back as it was; `fg` gives the command its keys again."""
    terminal = shell(sit_down)
    words = " ".join(job.command("--", "sh", "-c", "'echo $$ is up; read line; echo got $line'"))
    terminal.type(words.encode() + b"\n")
    terminal.until(b"\n")
    process = int(terminal.until(b" is up\r\n").split()[-1])
    terminal.type(b"\x1a")
    terminal.until(b"Stopped")
    terminal.until(b"prompt> ")
    assert Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    terminal.type(b"echo the shell ec''hoes\n")
    terminal.until(b"the shell echoes\r\n")
    terminal.type(b"fg\n")
    terminal.until(b"got $line'\r\n")
    terminal.type(b"hello\n")
    terminal.until(b"got hello\r\n")
    terminal.until(b"prompt> ")
    terminal.type(b"exit\n")
    terminal.end()


def test_a_job_in_the_background_leaves_the_keys_to_the_shell(job, sit_down):
    """`run … &`: its output comes, the shell reads what is typed; `fg` brings it to the keys."""
    terminal = shell(sit_down)
    words = " ".join(job.command("--", "sh", "-c", "'echo up; read line; echo got $line'"))
    terminal.type(words.encode() + b" &\n")
    terminal.until(b"up\r")
    terminal.type(b"echo the shell re''ads\n")
    terminal.until(b"the shell reads\r\n")
    terminal.type(b"fg\n")
    terminal.until(b"got $line'\r\n")
    terminal.type(b"hello\n")
    terminal.until(b"got hello\r\n")
    terminal.until(b"prompt> ")
    terminal.type(b"exit\n")
    terminal.end()


def test_a_terminal_that_closes_hangs_up_the_command(at_terminal):
    """SIGHUP, as a shell's jobs get it; nothing stays."""
    terminal = at_terminal("--", "sh", "-c", "echo $$ is up; sleep 1000")
    process = int(terminal.until(b" is up\r\n"))
    os.close(terminal.outer)
    terminal.outer = os.open(os.devnull, os.O_RDONLY)
    eventually(lambda: gone(process))
