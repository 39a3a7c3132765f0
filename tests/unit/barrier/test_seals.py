"""Locks, key shares, the key file and the passphrase."""

import errno
import os
import stat
from contextlib import nullcontext
from itertools import combinations

import pyshamir
import pytest

from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.barrier.seals.own_file import check_own
from ml_secrets.barrier.seals.passphrase import Passphrase, from_file
from ml_secrets.errors import Invalid, TamperFault

ROOT = bytes(range(32))
KEY = bytes(range(32, 64))


def make_config(**changes):
    lock = locks.close(KEY, ROOT, locks.PEOPLE, os.urandom)
    return locks.SealConfig(**({"kind": "shamir", "shares": 5, "threshold": 3, "people": lock} | changes))


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lock_opens_with_its_key():
    """What was locked comes back, also by way of the stored form."""
    config = locks.decode(locks.encode(make_config()))
    assert locks.open_(config.people, KEY, locks.PEOPLE) == ROOT


@pytest.mark.parametrize("key", [bytes(32), KEY[:-1] + b"!", b"", b"x" * 33])
def test_a_wrong_key_is_one_clean_error(key):
    """Every wrong key gives the same refusal, which holds nothing of either key."""
    with pytest.raises(Invalid) as caught:
        locks.open_(make_config().people, key, locks.PEOPLE)
    assert caught.value.message == "invalid key: it does not open this store"


def test_a_lock_for_people_is_none_for_a_machine():
    """The purpose is bound into the lock: the right key fails under the wrong purpose."""
    with pytest.raises(Invalid):
        locks.open_(make_config().people, KEY, locks.MACHINE)


def test_a_damaged_lock_is_told_from_a_wrong_key():
    """The right key on an edited wrapping is tampering, not a wrong key."""
    lock = make_config().people
    edited = locks.Lock(lock.check, lock.wrapped[:-1] + bytes([lock.wrapped[-1] ^ 1]))
    with pytest.raises(TamperFault):
        locks.open_(edited, KEY, locks.PEOPLE)


@pytest.mark.parametrize(
    "raw", [b"", b"\x00", b"\x81\xa1a\x01", b"\x81\xa4kind\xa1\xff", b"\x81\xa1x" + b"\x91" * 60_000]
)
def test_a_damaged_seal_configuration_says_so(raw):
    """Bytes that are no configuration are refused as tampering."""
    with pytest.raises(TamperFault, match="damaged"):
        locks.decode(raw)


def test_a_newer_seal_configuration_asks_for_an_upgrade():
    """A format from the future is not guessed at."""
    with pytest.raises(TamperFault, match="format 2"):
        locks.decode(locks.encode(make_config(format=2)))


# ── shares ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_any_three_of_five_give_the_key_back():
    """Every triple recombines, in any order, and as an independent implementation of Vault's format does."""
    parts = shamir.split(KEY, 5, 3, os.urandom)
    for chosen in combinations(parts, 3):
        assert shamir.join(reversed(chosen)) == KEY
        assert bytes(pyshamir.combine([bytearray(part) for part in chosen])) == KEY


def test_a_single_share_is_the_key():
    """One of one needs no mathematics."""
    assert shamir.split(KEY, 1, 1, os.urandom) == [KEY]
    assert shamir.join([KEY]) == KEY


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([KEY + b"\x01"], "a share of many, alone"),
        ([KEY, KEY], "whole keys as shares"),
        ([KEY + b"\x01", KEY], "sizes mixed"),
        ([KEY + b"\x01", bytes(32) + b"\x01"], "one point twice"),
        ([KEY + b"\x00", KEY + b"\x01"], "the point of the secret itself"),
    ],
)
def test_shares_that_cannot_belong_together_are_refused(parts, why):
    """Sizes and points that no set has give the same refusal."""
    with pytest.raises(Invalid, match="do not belong together"):
        shamir.join(parts)


@pytest.mark.parametrize(
    ("shares", "threshold", "problem"),
    [
        (0, 0, "shares must be at least one"),
        (-1, 3, "shares must be at least one"),
        (1, 0, "threshold must be at least one"),
        (5, -1, "threshold must be at least one"),
        (256, 3, "shares must be less than 256"),
        (5, 6, "threshold cannot be larger than shares"),
        (5, 1, "threshold must be greater than one for multiple shares"),
    ],
)
def test_counts_that_make_no_sense_are_refused_as_vault_does(shares, threshold, problem):
    """The texts are those of a real OpenBao."""
    with pytest.raises(Invalid) as caught:
        shamir.check_counts(shares, threshold)
    assert caught.value.message == f"invalid seal configuration: {problem}"


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (2, 2), (5, 3), (255, 255)])
def test_counts_that_make_sense_pass(shares, threshold):
    """From a single share to the most there are."""
    shamir.check_counts(shares, threshold)


def test_a_share_is_read_from_hex_and_from_base64():
    """Both texts that init prints, with white space around them, in either case."""
    import base64

    share = bytes(range(200, 233))
    for text in (share.hex(), share.hex().upper(), f"  {share.hex()}\n", base64.b64encode(share).decode()):
        assert shamir.read_share(text) == share


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zz!", "'key' must be a valid hex or base64 string"),
        ("１２" * 16, "'key' must be a valid hex or base64 string"),
        ("aabb", "invalid key: key is shorter than minimum 16 bytes"),
        ("ab" * 34, "invalid key: key is longer than maximum 33 bytes"),
    ],
)
def test_a_share_that_is_none_is_refused_as_vault_does(text, message):
    """The texts are those of a real OpenBao, and never show the share."""
    with pytest.raises(Invalid) as caught:
        shamir.read_share(text)
    assert caught.value.message == message


# ── the key file ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def seal(tmp_path):
    return KeyFile(tmp_path / "keys" / "store.key", tmp_path / "store")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "store.key"


def test_the_key_file_is_made_private_and_read_again(seal, path):
    """Mode 0400 whatever the umask says, a line that tells what it is, and the same key every time."""
    old = os.umask(0)
    try:
        key, parameters = seal.fresh(os.urandom)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert path.read_text().startswith("ml-secrets key file 1")
    assert seal.key(parameters) == key == seal.fresh(os.urandom)[0]
    assert len(key) == 32


def test_a_missing_key_file_says_what_to_do(seal):
    """The refusal names the file and the way out."""
    with pytest.raises(Invalid, match="no key file") as caught:
        seal.key(b"")
    assert "recovery" in caught.value.hint


def test_an_existing_file_is_never_overwritten(seal, path):
    """What lies there already and is no key file of ours stays as it is, and is refused."""
    path.parent.mkdir()
    path.write_text("notes\n")
    path.chmod(0o400)
    with pytest.raises(Invalid, match="not a key file"):
        seal.fresh(os.urandom)
    assert path.read_text() == "notes\n"


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o420, 0o402, 0o401])
def test_a_key_file_open_to_others_is_refused(seal, path, mode):
    """Any right of group or world is too much."""
    seal.fresh(os.urandom)
    path.chmod(mode)
    with pytest.raises(Invalid, match="open to other users") as caught:
        seal.key(b"")
    assert "chmod 0400" in caught.value.hint


def test_a_link_is_not_followed(seal, path, tmp_path):
    """A key file behind a symbolic link is refused, and a dangling link is not written through."""
    seal.fresh(os.urandom)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match="cannot read"):
        seal.key(b"")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Invalid):
        seal.fresh(os.urandom)
    assert not (tmp_path / "nowhere").exists()


def test_a_pipe_is_no_key_file(seal, path):
    """Something that is not a plain file is refused at once, without waiting on it."""
    path.parent.mkdir()
    os.mkfifo(path, 0o400)
    with pytest.raises(Invalid, match="plain file"):
        seal.key(b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_file_of_another_user_is_refused(seal, path):
    """Whoever else owns it could change it."""
    seal.fresh(os.urandom)
    os.chown(path, 12345, -1)
    with pytest.raises(Invalid, match="another user"):
        seal.key(b"")


@pytest.mark.parametrize("place", ["store/key", "store/deep/er/key", "keys/../store/key", "link/key"])
def test_a_key_file_in_the_stores_folder_is_refused(tmp_path, place):
    """Neither directly, nor deeper, nor by a detour."""
    (tmp_path / "store" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "keys").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    seal = KeyFile(tmp_path / place, tmp_path / "store")
    with pytest.raises(Invalid, match="lies in the store's folder"):
        seal.fresh(os.urandom)
    assert not (tmp_path / "store" / "key").exists()


def test_a_store_in_memory_has_no_folder_to_keep_out_of(tmp_path):
    """Without a folder any place will do."""
    seal = KeyFile(tmp_path / "key", None)
    key, _ = seal.fresh(os.urandom)
    assert seal.key(b"") == key


def test_a_folder_that_cannot_be_written_is_a_clean_refusal(tmp_path):
    """The refusal names the file and the reason, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="cannot make the key file"):
        KeyFile(tmp_path / "file" / "key", None).fresh(os.urandom)


def test_a_key_file_that_cannot_be_written_whole_is_not_left(tmp_path, monkeypatch):
    """A full disk: the refusal is clean, and once there is space the same init works."""
    seal = KeyFile(tmp_path / "key", None)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_space)
        with pytest.raises(Invalid, match=r"cannot make the key file .*No space left"):
            seal.fresh(os.urandom)
    assert not list(tmp_path.iterdir())
    assert seal.fresh(os.urandom)[0] == seal.key(b"")


def no_space(_file):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ── the passphrase ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_passphrase_gives_the_same_key_with_the_same_salt(tmp_path):
    """The stored parameters bring the key back; fresh ones give another; another passphrase gives another."""
    file = tmp_path / "passphrase"
    file.write_text("correct horse battery staple\nsecond line\n")
    file.chmod(0o600)
    seal = Passphrase(from_file(file))
    key, parameters = seal.fresh(os.urandom)
    assert len(key) == 32
    assert seal.key(parameters) == key
    file.write_text("correct horse battery stapler\n")
    assert seal.key(parameters) != key


def test_a_short_passphrase_is_refused():
    """Also an empty one, before any work is done."""
    for text in (b"", b"seven77"):
        with pytest.raises(Invalid, match="shorter than"):
            Passphrase(lambda text=text: text).fresh(os.urandom)


def test_a_missing_passphrase_file_is_a_clean_refusal(tmp_path):
    """The refusal names the file, and says what to do."""
    with pytest.raises(Invalid, match="nowhere") as caught:
        Passphrase(from_file(tmp_path / "nowhere")).fresh(os.urandom)
    assert "name a file" in caught.value.hint


@pytest.mark.parametrize("mode", [0o644, 0o440, 0o420, 0o402])
def test_a_passphrase_file_open_to_others_is_refused(tmp_path, mode):
    """As a key file is, and with what to do."""
    file = tmp_path / "passphrase"
    file.write_text("correct horse battery staple\n")
    file.chmod(mode)
    with pytest.raises(Invalid, match="is open to other users") as caught:
        Passphrase(from_file(file)).fresh(os.urandom)
    assert caught.value.hint == f"chmod 0400 {file}"


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o100400, False), (0o100440, False), (0o100420, True), (0o100444, True)]
)
def test_what_root_lays_ready_may_be_readable_by_the_servers_group(monkeypatch, tmp_path, mode, refused):
    """So systemd's credentials and a container's secrets come; the world may read neither."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    status = os.stat_result((mode, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    with pytest.raises(Invalid) if refused else nullcontext():
        check_own(tmp_path / "passphrase", "passphrase file", status)


@pytest.mark.parametrize(
    "found",
    [
        {"salt": b"x" * 16, "memory_kib": 2**30},
        {"salt": b"x" * 16, "passes": 10**6},
        {"salt": b"x" * 16, "passes": 0},
        {"salt": b"x" * 16, "lanes": 0},
        {"salt": b"short"},
        {"nothing": 1},
    ],
)
def test_edited_parameters_cost_nothing(found):
    """Parameters in an edited header are refused before the derivation, which they could make endless."""
    import msgspec

    with pytest.raises(TamperFault, match="parameters"):
        Passphrase(lambda: b"correct horse").key(msgspec.msgpack.encode(found))
