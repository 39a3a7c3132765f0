"""I. Storage: kills, full disks and second owners, through HTTP."""

import itertools
import random
import socket
import subprocess
import threading
import time

import pytest
from tests.security.serving import Store, send, stored
from tests.security.stores import audit_head, audit_key, check_audit, check_store, fill, small_disk

from ml_secrets.testing.programs import own_command


class Writers:
    """Clients that write numbered secrets and keep what was acknowledged."""

    def __init__(self, store, count):
        self.store = store
        self.acknowledged = {}
        self.numbers = itertools.count()
        self.over = False
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(count)]

    def work(self, thread):
        for number in self.numbers:
            if self.over:
                return
            path = f"kill/{thread}/{number}"
            try:
                answer = self.store.ask("POST", f"secret/data/{path}", {"data": {"n": number}}, timeout=5)
            except OSError:
                return
            if answer.status == 200:
                self.acknowledged[path] = number


def kill_while_writing(store, times, *, seed):
    dice, acknowledged = random.Random(seed), {}
    for _ in range(times):
        writers = Writers(store, 4)
        for thread in writers.threads:
            thread.start()
        time.sleep(dice.uniform(0.02, 0.25))
        store.kill()
        writers.over = True
        for thread in writers.threads:
            thread.join()
        store.start()
        assert not store.ask("GET", "sys/seal-status", token=None).json["sealed"]
        for path, number in writers.acknowledged.items():
            assert store.ask("GET", f"secret/data/{path}").data["data"] == {"n": number}
        acknowledged |= writers.acknowledged
    assert acknowledged
    for path, number in random.Random(seed).sample(sorted(acknowledged.items()), min(200, len(acknowledged))):
        assert store.ask("GET", f"secret/data/{path}").data["data"] == {"n": number}
    key, end = audit_key(store), audit_head(store)
    assert store.stop() == 0
    check_audit([store.audit_log], key, end)
    check_store(store)


def kv_store(folder, **options):
    store = Store(folder, **options)
    store.start().initialize()
    store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    return store


def kills(folder, times, *, seed):
    store = kv_store(folder / "store")
    try:
        kill_while_writing(store, times, seed=seed)
    finally:
        store.stop()


def test_89_kills_lose_no_acknowledged_write(tmp_path):
    """Check 89, everyday: 15 times kill -9 amid four writers: nothing acknowledged is lost, audit chain and store verify."""
    kills(tmp_path, 15, seed=89)


@pytest.mark.long
def test_89_a_thousand_kills_lose_no_acknowledged_write(tmp_path):
    """Check 89: a thousand times."""
    kills(tmp_path, 1000, seed=1000)


def test_92_a_full_disk_refuses_writes_and_nothing_else(tmp_path):
    """Check 92: 507 or 503 for writes, reads go on, space brings writes back without a restart; a restart amid it works."""
    with small_disk(tmp_path / "disk", "40m") as disk:
        store = Store(disk / "store")
        store.audit_log = tmp_path / "audit.log"  # the log has its own disk: check 105 fills that one
        store.config.write_text(
            store.config.read_text().replace(str(store.folder / "audit.log"), str(store.audit_log))
        )
        try:
            store.start().initialize()
            store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
            assert store.ask("POST", "secret/data/before", {"data": {"v": "1"}}).status == 200
            fill(disk / "filler")
            found = [
                store.ask("POST", f"secret/data/big/{n}", {"data": {"v": "x" * 200_000}}) for n in range(30)
            ]
            refused = [answer for answer in found if answer.status != 200]
            assert refused
            assert {answer.status for answer in refused} <= {503, 507}
            assert all(answer.errors for answer in refused)
            assert store.ask("GET", "secret/data/before").data["data"] == {"v": "1"}
            assert send(store.url, "GET", "sys/health", token=None).status == 200
            (disk / "filler").unlink()
            assert store.ask("POST", "secret/data/after", {"data": {"v": "2"}}).status == 200
            fill(disk / "filler")
            store.stop()
            store.start()
            assert store.ask("GET", "secret/data/after").data["data"] == {"v": "2"}
            (disk / "filler").unlink()
            assert store.ask("POST", "secret/data/again", {"data": {"v": "3"}}).status == 200
            for number, answer in enumerate(found):
                assert (store.ask("GET", f"secret/data/big/{number}").status == 200) == (answer.status == 200)
        finally:
            store.stop()


def start_second(store, port):
    """A second server on the same store, another port: its exit status and what it says."""
    config = store.folder / "second.toml"
    config.write_text(store.config.read_text().replace(f":{store.port}", f":{port}"))
    done = subprocess.run(
        [*own_command(), "server", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_96_a_second_server_is_refused_and_takes_over_after_a_kill(tmp_path):
    """Check 96: a clear message and status 1 while the first one lives; right after its kill -9 the store opens."""
    with stored(tmp_path / "store") as store:
        code, said = start_second(store, 1 + store.port % 60000)
        assert code == 1
        assert "in use" in said or "another" in said
        assert "Traceback" not in said
        assert store.ask("GET", "auth/token/lookup-self").status == 200
        store.kill()
        start = time.monotonic()
        store.start()
        assert time.monotonic() - start < 10
        assert store.ask("GET", "auth/token/lookup-self").status == 200


def test_96_a_port_in_use_is_a_clear_error(tmp_path):
    """Another program's port: status 1, the address and what to do in one line, and the store is left closed."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        store = Store(tmp_path / "store")
        store.config.write_text(
            store.config.read_text().replace(f":{store.port}", f":{other.getsockname()[1]}")
        )
        done = subprocess.run(
            [*own_command(), "server", "--config", str(store.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr
