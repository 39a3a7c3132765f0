"""Pickles are rewritten text by text; what is left loads, and what cannot be rewritten is not written."""

import pickle

import pytest

from ml_secrets import redaction
from ml_secrets.errors import Leaked


@pytest.mark.parametrize("protocol", range(6))
def test_each_protocol_of_pickle(protocol, value, install, tmp_path):
    """Texts of each kind and size, bytes, byte arrays, a pickle inside a pickle; what comes back is whole but for the value."""
    things = {
        "short": value,
        "text": f"grün {value} " * 30,
        "bytes": value.encode() * 20,
        "array": bytearray(f"{value}".encode()),
        "inside": pickle.dumps({"key": value, "n": 1}, protocol=max(protocol, 2)),
        "others": [1, 2.5, None, (True, "x" * 100), {"y"}],
        "again": value,
    }
    install(only=["pickle"])
    try:
        with pytest.warns(redaction.Leaking):
            data = pickle.dumps(things, protocol=protocol)
        with pytest.warns(redaction.Leaking), (tmp_path / "file").open("wb") as file:
            pickle.dump(things, file, protocol=protocol)
        with pytest.warns(redaction.Leaking), (tmp_path / "other").open("wb") as file:
            pickle.Pickler(file, protocol).dump(things)
    finally:
        redaction.uninstall()
    for each in (data, (tmp_path / "file").read_bytes(), (tmp_path / "other").read_bytes()):
        assert value.encode() not in each
        back = pickle.loads(each)
        assert back["others"] == things["others"]
        assert back["short"] == back["again"] == "[masked]"
        assert back["text"] == "grün [masked] " * 30
        assert back["array"] == bytearray(b"[masked]")
        assert pickle.loads(back["inside"]) == {"key": "[masked]", "n": 1}


def test_a_large_text_with_a_value(value, install, tmp_path):
    """Picklers write large texts apart from their length, which cannot be corrected any more: refused."""
    install(only=["pickle"])
    try:
        with (
            pytest.raises(Leaked, match="a form that cannot be masked"),
            pytest.warns(redaction.Leaking),
            (tmp_path / "file").open("wb") as file,
        ):
            pickle.dump("x" * 100_000 + value, file)
    finally:
        redaction.uninstall()
    assert value.encode() not in (tmp_path / "file").read_bytes()


def test_a_pickle_without_a_value_is_the_same(value, install):
    """Byte for byte; and taken off, nothing is looked at."""
    things = {"a": list(range(2000)), "b": "text"}
    before = pickle.dumps(things)
    install(only=["pickle"])
    assert pickle.dumps(things) == before
    redaction.uninstall()
    assert value in pickle.loads(pickle.dumps([value]))


def test_mode_fail_stops_it(value, install):
    """Nothing comes back."""
    install("fail", only=["pickle"])
    with pytest.raises(Leaked, match="a pickle would have been given the value of openai"):
        pickle.dumps([value])
