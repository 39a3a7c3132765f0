"""`--add-mask`: the runner of a CI step hears of each value before anybody has it."""

import sys

from ml_secrets import Client

FILE = ("--file", "VALUE_FILE=secret://secret/masks/x#value")
STEP = {"GITHUB_ACTIONS": "true"}
SHOWING = """
import os, sys, time
last = None
while last != "fake-new":
    now = open(os.environ["VALUE_FILE"]).read()
    if now != last:
        print("it has", now[::-1], file=sys.stderr, flush=True)
    last = now
    time.sleep(0.05)
"""


def test_before_the_command_and_before_each_file(job, told):
    """At the start, and at a rotation."""
    with Client(told.url, told.token) as client:
        client.kv.put("masks/x", {"value": "fake-old"})
        run = job.start(*FILE, "--add-mask", "--", sys.executable, "-c", SHOWING, env=STEP)
        first = [run.stderr.readline() for _ in range(2)]
        client.kv.put("masks/x", {"value": "fake-new"})
        rest = run.communicate()[1]
    assert first == [b"::add-mask::fake-old\n", b"it has dlo-ekaf\n"]
    assert rest == b"::add-mask::fake-new\nit has wen-ekaf\n"


def test_not_unless_it_is_asked_for(job, told):
    """A runner that is there is told nothing: its log may go elsewhere."""
    with Client(told.url, told.token) as client:
        client.kv.put("masks/x", {"value": "fake-old"})
    ran = job.run(*FILE, "--", "true", env=STEP)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
