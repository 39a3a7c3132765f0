"""Programs that use the real tools, in interpreters of their own, once without and once with guards.

`leaks` runs a program in an empty folder and tells in which files, and on which stream, any form of the value stands. Without guards there must
be some: else the test would show nothing.
"""

import importlib.util
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from ml_secrets.detect.known import KnownValues

VALUE = "sk-example-4f9d/7+Zq.notakey"
HEAD = """
import os, sys
from ml_secrets import redaction
value = os.environ["VALUE"]
redaction.know(openai=value)
if mode := os.environ.get("MODE"):
    redaction.install(mode)
"""


def pytest_collection_modifyitems(items):
    """All here want the tools themselves: `make integrations`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hosts)


@dataclass
class Done:
    """What a program left: `where` names the files and streams that hold the value, `masked` those that say it was masked."""

    folder: Path
    returncode: int
    out: str
    err: str

    def holding(self, text):
        known = KnownValues([VALUE]) if text == VALUE else None
        texts = {
            str(f.relative_to(self.folder)): f.read_bytes() for f in self.folder.rglob("*") if f.is_file()
        }
        texts |= {"stdout": self.out.encode(), "stderr": self.err.encode()}
        return {
            name
            for name, content in texts.items()
            if (known.search(content)[0] if known else text.encode() in content)
        } | {str(f.relative_to(self.folder)) for f in self.folder.rglob("*") if text in f.name}

    @property
    def where(self):
        return self.holding(VALUE)

    @property
    def masked(self):
        return self.holding("[masked]")


@pytest.fixture
def program(tmp_path):
    """Run a program; `mode` "" is without guards."""

    def run(text, *arguments, mode="mask", environ=None, ok=True):
        folder = tmp_path / (mode or "bare")
        folder.mkdir()
        script = tmp_path / "train.py"
        script.write_text(HEAD + textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, script, *arguments],
            cwd=folder,
            env=os.environ | {"VALUE": VALUE, "MODE": mode, "HOME": str(tmp_path)} | (environ or {}),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return Done(folder, done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def closed(program):
    """The leak of today, and that it is closed: gives what the bare and what the guarded program left."""

    def check(text, *arguments, **more):
        bare, guarded = program(text, *arguments, mode="", **more), program(text, *arguments, **more)
        assert bare.where, "without guards nothing leaks: the test shows nothing"
        assert guarded.where == set()
        return bare, guarded

    return check


def needs(*modules):
    """Skip where a tool is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name.partition(".")[0]) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
