import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.barrier.stores import opened, put, reopened

from ml_secrets.barrier import opened as insides
from ml_secrets.errors import Sealed
from ml_secrets.storage.sqlite import SqliteStorage

PROGRAM = """
import os, sys
from pathlib import Path
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.crypto.memory import wipe
from ml_secrets.storage.sqlite import SqliteStorage

barrier = Barrier(SqliteStorage(Path(sys.argv[1])), os.urandom)
root = bytearray(32)
os.readv(0, [root])
barrier.unseal(root)
wipe(root)
with barrier.begin(write=True) as tx:
    tx.put("b", tx.get("a"))
marker = bytes(reversed(b"stays in memory"[:15]))
barrier.subkey("token")
barrier.rotate(1.0)
barrier.reseal(limit=100)
barrier.seal()
print("sealed", flush=True)
os.read(0, 1)
"""
MARKER = b"yromem ni syats"


def hits(pid, needles):
    """How often each needle is found in the memory of a process."""
    found = dict.fromkeys(needles, 0)
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("r") or "[v" in line:
                continue
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            for needle in needles:
                found[needle] += content.count(needle)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_after_sealing_no_key_is_left_in_memory(tmp_path):
    """Root key, stable key and every data key: no copy anywhere in the process. (139)"""
    root = os.urandom(32)
    barrier = opened(SqliteStorage(tmp_path), root)
    put(barrier, {"a": b"fake"})
    keyring = barrier._opened.keyring
    keys = [root, bytes(keyring.stable_key), bytes(keyring.newest.key), bytes(keyring.newest.record_key)]
    barrier.close()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            child.stdin.write(root)
            child.stdin.flush()
            assert child.stdout.readline() == b"sealed\n"
            try:
                found = hits(child.pid, [*keys, MARKER])
            except PermissionError:
                pytest.skip("this system does not let us look into the memory of our own child")
        finally:
            child.kill()
    assert found.pop(MARKER) > 0
    assert found == dict.fromkeys(keys, 0)
    again = reopened(SqliteStorage(tmp_path), root)
    assert bytes(again._opened.keyring.stable_key) == keys[1]
    again.close()


FORKED = """
import os, sys
from tests.unit.barrier.stores import get, opened, put, reopened

barrier = opened()
put(barrier, {"a": b"1", "open/b": b"2"})
if os.fork() == 0:
    uses = {
        "get": lambda: get(barrier, "a"),
        "get open": lambda: get(barrier, "open/b"),
        "put": lambda: put(barrier, {"a": b"3"}),
        "subkey": lambda: barrier.subkey("token"),
        "verify": barrier.verify,
        "rotate": lambda: barrier.rotate(1.0),
    }
    for name, use in uses.items():
        try:
            use()
        except Exception as error:
            print(name, type(error).__name__, flush=True)
    barrier.seal()
    sys.exit()
os.wait()
put(barrier, {"c": b"4"})
again = reopened(barrier._storage)
print([get(one, key) for one in (barrier, again) for key in ("a", "c")], barrier.verify().clean, flush=True)
"""


def test_for_a_forked_child_the_barrier_is_sealed():
    """It reads and writes nothing, and when it seals the parent goes on as if nothing had been."""
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert lines[:-1] == [
        f"{name} Sealed" for name in ("get", "get open", "put", "subkey", "verify", "rotate")
    ]
    assert lines[-1] == "[b'1', b'4', b'1', b'4'] True"


def test_what_a_fork_closes(monkeypatch):
    """Every barrier that is open then, whichever way it came to be."""
    barrier = opened()
    monkeypatch.setattr(insides, "_all", [barrier._opened])
    insides._close_all()
    with pytest.raises(Sealed):
        barrier.subkey("token")
