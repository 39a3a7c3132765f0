import hashlib
import json
import os
from pathlib import Path

import pytest

from ml_secrets.crypto import aead
from ml_secrets.crypto.aead import OVERHEAD, Cipher, epoch_of
from ml_secrets.errors import TamperFault

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "xaes-256-gcm.json").read_text())


def xaes(key, nonce, plaintext, associated_data):
    """XAES-256-GCM as the specification has it: nonce and associated data given, no header."""
    return aead._derive(key, nonce[:12]).encrypt(nonce[12:], plaintext, associated_data)


def accumulated(count):
    """The specification's digest over many ciphertexts of pseudo-random inputs."""
    stream, at = hashlib.shake_128(b"").digest(count * 568), 0
    digest = hashlib.shake_128()

    def take(size):
        nonlocal at
        at += size
        return stream[at - size : at]

    for _ in range(count):
        key, nonce = take(32), take(24)
        plaintext = take(take(1)[0])
        digest.update(xaes(key, nonce, plaintext, take(take(1)[0])))
    return digest.hexdigest(32)


@pytest.mark.parametrize("vector", VECTORS["vectors"])
def test_agrees_with_the_vectors_of_c2sp(vector):
    """Key derivation and encryption are XAES-256-GCM's."""
    raw = {name: bytes.fromhex(value) for name, value in vector.items()}
    assert xaes(raw["key"], raw["nonce"], raw["plaintext"], raw["associated_data"]) == raw["ciphertext"]


def test_agrees_with_the_accumulated_vector_of_c2sp():
    """Ten thousand inputs of all sizes give the specification's digest."""
    assert accumulated(10_000) == VECTORS["accumulated"]["10000"]


@pytest.mark.long
def test_agrees_with_the_long_accumulated_vector_of_c2sp():
    """So do a million."""
    assert accumulated(1_000_000) == VECTORS["accumulated"]["1000000"]


def test_a_record_is_plain_xaes_behind_its_header():
    """Caching derived keys leaves the format alone: any implementation of XAES opens a record."""
    key = os.urandom(32)
    record = Cipher(key, os.urandom, epoch=7).seal(b"fake value", b"context")
    assert record[:8] == b"ms\x01\x01\x00\x00\x00\x07"
    assert record[32:] == xaes(key, record[8:32], b"fake value", record[:8] + b"context")
    assert len(record) == len(b"fake value") + OVERHEAD


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 255, 4096, 1_000_000])
def test_opens_what_it_sealed(size):
    """Round trip, with another instance of the same key too."""
    key, value = os.urandom(32), os.urandom(size)
    record = Cipher(key, os.urandom, epoch=3).seal(value, b"here")
    assert Cipher(key, os.urandom, epoch=3).open(record, b"here") == value
    assert Cipher(key, os.urandom, epoch=3).open_into(record, b"here") == value


def test_every_flipped_bit_is_refused():
    """Header, nonce, ciphertext and tag are all authenticated."""
    cipher = Cipher(os.urandom(32), os.urandom, epoch=3)
    record = cipher.seal(b"fake", b"here")
    for bit in range(8 * len(record)):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperFault):
            cipher.open(bytes(damaged), b"here")


def test_another_context_key_epoch_or_length_is_refused_alike():
    """One error with one text, whatever does not fit."""
    key = os.urandom(32)
    cipher = Cipher(key, os.urandom, epoch=3)
    record = cipher.seal(b"fake", b"here")
    attempts = [
        (cipher, record, b"there"),
        (cipher, record, b""),
        (cipher, record[:-1], b"here"),
        (cipher, record[:40], b"here"),
        (cipher, record + b"\0", b"here"),
        (cipher, b"", b"here"),
        (Cipher(os.urandom(32), os.urandom, epoch=3), record, b"here"),
        (Cipher(key, os.urandom, epoch=4), record, b"here"),
    ]
    texts = set()
    for one, blob, context in attempts:
        for opening in (one.open, one.open_into):
            with pytest.raises(TamperFault) as caught:
                opening(blob, context)
            texts.add(str(caught.value))
    assert len(texts) == 1


def test_nonces_share_a_first_half_for_a_span_and_never_repeat():
    """The derived key is renewed after `span` records; the second half is random each time."""
    cipher = Cipher(os.urandom(32), os.urandom, span=100)
    nonces = [cipher.seal(b"", b"")[8:32] for _ in range(1000)]
    assert len(set(nonces)) == 1000
    assert (
        len({nonce[:12] for nonce in nonces}) == 11
    )  # the first span is one short: it began at construction


def test_two_processes_do_not_share_a_first_half():
    """Each cipher begins with a fresh one."""
    key = os.urandom(32)
    assert Cipher(key, os.urandom).seal(b"", b"")[8:20] != Cipher(key, os.urandom).seal(b"", b"")[8:20]


def test_derived_keys_are_kept_in_bounds():
    """Records of ever so many processes do not fill the memory."""
    key = os.urandom(32)
    reader = Cipher(key, os.urandom)
    for _ in range(aead._DERIVED + 50):
        reader.open(Cipher(key, os.urandom).seal(b"", b""), b"")
    assert reader._derived.cache_info().currsize == aead._DERIVED


def test_single_records():
    """`seal` and `open_` are one-off ciphers of epoch 0."""
    key = os.urandom(32)
    record = aead.seal(key, b"fake", b"here", os.urandom)
    assert epoch_of(record) == 0
    assert aead.open_(key, record, b"here") == b"fake"
    with pytest.raises(TamperFault):
        aead.open_(key, record, b"there")
