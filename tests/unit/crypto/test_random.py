import re

from ml_secrets.crypto.random import random, uuid


def test_randomness_does_not_repeat():
    """A thousand values, all different."""
    assert len({random(16) for _ in range(1000)}) == 1000


def test_a_uuid_is_of_version_4():
    """Version and variant bits are set; the rest is what `random` gave."""
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid(random))
    assert uuid(lambda size: b"\xff" * size) == "ffffffff-ffff-4fff-bfff-ffffffffffff"
