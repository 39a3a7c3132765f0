"""I. Backups that a server makes by itself, amid writers: kill -9, a full disk, a folder that is not there."""

import contextlib
import http.client
import itertools
import random
import threading
import time

import pytest
from tests.security.serving import PATIENCE, stored
from tests.security.stores import check_store, small_disk

from ml_secrets.server.options import ServerOptions
from ml_secrets.server.restore import restore


def told(folder):
    """The setting, as it stands at the top of a configuration file."""
    return f'backup = {{ folder = "{folder}", every = "1h", keep = 3 }}'


def until(condition):
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.002)
    raise AssertionError("it did not come about")


def until_killed(work):
    """In a thread: over and over, as long as a server answers."""

    def run():
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in itertools.count():
                work(number)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def finished(folder):
    return [path for path in folder.iterdir() if path.suffix == ".snapshot"]


def parts(folder):
    return [path for path in folder.iterdir() if path.suffix == ".part"]


def kill_amid_backups(folder, times, *, seed):
    """Each time while a backup is in the making: what has a backup's name is whole, and the next round clears the rest away."""
    dice, backups = random.Random(seed), folder / "backups"
    backups.mkdir(parents=True)
    left = 0
    with stored(folder / "store", extra=told(backups)) as store:
        store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        for number in range(600):
            store.ask("POST", f"secret/data/app-{number}", {"data": {"n": number}})
        for _ in range(times):
            threads = [
                until_killed(lambda number: store.ask("POST", "secret/data/busy", {"data": {"n": number}})),
                until_killed(lambda _: store.ask("POST", "sys/storage/backups/now")),
            ]
            until(lambda: parts(backups))
            time.sleep(dice.uniform(0, 0.3))
            store.kill()
            for thread in threads:
                thread.join()
            left += len(parts(backups))
            for file in finished(backups):
                assert restore(file, ServerOptions(config=store.config), verify_only=True).rows > 600
            store.start()
            assert store.ask("POST", "sys/storage/backups/now").status == 200
            assert parts(backups) == []
            assert len(finished(backups)) <= 3
        assert store.stop() == 0
    check_store(store)
    return left


def test_a_server_killed_amid_its_backups_leaves_whole_ones(tmp_path):
    """Everyday: three kills."""
    kill_amid_backups(tmp_path, 3, seed=303)


@pytest.mark.long
def test_a_hundred_kills_amid_backups(tmp_path):
    """A hundred of them; some leave a part behind."""
    assert kill_amid_backups(tmp_path, 100, seed=304)


def test_a_full_disk_of_backups_harms_nobody(tmp_path):
    """It is told at once, in the answer, the status and the log, and room is left there; requests are served as ever."""
    with small_disk(tmp_path / "disk", "40m") as disk, stored(tmp_path / "store", extra=told(disk)) as store:
        until(lambda: b"no backup was made" in store.log.read_bytes())
        answer = store.ask("POST", "sys/storage/backups/now")
        assert (answer.status, list(disk.iterdir())) == (507, [])
        assert "MiB left" in answer.errors[0]
        status = store.ask("GET", "sys/storage/backups/status").data
        assert (status["failing"], status["count"]) == (True, 0)
        assert store.ask("POST", "sys/mounts/secret", {"type": "kv"}).status == 204
        assert store.ask("POST", "secret/app", {"value": "fake-value"}).status == 204
        assert store.stop() == 0
    check_store(store)


def test_it_goes_by_itself_and_only_those_with_sudo_ask(tmp_path):
    """The first backup comes without anybody's doing; a token without the right sees and makes none."""
    backups = tmp_path / "backups"
    backups.mkdir()
    with stored(tmp_path / "store", extra=told(backups)) as store:
        until(lambda: finished(backups))
        store.ask(
            "POST",
            "sys/policies/acl/reads",
            {"policy": 'path "sys/storage/*" { capabilities = ["read", "update", "list"] }'},
        )
        weak = store.ask("POST", "auth/token/create", {"policies": ["reads"]}).json["auth"]["client_token"]
        for method, path in (("LIST", ""), ("GET", "/status"), ("POST", "/now")):
            assert store.ask(method, f"sys/storage/backups{path}", token=weak).status == 403
        listed = store.ask("LIST", "sys/storage/backups").data
        assert listed["keys"] == [path.name for path in finished(backups)]
        assert store.stop() == 0
