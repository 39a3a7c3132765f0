"""I. Power cuts under a whole server: seal, barrier, engines and audit over files whose unsynced sectors are lost at random."""

import itertools
import random
import shutil

import pytest
from tests.security.inside import ANCHOR, AUDIT, STORE, Inside
from tests.security.stores import check_audit
from tests.unit.storage.files import PowerFiles

NAMES = (f"power-{number}" for number in itertools.count())


def cut_power(folder, seed):
    """Work until the power is cut ahead of some write of SQLite's; how many writes had been acknowledged."""
    dice, acknowledged, unanswered, cuts = random.Random(seed), {}, {}, []
    left = dice.randrange(40, 250)

    def before_write():
        nonlocal left
        left -= 1
        if not left:
            after.mkdir()
            files.cut(before / STORE, after / STORE)
            shutil.copytree((before / ANCHOR).parent, (after / ANCHOR).parent)
            # What was appended to the log may be there, or in part, or not: it was not forced to the disk.
            log = (before / AUDIT).read_bytes()
            (after / AUDIT).write_bytes(
                log[: len(log) - dice.choice([0, dice.randrange(min(3000, len(log)))])]
            )
            cuts.append((dict(acknowledged), dict(unanswered)))

    before, after = folder / "before", folder / "after"
    before.mkdir(parents=True)
    with PowerFiles(next(NAMES), seed) as files:
        server = Inside(before, vfs=files.name)
        files.before_write = before_write
        for number in itertools.count():
            name, fields = f"k{dice.randrange(12)}", {"n": number, "v": "x" * dice.randrange(600)}
            unanswered = {name: fields}
            status, body = server.ask("POST", f"secret/data/{name}", {"data": fields})
            assert status == 200, body
            acknowledged[name], unanswered = fields, {}
            if not dice.randrange(10):
                server.server.opening.keep_anchor()
            if cuts:
                break
        server.close()
    check(after, server.token, *cuts[0])
    return len(cuts[0][0])


def check(folder, token, acknowledged, unanswered):
    """What the machine finds when the power is back."""
    server = Inside(folder, token=token)  # a rollback, or a row that does not open, raises here
    for name, fields in acknowledged.items():
        found = server.value(name)
        assert found == fields or (name in unanswered and found == unanswered[name]), name
    for name, fields in unanswered.items():
        assert server.value(name) in (acknowledged.get(name), fields)
    _, body = server.ask("GET", "sys/audit-verification-key/file")
    key = bytes.fromhex(body["data"]["key"])
    report = server.server.barrier.verify()
    assert report.clean, report
    server.close()
    check_audit([folder / AUDIT], key)


def test_90_a_power_cut_under_a_server(tmp_path):
    """Check 90, everyday: 6 cuts: what was acknowledged is there, rows and audit chain verify, the anchor agrees."""
    assert sum(cut_power(tmp_path / str(seed), seed) for seed in range(6))


@pytest.mark.long
def test_90_a_thousand_power_cuts_under_a_server(tmp_path):
    """Check 90: a thousand cuts."""
    total = 0
    for seed in range(1000):
        total += cut_power(tmp_path / "now", seed)
        shutil.rmtree(tmp_path / "now")
    assert total > 1000
    print("distinct secrets acknowledged before the cuts:", total)
