"""Files that are reached by links: those of a mounted Secret, and no others."""

import os

import pytest

from ml_secrets.agent.descriptors import mounted_descriptor


def content(folder, name):
    """What is read under that name; None where nothing is."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = mounted_descriptor(name, opened)
    finally:
        os.close(opened)
    if found is None:
        return None
    with os.fdopen(found, "rb") as file:
        return file.read()


@pytest.fixture
def secret(room):
    """A Secret as a kubelet lays it out."""
    (room / "..2026_11_30").mkdir()
    (room / "..2026_11_30" / "token").write_text("fake")
    (room / "..data").symlink_to("..2026_11_30")
    (room / "token").symlink_to("..data/token")
    return room


def test_a_mounted_secret_is_read(secret):
    """Through both links, and after the second one has been replaced."""
    assert content(secret, "token") == b"fake"
    (secret / "..2026_12_01").mkdir()
    (secret / "..2026_12_01" / "token").write_text("fake-2")
    (secret / "..tmp").symlink_to("..2026_12_01")
    (secret / "..tmp").rename(secret / "..data")
    assert content(secret, "token") == b"fake-2"


def test_a_plain_file_is_read(room):
    """As ever."""
    (room / "token").write_text("fake")
    assert content(room, "token") == b"fake"
    assert content(room, "other") is None


@pytest.mark.parametrize(
    "target",
    [
        "/etc/hostname",
        "../hostname",
        "..data/../../x",
        "./..data/token",
        "..data//token",
        "..data",
        "loop",
        "..data/none",
    ],
)
def test_no_other_link_is_followed(secret, target):
    """Not out of the folder, not to a folder, not round and round."""
    (secret / "loop").symlink_to("loop")
    (secret / "link").symlink_to(target)
    assert content(secret, "link") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a link away")
def test_a_strangers_link_is_not_followed(secret):
    """Whoever put it there may have led it to another token."""
    for name in ("token", "..data"):
        os.chown(secret / name, 1234, 1234, follow_symlinks=False)
        assert content(secret, "token") is None
        os.chown(secret / name, 0, 0, follow_symlinks=False)
    assert content(secret, "token") == b"fake"
