"""I. Backups of a server under load, and audit logs with a torn end: through HTTP, the command line and kill -9."""

import contextlib
import http.client
import itertools
import json
import random
import subprocess
import threading

import pytest
from tests.security.serving import Store, stored
from tests.security.stores import audit_head, audit_key, check_audit, check_store

from ml_secrets.domain import audit_chain
from ml_secrets.testing.programs import own_command


class Pairs:
    """Two secrets that always go up together: the second is written once the first is acknowledged."""

    def __init__(self, store, name):
        self.store, self.name, self.done = store, name, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        for number in itertools.count(1):
            if self.over.is_set():
                return
            for part in ("first", "second"):
                answer = self.store.ask("POST", f"secret/data/{self.name}/{part}", {"data": {"n": number}})
                assert answer.status == 200, answer.body
            self.done = number


def restored(store, file, folder, accept):
    """A server over what a backup holds, in a folder of its own, without an anchor: its seal's key is the same."""
    again = Store(folder)
    text = again.config.read_text().replace(str(folder / "unseal.key"), str(store.folder / "unseal.key"))
    again.config.write_text("".join(line for line in text.splitlines(keepends=True) if "anchor" not in line))
    command = [*own_command(), "operator", "restore", "--config", str(again.config), *accept, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return again


def token_of_old(store, again):
    """Every token of the original is dead in the restored one."""
    assert store.ask("GET", "auth/token/lookup-self").status == 200
    return again.ask("GET", "auth/token/lookup-self", token=store.token).status


def back_up_under_load(folder, times):
    """Each time: a backup amid three writers; restored, verified, one moment of the store, its tokens dead."""
    with stored(folder / "store") as store:
        store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        pairs = [Pairs(store, f"pair-{number}") for number in range(3)]
        for pair in pairs:
            for part in ("first", "second"):
                store.ask("POST", f"secret/data/{pair.name}/{part}", {"data": {"n": 0}})
        for pair in pairs:
            pair.thread.start()
        try:
            for number in range(times):
                before = {pair.name: pair.done for pair in pairs}
                answer = store.ask("GET", "sys/storage/snapshot")
                assert answer.status == 200
                after = {pair.name: pair.done for pair in pairs}
                file = folder / f"{number}.snapshot"
                file.write_bytes(answer.body)
                check_backup(store, file, folder / f"again-{number}", before, after)
                file.unlink()
        finally:
            for pair in pairs:
                pair.over.set()
            for pair in pairs:
                pair.thread.join()
        return sum(pair.done for pair in pairs)


def check_backup(store, file, folder, before, after):
    again = restored(store, file, folder, ["--yes"])
    try:
        again.start()
        assert token_of_old(store, again) == 403
    finally:
        assert again.stop() == 0
    check_store(again)
    kept = restored(store, file, folder.with_name(folder.name + "-kept"), ["--yes", "--keep-tokens"])
    try:
        kept.start()
        for name, number in before.items():
            first, second = (
                kept.ask("GET", f"secret/data/{name}/{part}", token=store.token).data["data"]["n"]
                for part in ("first", "second")
            )
            assert first in (second, second + 1), "the backup is of two moments"
            assert number <= second <= after[name] + 1
    finally:
        kept.stop()


def test_103_a_backup_under_load_is_one_moment_and_its_tokens_are_dead(tmp_path):
    """Check 103, everyday: one backup amid three writers."""
    assert back_up_under_load(tmp_path, 1)


@pytest.mark.long
def test_103_forty_backups_under_load(tmp_path):
    """Check 103: forty of them."""
    assert back_up_under_load(tmp_path, 40) > 40


# ── torn ends of audit logs ─────────────────────────────────────────────────────────────────────────────────────────


def verdict_of(store, key, head=None):
    with store.audit_log.open("rb") as file:
        return audit_chain.verify([(store.audit_log.name, file)], keys=[key], head=head)


def tear(store, dice):
    """What a crash leaves: a part of another line after the last whole one, or bytes that are no text, or zeros."""
    lines = store.audit_log.read_bytes().splitlines()
    line = dice.choice(lines)
    torn = dice.choice(
        [line[: dice.randrange(1, len(line))], bytes(dice.randrange(1, 5000)), dice.randbytes(99)]
    )
    torn = torn.replace(b"\n", b"\r")
    with store.audit_log.open("ab") as file:
        file.write(torn)
    return len(torn)


def tear_logs(folder, times, *, seed):
    dice = random.Random(seed)
    store = Store(folder)
    try:
        store.start().initialize()
        store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        key, cut = audit_key(store), 0
        for number in range(times):
            writer = threading.Thread(target=write_until_killed, args=(store, number))
            writer.start()
            writer.join(dice.uniform(0.01, 0.1))
            store.kill()
            writer.join()
            cut += tear(store, dice)
            store.start()
            verdict = verdict_of(store, key)
            assert verdict.intact, verdict.problem
            assert len(verdict.notes) > number
        head = audit_head(store)
        assert store.stop() == 0
        check_audit([store.audit_log], key, head)
        noted = sum(int(note.split(": ")[1].split(" ")[0]) for note in verdict_of(store, key).notes)
        assert noted >= cut  # a kill may have torn a line, too
        check_store(store)
        return head, key, store
    finally:
        store.stop()


def write_until_killed(store, number):
    with contextlib.suppress(OSError, http.client.HTTPException):
        for turn in itertools.count():
            store.ask("POST", f"secret/data/torn/{number}", {"data": {"n": turn}}, timeout=5)


def test_105_a_torn_tail_is_cut_off_and_noted(tmp_path):
    """Check 105, everyday: three kills, each leaving a torn end: the next start cuts it off and says so, the chain holds."""
    head, key, store = tear_logs(tmp_path / "store", 3, seed=105)
    lines = store.audit_log.read_bytes().splitlines(keepends=True)
    store.audit_log.write_bytes(b"".join(lines[: head.seq - 1]))
    verdict = verdict_of(store, key, head)
    assert not verdict.intact, "a line that is known to have been written is missed"
    assert "its end was cut off" in verdict.problem.what


@pytest.mark.long
def test_105_two_hundred_torn_tails(tmp_path):
    """Check 105: two hundred kills over one log."""
    tear_logs(tmp_path / "store", 200, seed=205)


def test_106_a_torn_log_that_cannot_be_mended_serves_nothing(tmp_path):
    """Check 106: where the log cannot be opened, nothing is served and health says so; mended, it goes on in the same chain."""
    with stored(tmp_path / "store") as store:
        key = audit_key(store)
        store.kill()
        aside = store.audit_log.with_name("aside")
        store.audit_log.rename(aside)
        store.audit_log.mkdir()
        store.start()
        assert store.ask("GET", "auth/token/lookup-self").status == 503
        assert store.ask("GET", "sys/health", token=None).status == 503
        store.audit_log.rmdir()
        aside.rename(store.audit_log)
        with store.audit_log.open("ab") as file:
            file.write(json.dumps({"type": "request"}).encode()[:-3])
        for _ in range(200):
            if store.ask("GET", "sys/health", token=None).status == 200:
                break
        assert store.ask("GET", "auth/token/lookup-self").status == 200
        head = audit_head(store)
        assert store.stop() == 0
        assert check_audit([store.audit_log], key, head).notes
