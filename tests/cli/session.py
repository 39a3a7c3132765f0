"""Reads and runs the session files beside it. A session is what a person would see in a terminal:

    # A comment. The file's first line is its claim.
    $ ml-secrets kv put app/db password=-
    < s3cr3t-for-tests               a line for stdin (as many as there are)
    secret/app/db                    stdout; {*} stands for anything on the line, {**} for any number of lines
    ! Error: …                       stderr
    {?}…, or ! {?}…                  a line that may be missing (some servers say more)
    [exit 2]                         when it is not 0

`$ NAME <- ml-secrets …` keeps the output under a name; `{NAME}` in a later line stands for it.
Commands run in this process, with stdin that is no terminal, in a folder of their own.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_secrets.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Step:
    line: int
    command: str
    stdin: list[str] = field(default_factory=list)
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    exit: int = 0
    keep: str = ""


@dataclass
class Ran:
    code: int
    stdout: str
    stderr: str


def read_session(path: Path) -> list[Step]:
    """The commands of a session file, each with what it is to print."""
    steps: list[Step] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if kept := re.fullmatch(r"\$ (?:(\w+) <- )?ml-secrets ?(.*)", line):
            steps.append(Step(number, kept[2], keep=kept[1] or ""))
        elif line.startswith("#") or not steps:
            continue
        elif line.startswith("< "):
            steps[-1].stdin.append(line[2:])
        elif line.startswith("! "):
            steps[-1].stderr.append(line[2:])
        elif code := re.fullmatch(r"\[exit (\d+)\]", line):
            steps[-1].exit = int(code[1])
        else:
            steps[-1].stdout.append(line)
    for step in steps:
        while step.stdout and not step.stdout[-1]:
            step.stdout.pop()
    return steps


def run(arguments: list[str], stdin: str = "") -> Ran:
    """Run one command line in this process."""
    held = sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"),
        out,
        err,
    )
    try:
        with contextlib.suppress(BrokenPipeError):
            code = main(["--debug", *arguments])  # so that an unexpected error tells where it came from
    finally:
        sys.stdin, sys.stdout, sys.stderr = held
    return Ran(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


def play(path: Path) -> None:
    """Run a whole session; fails with the difference at the first command that does something else."""
    kept: dict[str, str] = {}
    for step in read_session(path):
        stdin = "\n".join([*(_filled(line, kept) for line in step.stdin), ""]) if step.stdin else ""
        ran = run(shlex.split(_filled(step.command, kept)), stdin)
        where = f"{path.name}:{step.line}: ml-secrets {step.command}\nstdout:\n{ran.stdout}\nstderr:\n{ran.stderr}\nexit {ran.code}"
        assert ran.code == step.exit, f"exit code is not {step.exit}\n{where}"
        assert matches(step.stderr, ran.stderr, kept), f"stderr differs from line {step.line}\n{where}"
        if step.keep:
            kept[step.keep] = ran.stdout.strip()
        else:
            assert matches(step.stdout, ran.stdout, kept), f"stdout differs from line {step.line}\n{where}"


def _filled(text: str, kept: dict[str, str]) -> str:
    for name, value in kept.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def matches(expected: list[str], printed: str, kept: dict[str, str]) -> bool:
    """Does the text fit the expected lines?"""
    pattern = ""
    for line in expected:
        if line == "{**}":
            pattern += r"(?:.*\n)*?"
        elif line.startswith("{?}"):
            pattern += f"(?:{_line_pattern(line[3:], kept)})?"
        else:
            pattern += _line_pattern(line, kept)
    text = printed if not printed or printed.endswith("\n") else f"{printed}\n"
    return re.fullmatch(pattern, text) is not None


def _line_pattern(line: str, kept: dict[str, str]) -> str:
    return ".*".join(re.escape(part) for part in _filled(line, kept).split("{*}")) + r"[ ]*\n"
