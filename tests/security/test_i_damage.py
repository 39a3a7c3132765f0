"""I. Damage: one byte of a store's file, a log's torn end, a backup's byte."""

import random
import shutil

import pytest
from tests.security.inside import STORE, Inside

from ml_secrets.barrier import backup
from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.errors import Invalid, MlSecretsError, TamperFault
from ml_secrets.storage.sqlite import FILE_NAME


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A closed store with 25 secrets: (folder, token, secrets, a backup of it)."""
    folder = tmp_path_factory.mktemp("damage") / "whole"
    server, dice = Inside(folder), random.Random(5)
    secrets = {}
    for number in range(25):
        secrets[f"team-{number % 4}/app-{number}"] = {"v": dice.randbytes(dice.randrange(1, 400)).hex()}
    for name, fields in secrets.items():
        assert server.ask("POST", f"secret/data/{name}", {"data": {"v": "older"}})[0] == 200
        assert server.ask("POST", f"secret/data/{name}", {"data": fields})[0] == 200
    status, content = server.ask("GET", "sys/storage/snapshot")
    assert status == 200
    (folder / "backup").write_bytes(content)
    server.close()
    (folder / STORE / "ballast").unlink()
    return folder, server.token, secrets


def with_one_byte_flipped(source, target, at, change):
    content = bytearray(source.read_bytes())
    content[at] ^= change
    target.write_bytes(content)


def flip_bytes(whole, tmp_path, times, *, seed):
    """Each time: another byte of the store's file is changed, the server starts, and everything is read."""
    folder, token, secrets = whole
    dice, found = random.Random(seed), {"no start": 0, "error": 0, "right": 0}
    size = (folder / STORE / FILE_NAME).stat().st_size
    for _ in range(times):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        with_one_byte_flipped(
            folder / STORE / FILE_NAME, copy / STORE / FILE_NAME, dice.randrange(size), dice.randrange(1, 256)
        )
        found[read_all(copy, token, secrets)] += 1
        shutil.rmtree(copy)
    return found


def read_all(folder, token, secrets):
    """What a store with damage in it says: never a wrong value, never that a secret is not there."""
    try:
        server = Inside(folder, token=token)
    except MlSecretsError:
        return "no start"
    result = "right"
    try:
        for name, fields in secrets.items():
            status, body = server.ask("GET", f"secret/data/{name}")
            if status == 200:
                assert body["data"]["data"] == fields, "a wrong value was served"
            else:
                assert status >= 500 or not is_known(server, token), (status, body)
                result = "error"
                if server.server.opening.sealed:
                    break
    finally:
        server.close()
    return result


def is_known(server, token):
    """Whether the server could look the token up: where its row is damaged, every request is refused."""
    return server.ask("GET", "auth/token/lookup-self", token=token)[0] == 200


def test_93_a_flipped_byte_of_the_file_never_gives_a_wrong_value(whole, tmp_path):
    """Check 93, everyday: 60 bytes of the SQLite file: no start, an error, or the right value."""
    found = flip_bytes(whole, tmp_path, 60, seed=93)
    assert sum(found.values()) == 60
    assert found["right"]
    assert found["error"] + found["no start"]


@pytest.mark.long
def test_93_a_thousand_flipped_bytes_of_the_file(whole, tmp_path):
    """Check 93: a thousand bytes."""
    found = flip_bytes(whole, tmp_path, 1000, seed=930)
    assert sum(found.values()) == 1000
    print(found)


def check_backups(whole, tmp_path, times, *, seed):
    """A backup with one byte changed, or cut at any place, is refused, whatever the byte."""
    folder, _, _ = whole
    dice, damaged = random.Random(seed), tmp_path / "damaged"
    unlock = backup.by_seal(KeyFile(folder / "keys" / "unseal.key", folder / STORE))
    content = (folder / "backup").read_bytes()
    assert backup.verify(folder / "backup", unlock, random.Random(1).randbytes).rows
    for _ in range(times):
        at = dice.randrange(len(content))
        if dice.random() < 0.8:
            with_one_byte_flipped(folder / "backup", damaged, at, dice.randrange(1, 256))
        else:
            damaged.write_bytes(content[:at])
        with pytest.raises((Invalid, TamperFault)):
            backup.verify(damaged, unlock, random.Random(1).randbytes)


def test_93_a_flipped_byte_of_a_backup_is_found(whole, tmp_path):
    """Check 93: 100 backups with a byte changed or the end cut off: each is refused."""
    check_backups(whole, tmp_path, 100, seed=1)


@pytest.mark.long
def test_93_a_thousand_flipped_bytes_of_a_backup(whole, tmp_path):
    """Check 93: a thousand of them."""
    check_backups(whole, tmp_path, 1000, seed=2)
