"""The block `backup`: the same in TOML, HCL and JSON; what is wrong with it is named."""

import json
from pathlib import Path

import pytest

from ml_secrets.domain.backup_plan import DAY, Plan
from ml_secrets.errors import Invalid
from ml_secrets.server import config as configuration

STORAGE = '[storage]\ntype = "sqlite"\npath = "/srv/store"\n'


def load(tmp_path, text, name="server.toml"):
    file = tmp_path / name
    file.write_text(text)
    return configuration.load(file)


def backup(tmp_path, settings):
    return load(tmp_path, f"{STORAGE}[backup]\n{settings}\n").backup


def test_it_is_read_from_every_form(tmp_path):
    """Folder, interval and count."""
    toml = backup(tmp_path, 'folder = "/mnt/b"\nevery = "6h"\nkeep = 3')
    hcl = load(
        tmp_path,
        'storage "file" { path = "/srv/store" }\nbackup {\n  folder = "/mnt/b"\n  every = "6h"\n  keep = 3\n}\n',
        "vault.hcl",
    ).backup
    tree = {
        "storage": {"file": {"path": "/srv/store"}},
        "backup": {"folder": "/mnt/b", "every": 6 * 3600, "keep": "3"},
    }
    assert toml == hcl == load(tmp_path, json.dumps(tree), "vault.json").backup
    assert (toml.folder, toml.plan) == (Path("/mnt/b"), Plan(every=6 * 3600, keep=3))


@pytest.mark.parametrize(
    ("settings", "plan"),
    [
        ("", Plan(every=DAY, keep=14)),
        ('at = "03:05"', Plan(every=0, at=3 * 3600 + 300, keep=14)),
        ('keep = "30d"', Plan(every=DAY, keep_for=30 * DAY)),
        ('every = "1m"\nkeep = "1"', Plan(every=60, keep=1)),
    ],
)
def test_what_is_left_out_has_a_default(tmp_path, settings, plan):
    """Once a day, the newest fourteen; a number with a unit says how long they stay."""
    assert backup(tmp_path, f'folder = "/mnt/b"\n{settings}').plan == plan


def test_without_the_block_there_are_none(tmp_path):
    """It is off until somebody says where to."""
    assert load(tmp_path, STORAGE).backup is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "backup needs a folder"),
        ('every = "6h"', "backup needs a folder"),
        ("folder = 3", "backup needs a folder"),
        ('folder = "/b"\nretention = 3', "unknown backup setting 'retention'"),
        ('folder = "/b"\nevery = "6h"\nat = "03:00"', "backup has every and at"),
        ('folder = "/b"\nevery = "soon"', "backup.every: "),
        ('folder = "/b"\nevery = "30s"', "backup.every is 60 seconds at least"),
        ('folder = "/b"\nevery = 0', "backup.every is 60 seconds at least"),
        ('folder = "/b"\nat = "3:00"', "backup.at is a time of the day"),
        ('folder = "/b"\nat = "24:00"', "backup.at is a time of the day"),
        ('folder = "/b"\nkeep = 0', "backup.keep is how many"),
        ('folder = "/b"\nkeep = "0d"', "backup.keep is how many"),
        ('folder = "/b"\nkeep = true', "backup.keep: "),
        ('folder = "/b"\nkeep = "many"', "backup.keep: "),
        ('folder = "/b"\n[backup.second]\nfolder = "/c"', "backup 'folder' is no block of settings"),
        ('[backup.weekly]\nfolder = "/c"', "one block of backup settings"),
        ('folder = "/srv/store/backups"', "lies in the store's folder"),
        ('folder = "/srv/../srv/store"', "lies in the store's folder"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, settings, message):
    """With the file, the setting and what to write."""
    with pytest.raises(Invalid) as caught:
        backup(tmp_path, settings)
    assert message in caught.value.message
    assert "server.toml" in caught.value.message
    assert caught.value.hint


def test_a_folder_with_the_key_file_is_refused(tmp_path):
    """Whoever gets hold of it would have all it takes."""
    with pytest.raises(Invalid, match="holds the key file"):
        load(tmp_path, f'{STORAGE}[seal.keyfile]\npath = "/mnt/b/key"\n[backup]\nfolder = "/mnt/b"\n')
