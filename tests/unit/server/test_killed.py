"""A server that is killed, and what a process remembers after sealing: against real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.server.assemble import assemble
from ml_secrets.server.local import local_config
from ml_secrets.storage.sqlite import SqliteStorage

WRITER = """
import sys
from itertools import count
from pathlib import Path
from ml_secrets.server.assemble import assemble
from ml_secrets.server.local import local_config
server = assemble(local_config(Path(sys.argv[1])), kv_at_secret=True)
opening = server.opening
opening.open_automatically() if opening.initialized else opening.initialize({})
opening._anchor._anchor._interval = 0
for number in count(1):
    with server.house.units.write() as unit:
        unit.tx.put("open/number", str(number).encode())
    print(number, flush=True)
    opening.keep_anchor()
"""


def kill_while_writing(folder, acknowledged):
    """The last number that the writer said it had committed when it was killed."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            if int(line) >= acknowledged:
                writer.send_signal(signal.SIGKILL)
                break
        rest = writer.stdout.read().split()
    return int(rest[-1]) if rest else acknowledged


def check_kills(folder, times):
    place = Random(7)
    for _ in range(times):
        last = kill_while_writing(folder, place.randrange(1, 60))
        server = assemble(local_config(folder), kv_at_secret=True)
        server.opening.open_automatically()
        assert not server.opening.sealed
        assert int(server.house.units.read(lambda unit: unit.tx.get("open/number"))) >= last
        server.close()


def test_a_killed_server_opens_again(tmp_path, monkeypatch):
    """Killed between and within commits and anchors: the store is never behind its anchor, and no commit is lost."""
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    check_kills(tmp_path / "data", 3)


@pytest.mark.long
def test_a_server_killed_a_hundred_times_opens_again(tmp_path, monkeypatch):
    """As above, a hundred times over one store."""
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    check_kills(tmp_path / "data", 100)


HOLDER = """
import sys
from pathlib import Path
from ml_secrets.server import config
from ml_secrets.server.assemble import assemble
server = assemble(config.load(Path(sys.argv[1])), kv_at_secret=True)
for line in sys.stdin:
    word = line.strip()
    if word == "seal":
        server.opening.seal()
    else:
        server.opening.unseal(word, reset=False)
    print(server.opening.sealed, flush=True)
"""


def count_in_memory(pid, secret):
    """How often some bytes are in a process's memory, where it can be read at all."""
    found = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if not line.split()[1].startswith("rw"):
                continue
            try:
                memory.seek(start)
                found += memory.read(end - start).count(secret)
            except (OSError, OverflowError, ValueError):
                continue
    return found


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0,
    reason="needs the right to read another process's memory",
)
def test_the_root_key_is_not_in_memory_once_it_is_used(tmp_path):
    """Neither while the store is open (it lies in memory that the kernel hides) nor after it was sealed."""
    file = tmp_path / "server.toml"
    file.write_text(f'[storage]\ntype = "sqlite"\npath = "{tmp_path / "store"}"\n')
    from ml_secrets.server import config

    server = assemble(config.load(file), kv_at_secret=True)
    shares = server.opening.initialize({"secret_shares": 3, "secret_threshold": 2})["keys"]
    server.close()
    storage = SqliteStorage(tmp_path / "store")
    seal_config = locks.decode(Barrier(storage, os.urandom).seal_config)
    storage.close()
    root_key = bytes(
        locks.open_(
            seal_config.people, shamir.join([bytes.fromhex(share) for share in shares[:2]]), locks.PEOPLE
        )
    )
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:

        def say(word):
            holder.stdin.write(word + "\n")
            holder.stdin.flush()
            return holder.stdout.readline().strip()

        assert [say(shares[0]), say(shares[2])] == ["True", "False"]
        assert count_in_memory(holder.pid, b"ml-secrets/seal/root-key/") > 0  # what is there is found
        hits = [count_in_memory(holder.pid, root_key)]
        assert say("seal") == "True"
        hits.append(count_in_memory(holder.pid, root_key))
        holder.stdin.close()
    assert hits == [0, 0]
