"""Names of requests."""

import os
import re
import threading

from ml_secrets.dialects.vault.request_ids import AT_ONCE, request_id


def test_a_name_is_a_random_uuid():
    """Version and variant are set, and no two are the same, over several refills."""
    names = [request_id() for _ in range(3 * AT_ONCE)]
    assert len(set(names)) == len(names)
    form = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(form, name) for name in names)


def test_threads_share_no_name():
    """Four threads at once."""
    names, rounds = [], 4 * AT_ONCE

    def take():
        names.extend(request_id() for _ in range(rounds))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 4 * rounds


def test_a_fork_repeats_nothing():
    """Parent and child have names ready when they part: they go on with different ones."""
    request_id()
    here, there = os.pipe()
    child = os.fork()
    if not child:
        os.write(there, "".join(request_id() for _ in range(10)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(here, 4096).decode()
    os.close(here)
    os.close(there)
    assert len(theirs) == 360
    assert not {request_id() for _ in range(AT_ONCE)} & {theirs[at : at + 36] for at in range(0, 360, 36)}
