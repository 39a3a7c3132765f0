"""J. Audit, against a real process with real devices."""

import json
import signal
import threading
import time

import pytest
from tests.security.serving import Store, head, send, statuses, talk
from tests.security.stores import audit_head, audit_key, check_audit, fill, small_disk


def mounted(store):
    store.start().initialize()
    store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    return store


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_105_a_full_device_stops_everything_before_its_effect(tmp_path):
    """Check 105: 503 for writes and reads, health 503, nothing committed; with space again it goes on, and the log verifies."""
    with small_disk(tmp_path / "log", "1m") as disk:
        store = Store(tmp_path / "store")
        log = disk / "audit.log"
        store.config.write_text(store.config.read_text().replace(str(store.audit_log), str(log)))
        try:
            mounted(store)
            assert store.ask("POST", "secret/data/before", {"data": {"v": "1"}}).status == 200
            fill(disk / "filler")
            refused = [store.ask("POST", f"secret/data/during/{n}", {"data": {"v": "2"}}) for n in range(30)]
            assert refused[-1].status == 503
            assert {answer.status for answer in refused} <= {200, 503}
            assert store.ask("GET", "secret/data/before").status == 503
            assert b'"v"' not in store.ask("GET", "secret/data/before").body
            assert send(store.url, "GET", "sys/health", token=None).status == 503
            (disk / "filler").unlink()
            wait_until(lambda: send(store.url, "GET", "sys/health", token=None).status == 200)
            for number, answer in enumerate(refused):
                assert store.ask("GET", f"secret/data/during/{number}").status == (
                    200 if answer.status == 200 else 404
                )
            key, end = audit_key(store), audit_head(store)
            assert store.stop() == 0
            check_audit([log], key, end)
        finally:
            store.stop()


def test_106_one_of_two_devices_is_enough_and_alarms(tmp_path):
    """Check 106: with one device full, requests are served and the log and the metrics tell; with both, nothing is."""
    with small_disk(tmp_path / "log", "1m") as disk, small_disk(tmp_path / "second", "1m") as other:
        store = Store(tmp_path / "store")
        store.config.write_text(
            store.config.read_text().replace(str(store.audit_log), str(disk / "audit.log"))
        )
        try:
            mounted(store)
            options = {"type": "file", "options": {"file_path": str(other / "audit.log")}}
            assert store.ask("POST", "sys/audit/second", options).status == 204
            fill(disk / "filler")
            for number in range(20):
                assert store.ask("POST", f"secret/data/one/{number}", {"data": {"v": "1"}}).status == 200
            assert send(store.url, "GET", "sys/health", token=None).status == 200
            assert "audit device file/" in store.log.read_text()
            fill(other / "filler")
            statuses_ = [
                store.ask("POST", f"secret/data/none/{n}", {"data": {"v": "1"}}).status for n in range(30)
            ]
            assert statuses_[-1] == 503
            assert send(store.url, "GET", "sys/health", token=None).status == 503
        finally:
            (disk / "filler").unlink()
            (other / "filler").unlink(missing_ok=True)
            store.stop()


INJECTIONS = [
    "a%0a{%22type%22:%22response%22}",
    "a%1b[31mred",
    "a%0d%0ab",
    'a","error":"',
    "a%22,%22error%22:%22",
    "a%e2%80%a8b",
    "a%c2%85b",
    "a\\u000ab",
    "a%5cn",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_107_nothing_breaks_out_of_its_line(store, text):
    """Check 107: line breaks, terminal codes and pieces of JSON in path, headers, namespace and body: one record a line."""
    store.ask("POST", "sys/config/auditing/request-headers/x-odd", {"hmac": False})
    before = store.audit_log.read_bytes().count(b"\n")
    raw = text.encode().decode("latin-1")
    talk(
        store.url,
        head("GET", f"/v1/secret/data/{raw}", f"X-Odd: {raw}", "X-Odd: \xff\x1b[0m", token=store.token),
    )
    talk(store.url, head("GET", "/v1/sys/mounts", f"X-Vault-Namespace: {raw}", token=store.token))
    talk(store.url, head("GET", "/v1/sys/mounts", f"X-Vault-Token: {raw}", token=None))
    store.ask("POST", "secret/data/injected", {"data": {raw: "\n\x1b[31m\u2028"}, "\n\x1b": "\r\n"})
    store.ask("POST", f"sys/policies/acl/x{raw}", {"policy": '\n"}{'})
    after = store.audit_log.read_bytes().splitlines()[before:]
    assert len(after) >= 8
    for line in after:
        record = json.loads(line)
        assert record["type"] in ("request", "response")
        assert b"\x1b" not in line
        assert "\u2028".encode() not in line
        assert "\u0085".encode() not in line


def test_107_an_error_with_odd_text_is_one_line_in_the_log(store):
    """Check 107: what the server writes to its own console stays one line, too."""
    assert statuses(talk(store.url, head("GET", "/v1/no/such%0amount", token=store.token))) == [400]
    for line in store.log.read_text().splitlines():
        assert "\x1b" not in line


def test_111_a_moved_log_loses_and_mixes_nothing(tmp_path):
    """Check 111: the log is moved away and SIGHUP sent five times amid four clients: every request is there once, the chain holds."""
    store = Store(tmp_path / "store")
    try:
        mounted(store)
        over, counts = threading.Event(), [0] * 4

        def work(number):
            while not over.is_set():
                assert (
                    store.ask("POST", f"secret/data/rotated/{number}", {"data": {"n": counts[number]}}).status
                    == 200
                )
                counts[number] += 1

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        files = []
        for number in range(5):
            time.sleep(0.3)
            moved = store.audit_log.with_name(f"audit.log.{number}")
            store.audit_log.rename(moved)
            store.process.send_signal(signal.SIGHUP)
            files.append(moved)
            wait_until(store.audit_log.exists)
        over.set()
        for thread in threads:
            thread.join()
        key, end = audit_key(store), audit_head(store)
        assert store.stop() == 0
        files.append(store.audit_log)
        check_audit(files, key, end)
        records = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
        writes = [
            r["request"]["id"]
            for r in records
            if r["type"] == "response" and r["request"]["path"].startswith("secret/data/rotated")
        ]
        assert len(writes) == len(set(writes)) == sum(counts)
    finally:
        store.stop()
