"""Open barriers for tests."""

import os
import random

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.storage.memory import MemoryStorage

ROOT = bytes(range(32))


def opened(storage=None, root=ROOT):
    """A new barrier over that storage, initialised and open."""
    barrier = Barrier(storage or MemoryStorage(), os.urandom)
    barrier.initialize(root, b"config")
    return barrier


def reopened(storage, root=ROOT):
    """A barrier over a storage that has been initialised."""
    barrier = Barrier(storage, os.urandom)
    barrier.unseal(root)
    return barrier


def put(barrier, rows):
    with barrier.begin(write=True) as tx:
        for key, value in rows.items():
            tx.put(key, value)


def get(barrier, key):
    with barrier.begin(write=False) as tx:
        return tx.get(key)


def names(barrier, prefix, **bounds):
    with barrier.begin(write=False) as tx:
        return tx.list(prefix, **bounds)


def below(storage):
    """Every row of the storage below, as it lies there."""
    found, folders = {}, [""]
    with storage.begin(write=False) as tx:
        while folders:
            folder = folders.pop()
            for name in tx.list(folder):
                if name.endswith("/"):
                    folders.append(folder + name)
                else:
                    found[folder + name] = tx.get(folder + name)
    return found


def edit(storage, changes):
    """What somebody with access to the file would do."""
    with storage.begin(write=True) as tx:
        for key, value in changes.items():
            tx.delete(key) if value is None else tx.put(key, value)


def filled(count=60, seed=1):
    """A barrier with rows of all kinds, its storage, and the rows."""
    dice = random.Random(seed)
    rows = {}
    for number in range(count):
        rows[f"mount/m1/team-{number % 7}/app-{number}"] = dice.randbytes(dice.randrange(0, 600))
        rows[f"open/token/id/{number:04x}"] = dice.randbytes(dice.randrange(0, 300))
        rows[f"open/token/expire/{number:04x}/x"] = b""
    storage = MemoryStorage()
    barrier = opened(storage)
    put(barrier, rows)
    return barrier, storage, rows
