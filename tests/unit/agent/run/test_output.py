"""What the command prints: masked as it comes, otherwise unchanged, in two streams as it was written."""

import base64
import json
import os
import sys
import time

import pytest
from tests.unit.agent.run.conftest import KEY, PASSWORD

from ml_secrets import Client

BOTH = (
    "--env", "DB=secret://secret/team-a/db#password",
    "--env", "KEY=secret://secret/team-a/api#key",
)  # fmt: skip


def test_values_are_masked_in_both_streams(job):
    """Each stays the stream that it was."""
    ran = job.run(*BOTH, "--", "sh", "-c", 'echo "out $DB."; echo "err $KEY." >&2')
    assert (ran.stdout, ran.stderr) == (b"out [masked].\n", b"err [masked].\n")


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value,
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: value.encode().hex(),
        lambda value: json.dumps({"password": value}),
        lambda value: __import__("urllib.parse").parse.quote(value, safe=""),
    ],
    ids=["exact", "base64", "hex", "json", "url"],
)
def test_values_are_masked_in_their_encodings(job, form):
    """Whoever prints one of them has printed the value."""
    script = "import sys; sys.stdout.write(bytes.fromhex(sys.argv[1]).decode()[::-1])"
    for value in (PASSWORD, KEY):
        hidden = form(value)[::-1].encode().hex()
        ran = job.run(*BOTH, "--", sys.executable, "-c", script, hidden)
        assert b"[masked]" in ran.stdout
        assert form(value).encode() not in ran.stdout


def test_a_value_split_across_writes_is_masked(job):
    """Byte by byte, each written at once."""
    script = (
        "import os\nfor byte in os.environ['DB'].encode(): os.write(1, bytes([byte]))\nos.write(1, b' end')"
    )
    assert job.run(*BOTH, "--", sys.executable, "-c", script).stdout == b"[masked] end"


def test_other_output_is_unchanged(job):
    """20 MB of any bytes, in both directions through pipes."""
    data = os.urandom(1 << 20) * 20
    ran = job.run(*BOTH, "--", "cat", input=data)
    assert ran.stdout == data


def test_what_is_held_back_comes_when_nothing_follows(job):
    """The beginning of a value at the end of a prompt: the command waits for an answer, and we do not wait for more."""
    script = "import sys; sys.stdout.write('go on? fake'); sys.stdout.flush(); sys.stdin.read(1)"
    running = job.start(*BOTH, "--", sys.executable, "-c", script, stdin=-1)
    assert running.stdout.read(len("go on? fake")) == b"go on? fake"
    running.communicate(b"x")


def test_a_reader_that_leaves_ends_the_command_as_without_us(job):
    """`| head -1`: the command gets SIGPIPE."""
    running = job.start(*BOTH, "--", "sh", "-c", "while :; do echo line; done")
    assert running.stdout.readline() == b"line\n"
    running.stdout.close()
    assert running.wait(60) == 128 + 13
    running.stderr.close()


def test_a_slow_reader_slows_the_command_and_loses_nothing(job):
    """What is on its way is bounded: the command waits, as with any pipe."""
    running = job.start(*BOTH, "--", "head", "-c", "30000000", "/dev/zero")
    time.sleep(0.5)
    assert running.poll() is None
    assert len(running.stdout.read()) == 30_000_000
    assert running.wait() == 0
    running.communicate()


def test_a_leak_fails_the_run_if_asked(job):
    """With a code of its own, whatever the command's was; without the value in what is said."""
    leaks = job.run(*BOTH, "--fail-on-leak", "--", "sh", "-c", "echo $DB; exit 3")
    assert leaks.returncode == 86
    assert b"masked in what the command printed: secret://secret/team-a/db#password;" in leaks.stderr
    assert PASSWORD.encode() not in leaks.stdout + leaks.stderr
    assert job.run(*BOTH, "--fail-on-leak", "--", "sh", "-c", "exit 3").returncode == 3
    assert job.run(*BOTH, "--", "sh", "-c", "echo $DB; exit 3").returncode == 3


def test_our_own_token_is_masked_too(job, told):
    """A command that finds it elsewhere and prints it."""
    assert job.run(*BOTH, "--", "echo", f"token {told.token}").stdout == b"token [masked]\n"


def test_a_secret_that_is_given_whole_is_masked_in_parts(job, told):
    """All its fields in one variable, and one printed alone; a port and true beside it stay, and are no leak."""
    with Client(told.url, told.token) as client:
        client.kv.put("team-a/whole", {"password": "a-fake-of-the-whole", "port": 5432, "tls": "true"})
    whole = ("--env", "ALL=secret://secret/team-a/whole", "--fail-on-leak", "--")
    ran = job.run(*whole, "sh", "-c", 'echo "$ALL"; echo a-fake-of-the-whole 5432 true')
    assert ran.stdout == b"[masked]\n[masked] 5432 true\n"
    assert job.run(*whole, "echo", "5432 true").returncode == 0
