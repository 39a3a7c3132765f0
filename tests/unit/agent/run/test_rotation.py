"""Secrets change while the command runs: its files have the new value, whole, within a moment; the output's mask knows it before."""

import hashlib
import json
import sys
import time
from pathlib import Path

import pytest
from tests.unit.agent.run.sitting import eventually, gone

from ml_secrets import Client

READING = """
import hashlib, json, os, sys, time
last = int(sys.argv[1])
before, seen, reads, wrong = {"one": -1, "two": -1}, set(), 0, []
print("up", flush=True)
while min(before.values()) < last:
    for name in before:
        text = open(os.environ[name.upper() + "_FILE"]).read()
        reads += 1
        number, _, filler = text.partition(":")
        whole = number.isdecimal() and hashlib.sha256((name + number).encode()).hexdigest() * (int(number) % 50 + 1) == filler
        if not whole or int(number) < before[name]:
            wrong.append((name, len(text)))
        else:
            if name == "one" and before[name] < 1 <= int(number): print("turns", flush=True)
            before[name] = int(number)
            seen.add((name, int(number)))
        if reads % 50 == 0: time.sleep(0.001)
print(json.dumps({"reads": reads, "seen": len(seen), "wrong": wrong, "last": before}), flush=True)
"""


def value(name, number):
    """A value that tells whether it is whole, and whose; of a different length than the one before."""
    return f"{number}:" + hashlib.sha256(f"{name}{number}".encode()).hexdigest() * (number % 50 + 1)


def rotate(job, told, count, folder):
    """Rotate two secrets so often under a running reader; what the reader saw."""
    with Client(told.url, told.token) as client:

        def turn(number):
            for name in ("one", "two"):
                client.kv.put(f"{folder}/{name}", {"value": value(name, number)})

        turn(0)
        files = [
            f"--file={name.upper()}_FILE=secret://secret/{folder}/{name}#value" for name in ("one", "two")
        ]
        run = job.start(*files, "--", sys.executable, "-c", READING, str(count))
        assert run.stdout.readline() == b"up\n"
        time.sleep(0.5)  # it has read the first by then, or else sees one turn fewer
        turn(1)
        assert run.stdout.readline() == b"turns\n"
        for number in range(2, count + 1):
            turn(number)
        out, err = run.communicate(timeout=120 + count / 20)
    assert run.returncode == 0, err
    return json.loads(out)


def test_a_reader_never_sees_half_a_value(job, told):
    """300 rotations of two secrets: each read is one whole value of its own, never an older one than before; and the last ones come."""
    found = rotate(job, told, 150, "turning/often")
    assert found["wrong"] == []
    assert found["last"] == {"one": 150, "two": 150}
    assert found["seen"] > 4


@pytest.mark.long
def test_a_reader_never_sees_half_a_value_of_many(job, told):
    """The same for 10,000 rotations of each."""
    found = rotate(job, told, 10_000, "turning/always")
    assert found["wrong"] == []
    assert found["last"] == {"one": 10_000, "two": 10_000}
    assert found["seen"] > 100


PAIRS = """
import json, os, sys
folder, last = os.path.dirname(os.environ["ONE_FILE"]), int(sys.argv[1])
odd, seen, before = [], set(), -1
while before < last:
    at = os.open(os.path.join(folder, "..data"), os.O_PATH | os.O_DIRECTORY)
    try:
        one, two = (open(os.open(name, os.O_RDONLY, dir_fd=at)).read() for name in ("one", "two"))
    except FileNotFoundError:
        continue  # it was exchanged meanwhile
    finally:
        os.close(at)
    if one[::-1] != two or int(one) < before: odd.append(len(one))
    if before < 0: print("up", flush=True)
    before = int(one)
    seen.add(one)
print(json.dumps([odd, len(seen)]), flush=True)
"""


def test_files_that_belong_together_are_never_a_mix(job, told):
    """`together = true`, 200 rotations of one secret with two fields: who opens ..data reads two of one version."""
    (job.folder / "ml-secrets.toml").write_text(
        "together = true\n[files]\n"
        'ONE_FILE = "secret://secret/turning/pair#one"\nTWO_FILE = "secret://secret/turning/pair#two"\n'
    )
    (job.folder / "ml-secrets.toml").chmod(0o600)
    with Client(told.url, told.token) as client:
        client.kv.put("turning/pair", {"one": "10000", "two": "00001"})
        run = job.start("--job-token", "--", sys.executable, "-c", PAIRS, "10200")
        assert run.stdout.readline() == b"up\n"
        for number in range(10001, 10201):
            client.kv.put("turning/pair", {"one": str(number), "two": str(number)[::-1]})
        out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, b"")
    odd, turns = json.loads(out)
    assert odd == []
    assert turns >= 2


def test_new_values_are_masked_as_soon_as_they_can_be_read(job, told):
    """Old ones still are."""
    script = """
import os, time
path = os.environ["VALUE_FILE"]
old = new = open(path).read()
print("up", flush=True)
while new == old: new = open(path).read()
print("old", old, "new", new, flush=True)
"""
    with Client(told.url, told.token) as client:
        client.kv.put("turning/once", {"value": "fake-first-value"})
        run = job.start(
            "--file", "VALUE_FILE=secret://secret/turning/once#value", "--", sys.executable, "-c", script
        )
        assert run.stdout.readline() == b"up\n"
        client.kv.put("turning/once", {"value": "fake-second-value"})
        out, _ = run.communicate(timeout=30)
    assert out == b"old [masked] new [masked]\n"


def test_the_command_is_told_by_the_signal_it_wants(job, told):
    """`on-change` of the declaration, once the file is there."""
    (job.folder / "ml-secrets.toml").write_text(
        '[files.VALUE_FILE]\nvalue = "secret://secret/turning/told#value"\non-change = "USR1"\n'
    )
    (job.folder / "ml-secrets.toml").chmod(0o600)  # who else could write to it, could say what is run
    script = """
import os, signal
path = os.environ["VALUE_FILE"]
signal.signal(signal.SIGUSR1, lambda *_: print(open(path).read()[::-1], flush=True))
print("up", flush=True)
signal.pause()
"""
    with Client(told.url, told.token) as client:
        client.kv.put("turning/told", {"value": "fake-before"})
        run = job.start("--", sys.executable, "-c", script)
        assert run.stdout.readline() == b"up\n"
        client.kv.put("turning/told", {"value": "fake-after"})
        out, _ = run.communicate(timeout=30)
    assert out == b"retfa-ekaf\n"


def declare(job, name, *words):
    """A file that follows a secret, and what is run after a change."""
    (job.folder / "ml-secrets.toml").write_text(
        f'[files.VALUE_FILE]\nvalue = "secret://secret/{name}#value"\non-change = {json.dumps(words)}\n'
    )
    (job.folder / "ml-secrets.toml").chmod(0o600)


def test_a_command_on_change_has_no_token_and_no_stream_of_ours(job, told):
    """It prints the value and all its variables: nothing of that comes out of the run. It has the run's mark, and no input."""
    kept = job.folder / "kept"
    declare(
        job, "turning/run", "sh", "-c",
        f"cat; cat {job.folder}/path | xargs cat | tee /dev/stderr; env | tee /dev/stderr {kept}.part; mv {kept}.part {kept}",
    )  # fmt: skip
    script = f"echo $ML_SECRETS_RUN; echo $VALUE_FILE > {job.folder}/path; echo up; read line"
    tokens = dict.fromkeys(("ML_SECRETS_TOKEN", "VAULT_TOKEN", "BAO_TOKEN"), told.token)
    with Client(told.url, told.token) as client:
        client.kv.put("turning/run", {"value": "fake-before"})
        run = job.start("--", "sh", "-c", script, stdin=-1, env=tokens)
        mark = run.stdout.readline().decode().strip()
        assert run.stdout.readline() == b"up\n"
        client.kv.put("turning/run", {"value": "fake-after"})
        eventually(kept.exists)
        out, err = run.communicate(b"\n", timeout=30)
    assert (out, err) == (b"", b"")
    assert f"ML_SECRETS_RUN={mark}\n" in kept.read_text()
    assert told.token not in kept.read_text()


def test_a_command_on_change_goes_with_a_killed_runner(job, told):
    """The guardian finds it by its mark."""
    number = job.folder / "number"
    declare(
        job,
        "turning/killed",
        "sh",
        "-c",
        f"echo $$ > {number}.part; mv {number}.part {number}; exec sleep 1000",
    )
    with Client(told.url, told.token) as client:
        client.kv.put("turning/killed", {"value": "fake-before"})
        run = job.start("--", "sh", "-c", "echo up; read line", stdin=-1)
        assert run.stdout.readline() == b"up\n"
        client.kv.put("turning/killed", {"value": "fake-after"})
        eventually(number.exists)
    run.kill()
    run.communicate()
    eventually(lambda: gone(int(number.read_text())))
    eventually(lambda: not list((job.runtime / "ml-secrets").glob("run-*")))


def test_how_a_command_on_change_ended_is_told(job, told):
    """Each time; and signals reach it as they would reach any."""
    declare(job, "turning/ended", "sh", "-c", "kill -TERM $$; exit 3")
    with Client(told.url, told.token) as client:
        client.kv.put("turning/ended", {"value": "fake-0"})
        with (job.folder / "err").open("wb") as err:
            run = job.start("--", "sh", "-c", "echo up; read line", stdin=-1, stderr=err)
        assert run.stdout.readline() == b"up\n"
        for turn in range(1, 21):
            client.kv.put("turning/ended", {"value": f"fake-{turn}"})
            said = b"ml-secrets: what was run after a change ended with 143\n" * turn
            eventually(lambda said=said: (job.folder / "err").read_bytes() == said)
        run.communicate(b"\n", timeout=30)


def test_a_secret_that_goes_leaves_what_the_command_has(job, told):
    """It is said once, on stderr; the job goes on with the value that it has."""
    script = "import os, sys\nprint('up', flush=True)\nsys.stdin.read(1)\nprint(open(os.environ['VALUE_FILE']).read()[::-1])"
    with Client(told.url, told.token) as client:
        client.kv.put("turning/gone", {"value": "fake-kept"})
        run = job.start(
            "--file",
            "VALUE_FILE=secret://secret/turning/gone#value",
            "--",
            sys.executable,
            "-c",
            script,
            stdin=-1,
        )
        assert run.stdout.readline() == b"up\n"
        client.kv.delete_all("turning/gone")
        assert b"the command keeps the secrets it has" in run.stderr.readline()
        out, _ = run.communicate(b"x", timeout=30)
    assert out == b"tpek-ekaf\n"


def test_what_nobody_can_hear_ends_nothing(job, told):
    """stderr on a full disk, a secret that goes and comes: the file follows all the same."""
    script = "echo up; until grep -q again $VALUE_FILE; do sleep 0.1; done; rev $VALUE_FILE"
    with Client(told.url, told.token) as client, Path("/dev/full").open("wb") as full:
        client.kv.put("turning/deaf", {"value": "fake-kept"})
        file = ("--file", "VALUE_FILE=secret://secret/turning/deaf#value")
        run = job.start(*file, "--", "sh", "-c", script, stderr=full)
        assert run.stdout.readline() == b"up\n"
        client.kv.delete_all("turning/deaf")
        time.sleep(1)  # it has been told of by then
        client.kv.put("turning/deaf", {"value": "fake-again"})
        out, _ = run.communicate(timeout=30)
    assert out.strip() == b"niaga-ekaf"


def test_a_file_that_cannot_be_written_is_tried_again(job, told):
    """A folder in its place: that is said once; when it is gone, the file has the new value without another change."""
    script = "rm $VALUE_FILE; mkdir $VALUE_FILE; echo up; read line; rmdir $VALUE_FILE; until test -f $VALUE_FILE; do sleep 0.1; done; rev $VALUE_FILE"
    with Client(told.url, told.token) as client:
        client.kv.put("turning/blocked", {"value": "fake-before"})
        file = ("--file", "VALUE_FILE=secret://secret/turning/blocked#value")
        run = job.start(*file, "--", "sh", "-c", script, stdin=-1)
        assert run.stdout.readline() == b"up\n"
        client.kv.put("turning/blocked", {"value": "fake-after"})
        assert b"the command keeps the secrets it has: " in run.stderr.readline()
        out, err = run.communicate(b"\n", timeout=30)
    assert (out.strip(), err) == (b"retfa-ekaf", b"")


def test_tokens_are_renewed_while_the_command_runs(job, told):
    """Ours lives eight seconds at a time, and the run fourteen: at the end it is still good for the command."""
    script = "import time\nfrom ml_secrets import get_secret\ntime.sleep(14)\nprint(get_secret('team-a/db')['user'].reveal()[::-1])"
    with Client(told.url, told.token) as client:
        made = client.write("auth/token/create", {"ttl": "8s", "policies": ["root"], "renewable": True}).auth
        run = job.start(
            "--own-token", "--", sys.executable, "-c", script, env={"ML_SECRETS_TOKEN": made["client_token"]}
        )
        out, err = run.communicate(timeout=60)
    assert (out, run.returncode) == (b"ada\n", 0), err


def test_a_server_without_events_is_asked_again_and_again(job, openbao):
    """OpenBao: the new value comes within a few seconds."""
    script = "import os, time\npath = os.environ['VALUE_FILE']\nold = open(path).read()\nprint('up', flush=True)\nwhile open(path).read() == old: time.sleep(0.05)\nprint('new')"
    with Client(openbao.url, openbao.token) as client:
        client.kv.put("turning/bao", {"value": "fake-first-value"})
        run = job.start(
            "--file", "VALUE_FILE=secret://secret/turning/bao#value", "--", sys.executable, "-c", script,
            env={"ML_SECRETS_ADDR": openbao.url, "ML_SECRETS_TOKEN": openbao.token},
        )  # fmt: skip
        assert run.stdout.readline() == b"up\n"
        client.kv.put("turning/bao", {"value": "fake-second-value"})
        began = time.monotonic()
        out, err = run.communicate(timeout=40)
    assert out == b"new\n", err
    assert time.monotonic() - began < 30


def test_a_token_that_may_read_and_nothing_else_is_enough(job, told):
    """Without the right to events: the new value comes all the same, within a moment."""
    script = "import os, time\npath = os.environ['VALUE_FILE']\nold = open(path).read()\nprint('up', flush=True)\nwhile open(path).read() == old: time.sleep(0.01)\nprint('new')"
    with Client(told.url, told.token) as client:
        client.kv.put("turning/plain", {"value": "fake-first-value"})
        client.write(
            "sys/policies/acl/turning", {"policy": 'path "secret/data/turning/*" { capabilities = ["read"] }'}
        )
        token = client.write("auth/token/create", {"policies": ["turning"]}).auth["client_token"]
        run = job.start(
            "--file", "VALUE_FILE=secret://secret/turning/plain#value", "--", sys.executable, "-c", script,
            env={"ML_SECRETS_TOKEN": token},
        )  # fmt: skip
        assert run.stdout.readline() == b"up\n"
        time.sleep(4)  # by now it is followed
        client.kv.put("turning/plain", {"value": "fake-second-value"})
        began = time.monotonic()
        out, err = run.communicate(timeout=40)
    assert (out, err) == (b"new\n", b"")
    assert time.monotonic() - began < 10
