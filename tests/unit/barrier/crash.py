"""A program that kills a writer again and again: `crash.py FOLDER ROUNDS SEED`.

Each round a child process commits, rotates, re-seals and rekeys as fast as it can, telling a pipe what was
acknowledged, until kill -9 at a random moment. Then the store is opened here: every acknowledged commit must be there,
the last one whole, and `verify` clean. Prints the number of acknowledged commits, or dies.
"""

import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.storage.sqlite import SqliteStorage

ROOT = bytes(range(32))
ACK = struct.Struct(">Q")


def open_store(folder):
    barrier = Barrier(SqliteStorage(folder), os.urandom)
    if barrier.initialized:
        barrier.unseal(ROOT)
    else:
        barrier.initialize(ROOT, b"")
    return barrier


def counter(barrier):
    with barrier.begin(write=False) as tx:
        return int(tx.get("open/counter") or b"0")


def write(folder, pipe, seed):
    """The child: never returns."""
    dice = random.Random(seed)
    barrier = open_store(folder)
    number = counter(barrier)
    while True:
        number += 1
        with barrier.begin(write=True) as tx:
            tx.put("open/counter", b"%d" % number)
            tx.put(f"log/{number:08}", b"%d" % number)
            if number > 40:
                tx.delete(f"log/{number - 40:08}")
            for _ in range(dice.randrange(4)):
                tx.put(
                    f"team-{dice.randrange(9)}/app-{dice.randrange(300)}", dice.randbytes(dice.randrange(600))
                )
                tx.delete(f"team-{dice.randrange(9)}/app-{dice.randrange(300)}")
        os.write(pipe, ACK.pack(number))
        if not dice.randrange(30):
            barrier.rotate(time.time())
        if not dice.randrange(10):
            barrier.reseal(limit=50)
        if not dice.randrange(40):
            barrier.rewrap(ROOT, dice.randbytes(8))


def round_of(folder, dice):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            write(folder, writing, dice.random())
        finally:
            os._exit(1)
    os.close(writing)
    first = os.read(reading, ACK.size)
    time.sleep(dice.random() * 0.08)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    told = first
    while more := os.read(reading, 65536):
        told += more
    os.close(reading)
    return [number for (number,) in ACK.iter_unpack(told[: len(told) // ACK.size * ACK.size])]


def check(folder, acknowledged):
    barrier = open_store(folder)
    last = counter(barrier)
    assert last - acknowledged[-1] in (0, 1), (last, acknowledged[-1])
    with barrier.begin(write=False) as tx:
        expected = [f"{number:08}" for number in range(max(1, last - 39), last + 1)]
        assert tx.list("log/") == expected, (tx.list("log/"), last)
        assert all(tx.get(f"log/{name}") == b"%d" % int(name) for name in expected)
    report = barrier.verify()
    assert report.clean, report
    barrier.close()


def main(folder, rounds, seed):
    dice = random.Random(seed)
    total = 0
    for _ in range(rounds):
        acknowledged = round_of(folder, dice)
        assert acknowledged
        total += len(acknowledged)
        check(folder, acknowledged)
    print(total)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
