"""storage/folders.py: folders that outlast a power cut."""

import os
import stat

import pytest

from ml_secrets.storage import folders
from ml_secrets.storage.folders import make_folder


@pytest.fixture
def synced(monkeypatch):
    """Folders in the order of their syncs."""
    found = []
    real = folders.sync_folder
    monkeypatch.setattr(folders, "sync_folder", lambda folder: (found.append(folder), real(folder)))
    return found


def test_every_new_name_is_made_durable(tmp_path, synced):
    """Each folder that got a new one is synced, from above to below; what is there already is left alone."""
    folder = tmp_path / "a" / "b" / "c"
    make_folder(folder)
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    make_folder(folder)
    assert len(synced) == 3


def test_the_last_one_is_for_us_alone(tmp_path):
    """Those above it are as the user's mask has them."""
    before = os.umask(0o022)
    try:
        make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o755, 0o700]


def test_something_else_in_its_place_is_no_folder(tmp_path):
    """A file, or a link to nothing."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            make_folder(tmp_path / name)
