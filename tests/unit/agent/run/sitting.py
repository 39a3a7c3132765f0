"""`ml-secrets run` as people use it: from a program, through pipes, or at a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from ml_secrets.testing.programs import own_command

PATIENCE = 20.0


class Job:
    """Runs commands with secrets of one server."""

    def __init__(self, url, token, folder, runtime):
        self.folder = folder
        self.runtime = runtime
        self.environment = {
            **os.environ,
            "ML_SECRETS_ADDR": url,
            "ML_SECRETS_TOKEN": token,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "TERM": "dumb",
        }

    def command(self, *arguments):
        """The words of a whole command line."""
        return [*own_command(), "run", *arguments]

    def run(self, *arguments, **settings):
        """Run one to its end; stdin is empty unless given."""
        given = {"input": b""} if "stdin" not in settings and "input" not in settings else {}
        environment = self.environment | settings.pop("env", {})
        return subprocess.run(
            self.command(*arguments),
            check=False,
            capture_output=True,
            timeout=PATIENCE,
            cwd=self.folder,
            env=environment,
            **given,
            **settings,
        )

    def start(self, *arguments, **settings):
        """Start one that goes on. `.stdout` and `.stderr` are pipes."""
        settings = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        } | settings
        environment = self.environment | settings.pop("env", {})
        return subprocess.Popen(self.command(*arguments), env=environment, cwd=self.folder, **settings)

    def sit_down(self, *words, size=(30, 100)):
        """A program at a terminal of its own."""
        return Terminal(list(words), self.environment, size)


class Terminal:
    """A person at a terminal: types, reads, changes the size, and has a program run there as session leader."""

    def __init__(self, words, environment, size):
        self.process, self.outer = pty.fork()
        if self.process == 0:
            os.execvpe(words[0], words, environment)
        self.resize(*size)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.outer, keys)

    def until(self, expected, patience=PATIENCE):
        """Read until that has been printed; all that was read since the last time."""
        deadline = time.monotonic() + patience
        while expected not in self.seen:
            ready, _, _ = select.select([self.outer], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{expected!r} did not come; there is {self.seen!r}"
            try:
                piece = os.read(self.outer, 65536)
            except OSError:
                piece = b""
            assert piece, f"the terminal closed before {expected!r}; there is {self.seen!r}"
            self.seen += piece
        before, _, self.seen = self.seen.partition(expected)
        return before

    def end(self):
        """Wait for the program's end. Its exit code (-n for a signal), and what it printed since."""
        rest, deadline = self.seen, time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):
            while select.select([self.outer], [], [], max(0, deadline - time.monotonic()))[0]:
                rest += os.read(self.outer, 65536)
            os.kill(self.process, signal.SIGKILL)  # it did not end by itself: its code will tell
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.waitstatus_to_exitcode(status), rest

    def ways(self):
        """The terminal's settings."""
        return termios.tcgetattr(self.outer)

    def close(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.outer)


def eventually(look, patience=PATIENCE):
    """What `look()` gives as soon as it is something."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def keeper_of(run):
    """The guardian of a run. It is nobody's child: they have pipes in common."""

    def pipes(process):
        with contextlib.suppress(OSError):
            return {str(one.readlink()) for one in Path(f"/proc/{process}/fd").iterdir()} - {"/dev/null"}
        return set()

    found = [
        path.parent.name for path in Path("/proc").glob("[0-9]*/comm") if _named(path) == "ml-secrets-keep"
    ]
    return next(int(process) for process in found if pipes(process) & pipes(run.pid))


def _named(path):
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def gone(process):
    """Has that process ended?"""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"
