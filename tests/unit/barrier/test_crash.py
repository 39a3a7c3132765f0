import subprocess
import sys
from pathlib import Path

import pytest

CRASH = Path(__file__).with_name("crash.py")


def crash(folder, rounds):
    done = subprocess.run(
        [sys.executable, CRASH, folder, str(rounds), "7"],
        capture_output=True,
        text=True,
        timeout=60 + 2 * rounds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_twenty_kills_lose_nothing(tmp_path):
    """kill -9 in the middle of commits, rotations, re-sealing and rekeys: acknowledged is there, verify is clean. (89)"""
    assert crash(tmp_path, 20) >= 40


@pytest.mark.long
def test_a_thousand_kills_lose_nothing(tmp_path):
    """The same, often. (89)"""
    assert crash(tmp_path, 1000) >= 2000
